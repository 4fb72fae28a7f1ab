"""Photos as cameras and programs write them: upright RGB, or one line that says why not."""

import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from vipe.detections.images import MOST_PIXELS, read_image
from vipe.errors import ReadError


@pytest.fixture
def colours():
    """Twelve by eight pixels: red above, green below left, blue below right."""
    pixels = np.zeros((8, 12, 3), dtype=np.uint8)
    pixels[:4, :, 0] = 255
    pixels[4:, :6, 1] = 255
    pixels[4:, 6:, 2] = 255
    return pixels


def saved(folder, picture, name="photo.png", **options):
    path = folder / name
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.bmp", "a.ppm"])
def test_formats_that_lose_nothing_give_the_pixels(tmp_path, colours, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    read = read_image(saved(tmp_path, Image.fromarray(colours), name, **options))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, colours)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_note_on_which_side_is_up_is_followed(tmp_path, colours, orientation):
    def identity(image):
        return image

    stored = {  # what a camera stores of an upright image under each note
        1: identity,
        2: np.fliplr,
        3: lambda image: np.rot90(image, 2),
        4: np.flipud,
        5: lambda image: image.transpose(1, 0, 2),
        6: lambda image: np.rot90(image, 1),
        7: lambda image: np.rot90(image.transpose(1, 0, 2), 2),
        8: lambda image: np.rot90(image, -1),
    }[orientation](colours)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(read_image(path), colours)


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = np.arange(96, dtype=np.uint8).reshape(8, 12)
    read = read_image(saved(tmp_path, Image.fromarray(grey)))
    np.testing.assert_array_equal(read, np.repeat(grey[..., None], 3, axis=2))


def test_sixteen_bits_keep_their_brightness(tmp_path):
    grey = np.array([[0, 0x8000, 0xFFFF]], dtype=np.uint16)
    assert read_image(saved(tmp_path, Image.fromarray(grey)))[0, :, 0].tolist() == [0, 128, 255]


def test_numbers_without_a_scale_are_scaled_by_their_largest(tmp_path):
    grey = np.array([[0.0, 0.5, 2.0, np.nan]], dtype=np.float32)
    assert read_image(saved(tmp_path, Image.fromarray(grey), "a.tif"))[0, :, 0].tolist() == [0, 64, 255, 0]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    if mode == "P":
        picture = Image.new("P", (4, 4), 0)
        picture.putpalette([10, 20, 30] * 256)
        path = saved(tmp_path, picture, transparency=0)
    else:
        path = saved(tmp_path, Image.new(mode, (4, 4), (10, 20, 30, 0) if mode == "RGBA" else (10, 0)))
    assert (read_image(path) == 255).all()


def test_print_colours_become_screen_colours(tmp_path, colours):
    picture = Image.fromarray(colours).resize((96, 64)).convert("CMYK")
    read = read_image(saved(tmp_path, picture, "a.jpg", quality=95)).astype(int)
    assert read.shape == (64, 96, 3)
    assert (read[8, 48] - [255, 0, 0]).max() < 30
    assert read[8, 48, 0] > 200
    assert read[56, 8, 1] > 200
    assert read[56, 88, 2] > 200


def test_the_first_of_several_pictures_is_taken(tmp_path, colours):
    other = Image.fromarray(255 - colours)
    path = saved(tmp_path, Image.fromarray(colours), "a.tif", save_all=True, append_images=[other])
    np.testing.assert_array_equal(read_image(path), colours)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_a_file_that_is_cut_off_is_refused_in_one_line(tmp_path, name):
    rng = np.random.default_rng(0)
    path = saved(tmp_path, Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)), name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ReadError, match=rf"{name}: ") as raised:
        read_image(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (12_000, 10_001)])
def test_a_header_that_claims_too_many_pixels_is_refused_before_they_are_made(tmp_path, width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ReadError, match=f"{MOST_PIXELS:,}"):
            read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no picture that can be read"),
        (b'{"people": []}', "give keypoints as --keypoints"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "give it as --video"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "export it as JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture that can be read"),
    ],
    ids=["nothing", "keypoints", "video", "heic", "a program that draws"],
)
def test_what_is_no_photo_is_told(tmp_path, data, said):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ReadError, match=said):
        read_image(tmp_path / "file")


def test_a_photo_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ReadError, match="No such file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ReadError, match="Is a directory"):
        read_image(tmp_path)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "I;16", "F", "CMYK"])
def test_a_picture_is_the_same_whole_and_some_rows_at_a_time(tmp_path, monkeypatch, rng, mode, orientation):
    values = rng.integers(0, 256, (23, 17, 4), dtype=np.uint8)
    picture = {
        "I;16": lambda: Image.fromarray(values[..., 0].astype(np.uint16) * 257),
        "F": lambda: Image.fromarray(values[..., 0].astype(np.float32)),
        "P": lambda: Image.fromarray(values[..., :3]).quantize(32),
        "CMYK": lambda: Image.fromarray(values, mode="CMYK"),
    }.get(mode, lambda: Image.fromarray(values).convert(mode))()
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, picture, "photo.tif", exif=exif)
    whole = read_image(path)
    monkeypatch.setattr("vipe.detections.images._BLOCK", 40)
    np.testing.assert_array_equal(read_image(path), whole)
    assert whole.shape == ((17, 23, 3) if orientation == 6 else (23, 17, 3))


def test_a_large_picture_is_in_memory_twice_and_no_more(tmp_path):
    path = saved(tmp_path, Image.new("I;16", (6000, 5000)))
    code = (
        "import resource, sys; from pathlib import Path; from vipe.detections.images import read_image;"
        f"read_image(Path({str(saved(tmp_path, Image.new('L', (1, 1)), 'small.png'))!r}));"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        f"read_image(Path({str(path)!r}));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(grown) * 1024 < 330e6  # 60 MB decoded, 90 MB as RGB, and a block; 720 MB when it was converted at once


def test_a_side_that_no_camera_has_is_refused(tmp_path):
    with pytest.raises(ReadError, match=r"65501 x 1 pixels, more than 120,000,000 or 65,500 on a side"):
        read_image(saved(tmp_path, Image.new("L", (65_501, 1))))


def test_of_formats_that_are_decoded_several_times_over_half_as_much_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("vipe.detections.images.MOST_PIXELS", 100)
    assert read_image(saved(tmp_path, Image.new("RGB", (10, 10)))).shape == (10, 10, 3)
    with pytest.raises(ReadError, match="10 x 10 pixels, more than 50 or"):
        read_image(saved(tmp_path, Image.new("RGB", (10, 10)), "photo.webp"))


@pytest.mark.parametrize("error", [RuntimeError("Failed to decode image: Not implemented"), MemoryError()])
def test_whatever_a_decoder_raises_is_one_line(tmp_path, monkeypatch, error):
    def fails(*_, **__):
        raise error

    path = saved(tmp_path, Image.new("L", (4, 4)))
    monkeypatch.setattr(Image, "open", fails)  # pillow's decoder of AVIF raises so at a wrong byte
    with pytest.raises(ReadError, match=r"photo\.png: cut off or broken: (Failed to decode|MemoryError)"):
        read_image(path)
