"""Frames a second from BVH files to joint positions: vipe beside the readers of the package registry, in one run.

    python benchmarks/readers.py [PATH]

PATH is a BVH file, a folder or an archive, by default ../shared/mocap, or a synthetic clip where that is absent.
For each kind of rig, every clip is read --rounds times and its best time counts, from the file's name to the positions
of all joints. The times of all clips are summed. bvhio is slow and reads the clip of median length only. Then vipe
reads the folder of all clips at once, on all cores. Two things help vipe: it converts only the channels that move a
joint of the skeleton and checks the others, and it parses a hierarchy once for all files that have the same bytes
there, as in an archive of one rig.
"""

import importlib.metadata
import io
import re
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from inputs import MOCAP, arguments

from vipe.cores import usable_cores
from vipe.readers import read
from vipe.readers.archives import Limits, collections
from vipe.readers.numbers import parse_rows
from vipe.readers.rigs import bvh
from vipe.skeletons import load


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=MOCAP if MOCAP.exists() else None)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--most", type=int, default=40, help="clips of one kind of rig")
    options = parser.parse_args()
    for title, clips in kinds(options.path).items():
        compare(title, clips[:: -(-len(clips) // options.most)], options.rounds)


def kinds(path: Path | None) -> dict[str, list[bytes]]:
    """The BVH files at a path by archive and skeleton, short ones first."""
    if path is None:
        print(f"{MOCAP}: no motion capture here; one synthetic clip is read, so figures differ from RESULTS.md")
        return {"synthetic, cc_base": [synthetic(600)]}
    found: dict[str, list[bytes]] = {}
    for collection in collections(path, Limits()):
        for member in collection.members():
            if member.path.lower().endswith(".bvh"):
                data = member.read()
                skeleton = bvh.read(io.BytesIO(data), member.path).skeleton.name
                found.setdefault(f"{collection.prefix or path.name}, {skeleton}", []).append(data)
    if not found:
        raise SystemExit(f"{path}: no BVH file")
    return {title: sorted(clips, key=len) for title, clips in found.items()}


def synthetic(frames: int) -> bytes:
    """A character rig that sways: 100 joints, 303 channels, six decimals."""
    skeleton = load("cc_base")
    joints = [joint for joint in skeleton.joints if joint not in {site.name for site in skeleton.sites}]
    children: dict[int, list[int]] = {}
    for i in range(len(joints)):
        children.setdefault(skeleton.parents[i], []).append(i)
    rng = np.random.default_rng(0)
    lines = ["HIERARCHY"]

    def write(joint: int) -> None:
        kind = "ROOT" if skeleton.parents[joint] < 0 else "JOINT"
        channels = "6 Xposition Yposition Zposition" if kind == "ROOT" else "3"
        offset = " ".join(f"{x:.6f}" for x in rng.normal(scale=10, size=3))
        lines.extend([f"{kind} {joints[joint]}", "{", f"OFFSET {offset}"])
        lines.append(f"CHANNELS {channels} Zrotation Yrotation Xrotation")
        for child in children.get(joint, ()):
            write(child)
        lines.append("}")

    write(0)
    lines.extend(["MOTION", f"Frames: {frames}", "Frame Time: 0.016667"])
    phase = np.linspace(0, 60, frames)[:, None] * rng.uniform(0.5, 2, 303) + rng.uniform(0, 6, 303)
    lines.extend(" ".join(f"{x:.6f}" for x in row) for row in 60 * np.sin(phase))
    return ("\n".join(lines) + "\n").encode()


def compare(title: str, clips: list[bytes], rounds: int) -> None:
    """Print one table: each reader's speed, and how fast the numbers could be parsed at all."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.bvh" for i in range(len(clips))]
        for file, data in zip(files, clips, strict=True):
            file.write_bytes(data)
        middle = files[len(files) // 2]
        frames = {file: sum(len(clip) for clip in read(file)) for file in files}
        numbers, parsing = map(sum, zip(*(parse_only(file.read_bytes(), rounds) for file in files), strict=True))
        splitting = sum(split_only(file.read_bytes(), rounds) for file in files)
        print(f"\n{title}: {len(files)} clips, {sum(frames.values()):,} frames, {numbers:,} numbers")
        readers = {name: reader for name, reader in READERS.items() if works(name, reader, middle)}
        taken = dict.fromkeys(readers, 0.0)
        read_by = dict.fromkeys(readers, 0)
        for file in files:  # one after another for each clip, so that whatever else the machine does hits all alike
            for name, reader in readers.items():
                if name != "bvhio" or file == middle:
                    times = 1 if name == "bvhio" else rounds
                    taken[name] += min(seconds(lambda: reader(file)) for _ in range(times))  # noqa: B023
                    read_by[name] += frames[file]
        cores = usable_cores()
        whole = min(seconds(lambda: [len(clip) for clip in read(folder, workers=cores)]) for _ in range(rounds))
    speeds = {name: read_by[name] / taken[name] for name in readers}
    bulk = sum(frames.values()) / whole
    for name, speed in speeds.items():
        version = importlib.metadata.version("vipe-pose" if name == "vipe" else name)
        print(f"  {name + ' ' + version:18} {speed:10,.0f} frames/s")
    peers = [speed for name, speed in speeds.items() if name != "vipe"]
    if peers:
        print(f"  vipe is {speeds['vipe'] / max(peers):.1f} times as fast as the fastest other reader")
        print(f"  the whole folder on {cores} cores: {bulk:,.0f} frames/s, {bulk / max(peers):.1f} times as fast")
    share = parsing / (sum(frames.values()) / speeds["vipe"])
    print(f"  parsing the numbers alone: {numbers / parsing / 1e6:.1f} million/s, {share:.0%} of vipe's time")
    times = sum(frames.values()) / speeds["vipe"] / splitting
    print(f"  splitting the same text into float32 takes {splitting:.2f} s: vipe takes {times:.1f} times as long")


def works(name: str, reader: Callable[[Path], object], file: Path) -> bool:
    try:
        reader(file)
    except ImportError:
        print(f"  {name} is not installed: pip install 'vipe-pose[bench]'")
    except Exception as error:  # noqa: BLE001  # whatever a peer does with a file that it does not read
        print(f"  {name:18} refuses it: {' '.join(str(error).split())[:80]} ...")
    else:
        return True
    return False


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def parse_only(text: bytes, rounds: int) -> tuple[int, float]:
    """How many numbers there are, and the best time of parsing them within vipe's reading."""
    rigs = bvh._read_rigs(text[: text.index(b"MOTION")], (), guess=False)
    frames, _, start, _ = bvh._read_motion_head(text, text.index(b"MOTION") + len(b"MOTION"), "clip.bvh", None)
    rows = rigs.bodies[0].rows
    best = min(seconds(lambda: parse_rows(text, start, frames, rigs.channels, rows, "clip.bvh")) for _ in range(rounds))
    return frames * rigs.channels, best


def split_only(text: bytes, rounds: int) -> float:
    """The best time in which a general parser makes float32 of the same numbers: pyarrow's CSV, or numpy's."""
    start = bvh._read_motion_head(text, text.index(b"MOTION") + len(b"MOTION"), "clip.bvh", None)[2]
    rows = re.sub(rb" *\r?\n", b"\n", text[start:].rstrip() + b"\n")
    names = [str(i) for i in range(len(rows.partition(b"\n")[0].split()))]
    options = {
        "read_options": pyarrow.csv.ReadOptions(column_names=names, use_threads=False),
        "parse_options": pyarrow.csv.ParseOptions(delimiter=" "),
        "convert_options": pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float32())),
    }
    arrow = min(seconds(lambda: pyarrow.csv.read_csv(io.BytesIO(rows), **options)) for _ in range(rounds))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return min(arrow, seconds(lambda: np.fromstring(rows.decode(), dtype=np.float32, sep=" ")))


def with_vipe(file: Path) -> object:
    return [clip.positions for clip in read(file)]


def with_pybvh(file: Path) -> object:
    import pybvh

    return pybvh.read_bvh_file(file).joint_positions()


def with_bvhio(file: Path) -> object:
    import bvhio

    root = bvhio.readAsHierarchy(str(file))
    first, last = root.getKeyframeRange()
    positions = []
    for frame in range(first, last + 1):
        root.loadPose(frame)
        positions.append([joint.PositionWorld for joint, _, _ in root.layout()])
    return positions


READERS = {"vipe": with_vipe, "pybvh": with_pybvh, "bvhio": with_bvhio}

if __name__ == "__main__":
    main()
