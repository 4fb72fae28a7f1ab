"""Motion that is like a motion, in an archive in which it is known."""

import numpy as np
import pytest

import vipe
from vipe.errors import ShapeError, VipeError
from vipe.retrieve.segments.find_like import find_duplicates, find_like, find_parts


def rows_of(index, clip):
    return index.rows({"clip": clip})


def test_a_motion_finds_itself_and_its_copy_exactly(archive, swing):
    found = find_like(archive, swing(np.linspace(0, 2, 21)), 2)
    assert set(found.clip) == {"usual", "copy"}
    np.testing.assert_allclose(found.distance, 0, atol=2e-3)
    copy = found.clip.index("copy")
    assert (found.start[copy], found.end[copy]) == pytest.approx((0.5, 2.5))


def test_the_distance_is_the_mean_over_poses_of_the_root_mean_square_over_joints(archive, swing):
    angles = np.array([0.13, 0.24, 0.34])  # the archive has steps of 0.1
    found = find_like(archive, swing(angles), 1, where={"clip": "usual"})
    own = vipe.canonicalize(swing(angles)).poses
    rows = np.arange(found.first[0], found.last[0] + 1)
    assert len(rows) == len(angles)
    apart = np.square(own - archive.poses(rows)).sum(axis=2)[:, 1:]
    assert found.distance[0] == pytest.approx(np.sqrt(apart.mean(axis=1)).mean(), rel=0.02)


def test_half_and_double_speed_are_found_where_the_motion_is(archive, swing):
    found = find_like(archive, swing(np.linspace(0, 2, 21)), 4)
    spans = {clip: (start, end) for clip, start, end in zip(found.clip, found.start, found.end, strict=True)}
    assert set(spans) == {"usual", "copy", "slow", "fast"}
    assert spans["slow"] == pytest.approx((1.5, 5.2), abs=0.11)
    assert spans["fast"] == pytest.approx((0.0, 1.1), abs=0.11)
    assert (found.distance < 0.05).all()


def test_place_direction_and_size_of_the_motion_do_not_matter(archive, swing):
    poses = swing(np.linspace(0, 2, 21))
    turned = 1.3 * poses @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32) + 5
    usual, other = find_like(archive, poses, 4), find_like(archive, turned, 4)
    assert set(usual.clip) == set(other.clip)
    np.testing.assert_allclose(np.sort(usual.distance), np.sort(other.distance), atol=2e-3)


def test_rows_that_are_left_out_are_in_no_stretch(archive, swing):
    found = find_like(archive, swing(np.linspace(0, 2, 21)), 4, but=rows_of(archive, "usual"))
    assert found.clip[0] == "copy"
    assert "usual" not in found.clip


def test_a_filter_restricts_the_search(archive, swing):
    found = find_like(archive, swing(np.linspace(0, 2, 21)), 4, where={"clip": ["slow", "still"]})
    assert found.clip[0] == "slow"
    assert set(found.clip) <= {"slow", "still"}


def test_a_part_of_a_long_motion_is_found_with_its_place_in_both(archive, swing):
    angles = np.concatenate([np.full(15, 2.9), np.linspace(0, 2, 21), np.full(15, 2.9)])
    found = find_parts(archive, swing(angles), 2, limit=0.05, shortest=10)
    assert set(found.clip) == {"usual", "copy"}
    for row in range(2):
        assert (found.query_first[row], found.query_last[row]) == (15, 35)


def test_stretches_that_two_clips_share_are_told_once(archive):
    seen = []
    found = find_duplicates(archive, limit=0.03, shortest=15, progress=lambda done, total: seen.append((done, total)))
    pairs = list(zip(archive.look_up("clip", found.query_first, "").tolist(), found.clip, strict=True))
    (row,) = [row for row, pair in enumerate(pairs) if set(pair) == {"usual", "copy"}]
    assert found.distance[row] < 1e-2
    assert archive.times[found.query_last[row]] - archive.times[found.query_first[row]] == pytest.approx(2.0)
    assert seen[-1] == (len(archive), len(archive))


def test_several_pieces_give_what_one_gives(archive, swing, monkeypatch):
    poses = swing(np.linspace(0.1, 1.8, 19))
    before = find_like(archive, poses, 6), find_parts(archive, poses, 6)
    monkeypatch.setattr("vipe.retrieve.segments.find_like._AT_ONCE", 40)
    for one, other in zip(before, (find_like(archive, poses, 6), find_parts(archive, poses, 6)), strict=True):
        stretches = [sorted(zip(found.clip, found.first, found.last, strict=True)) for found in (one, other)]
        assert stretches[0] == stretches[1]
        np.testing.assert_allclose(np.sort(one.distance), np.sort(other.distance), atol=2e-3)


@pytest.mark.refusal
@pytest.mark.parametrize("poses", [np.zeros((0, 17, 3)), np.zeros((17, 3)), np.zeros((4, 16, 3)), np.zeros((4, 17, 3))])
def test_no_motion_is_refused(archive, poses):
    with pytest.raises(ShapeError):
        find_like(archive, poses.astype(np.float32))


def test_numbers_out_of_range_are_refused(archive, swing):
    poses = swing([0.0, 1.0])
    for call in (
        lambda: find_like(archive, poses, 0),
        lambda: find_parts(archive, poses, 3, limit=0.0),
        lambda: find_parts(archive, poses, 3, shortest=1),
    ):
        with pytest.raises(VipeError):
            call()
