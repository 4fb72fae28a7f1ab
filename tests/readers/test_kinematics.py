"""Forward kinematics against a slow twin that follows the definition, one joint and one frame at a time."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vipe.readers.rigs.kinematics import Node, Plan, world_axes
from vipe.readers.rigs.kinematics import forward_kinematics as run

SAME = world_axes("z", 1.0)
SEQUENCES = [(), (0,), (2, 0, 1), (0, 1, 2), (1, 2, 0), (2, 1, 0), (1, 0)]


def forward_kinematics(nodes, values, wanted, axes):
    plan = Plan.of(nodes, wanted)
    return run(plan, values[plan.rows], axes)


def slow_twin(nodes, values):
    """World origins, (frames, nodes, 3), float64."""
    origins = np.zeros((values.shape[1], len(nodes), 3))
    for frame in range(values.shape[1]):
        space = []
        for i, node in enumerate(nodes):
            offset = np.array(node.offset)
            for axis, row in node.shifts:
                offset[axis] = values[row, frame]
            outer, origin = (np.eye(3), 0) if node.parent < 0 else (space[node.parent], origins[frame, node.parent])
            origins[frame, i] = origin + outer @ offset
            own = outer if node.rest is None else outer @ node.rest
            for axis, row in node.turns:
                own = own @ Rotation.from_euler("xyz"[axis], values[row, frame], degrees=True).as_matrix()
            space.append(own)
    return origins


def random_rig(rng, size):
    nodes, rows = [], 0
    for i in range(size):
        axes = SEQUENCES[rng.integers(len(SEQUENCES))]
        shifted = [int(axis) for axis in rng.permutation(3)[: rng.integers(4)]] if rng.random() < 0.5 else []
        nodes.append(
            Node(
                name=str(i),
                parent=int(rng.integers(i)) if i else -1,
                offset=tuple(rng.normal(size=3).tolist()),
                shifts=tuple((axis, rows + n) for n, axis in enumerate(shifted)),
                turns=tuple((axis, rows + len(shifted) + n) for n, axis in enumerate(axes)),
                rest=Rotation.random(random_state=rng).as_matrix() if rng.random() < 0.3 else None,
            )
        )
        rows += len(shifted) + len(axes)
    return nodes, rows


@pytest.mark.parametrize("size", [1, 2, 5, 30])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_slow_twin_on_any_rig(size, seed):
    rng = np.random.default_rng(seed)
    nodes, rows = random_rig(rng, size)
    values = rng.normal(scale=90, size=(rows, 6))
    for node in nodes:
        for _, row in node.shifts:
            values[row] /= 90
    wanted = rng.permutation(size)[: rng.integers(1, size + 1)].tolist()
    ours = forward_kinematics(nodes, values, wanted, SAME)
    np.testing.assert_allclose(ours, slow_twin(nodes, values)[:, wanted], atol=1e-5)


def test_long_clips_are_cut_into_blocks_without_a_seam(rng):
    nodes, rows = random_rig(rng, 8)
    values = rng.normal(size=(rows, 1200))
    whole = forward_kinematics(nodes, values, range(8), SAME)
    for frame in (0, 319, 320, 600, 639, 640, 1199):
        alone = forward_kinematics(nodes, values[:, [frame]], range(8), SAME)
        np.testing.assert_allclose(whole[frame], alone[0], atol=1e-6)


def test_many_turns_are_the_same_as_none():
    nodes = [Node(name="a", parent=-1, turns=((2, 0),)), Node(name="b", parent=0, offset=(1, 0, 0))]
    positions = forward_kinematics(nodes, np.array([[0.0, 360.0, -36000.0, 1e9 * 360]]), [1], SAME)
    np.testing.assert_allclose(positions, np.broadcast_to([1, 0, 0], (4, 1, 3)), atol=1e-6)


def test_a_node_asked_for_twice_comes_twice():
    nodes = [Node(name="a", parent=-1, offset=(1, 2, 3))]
    positions = forward_kinematics(nodes, np.zeros((0, 2)), [0, 0], SAME)
    np.testing.assert_array_equal(positions, np.broadcast_to([1, 2, 3], (2, 2, 3)))


def test_y_up_becomes_z_up_by_a_proper_rotation():
    nodes = [Node(name="a", parent=-1)] + [Node(name=str(axis), parent=0, offset=tuple(axis)) for axis in np.eye(3)]
    turned = forward_kinematics(nodes, np.zeros((0, 1)), [1, 2, 3], world_axes("y", 0.01))[0] / 0.01
    np.testing.assert_allclose(turned, [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-6)
    assert np.linalg.det(turned) == pytest.approx(1)
