"""People of a query on a map: where their keypoints lie, and the mapped pose that is nearest (numpy)."""

__all__ = ["MappedPeople", "place_people"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from vipe.arrays import Array
from vipe.detections import Keypoints
from vipe.embed.encoder import Encoder
from vipe.errors import EncoderMismatch
from vipe.plots.embedding_map.layout import EmbeddingMap, place
from vipe.plots.embedding_map.nearest import nearest_in
from vipe.retrieve.candidates.affine import skip_reasons


@dataclass(frozen=True, kw_only=True, eq=False)
class MappedPeople:
    """Those people of a query who can be embedded, and their places."""

    people: Keypoints
    xy: Float32[Array, "people 2"]
    nearest: Int64[Array, " people"]  # point of the map
    distance: Float32[Array, " people"]  # to it, in the embedding
    skipped: tuple[str, ...] = ()  # who is left out, and why

    def __len__(self) -> int:
        return len(self.people)


def place_people(layout: EmbeddingMap, people: Keypoints, encoder: Encoder) -> MappedPeople:
    """Embed people's keypoints and place them.

    One photo allows several poses, and an embedding of keypoints is one guess between them: look at the nearest pose.

    Args:
        layout: The map.
        people: Their keypoints. Who has fewer than six seen joints is left out.
        encoder: What made the embeddings of the map.

    Raises:
        EncoderMismatch: If something else made them.
        SkeletonError: If the skeleton does not convert to coco13.
    """
    if encoder.fingerprint != layout.encoder:
        raise EncoderMismatch(
            f"the map was made by embedding {layout.encoder}, people are embedded by {encoder.fingerprint}; "
            "lay the map out again"
        )
    reasons = skip_reasons(people)
    kept = people[np.array([row for row, reason in enumerate(reasons) if reason is None], dtype=np.int64)]
    skipped = tuple(
        f"image {image}, person {person}: {reason}"
        for image, person, reason in zip(people.image_id, people.person.tolist(), reasons, strict=True)
        if reason is not None
    )
    vectors = encoder.encode_keypoints(kept)
    if not len(kept):
        return MappedPeople(
            people=kept,
            xy=np.empty((0, 2), np.float32),
            nearest=np.empty(0, np.int64),
            distance=np.empty(0, np.float32),
            skipped=skipped,
        )
    found = nearest_in(layout.embeddings, vectors, 1)
    return MappedPeople(
        people=kept,
        xy=place(layout, vectors),
        nearest=found.rows[:, 0],
        distance=found.distance[:, 0],
        skipped=skipped,
    )
