"""Search: an index, the settings of a search, and the stages that both decide (numpy)."""

__all__ = ["CANDIDATES", "SAMPLES", "Search", "SearchSettings"]

from dataclasses import dataclass, fields, replace
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64

from vipe.arrays import Array, take_columns, take_rows
from vipe.detections import Keypoints
from vipe.errors import ArgumentError, VipeError
from vipe.index import PoseIndex
from vipe.index.folder.frames import Where
from vipe.lift import Hypotheses, Lifter
from vipe.retrieve.arguments import check_count, check_settings
from vipe.retrieve.body import BodyProportions
from vipe.retrieve.camera.known_focal import depth_priors
from vipe.retrieve.camera.perspective import Fits, fit_cameras
from vipe.retrieve.camera.prior import CameraPrior
from vipe.retrieve.camera.variances import candidate_sureness
from vipe.retrieve.candidates.affine import affine_residuals
from vipe.retrieve.candidates.candidates import Candidates, candidates_for
from vipe.retrieve.candidates.everywhere import rows_around, spread_rows
from vipe.retrieve.ranking.archive_size import ArchiveSize
from vipe.retrieve.ranking.diversity import diversify
from vipe.retrieve.ranking.evidence import VOTERS, FittedCandidates, embedding_distances, log_sum
from vipe.retrieve.ranking.features import EVIDENT_TILT, CandidateFeatures, compute_features
from vipe.retrieve.ranking.few_joints import FewJoints
from vipe.retrieve.ranking.marginal_likelihood import TILTS, MarginalLikelihood, marginal_likelihood
from vipe.retrieve.ranking.model import Probabilities, RankingModel
from vipe.skeletons.joint_conventions import ARCHIVE, load_convention

_T = TypeVar("_T", CandidateFeatures, MarginalLikelihood)

CANDIDATES = 200
"""Poses of each source that cameras are fitted to, for each person."""

_ROUGHLY_REFINED = 12  # candidates of a reading of the labels; with all 40 no more readings are found on `val`

SAMPLES = 200
"""Hypotheses of each person that mode "hypotheses" searches with."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a search is done.

    Raises:
        VipeError: If `candidates` is below 1; an `ArgumentError`, if a setting has the wrong type.
    """

    candidates: int = CANDIDATES
    max_per_clip: int | None = None
    min_gap_seconds: float = 0.0
    camera_prior: CameraPrior | None = None  # the ranking model's own if None
    joint_offsets: Float[Array, "13 3"] | None = None
    lifter: Lifter | None = None  # whose hypotheses mode "hypotheses" searches with; the library's own if None
    samples: int = SAMPLES
    seed: int = 0  # of the hypotheses' draw
    model: RankingModel | None = None  # that of the keypoints' convention (`RankingModel.of`) if None
    relabel: bool = True  # whether mode "full" tries other readings of the labels of people whom nothing explains

    def __post_init__(self) -> None:
        check_settings(
            candidates=self.candidates,
            max_per_clip=self.max_per_clip,
            min_gap_seconds=self.min_gap_seconds,
            camera_prior=self.camera_prior,
        )
        if self.model is not None and not isinstance(self.model, RankingModel):
            raise ArgumentError(f"model must be a RankingModel, got {type(self.model).__name__}")
        if self.candidates < 1:
            raise VipeError(f"candidates must be at least 1, got {self.candidates}")
        if self.lifter is not None and not isinstance(self.lifter, Lifter):
            raise ArgumentError(
                f"lifter must be a Lifter, got {type(self.lifter).__name__}; see Lifter.from_pretrained"
            )
        check_count("samples", self.samples)
        check_count("seed", self.seed)
        if self.samples < 1:
            raise VipeError(f"samples must be at least 1, got {self.samples}")

    @property
    def diverse(self) -> bool:
        """Whether hits have to differ in clip or time."""
        return self.max_per_clip is not None or self.min_gap_seconds != 0


