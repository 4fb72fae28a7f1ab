import numpy as np
import pytest

pytest.importorskip("matplotlib")

from vipe.lift.ppca.prior.outliers import Outlier
from vipe.plots.bodies import outliers as module
from vipe.plots.bodies.outliers import save_outliers
from vipe.skeletons.working import H36M17

HEAD = H36M17.index("head")


@pytest.fixture
def one(standing):
    slipped = standing.astype(np.float32)
    slipped[HEAD] += [0.0, 0.5, 0.0]
    return Outlier(3, "walk", 7, 0.7, -10.0, "head slipped", 80.0, (HEAD,), slipped, standing.astype(np.float64))


@pytest.fixture
def drawn(monkeypatch):
    kept = []
    monkeypatch.setattr(module, "save_picture", lambda path, page: kept.append(page))
    return kept


def test_each_frame_has_its_name_its_reason_and_a_ring_at_what_is_wrong(one, drawn, tmp_path):
    save_outliers(tmp_path / "o.png", [one, one])
    axes = drawn[0].axes
    assert [axis.get_title() for axis in axes] == ["walk\nframe 7: 80 nats\nhead slipped"] * 2
    expected, recorded, rings = axes[0].collections
    ring = rings.get_offsets()
    assert len(ring) == 1
    assert len(expected.get_segments()) == len(recorded.get_segments()) == len(H36M17.bones)
    ends = recorded.get_segments()  # the ring is where the recorded head is drawn
    assert min(np.abs(end - ring[0]).max(axis=1).min() for end in ends) < 1e-6


def test_a_person_who_faces_anywhere_is_drawn_from_the_front(one, standing):
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    for pose in (standing, standing @ turn.T, standing @ turn @ turn + [3, 1, 0]):
        seen = module._seen(pose, pose)
        left, right = (seen[H36M17.index(f"{side}_shoulder")] for side in ("left", "right"))
        assert left[0] > right[0]  # their left is at the viewer's right
        assert seen[HEAD, 1] < seen[H36M17.index("left_ankle"), 1]  # y is down
        np.testing.assert_allclose(np.linalg.norm(seen, axis=1), np.linalg.norm(pose - pose[0], axis=1), atol=1e-5)


def test_many_are_cut_and_none_draw_nothing(one, drawn, tmp_path):
    save_outliers(tmp_path / "o.png", [one] * 30, most=7)
    assert sum(bool(axis.collections) for axis in drawn[0].axes) == 7
    save_outliers(tmp_path / "o.png", [])
    assert len(drawn) == 1


def test_the_picture_is_written_whole(one, tmp_path):
    save_outliers(tmp_path / "folder" / "o.png", [one])
    assert (tmp_path / "folder" / "o.png").read_bytes().startswith(b"\x89PNG")
