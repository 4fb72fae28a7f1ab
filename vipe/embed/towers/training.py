"""Training the towers: a contrastive loss that is search itself, on augmented poses (torch; numpy in)."""

__all__ = ["TowersTraining", "TowersTrainingConfig", "train_towers"]

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from vipe.embed.embedder import Embedder
from vipe.embed.towers.losses import contrast, likeness
from vipe.embed.towers.network import Towers, TowersConfig
from vipe.embed.validation import hit_at_1, two_views, validation_generator
from vipe.errors import VipeError
from vipe.geometry.canonical import canonicalize
from vipe.training.augment import AugmentConfig, PosePool, draw_poses
from vipe.training.card import Told, model_card
from vipe.training.loop import History, Schedule, Stage
from vipe.training.losses import mpjpe
from vipe.training.resume import ResumableTraining
from vipe.training.views import ViewConfig, normalize, simulate_views

_STANDARD_ROWS = 4096  # poses: enough for a mean and a variance
_DISPLACED = 0.5  # RMS radii: standard deviation of an outlier
_VIEWS = ViewConfig(random_share=1.0, elevation=(-0.4, 0.8), noise=(0.0, 0.06), missing_share=0.4, missing_most=4)


@dataclass(frozen=True, kw_only=True)
class TowersTrainingConfig(Schedule):
    """How the towers are trained; the defaults are those of the model `default`.

    They were chosen by Hit@1 of search and of view invariance, after 500 to 1,500 steps, on clips and actions of real
    motion capture that were not trained on: docs/embedding.md has the table.

    Raises:
        VipeError: If a number is out of its range.
    """

    steps: int = 7_000
    batch: int = 768
    learning_rate: float = 2e-3
    warmup: float = 0.03
    weight_decay: float = 1e-4
    near: float = 0.05  # torso lengths: a pose at this distance is exp(-1/2) of an answer (`likeness`)
    views_weight: float = 1.0  # of views that search views, beside views that search poses and poses that search views
    decoder_weight: float = 2.0  # of the mean joint distance of decoded poses, torso lengths
    outlier: float = 0.05  # share of people with one displaced joint
    precision: Literal["bfloat16", "float32"] = "bfloat16"  # of matrix products inside the networks, while training
    views: ViewConfig = _VIEWS
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    record_every: int = 50
    validate_every: int = 500
    validation_rows: int = 1000

    def __post_init__(self) -> None:
        self.check(steps=("steps",), least=2, holds="a pose and a negative")
        if not self.near > 0:
            raise VipeError(f"training: near must be above 0, got {self.near}")


