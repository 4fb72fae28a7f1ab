"""How much a reading of a person's labels is trusted (numpy)."""

__all__ = ["ReadingTrust"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

from vipe.arrays import Array
from vipe.errors import ShapeError
from vipe.retrieve.labels.labelling import WHOLE_BODY
from vipe.retrieve.ranking.logistic import LogisticModel
from vipe.retrieve.shipped import ShippedNumbers

_FEATURES = ("gain", "presence as given")


@dataclass(frozen=True, kw_only=True)
class ReadingTrust(ShippedNumbers):
    """The probability that another reading of a person's labels is right, and not the labels as given.

    A reading of single limbs or of the image's width has to explain what no other pose does, so that its evidence
    alone tells. A whole body read mirrored is another matter: from afar it is the body with all depths turned round.
    Where the archive lacks a pose it may hold that one, and evidence is too sure. What the evidence is worth then, and
    that of presence as labelled, is learned; `benchmarks/reading_trust.py` does it. Evidence for the labels as given is
    believed as it is.

    Raises:
        ShapeError: If it was learned on other features than this version computes.
    """

    shipped = "labels/reading_trust.json"
    broken = "does not say how much readings of labels are trusted"

    whole_body: LogisticModel  # over the gain in nats, and the log odds of presence with labels as given
    made: str  # by which command, from which data

    def __post_init__(self) -> None:
        if self.whole_body.features != _FEATURES:
            raise ShapeError("trust of readings: learned on other features than this version has")

    def log_odds(
        self, names: Sequence[str], gain: Float64[Array, " Q"], presence_as_given: Float32[Array, " Q"]
    ) -> Float64[Array, " Q"]:
        """The log odds of each person's other reading.

        Args:
            names: Of the readings.
            gain: By how many nats each is likelier than the labels as given.
            presence_as_given: Log odds that the archive holds the pose, if the labels are right.
        """
        whole = np.isin(np.array(names, dtype=object), WHOLE_BODY)
        likelier = np.maximum(gain, 0).astype(np.float32)
        learned = self.whole_body(np.stack([likelier, presence_as_given], axis=-1))
        return np.where(whole, learned + np.minimum(gain, 0), gain)

    @classmethod
    def learn(
        cls,
        gain: Float64[Array, " N"],
        presence_as_given: Float32[Array, " N"],
        right: Bool[Array, " N"],
        weight: Float64[Array, " N"],
        *,
        made: str,
    ) -> "ReadingTrust":
        """Learn from whole bodies that were read mirrored, of which it is known whether they are.

        Args:
            gain: By how many nats that is likelier.
            presence_as_given: Log odds that the archive holds the pose, if the labels are right.
            right: Whether the reading is.
            weight: How much each counts.
            made: By which command, from which data.
        """
        values = np.stack([gain.astype(np.float32), presence_as_given], axis=-1)
        return cls(whole_body=LogisticModel.fit(_FEATURES, values, right, weight), made=made)
