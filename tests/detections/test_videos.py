"""Videos as phones write them: upright frames with their times, of which a broken one costs itself."""

import os

import numpy as np
import pytest
from detections.detectors.videos import packet_places, turned, write_video

from vipe.detections.videos import Video
from vipe.errors import ReadError, VipeError


def shades(count, shape=(32, 48)):
    """Frames that are brighter one after the other."""
    return [np.full((*shape, 3), 20 + 8 * number, dtype=np.uint8) for number in range(count)]


def brightness(frames):
    return [round((float(frame.image.mean()) - 20) / 8) for frame in frames]


def test_frames_come_in_order_with_their_times(tmp_path):
    video = Video(write_video(tmp_path / "a.mp4", shades(12)), fps=100)
    frames = list(video.frames())
    assert (video.rate, video.source_rate, video.frame_count, video.broken) == (30, 30, 12, 0)
    assert [frame.number for frame in frames] == [frame.slot for frame in frames] == brightness(frames)
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(12) / 30, atol=1e-6)
    assert frames[0].image.shape == (32, 48, 3)


@pytest.mark.parametrize(("fps", "kept"), [(15, [0, 2, 4, 6, 8, 10]), (10, [0, 3, 6, 9]), (12, [0, 3, 5, 8, 10])])
def test_of_each_step_the_first_frame_is_looked_at(tmp_path, fps, kept):
    video = Video(write_video(tmp_path / "a.mp4", shades(12)), fps=fps)
    frames = list(video.frames())
    assert [frame.number for frame in frames] == brightness(frames) == kept
    assert [frame.slot for frame in frames] == list(range(len(kept)))
    assert video.rate == fps


def test_irregular_frames_keep_their_times(tmp_path):
    times = [0, 1, 2, 9, 10, 30]
    video = Video(write_video(tmp_path / "a.mp4", shades(6), times=times), fps=5)
    frames = list(video.frames())
    np.testing.assert_allclose([30 * frame.time for frame in frames], [0, 9, 30], atol=1e-3)
    assert brightness(frames) == [0, 3, 5]
    np.testing.assert_allclose([frame.slot / video.rate - frame.time for frame in frames], 0, atol=1 / video.rate)


@pytest.mark.parametrize("quarters", range(4))
def test_frames_are_turned_as_the_camera_noted(tmp_path, quarters):
    pixels = np.zeros((32, 48, 3), dtype=np.uint8)
    pixels[:16, :24] = 255  # white at the top left
    video = Video(turned(write_video(tmp_path / "a.mp4", [pixels] * 2), quarters))
    image = next(video.frames()).image.astype(int)
    expected = np.rot90(pixels, -quarters).astype(int)  # the note turns clockwise
    assert image.shape == expected.shape
    assert np.abs(image - expected).mean() < 10


def test_pixels_become_square(tmp_path):
    video = Video(write_video(tmp_path / "a.mp4", shades(2), aspect=2))
    assert next(video.frames()).image.shape == (32, 96, 3)


def test_a_broken_frame_costs_that_frame(tmp_path):
    path = write_video(tmp_path / "a.mov", shades(8), codec="mjpeg")
    places = packet_places(path)
    data = bytearray(path.read_bytes())
    start, size = places[3]
    data[start : start + size] = bytes(size)
    path.write_bytes(data)
    video = Video(path, fps=30)
    frames = list(video.frames())
    assert [frame.number for frame in frames] == brightness(frames) == [0, 1, 2, 4, 5, 6, 7]
    np.testing.assert_allclose([30 * frame.time for frame in frames], [0, 1, 2, 4, 5, 6, 7], atol=1e-3)
    assert video.broken == 1


def test_some_frames_can_be_asked_for_again(tmp_path):
    video = Video(write_video(tmp_path / "a.mp4", shades(12)), fps=15)
    assert brightness(video.frames({4, 8})) == [4, 8]
    assert list(video.frames(set())) == []
    assert len(list(video.frames())) == 6


def test_what_is_no_video_is_told_in_one_line(tmp_path):
    cut = write_video(tmp_path / "cut.mp4", shades(12))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 3])
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" + str(cut) + "\n")
    for name in ("cut.mp4", "text.mp4", "list.m3u8"):
        with pytest.raises(ReadError, match=f"{name}: is no video that is read, or is cut off"):
            Video(tmp_path / name)
    with pytest.raises(ReadError, match="there is no such file"):
        Video(tmp_path / "none.mp4")
    with pytest.raises(ReadError, match="is a folder"):
        Video(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(ReadError, match=r"pipe\.mp4: is a pipe, expected a video"):
        Video(tmp_path / "pipe.mp4")


def test_a_file_of_sound_has_no_pictures(tmp_path):
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(1600))
    with pytest.raises(ReadError, match=r"a\.wav: "):
        Video(tmp_path / "a.wav")


def test_pictures_of_an_unknown_coding_are_told(tmp_path):
    path = write_video(tmp_path / "a.mkv", shades(2))
    data = path.read_bytes()
    assert data.count(b"V_MPEG") == 1
    path.write_bytes(data.replace(b"V_MPEG", b"V_XPEG"))
    with pytest.raises(ReadError, match=r"a\.mkv: its pictures are coded in a way that is not known"):
        Video(path)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_rate_is_a_finite_number_above_nothing(tmp_path, fps):
    path = write_video(tmp_path / "a.mp4", shades(2))
    with pytest.raises(VipeError, match="a finite number above 0"):
        Video(path, fps)