class TowersTraining(ResumableTraining[Embedder, TowersConfig, TowersTrainingConfig]):
    """Training of the towers: contrastive, on augmented poses.

    Each step draws a batch of augmented poses (`draw_poses`) and projects each into two views. Every view searches for
    its pose in the batch, every pose for its views, and every view for the other view of its pose. Poses that are
    almost alike count as answers too, by their 3D distance (`likeness`). The decoder is trained beside them.
    """

    model_type = Embedder
    network_type = Towers
    config_type = TowersTrainingConfig
    model: Towers

    def prepare(self) -> None:
        """Set the precision, and decompose the poses for augmentation."""
        for mlp in self.model.mlps:
            mlp.precision = torch.bfloat16 if self.config.precision == "bfloat16" else torch.float32
        self.pool = PosePool.of(self.poses)
        self.rig = self.config.views.rig_views(self.device)

    @property
    def stages(self) -> tuple[Stage]:
        """All networks at once."""
        steps = self.config.steps
        return (Stage("towers", steps, trained=(self.model,), losses=self._batch, validate=self._validate),)

    def finalize(self) -> None:
        """Scale embeddings so that those of the training poses have mean 0 and unit variance on average."""
        rows = torch.linspace(0, len(self.pool) - 1, min(len(self.pool), _STANDARD_ROWS)).round().long()
        self.model.eval()
        with torch.no_grad():
            self.model.standardize(self.model.encode_poses(self.pool.canonical(rows)))

    def card(self, history: History) -> str:
        """The model card."""
        return _card(self.told, len(self.pool), self.config, self.seed, history)

    def _batch(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of one batch: augmented poses and two views of each."""
        config, n = self.config, self.config.batch
        rows = torch.randint(len(self.pool), (n,), generator=generator, device=self.device)
        people, canonical = draw_poses(self.pool, rows, config.augment, generator)
        xy, seen = self._views(people.repeat(2, 1, 1), generator)  # two of each
        poses = self.model.encode_poses(canonical)
        views = self.model.encode_keypoints(xy, seen)
        decoded = self.model.decode(torch.cat([views, poses]))
        answers = likeness(canonical, config.near)
        one, other = views.chunk(2)
        search, answer = contrast(views, poses, answers.repeat(2, 1))
        forth, back = contrast(one, other, answers)
        losses = {
            "search": search,
            "answer": answer,
            "views": (forth + back) / 2,
            "decoded": mpjpe(decoded, canonical.repeat(3, 1, 1)),
        }
        loss = losses["search"] + losses["answer"] + 2 * config.views_weight * losses["views"]
        return {"loss": loss + config.decoder_weight * losses["decoded"], **losses}

    def _views(self, people: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One view of each person, from `simulate_views`; in some, one joint is displaced."""
        xy, seen = simulate_views(people, self.rig, self.config.views, generator)
        batch, joints = seen.shape
        off = torch.rand(batch, 1, generator=generator, device=self.device) < self.config.outlier
        which = torch.randint(joints, (batch, 1), generator=generator, device=self.device)
        wrong = off & (torch.arange(joints, device=self.device) == which)
        shift = _DISPLACED * torch.randn(batch, 1, 2, generator=generator, device=self.device)
        return normalize(xy + shift * wrong[..., None], seen), seen

    def _validate(self) -> dict[str, float]:
        """Hit@1 of views among poses and among other views, and the decoder's error; exact and noisy keypoints."""
        canonical = canonicalize(self.validation).poses
        poses = self.model.encode_poses(canonical)
        generator = validation_generator(self.device)
        metrics = {}
        for name, noise in (("clean", 0.0), ("noisy", 0.03)):
            both = two_views(self.validation, self.config.views, noise, generator)
            one, other = (self.model.encode_keypoints(xy, seen) for xy, seen in both)
            metrics[f"val_search_{name}"] = hit_at_1(one, poses, canonical)
            metrics[f"val_views_{name}"] = hit_at_1(one, other, canonical)
            metrics[f"val_mpjpe_{name}"] = float(mpjpe(self.model.decode(one), canonical))
        return metrics


train_towers = TowersTraining.train
"""Train the towers; see `vipe.training.resume.ResumableTraining.train`. Poses may be synthetic."""


def _card(told: Told, n: int, config: TowersTrainingConfig, seed: int, history: History) -> str:
    last = history[-1]
    return model_card(
        "Towers",
        "A view-invariant embedding of human pose: two networks, one for 3D poses and one for 2D keypoints, whose "
        "outputs lie near each other where the keypoints may be a view of the pose. Mirroring a person negates the "
        "second half of the embedding.",
        told,
        data=f"{n} poses, augmented,",
        protocol=f"{config.steps} steps of {config.batch}, seed {seed}",
        measured="on validation poses, keypoints with noise 0.03",
        figures={
            "search Hit@1": f"{last['val_search_noisy']:.1%}",
            "from one view to another": f"{last['val_views_noisy']:.1%}",
            "decoded from one view within": f"{last['val_mpjpe_noisy']:.3f} torso lengths (mean joint distance)",
        },
        limits="one person, 13 COCO keypoints, of which some limb joints may be missing. Views are simulated, so a "
        "detector's own mistakes were not seen in training.",
    )
