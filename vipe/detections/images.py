"""Photos as RGB pixels, upright, whatever the file holds (pillow)."""

__all__ = ["MOST_PIXELS", "read_image"]

import io
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, UInt8

from vipe.arrays import Array
from vipe.errors import MissingExtra, ReadError
from vipe.files.regular_file import read_regular

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 120_000_000
"""Of an image. A file may claim any size in a few bytes; beyond this one nothing is decoded."""

_LONGEST = 65_500
"""Pixels of a side: no longer one is made by JPEG, and pillow's own limits are not far."""

_HALF = ("WEBP", "AVIF")
"""Formats of half as many pixels: their decoders hold several copies."""

_LARGEST = 512 << 20  # bytes of a file
_BLOCK = 4_000_000  # pixels that are converted at a time, so that a large picture is in memory twice and no more
# Named, so that no other decoder is started by what a file claims to be (one of pillow's runs a program).
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000")
_WHITE = (255, 255, 255, 255)
_ORIENTATION = 0x0112  # in EXIF
_STORED: Mapping[
    int | None, Callable[[Array], Array]
] = {  # a view of the upright pixels as the camera stored them, by its note on which side is up
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels, -1),
}
_BROKEN = (  # what decoders raise
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    IndexError,
    struct.error,
    OverflowError,
    RuntimeError,
    MemoryError,
)


def read_image(path: Path) -> UInt8[Array, "height width 3"]:
    """Read a photo as RGB.

    The camera's note on which side is up (EXIF) is followed, mirror images included. Grey, palettes, CMYK and 16 bits
    become RGB of 8 bits; what is transparent becomes white. Of several pictures in one file the first is taken.

    Args:
        path: JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, PPM or JP2.

    Raises:
        MissingExtra: If pillow is not installed.
        ReadError: If it cannot be read, is none of these, is cut off or broken, or has more than 120 million pixels
            (60 million of WebP and AVIF) or 65,500 on a side.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtra.of("photos need pillow", "detect") from error
    try:
        data = read_regular(path, _LARGEST)
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror or error}") from error
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are judged here, and of odd metadata
            with Image.open(io.BytesIO(data), formats=formats) as picture:
                _check_size(picture, path)
                picture.load()
                return _pixels(picture)
    except Image.DecompressionBombError as error:
        raise ReadError(f"{path}: claims more than {MOST_PIXELS:,} pixels; make it smaller") from error
    except UnidentifiedImageError as error:
        raise ReadError(f"{path}: {_instead(data)}") from error
    except ReadError:
        raise
    except _BROKEN as error:
        raise ReadError(f"{path}: cut off or broken: {' '.join(str(error).split()) or type(error).__name__}") from error


def _check_size(picture: "Image.Image", path: Path) -> None:
    width, height = picture.size
    most = MOST_PIXELS // 2 if picture.format in _HALF else MOST_PIXELS
    if width * height > most or max(width, height) > _LONGEST:
        raise ReadError(
            f"{path}: {width} x {height} pixels, more than {most:,} or {_LONGEST:,} on a side; make it smaller"
        )


def _pixels(picture: "Image.Image") -> UInt8[Array, "height width 3"]:
    """A decoded picture, upright and in RGB, converted some rows at a time."""
    orientation = picture.getexif().get(_ORIENTATION)
    stored = _STORED.get(orientation, np.asarray)
    width, height = picture.size
    lies = orientation in (5, 6, 7, 8)
    pixels = np.empty((width, height, 3) if lies else (height, width, 3), dtype=np.uint8)
    rows = max(1, _BLOCK // width)
    boxes = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]
    white = _white(picture, boxes)
    for box in boxes:
        stored(pixels)[box[1] : box[3]] = np.asarray(_rgb(picture.crop(box), white))
    return pixels


def _white(picture: "Image.Image", boxes: Sequence[tuple[int, int, int, int]]) -> float:
    """What is white in a picture of numbers that are not bytes; 0 for any other picture.

    16 bits have a fixed scale. Wider numbers have none: their own largest is white.
    """
    if picture.mode.startswith("I;16"):
        return 65535.0
    if picture.mode not in ("I", "F"):
        return 0.0
    return max(1e-12, *(float(_numbers(picture.crop(box)).max(initial=0)) for box in boxes))


def _numbers(picture: "Image.Image") -> Float64[Array, "height width"]:
    return np.nan_to_num(np.asarray(picture, dtype=np.float64), posinf=0, neginf=0)


def _rgb(picture: "Image.Image", white: float) -> "Image.Image":
    """A decoded picture in RGB of 8 bits."""
    from PIL import Image

    if white:
        grey = np.clip(_numbers(picture) / white * 255, 0, 255).round().astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info:
        seen = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, _WHITE), seen).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _instead(data: bytes) -> str:
    """What a file that is no picture seems to be."""
    if data[4:8] == b"ftyp":
        if data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
            return "is HEIC, which is not read; export it as JPEG"
        return "is a video, expected a photo; give it as --video"
    if data[:4] in (b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba"):
        return "is a video, expected a photo; give it as --video"
    if data[:1] in (b"{", b"["):
        return "is JSON, expected a photo; give keypoints as --keypoints"
    return "is no picture that can be read; expected JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, PPM or JP2"
