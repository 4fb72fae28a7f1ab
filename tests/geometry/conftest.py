"""Bodies for the tests of geometry."""

import pytest
import torch

from vipe.geometry import REFERENCE_LENGTHS, from_bone_vectors, random_rotation
from vipe.skeletons import load

H36M17 = load("h36m17")
# Bone directions of a person who stands upright and looks along -x: right is +y, up is +z.
UPRIGHT = {
    "right_hip": (0, 1, -0.1), "right_knee": (0, 0, -1), "right_ankle": (0, 0, -1),
    "left_hip": (0, -1, -0.1), "left_knee": (0, 0, -1), "left_ankle": (0, 0, -1),
    "spine": (0, 0, 1), "thorax": (0, 0, 1), "nose": (-0.6, 0, 0.8), "head": (0.5, 0, 0.8),
    "left_shoulder": (0, -1, 0), "left_elbow": (0, -0.3, -1), "left_wrist": (-0.3, 0, -1),
    "right_shoulder": (0, 1, 0), "right_elbow": (0, 0.3, -1), "right_wrist": (-0.3, 0, -1),
}  # fmt: skip


@pytest.fixture
def people(generator):
    """`people(*batch, dtype=...)`: bodies of many proportions, bent at random, turned any way, anywhere in a room."""

    def make(*batch, dtype=torch.float64):
        def draw(*shape):
            return torch.randn(*batch, *shape, generator=generator, dtype=torch.float64)

        upright = torch.tensor([UPRIGHT[H36M17.joints[child]] for _, child in H36M17.bones], dtype=torch.float64)
        vectors = upright + 0.4 * draw(16, 3)
        vectors = vectors / vectors.norm(dim=-1, keepdim=True)
        lengths = torch.tensor(REFERENCE_LENGTHS, dtype=torch.float64) * 0.49 * torch.exp(0.15 * draw(16))
        poses = from_bone_vectors(vectors * lengths[..., None], H36M17.parents)
        rotation = random_rotation(*batch, generator=generator)
        return (poses @ rotation.mT + 2 * draw(1, 3)).to(dtype)

    return make
