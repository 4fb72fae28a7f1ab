"""RTMPose through rtmlib, which may be missing: called as it wants to be, silent, and asked for nobody in vain."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from vipe.detections.detectors import load_detector
from vipe.detections.detectors.rtmlib import RTMPose
from vipe.errors import MissingExtra, ReadError, VipeError


class Model:
    """Stands in for a model of rtmlib."""

    def __init__(self, path, model_input_size, backend):
        sys.stdout.write(f"load {path}\n")
        self.path, self.model_input_size = path, model_input_size
        self.session = SimpleNamespace(get_inputs=lambda: [SimpleNamespace(shape=[1, 3, 384, 288])])

    def __call__(self, image):
        raise AssertionError


def its_finder(image):
    raise AssertionError


def its_marker(image, bboxes):
    raise AssertionError


@pytest.fixture
def rtmlib(monkeypatch):
    def body(**options):
        sys.stdout.write(f"load {options}\n")
        return SimpleNamespace(det_model=its_finder, pose_model=its_marker)

    module = SimpleNamespace(YOLOX=Model, RTMPose=Model, Body=body)
    monkeypatch.setitem(sys.modules, "rtmlib", module)
    return module


def test_it_sees_colours_in_its_order_and_gives_rows_of_three():
    seen = []

    def find(image):
        seen.append(image[0, 0].tolist())
        return np.array([[0, 0, 9, 9]])

    def mark(image, bboxes):
        seen.append((image[0, 0].tolist(), bboxes.tolist()))
        return np.full((1, 17, 2), 5.0), np.full((1, 17), 1.1)

    found = RTMPose(find, mark)(np.full((9, 9, 3), (1, 2, 3), dtype=np.uint8))
    assert seen == [[3, 2, 1], ([3, 2, 1], [[0, 0, 9, 9]])]
    np.testing.assert_array_equal(found, np.full((1, 17, 3), (5, 5, 1), dtype=np.float32))


def test_without_a_box_nobody_is_marked():
    found = RTMPose(lambda image: [], lambda image, bboxes: 1 / 0)(np.zeros((9, 9, 3), dtype=np.uint8))
    assert found.shape == (0, 17, 3)


def test_a_model_of_other_joints_is_told():
    model = RTMPose(lambda image: [[0, 0, 9, 9]], lambda image, bboxes: (np.zeros((1, 26, 2)), np.zeros((1, 26))))
    with pytest.raises(VipeError, match="marks 26 joints, expected COCO's 17"):
        model(np.zeros((9, 9, 3), dtype=np.uint8))


def test_models_of_a_folder_keep_their_own_input_size(rtmlib, tmp_path, capsys):
    for name in ("yolox_m.onnx", "rtmpose-m.onnx"):
        (tmp_path / name).touch()
    model = load_detector("rtmlib", tmp_path)
    assert model._find.path == str(tmp_path / "yolox_m.onnx")
    assert (model._mark.path, model._mark.model_input_size) == (str(tmp_path / "rtmpose-m.onnx"), (288, 384))
    assert capsys.readouterr().out == ""


def test_without_a_folder_its_own_choice_is_taken(rtmlib, capsys):
    model = load_detector("rtmlib")
    assert (model._find, model._mark) == (its_finder, its_marker)
    assert capsys.readouterr().out == ""


def test_a_folder_without_the_models_is_told(rtmlib, tmp_path):
    with pytest.raises(ReadError, match=r"expected one file \*yolox\*.onnx, found 0"):
        load_detector("rtmlib", tmp_path)


def test_models_that_cannot_be_fetched_are_told_with_a_way_out(rtmlib, monkeypatch):
    def offline(**options):
        raise OSError("no network")

    monkeypatch.setattr(rtmlib, "Body", offline)
    with pytest.raises(
        VipeError, match=r"could not fetch its models \(OSError\); .*--weights FOLDER.*--keypoints FILE"
    ):
        load_detector("rtmlib")


def test_a_missing_rtmlib_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    with pytest.raises(MissingExtra, match="pip install rtmlib"):
        load_detector("rtmlib")
