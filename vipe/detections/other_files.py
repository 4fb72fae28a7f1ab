"""Files that are no keypoints that can be read: what they seem to be, and how to get there."""

__all__ = ["told"]

import re

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n", "is a picture"),
    (b"\xff\xd8\xff", "is a picture"),
    (b"GIF8", "is a picture"),
    (b"BM", "is a picture"),
    (b"II*\x00", "is a picture"),
    (b"MM\x00*", "is a picture"),
    (b"\x00\x00\x01\xba", "is a video"),
    (b"\x1aE\xdf\xa3", "is a video"),
    (b"\x89HDF", "is HDF5, as DeepLabCut and SLEAP write it; export it as CSV"),
    (b"MATLAB", "is a MATLAB file; write its arrays as .npy: (people, joints, 3) of x, y and score"),
    (b"\x1f\x8b", "is packed with gzip; unpack it"),
    (b"BZh", "is packed with bzip2; unpack it"),
    (b"\xfd7zXZ", "is packed with xz; unpack it"),
    (b"7z\xbc\xaf", "is packed with 7-zip; unpack it"),
    (b"PK\x03\x04", "is a zip; unpack it, and give the file or folder of keypoints"),
    (b"%PDF", "is a PDF"),
    (b"PAR1", "is Parquet; write it as CSV"),
)
_PICTURE = "; run a 2D pose detector on it, and give the JSON that it writes; vipe does so with "
_OPTION = {"is a picture": "--image FILE", "is a video": "--video FILE"}
_NUMBERS = re.compile(rb"\s*-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?:[ \t]+-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)*\s*\Z")


def told(data: bytes, name: str) -> str:
    """What to say of a file of another kind; "" if it may be keypoints."""
    for start, what in _STARTS:
        if data.startswith(start):
            return _with_a_detector(what) if what in _OPTION else what
    if data[:4] == b"RIFF":
        return _with_a_detector("is a video" if data[8:12] == b"AVI " else "is a picture")
    if data[4:8] == b"ftyp":
        return _with_a_detector("is a video")
    if len(data) > 2 and data[0] == 0x80 and data[1] in (2, 3, 4, 5):
        return (
            "is a Python pickle, which could run anything when it is opened, so it is not; write the keypoints as "
            "JSON, or the arrays as .npy"
        )
    head = data[:2000].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"<"):
        return "is XML or HTML; CVAT exports 'COCO Keypoints 1.0', which is read"
    line = head.partition(b"\n")[0]
    if _NUMBERS.match(line) and b"," not in line and line.count(b" ") >= 5:
        return (
            "is lines of numbers without names, as YOLO's labels are (shares of the image's size); write COCO's JSON, "
            "or a table with names of columns"
        )
    if name.casefold().endswith((".bvh", ".amc", ".asf", ".c3d", ".trc")):
        return "is motion capture; vipe ingest reads it, a search needs 2D keypoints"
    if head.startswith((b"HIERARCHY", b"---", b"%YAML")):
        return "is no keypoint file; expected COCO's or OpenPose's JSON, or a table"
    return ""


def _with_a_detector(what: str) -> str:
    return what + _PICTURE + _OPTION[what]