class Search:
    """An index under the settings of one search; each stage of a query is a method.

    What is prepared once for an index (`PreparedIndex`) is kept by the index, so a `Search` costs nothing to make.
    Scans, cameras, likelihoods, embeddings and the library's own lifter run on the device that the index was opened for
    (`device`); what is left to the CPU says so where it is done. A lifter of the settings stays where it was loaded.

    Args:
        index: The archive.
        settings: How to search.
        where: Only rows that match, as in `PoseIndex.rows`.

    Raises:
        VipeError: If `where` is wrong, or the camera prior is not the one that the ranking model was learned under; an
            `ArgumentError`, if an argument has the wrong type.
    """

    def __init__(self, index: PoseIndex, settings: SearchSettings | None = None, where: Where | None = None) -> None:
        if not isinstance(index, PoseIndex):
            raise ArgumentError(f"index must be a PoseIndex, got {type(index).__name__}; see PoseIndex.open")
        if settings is not None and not isinstance(settings, SearchSettings):
            raise ArgumentError(f"settings must be SearchSettings, got {type(settings).__name__}")
        self.index, self.settings = index, settings or SearchSettings()
        self.device = index.device
        self.rows: Int64[Array, " M"] | None = None if where is None else index.rows(where)
        self.model = self.settings.model or RankingModel.default()
        self.prior = self.model.check_prior(self.settings.camera_prior)

    def __len__(self) -> int:
        """How many rows are searched."""
        return len(self.index) if self.rows is None else len(self.rows)

    def as_labelled(self) -> "Search":
        """The same search, which takes the labels of keypoints as they are."""
        return type(self)(self.index, replace(self.settings, relabel=False), self.rows)

    def convention_of(self, people: Keypoints) -> str:
        """Where these people's joints are marked; with offsets of the settings, where the archive's are."""
        return people.convention if self.settings.joint_offsets is None else ARCHIVE

    def model_of(self, people: Keypoints) -> RankingModel:
        """What turns the features of these people into probabilities."""
        return self.settings.model or RankingModel.of(self.convention_of(people))

    def model_of_few(self, people: Keypoints) -> RankingModel:
        """The same where few joints are seen; a model of the settings has its own probabilities there too."""
        if self.settings.model is not None:
            return self.settings.model
        return FewJoints.of(self.convention_of(people)).applied(self.model_of(people))

    def in_this_archive(self, odds: Probabilities) -> Probabilities:
        """Log odds of the library's ranking models, as they are among so many poses; a model of the settings knows."""
        return odds if self.settings.model else ArchiveSize.default().applied(odds, len(self))

    def hypotheses(self, people: Keypoints) -> Hypotheses:
        """What the lifter proposes for each person; the same for a person whoever is beside them."""
        lifter = self.settings.lifter or _shipped_lifter(self.device)
        drawn = [
            lifter.sample(people[row], self.settings.samples, torch.Generator().manual_seed(self.settings.seed))
            for row in range(len(people))
        ]
        return Hypotheses(
            poses=np.concatenate([one.poses for one in drawn]),
            log_weight=np.concatenate([one.log_weight for one in drawn]),
        )

    def candidates(self, people: Keypoints, count: int) -> Candidates:
        """Rows to fit cameras to."""
        sureness = None
        if self.settings.joint_offsets is None and not load_convention(people.convention).is_exact:
            sureness = candidate_sureness(people, self.prior)
        return candidates_for(self.index, people, min(count, len(self)), self.rows, sureness)

    def cameras(self, rows: Int64[Array, "Q C"], people: Keypoints, proportions: BodyProportions | None = None) -> Fits:
        """A camera and a body for every candidate, the best ones refined."""
        return self._fit(rows, people, self.prior, proportions)

    def refined(self, rows: Int64[Array, "Q C"], people: Keypoints, proportions: BodyProportions | None = None) -> Fits:
        """A camera and a body for every candidate, all of them refined."""
        return self._fit(rows, people, replace(self.prior, refine=None), proportions)

    def rough_cameras(self, rows: Int64[Array, "Q C"], people: Keypoints) -> Fits:
        """A camera and a body for every candidate, in few steps: they show which reading of the labels fits."""
        few = replace(self.prior, refine=_ROUGHLY_REFINED, further_steps=min(self.prior.further_steps, 1))
        return self._fit(rows, people, few, None)

    def fitted(self, candidates: Candidates, people: Keypoints, count: int) -> FittedCandidates:
        """The `count` candidates of least cost; nobody may have fewer."""
        empty = candidates.rows < 0
        rows = np.where(empty, candidates.rows[:, :1], candidates.rows)
        fits = self._fit(rows, people, self.prior, None, empty)
        best = np.argsort(fits.cost, axis=1, kind="stable")[:, :count]
        residual = take_columns(candidates.affine_residual, best)
        return self.gathered(take_columns(rows, best), fits.take(best), people, residual)

    def fitted_everywhere(self, people: Keypoints, count: int) -> FittedCandidates:
        """The `count` candidates of least cost from all over the archive, for people of whom few joints are seen."""
        rows = np.arange(len(self.index)) if self.rows is None else self.rows
        chosen, fits = [], []
        for place in range(len(people)):
            person, looked_at = people[place], spread_rows(rows)
            found = self.cameras(looked_at[None], person)
            if len(looked_at) < len(rows):
                looked_at = rows_around(rows, looked_at[np.argsort(found.cost[0], kind="stable")[:count]])
                found = self.cameras(looked_at[None], person)
            best = np.argsort(found.cost, axis=1, kind="stable")[:, :count]
            chosen.append(looked_at[best])
            fits.append(found.take(best))
        whole = {field.name: np.concatenate([getattr(one, field.name) for one in fits]) for field in fields(Fits)}
        return self.gathered(np.concatenate(chosen), Fits(**whole), people)

    def gathered(
        self,
        rows: Int64[Array, "Q S"],
        fits: Fits,
        people: Keypoints,
        affine_residual: Float[Array, "Q S"] | None = None,
    ) -> FittedCandidates:
        """All that features need of candidates whose cameras are fitted already."""
        poses = self.index.poses(rows)
        if affine_residual is None:
            affine_residual = affine_residuals(self.index, people, rows)
        return FittedCandidates(
            rows=rows,
            poses=poses,
            fits=fits,
            affine_residual=affine_residual,
            clip=self.index.clip_codes[rows],
            embedding=embedding_distances(self.index, rows, poses, people, self.device),
        )

    def features(self, candidates: FittedCandidates, people: Keypoints) -> CandidateFeatures:
        """What is known of each candidate."""
        if self.settings.joint_offsets is not None:
            people = replace(people, convention=ARCHIVE)  # the offsets are all that is left of it
        parts = [
            compute_features(take_rows(candidates, rows), people[rows], prior, device=self.device)
            for rows, prior in depth_priors(self.prior, candidates.fits, people)
        ]
        return CandidateFeatures(**_joined(parts, CandidateFeatures)) if len(parts) != 1 else parts[0]

    def likelihood(self, fits: Fits, people: Keypoints) -> MarginalLikelihood:
        """How likely the keypoints are if the true pose is only near a candidate."""
        parts = [
            marginal_likelihood(take_rows(fits, rows), people[rows], prior, device=self.device)
            for rows, prior in depth_priors(self.prior, fits, people)
        ]
        return MarginalLikelihood(**_joined(parts, MarginalLikelihood, axis=1)) if len(parts) != 1 else parts[0]

    def evidence(self, fits: Fits, people: Keypoints) -> Float32[Array, " Q"]:
        """`CandidateFeatures.evidence` of the best fits."""
        if self.settings.joint_offsets is not None:
            people = replace(people, convention=ARCHIVE)
        best = np.argsort(fits.cost, axis=1, kind="stable")[:, :VOTERS]
        cost = self.likelihood(fits.take(best), people).cost[TILTS.index(EVIDENT_TILT)]
        return np.asarray(log_sum(-cost / 2)[:, 0])

    def diversified(self, rows: Int64[Array, "Q C"], k: int) -> Int64[Array, "Q K"]:
        """Places of the first k rows that differ as the settings ask; -1 where fewer do."""
        if not self.settings.diverse:
            return np.broadcast_to(np.where(np.arange(k) < rows.shape[1], np.arange(k), -1), (len(rows), k))
        return diversify(
            rows,
            self.index.clip_codes,
            self.index.times,
            k,
            max_per_clip=self.settings.max_per_clip,
            min_gap_seconds=self.settings.min_gap_seconds,
        )

    def _fit(
        self,
        rows: Int64[Array, "Q C"],
        people: Keypoints,
        prior: CameraPrior,
        proportions: BodyProportions | None,
        empty: Bool[Array, "Q C"] | None = None,
    ) -> Fits:
        return fit_cameras(
            self.index.poses(rows),
            people,
            prior,
            proportions=proportions,
            joint_offsets=self.settings.joint_offsets,
            empty=empty,
            device=self.device,
        )


def _joined(parts: list[_T], kind: type[_T], axis: int = 0) -> dict[str, Array]:
    """The arrays of several people's, joined."""
    return {name: np.concatenate([getattr(one, name) for one in parts], axis) for name in kind.__dataclass_fields__}


@cache
def _shipped_lifter(device: str) -> Lifter:
    return Lifter.from_pretrained("default", device=device)
