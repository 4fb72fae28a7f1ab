"""How sure a ranking is of people of whom four or five joints are seen: a calibration of their own (numpy)."""

__all__ = ["FewJoints"]

from dataclasses import dataclass, replace
from typing import ClassVar

from vipe.errors import ShapeError
from vipe.retrieve.ranking.confident_lists import ConfidentLists
from vipe.retrieve.ranking.features import PERSON_FEATURES
from vipe.retrieve.ranking.logistic import LogisticModel
from vipe.retrieve.ranking.model import CALIBRATION_FEATURES, RankingModel
from vipe.retrieve.shipped import ShippedNumbers
from vipe.skeletons.joint_conventions import load_convention


@dataclass(frozen=True, kw_only=True)
class FewJoints(ShippedNumbers):
    """What takes the place of a `RankingModel`'s calibration, presence and lists where few joints are seen.

    The order of candidates stays that of the ranking model. Two come with the library, one for each of its models;
    `benchmarks/few_joints.py` learns them on views of `val` clips.

    Raises:
        ShapeError: If it was learned on other features than this version computes.
    """

    shipped = "ranking/learned/few_joints.json"
    shipped_of_marks: ClassVar[str] = "ranking/learned/few_joints_marks.json"
    broken = "does not say how sure a ranking is of people of whom few joints are seen"

    near: LogisticModel  # over `CALIBRATION_FEATURES`
    close: LogisticModel
    presence: LogisticModel  # over `PERSON_FEATURES`
    lists: ConfidentLists | None
    made: str  # by which command, from which data

    def __post_init__(self) -> None:
        expected = tuple(feature.name for feature in PERSON_FEATURES)
        known = (self.near.features, self.close.features, self.presence.features)
        if known != (CALIBRATION_FEATURES, CALIBRATION_FEATURES, expected):
            raise ShapeError("few joints: learned on other features than this version has")

    @classmethod
    def of(cls, convention: str) -> "FewJoints":
        """The one that comes with the library for keypoints of a convention, as `RankingModel.of`."""
        exact = load_convention(convention).is_exact
        own: FewJoints = cls.default() if exact else cls.load_shipped(cls.shipped_of_marks)
        return own

    def applied(self, model: RankingModel) -> RankingModel:
        """A ranking model that ranks as before and is as sure as it may be where few joints are seen."""
        return replace(
            model,
            near=replace(model.near, calibration=self.near),
            close=replace(model.close, calibration=self.close),
            presence=self.presence,
            lists=self.lists,
        )
