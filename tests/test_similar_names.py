"""Names that are not there are told with those that may be meant."""

import pytest

from vipe.similar_names import did_you_mean, lacks_clip


@pytest.mark.parametrize(
    ("clip", "shown"),
    [
        ("walk_2", "'walk_1', 'walk_10'"),
        ("WALK_1", "'walk_1', 'walk_10'"),
        ("", "'sit', 'walk_1', 'walk_10'"),
        (7, "'sit', 'walk_1', 'walk_10'"),
    ],
)
def test_similar_clips_come_first_and_otherwise_the_first(clip, shown):
    clips = ["sit", "walk_1", "walk_10", "jump", "sit"]
    assert lacks_clip("a/store", clip, clips) == f"a/store: has no clip {clip!r}; it has 4 clips, such as {shown}"


def test_one_clip_is_no_clips():
    assert lacks_clip("store", "x", ["walk"]).endswith("it has 1 clip, such as 'walk'")


def test_only_a_name_much_like_one_is_asked_after():
    assert did_you_mean("affin", ["default", "affine"]) == "; did you mean 'affine'?"
    assert did_you_mean("affine2d/models", ["default", "affine"]) == ""
    assert did_you_mean("x", []) == ""
