"""What is known of the poses of a map: moments, words, key poses, clusters, density (numpy)."""

__all__ = ["MapLabels", "label_map"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, Shaped

from vipe.arrays import Array
from vipe.index import PoseIndex
from vipe.plots.embedding_map.groups import clusters, density
from vipe.plots.embedding_map.key_poses import KeyPoses, key_poses
from vipe.plots.embedding_map.layout import EmbeddingMap


@dataclass(frozen=True, kw_only=True, eq=False)
class MapLabels:
    """A row for each pose of a map. The other columns of the index's frame table are there by `rows`."""

    id: Int64[Array, " N"]
    clip: Shaped[Array, " N"]
    frame: Int32[Array, " N"]
    time: Float64[Array, " N"]
    subject: Shaped[Array, " N"]
    action: Shaped[Array, " N"]
    source: Shaped[Array, " N"]
    poses: Float32[Array, "N 17 3"]  # canonical
    keys: KeyPoses
    cluster: Int64[Array, " N"]
    cluster_names: tuple[str, ...]  # number and most frequent action
    density: Float32[Array, " N"]

    def __len__(self) -> int:
        return len(self.clip)


def label_map(index: PoseIndex, layout: EmbeddingMap, *, generator: np.random.Generator) -> MapLabels:
    """Look up and compute what a page, a picture and a table of a map show.

    Args:
        index: Of which the map is.
        layout: The map.
        generator: Of the first centres of clusters.

    Raises:
        MissingExtra: If scikit-learn is not installed.
    """
    columns = {name: index.look_up(name, layout.rows, blank) for name, blank in _BLANK.items()}
    poses = index.poses(layout.rows)
    cluster = clusters(layout, generator=generator)
    return MapLabels(
        **columns,
        poses=poses,
        keys=key_poses(poses),
        cluster=cluster,
        cluster_names=_names(cluster, columns["action"]),
        density=density(layout),
    )


_BLANK = {"id": 0, "clip": "", "frame": 0, "time": 0.0, "subject": "", "action": "", "source": ""}


def _names(cluster: Int64[Array, " N"], action: Shaped[Array, " N"]) -> tuple[str, ...]:
    names = []
    for number in range(int(cluster.max()) + 1):
        words, counts = np.unique(action[cluster == number].astype(str), return_counts=True)
        usual = words[counts.argmax()]
        names.append(f"{number + 1}: {usual}" if usual else f"cluster {number + 1}")
    return tuple(names)
