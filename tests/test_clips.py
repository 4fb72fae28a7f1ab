import numpy as np
import pytest

from vipe import Clip
from vipe.errors import ShapeError, SkeletonError
from vipe.skeletons import load

H36M, COCO = load("h36m17"), load("coco17")


def make(positions, fps=30.0, skeleton=H36M):
    return Clip(name="walk", skeleton=skeleton, positions=positions, fps=fps)


def test_a_clip_knows_its_length_and_cannot_be_changed(rng):
    clip = make(rng.normal(size=(60, 17, 3)))
    assert (len(clip), clip.seconds, clip.positions.dtype) == (60, 2.0, np.float32)
    with pytest.raises(ValueError, match="read-only"):
        clip.positions[0] = 0


def test_the_array_of_the_caller_stays_theirs(rng):
    positions = rng.normal(size=(2, 17, 3)).astype(np.float32)
    clip = make(positions)
    before = positions.copy()
    positions[0] = 1
    np.testing.assert_array_equal(clip.positions, before)
    assert type(make(positions, fps=np.float64(120)).fps) is float


@pytest.mark.refusal
def test_lists_and_tensors_are_taken_where_arrays_are(rng):
    import torch

    positions = rng.normal(size=(2, 17, 3)).astype(np.float32)
    for given in (positions.tolist(), torch.from_numpy(positions.copy()), torch.tensor(positions, requires_grad=True)):
        np.testing.assert_array_equal(make(given).positions, positions)
    with pytest.raises(ShapeError, match="rows differ in length"):
        make([[[1.0]], [[1.0], [2.0]]])


def test_converting_keeps_everything_but_the_joints(rng):
    clip = make(rng.normal(size=(3, 17, 3)))
    query = clip.to(load("coco13"))
    assert (query.name, query.fps, query.skeleton.name) == ("walk", 30.0, "coco13")
    np.testing.assert_array_equal(query.positions[:, 0], clip.positions[:, H36M.index("nose")])


def test_a_conversion_that_lacks_joints_names_them(rng):
    with pytest.raises(SkeletonError, match="coco17 cannot give head of h36m17"):
        make(rng.normal(size=(3, 17, 3)), skeleton=COCO).to(H36M)


@pytest.mark.refusal
@pytest.mark.parametrize("shape", [(0, 17, 3), (5, 16, 3), (5, 51), (5, 17, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match=r"positions must be \(frames, 17, 3\)"):
        make(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("fps", [0.0, -30.0, 1e300, float("nan"), float("inf")])
def test_a_rate_that_is_no_rate_is_refused(fps):
    with pytest.raises(ShapeError, match="positive number of hertz"):
        make(np.zeros((5, 17, 3)), fps=fps)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_positions_that_are_not_finite_are_refused_with_their_frame(value):
    positions = np.zeros((5, 17, 3))
    positions[3, 2, 1] = value
    with pytest.raises(ShapeError, match="positions of frame 3 are not finite"):
        make(positions)
