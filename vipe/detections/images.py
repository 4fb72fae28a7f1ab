"""Photos as RGB pixels, upright, whatever the file holds (pillow)."""

__all__ = ["MOST_PIXELS", "read_image"]

import io
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from vipe.arrays import Array
from vipe.errors import MissingExtra, ReadError
from vipe.regular_file import read_regular

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 120_000_000
"""Of an image. A file may claim any size in a few bytes; beyond this one nothing is decoded."""

_LARGEST = 512 << 20  # bytes of a file
# Named, so that no other decoder is started by what a file claims to be (one of pillow's runs a program).
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000")
_WHITE = (255, 255, 255, 255)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, struct.error, OverflowError)


def read_image(path: Path) -> UInt8[Array, "height width 3"]:
    """Read a photo as RGB.

    The camera's note on which side is up (EXIF) is followed, mirror images included. Grey, palettes, CMYK and 16 bits
    become RGB of 8 bits; what is transparent becomes white. Of several pictures in one file the first is taken.

    Args:
        path: JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, PPM or JP2.

    Raises:
        MissingExtra: If pillow is not installed.
        ReadError: If it cannot be read, is none of these, is cut off or broken, or has more than 120 million pixels.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtra('photos need pillow: pip install "vipe-pose[detect]"') from error
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
                return np.asarray(_rgb(ImageOps.exif_transpose(picture))).copy()
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
    if width * height > MOST_PIXELS:
        raise ReadError(f"{path}: {width} x {height} pixels, more than {MOST_PIXELS:,}; make it smaller")


def _rgb(picture: "Image.Image") -> "Image.Image":
    """A decoded picture in RGB of 8 bits."""
    from PIL import Image

    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.nan_to_num(np.asarray(picture, dtype=np.float64), posinf=0, neginf=0)
        # 16 bits have a fixed scale. Wider numbers have none: their own largest is white.
        white = 65535.0 if picture.mode.startswith("I;16") else max(float(values.max(initial=0)), 1e-12)
        grey = np.clip(values / white * 255, 0, 255).round().astype(np.uint8)
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
