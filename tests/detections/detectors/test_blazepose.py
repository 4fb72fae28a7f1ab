"""BlazePose's way from networks' numbers to people in the image, with networks whose answers are known."""

import numpy as np
import pytest

from vipe.detections.detectors.blazepose import boxes, regions
from vipe.detections.detectors.blazepose.detector import BlazePose

CELLS = [(28, 2), (14, 2), (7, 6)]  # cells a side, anchors a cell


def anchor(row):
    """The middle of an anchor's cell, counted by hand."""
    for cells, each in CELLS:
        if row < cells * cells * each:
            y, x = divmod(row // each, cells)
            return np.array([x + 0.5, y + 0.5]) / cells
        row -= cells * cells * each
    raise AssertionError


def raw(*placed):
    """Networks' numbers for boxes (anchor, logit, box of centre and size, four points), in shares of the input."""
    numbers, logits = np.zeros((2254, 12), dtype=np.float32), np.full(2254, -100.0, dtype=np.float32)
    for row, logit, box, points in placed:
        middle = anchor(row)
        values = np.concatenate([box[:2] - middle, box[2:], (np.asarray(points) - middle).ravel()])
        numbers[row], logits[row] = values * 224, logit
    return numbers, logits


BOX = np.array([0.4, 0.3, 0.2, 0.3])
AWAY = np.array([0.5, 0.4, 0, 0])
POINTS = np.array([[0.4, 0.5], [0.42, 0.1], [0.4, 0.3], [0.4, 0.2]])


@pytest.mark.parametrize("row", [0, 57, 1567, 1568, 1960, 2253], ids=lambda row: f"anchor {row}")
def test_a_box_is_counted_from_the_middle_of_its_anchor(row):
    found = boxes.decode(*raw((row, 2.0, BOX, POINTS)))
    assert len(found) == 1
    np.testing.assert_allclose(found.score, [1 / (1 + np.exp(-2))])
    np.testing.assert_allclose(found.box[0], BOX, atol=1e-6)
    np.testing.assert_allclose(found.hip[0], POINTS[0], atol=1e-6)
    np.testing.assert_allclose(found.rim[0], POINTS[1], atol=1e-6)


def test_overlapping_boxes_are_blended_by_score_and_others_stay():
    far = BOX + np.array([0.4, 0.4, 0, 0])
    near = BOX + np.array([0.02, 0, 0, 0])
    placed = raw((10, 3.0, BOX, POINTS), (500, 1.0, near, POINTS + 0.02), (900, 2.0, far, POINTS + 0.4))
    found = boxes.decode(*placed)
    score = 1 / (1 + np.exp(-np.array([3.0, 1.0, 2.0])))
    np.testing.assert_allclose(found.score, score[[0, 2]])
    np.testing.assert_allclose(found.hip[0], POINTS[0] + 0.02 * score[1] / score[:2].sum(), atol=1e-6)
    np.testing.assert_allclose(found.hip[1], POINTS[0] + 0.4, atol=1e-6)


def test_nobody_is_found_where_no_anchor_scores_enough():
    assert len(boxes.decode(*raw((10, -0.1, BOX, POINTS)))) == 0
    assert boxes.decode(*raw()).hip.shape == (0, 2)


@pytest.mark.parametrize(("up", "right"), [((0, -1), (1, 0)), ((1, 0), (0, 1)), ((0, 1), (-1, 0)), ((-1, 0), (0, -1))])
def test_the_square_stands_upright_on_the_person(up, right):
    hip, reach = np.array([300.0, 200.0]), 80.0
    seen = regions.square(hip, hip + reach * np.array(up))
    assert seen.side == 2 * 1.25 * reach
    middle, top, side = (seen.to_image @ [*point, 1] for point in ((128, 128), (128, 0), (256, 128)))
    np.testing.assert_allclose(middle, hip, atol=1e-9)
    np.testing.assert_allclose(top, hip + 100 * np.array(up), atol=1e-9)
    np.testing.assert_allclose(side, hip + 100 * np.array(right), atol=1e-9)


@pytest.mark.parametrize("rim", [(3.0, 4.0), (np.nan, 0.0), (np.inf, 0.0)])
def test_without_a_direction_there_is_no_square(rim):
    assert regions.square(np.array([3.0, 4.0]), np.array(rim)) is None


def landmarks(place, visible=2.0):
    numbers = np.zeros((39, 5))
    numbers[:33, :2] = place
    numbers[:, 3] = visible
    return numbers.ravel()


NOTHING = np.full((64, 64, 39), -20.0)


def test_landmarks_go_back_into_the_image():
    where = regions.square(np.array([500.0, 400.0]), np.array([500.0, 240.0]))
    place = np.random.default_rng(0).uniform(10, 240, (33, 2))
    one = regions.decode(landmarks(place), 0.8, NOTHING, where)
    np.testing.assert_allclose(one.points[:, :2], [500, 400] + (place - 128) * 400 / 256, rtol=1e-5)
    np.testing.assert_allclose(one.points[:, 2], 1 / (1 + np.exp(-2)), rtol=1e-6)
    assert one.presence == 0.8


def test_a_sure_heatmap_moves_its_landmark_and_an_unsure_or_far_one_does_not():
    where = regions.Square(to_image=np.eye(2, 3), side=256.0)
    place = np.full((33, 2), 100.0)  # cell 25
    place[3] = 300.0  # outside
    heat = NOTHING.copy()
    heat[26, 27, 0] = 20.0
    heat[26, 27, 1] = -0.1
    heat[26, 29, 2] = 20.0  # four cells away
    one = regions.decode(landmarks(place), 1.0, heat, where).points[:, :2]
    np.testing.assert_allclose(one[0], [108, 104], rtol=1e-5)
    np.testing.assert_allclose(one[1:3], 100)
    np.testing.assert_allclose(one[3], 300)


class Network:
    """Gives prepared outputs one after the other, and keeps what it saw."""

    def __init__(self, *outputs):
        self.seen = []
        self._outputs = list(outputs)

    def __call__(self, image):
        self.seen.append(image)
        return {output.size: output for output in self._outputs[len(self.seen) - 1]}


def person(place=128.0, presence=0.9):
    return landmarks(np.full((33, 2), place))[None], np.array([[presence]]), NOTHING[None]


def found_in(image, placed, *people):
    detection, landmark = Network(tuple(one[None] for one in raw(*placed))), Network(*people)
    return BlazePose(detection, landmark)(image), detection, landmark


def test_the_whole_image_is_seen_in_a_square_with_black_edges():
    image = np.full((50, 100, 3), 255, dtype=np.uint8)
    found, detection, _ = found_in(image, [])
    seen = detection.seen[0]
    assert (found.shape, seen.shape, seen.dtype) == ((0, 33, 3), (224, 224, 3), np.float32)
    assert (seen[:55] == -1).all()
    assert (seen[58:166] == 1).all()
    assert (seen[169:] == -1).all()


def test_landmarks_of_a_box_are_in_pixels_of_the_image():
    image = np.zeros((100, 200, 3), dtype=np.uint8)
    image[60:70, 75:85] = 255  # a mark at hips that stand at (80, 65)
    hip, rim = (np.array([80.0, 65 + 50]) / 200, np.array([80.0, 15 + 50]) / 200)
    found, _, landmark = found_in(image, [(700, 3.0, BOX, [hip, rim, hip, rim])], person())
    np.testing.assert_allclose(found[0, :, :2], np.tile([80, 65], (33, 1)), atol=1e-4)
    assert landmark.seen[0][128, 128].tolist() == [1, 1, 1]
    assert landmark.seen[0][128, 20].tolist() == [0, 0, 0]


def test_people_whom_the_second_network_does_not_see_are_dropped():
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    other = (900, 2.0, BOX + AWAY, POINTS + AWAY[:2])
    found, *_ = found_in(image, [(10, 3.0, BOX, POINTS), other], person(presence=0.4), person())
    assert found.shape == (1, 33, 3)
    np.testing.assert_allclose(found[0, 0, :2], 200 * (POINTS[0] + AWAY[:2]), atol=1e-3)


def test_one_person_found_twice_counts_once():
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    twin = (900, 2.0, BOX + AWAY, POINTS + AWAY[:2] / 50)
    found, *_ = found_in(image, [(10, 3.0, BOX, POINTS), twin], person(), person())
    assert len(found) == 1


@pytest.mark.parametrize(("presence", "count"), [(0.95, 1), (0.85, 0)])
def test_the_likeliest_person_is_taken_where_nobody_is_sure(presence, count):
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    found, *_ = found_in(image, [(10, -0.3, BOX, POINTS)], person(presence=presence))
    assert len(found) == count
    sure = (900, 2.0, BOX + AWAY, POINTS + AWAY[:2])
    found, _, landmark = found_in(image, [(10, -0.3, BOX, POINTS), sure], person())
    assert (len(found), len(landmark.seen)) == (1, 1)
