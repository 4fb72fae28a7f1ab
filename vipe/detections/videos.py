"""Videos as RGB frames, upright, one after the other, each with its time (av)."""

__all__ = ["FPS", "MOST_PIXELS", "Video", "VideoFrame"]

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from vipe.arrays import Array
from vipe.errors import MissingExtra, ReadError, VipeError
from vipe.files.regular_file import irregular

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

FPS = 15.0
"""Frames a second that are looked at."""

MOST_PIXELS = 40_000_000
"""Of a frame: 8K has 33 million."""

# Named, so that a file can be nothing that makes the reader open other files, as playlists do.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,asf,flv,ogg"
_EARLY = 0.1  # of the time between two frames that are looked at: times in files are rounded


@dataclass(frozen=True, kw_only=True)
class VideoFrame:
    """One frame."""

    number: int  # in the video, from 0
    slot: int  # how many times between two frames that are looked at have passed since the first frame
    time: float  # seconds since the first frame, as the file has it
    image: UInt8[Array, "height width 3"]


class Video:
    """A video file, whose frames are decoded as they are asked for.

    At most `fps` frames a second are looked at: of each 1/fps of a second the first frame. Times are those of the file,
    so that frames at irregular times keep theirs. A frame that cannot be decoded is passed over and counted. Frames are
    turned as the camera noted, and have square pixels.

    Args:
        path: MP4, MOV, MKV, WebM, AVI and others, H.264 and what else FFmpeg decodes.
        fps: Frames a second to look at, at most; fewer if the video has fewer.

    Raises:
        MissingExtra: If av is not installed.
        ReadError: If it cannot be read, is no video, or its frames are too large.
        VipeError: If `fps` is not above 0.
    """

    def __init__(self, path: Path, fps: float | int = FPS) -> None:
        if not 0 < fps < math.inf:
            raise VipeError(f"{path}: frames a second to look at must be a finite number above 0, got {fps}")
        self.path = path
        self.broken = 0
        """Frames that could not be decoded, at the last reading."""
        with _opened(path) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            self.source_rate = float(rate) if rate else FPS
            """Frames a second of the file, on average."""
            seconds = container.duration / 1e6 if container.duration else 0.0
            self.frame_count = stream.frames or round(seconds * self.source_rate)
            """Frames of the file, as it says; 0 if it does not."""
            _check_size(path, stream.codec_context.width, stream.codec_context.height)
        self.rate = min(float(fps), self.source_rate)
        """Frames a second that are looked at."""

    def frames(self, numbers: Collection[int] | None = None) -> Iterator[VideoFrame]:
        """Decode the frames that are looked at, in order of time.

        Args:
            numbers: Only these frames of the video.

        Raises:
            ReadError: If no frame of it can be decoded.
        """
        last, decoded, start = -1, 0, None
        stop = max(numbers, default=-1) if numbers is not None else None
        self.broken = 0
        with _opened(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for number, frame in enumerate(self._decoded(container, stream)):
                if stop is not None and number > stop:
                    return
                if frame is None or frame.is_corrupt:
                    self.broken += 1
                    continue
                decoded += 1
                time = number / self.source_rate if frame.time is None else float(frame.time)
                start = time if start is None else start
                time = max(time - start, 0.0)
                slot = math.floor(time * self.rate + _EARLY)
                if slot > last:
                    last = slot
                    if numbers is None or number in numbers:
                        image = self._pixels(frame, stream)
                        yield VideoFrame(number=number, slot=slot, time=time, image=image)
        if not decoded:
            raise ReadError(f"{self.path}: none of its frames can be decoded; is it cut off?")

    def _decoded(self, container: "InputContainer", stream: Any) -> "Iterator[av.VideoFrame | None]":
        """Each frame, None for one that cannot be decoded."""
        import av

        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError):  # the file ends early
                self.broken += 1
                return
            try:
                yield from stream.decode(packet)
            except (av.FFmpegError, OSError):
                yield None

    def _pixels(self, frame: "av.VideoFrame", stream: Any) -> UInt8[Array, "height width 3"]:
        _check_size(self.path, frame.width, frame.height)
        wide = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        width = round(frame.width * float(wide)) if wide else frame.width
        if width != frame.width and 0 < width * frame.height <= MOST_PIXELS:
            frame = frame.reformat(width=width, height=frame.height)
        image = frame.to_ndarray(format="rgb24")
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns))


def _opened(path: Path) -> "InputContainer":
    try:
        import av
    except ImportError as error:
        raise MissingExtra.of("videos need av", "detect") from error
    if not path.is_file():
        found = "a folder" if path.is_dir() else irregular(path)
        what = f"is {found}, expected a video" if found else "there is no such file"
        raise ReadError(f"{path}: {what}")
    try:
        container = av.open(path.open("rb"), mode="r", options={"format_whitelist": _FORMATS})
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, PermissionError) and not isinstance(error, av.FFmpegError):
            raise ReadError(f"{path}: cannot be read: {error.strerror}") from error
        raise ReadError(
            f"{path}: is no video that is read, or is cut off; expected MP4, MOV, MKV, WebM or AVI"
        ) from error
    if not container.streams.video:
        container.close()
        raise ReadError(f"{path}: has no pictures; is it a sound file?")
    coding: Any = container.streams.video[0].codec_context
    if coding is None:
        container.close()
        raise ReadError(f"{path}: its pictures are coded in a way that is not known; save it as H.264")
    return container


def _check_size(path: Path, width: int, height: int) -> None:
    if not 0 < width * height <= MOST_PIXELS:
        raise ReadError(
            f"{path}: frames of {width} x {height} pixels, expected 1 to {MOST_PIXELS:,}; make them smaller"
        )
