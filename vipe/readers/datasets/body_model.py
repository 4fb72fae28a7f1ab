"""SMPL body models, which users bring themselves: where joints lie in a body of given shape and pose (numpy)."""

__all__ = ["PARENTS", "BodyModel", "find_model"]

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.errors import ReadError
from vipe.readers.arrays.npy import Npz
from vipe.skeletons import load

BODY = load("smpl_body")
PARENTS = BODY.parents[:-2]
"""Of the 22 body joints that come first in SMPL, SMPL-H and SMPL-X alike."""

_JOINTS = len(PARENTS)
_HEAD, _NECK = BODY.index("head"), BODY.index("neck")
_COUNTS = {24: "smpl", 52: "smplh", 55: "smplx"}  # joints: model
_NAMES = {"smpl": "SMPL", "smplh": "SMPL-H", "smplx": "SMPL-X"}
# The tip of the nose, by how many vertices the surface has; other surfaces: the vertex of the head furthest in front.
_NOSES = {6890: 332, 10475: 9120}
_FRAMES_AT_ONCE = 4096
_MOST_VERTICES = 100_000


@dataclass(frozen=True)
class BodyModel:
    """Where the joints lie at rest, as a linear function of the shape (Loper et al. 2015, sec. 3).

    Joints are J(beta) = R (T + S beta): the regressor R of the vertices, their mean T, their shape directions S.
    Products with R come first, so a body costs a few numbers instead of its surface. Pose blend shapes move vertices
    and no joints, so positions of joints are exact.
    """

    mean: Float64[Array, "24 3"]  # body joints, tip of the nose, top of the head; metres, y up, facing z
    directions: Float64[Array, "24 3 shapes"]

    @classmethod
    def load(cls, data: bytes, name: str) -> "BodyModel":
        """A body model as its publishers give it, in the form of .npz.

        Raises:
            ReadError: If an array is missing or has another shape than those of SMPL, SMPL-H and SMPL-X.
        """
        arrays = Npz(data, name)
        if missing := {"v_template", "shapedirs", "J_regressor"} - arrays.names:
            raise ReadError(f"{name}: no {', '.join(sorted(missing))}; expected a body model of SMPL's publishers")
        template = arrays.numbers("v_template", None, 3).astype(np.float64)
        vertices = len(template)
        if not _JOINTS <= vertices <= _MOST_VERTICES:
            raise ReadError(f"{name}: {vertices} vertices, expected {_JOINTS} to {_MOST_VERTICES}")
        directions = arrays.numbers("shapedirs", vertices, 3, None)
        regressor = arrays.numbers("J_regressor", None, vertices)
        if len(regressor) not in _COUNTS:
            raise ReadError(f"{name}: {len(regressor)} joints, expected {', '.join(map(str, _COUNTS))}")
        regressor = regressor[:_JOINTS].astype(np.float64)
        joints = regressor @ template
        above = np.flatnonzero(template[:, 1] > joints[_NECK, 1])
        if len(above) == 0:
            raise ReadError(f"{name}: no vertex above the neck, expected a body at rest, y up")
        front = int(above[np.argmax(template[above, 2])])
        points = [_NOSES.get(vertices, front), int(np.argmax(template[:, 1]))]
        return cls(
            mean=np.concatenate([joints, template[points]]),
            directions=np.concatenate(
                [np.tensordot(regressor, directions.astype(np.float64), axes=1), directions[points].astype(np.float64)]
            ),
        )

    def positions(
        self, poses: Float64[Array, "frames 22 3"], trans: Float64[Array, "frames 3"], betas: Float64[Array, " shapes"]
    ) -> Float64[Array, "frames 24 3"]:
        """Joints and the two points of the head of a body that moves, in the space of `trans`, metres.

        Args:
            poses: Rotation vectors of the joints in their parents' spaces, radians.
            trans: What is added to every vertex, metres.
            betas: Shape; as many of them count as the model has directions.
        """
        from scipy.spatial.transform import Rotation  # slow to import, and most files need none

        shapes = min(len(betas), self.directions.shape[2])
        rest = self.mean + self.directions[..., :shapes] @ betas[:shapes]
        out = np.empty((len(poses), len(BODY), 3))
        for start in range(0, len(poses), _FRAMES_AT_ONCE):
            block = slice(start, start + _FRAMES_AT_ONCE)
            turns = Rotation.from_rotvec(poses[block].reshape(-1, 3)).as_matrix().reshape(-1, _JOINTS, 3, 3)
            for joint, parent in enumerate(BODY.parents):
                if parent < 0:
                    out[block, joint] = rest[joint] + trans[block]
                    continue
                out[block, joint] = out[block, parent] + turns[:, parent] @ (rest[joint] - rest[parent])
                if joint < _JOINTS:
                    turns[:, joint] = turns[:, parent] @ turns[:, joint]
        return out


def find_model(folder: Path | None, kind: str, gender: str, name: str) -> BodyModel:
    """The body model that a motion file needs.

    Args:
        folder: Where the user keeps body models.
        kind: `smpl`, `smplh` or `smplx`.
        gender: `male`, `female` or `neutral`.
        name: The motion file, for errors.

    Raises:
        ReadError: If there is no folder, or no such model in it; says which file goes where.
    """
    upper = kind.upper()
    places = [
        f"{kind}/{gender}/model.npz",
        f"{kind}/{upper}_{gender.upper()}.npz",
        f"{kind}/{upper}_{gender}.npz",
        f"{gender}/model.npz",
        f"{upper}_{gender.upper()}.npz",
    ]
    need = f"needs the {gender} {_NAMES[kind]} model, which its publishers give to registered users as .npz"
    if folder is None:
        raise ReadError(f"{name}: {need}: save it as FOLDER/{places[0]} and name that FOLDER with --body-models")
    file = next((folder / place for place in places if (folder / place).is_file()), None)
    if file is None:
        pickled = next(iter(sorted(folder.glob(f"**/*{gender}*.pkl"))), None) if folder.is_dir() else None
        why = f"; {pickled.name} is a pickle, which could run anything: take the .npz" if pickled else ""
        raise ReadError(f"{name}: {need}: no {places[0]} or {places[1]} in {folder}{why}")
    return _loaded(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=6)
def _loaded(file: Path, changed: int) -> BodyModel:  # noqa: ARG001  # a file that was changed is read again
    return BodyModel.load(file.read_bytes(), str(file))
