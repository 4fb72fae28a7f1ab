"""Pr-VIPE, a probabilistic embedding of 2D keypoints: the rival that knows no 3D (torch; numpy outside).

Sun et al. 2020, "View-Invariant Probabilistic Embedding for Human Pose". `vipe.embed.prvipe_training` trains it.
"""

__all__ = ["PrVIPE", "PrVIPEConfig", "PrVIPENetwork", "match_probability"]

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn

from vipe import pretrained
from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed.encoder import Metric
from vipe.embed.networks import ResidualMLP, initialize
from vipe.errors import ReadError, ShapeError, VipeError
from vipe.skeletons import load

Array = np.ndarray[Any, np.dtype[Any]]

_MAP_VERSION = 1  # part of the fingerprint: raise it when the same weights start to mean another map
_COCO13 = load("coco13")
_ROWS = 4096  # people at a time
_LEAST_SCALE = 1e-4  # of a Gaussian: ELU + 1 reaches 0
_PAIRS = 1 << 16  # pairs whose samples are compared at a time: they stay in the cache


@dataclass(frozen=True, kw_only=True)
class PrVIPEConfig:
    """All that is needed to rebuild the untrained network; the defaults are the paper's (sec. 4, 5.1; its code).

    Raises:
        VipeError: If a number is out of its range.
    """

    dim: int = 16
    width: int = 1024
    blocks: int = 2
    dropout: float = 0.3
    samples: int = 20  # of each person, when two are compared

    def __post_init__(self) -> None:
        for name, most in (("dim", 4096), ("width", 65536), ("blocks", 64), ("samples", 1024)):
            if not 1 <= getattr(self, name) <= most:
                raise VipeError(f"Pr-VIPE: {name} must be 1 to {most}, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise VipeError(f"Pr-VIPE: dropout must be at least 0 and below 1, got {self.dropout}")


class PrVIPENetwork(nn.Module):
    """A Gaussian N(mean, diag scale²) of each person, and how distance becomes the probability of a match.

    The paper's input is 26 coordinates; `seen` beside them is what this library gives every encoder, so that a
    missing joint is not taken for one at the centroid.
    """

    def __init__(self, config: PrVIPEConfig) -> None:
        super().__init__()
        self.config = config
        self.net = ResidualMLP(
            len(_COCO13) * 3, 2 * config.dim, width=config.width, blocks=config.blocks, dropout=config.dropout
        )
        self.raw_slope = nn.Parameter(torch.tensor(-0.65))  # the start of the paper's code
        self.offset = nn.Parameter(torch.tensor(-0.5))

    @classmethod
    def untrained(cls, config: PrVIPEConfig, seed: int) -> "PrVIPENetwork":
        """The network with initial weights that depend on the seed alone; the global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            network = cls(config)
        initialize(network, torch.Generator().manual_seed(seed))
        return network

    @property
    def slope(self) -> Float[Tensor, ""]:
        """Above 0: ELU + 1 of what is trained."""
        return nn.functional.elu(self.raw_slope) + 1

    def forward(
        self, xy: Float[Tensor, "batch 13 2"], seen: Bool[Tensor, "batch 13"]
    ) -> tuple[Float[Tensor, "batch D"], Float[Tensor, "batch D"]]:
        """Mean and scale; coordinates are centred, of unit RMS radius, and zero where not seen."""
        mean, raw = self.net(torch.cat([xy, seen[..., None].to(xy.dtype)], dim=-1).flatten(-2)).float().chunk(2, dim=-1)
        return mean, nn.functional.elu(raw) + 1 + _LEAST_SCALE


def match_probability(
    a: Float[Tensor, "*#batch K D"],
    b: Float[Tensor, "*#batch L D"],
    slope: Float[Tensor, ""],
    offset: Float[Tensor, ""],
) -> Float[Tensor, "*batch"]:
    """Probability that two people are in one pose, from samples of both: mean over pairs of sigmoid(-a |z - z'| + b).

    Sun et al. 2020, eq. 2 and 3.
    """
    square = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :] - 2 * a @ b.mT
    distance = square.clamp(min=1e-12).sqrt()  # the root's slope is infinite at 0
    return (offset - slope * distance).sigmoid().mean((-2, -1))


class PrVIPE:
    """Pr-VIPE as an encoder of keypoints, and as a way to compare two of them.

    An embedding is the mean of the Gaussian: 3D poses have none, since the method never sees a pose in 3D. Two people
    are compared by their sampled probability of a match (`compare`).
    """

    name = "pr-vipe"
    metric: Metric = "l2"

    def __init__(
        self, network: PrVIPENetwork, *, card: str = "", origin: Mapping[str, Any] | None = None, candidates: int = 64
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.card = card
        self.origin = dict(origin or {})
        self.candidates = candidates  # of each query, by their means, for which `compare` samples

    @classmethod
    def from_pretrained(cls, source: str | Path) -> "PrVIPE":
        """Load a trained one from its folder.

        Raises:
            ReadError: If there is none, it is broken, or it is another kind of trained thing.
        """
        trained = pretrained.load(source)
        file = trained.where / "config.json"
        if trained.kind != cls.name:
            raise ReadError(f"{file}: is a {trained.kind!r}, expected a {cls.name!r}")
        if unknown := sorted(trained.config.keys() - {field.name for field in fields(PrVIPEConfig)}):
            raise ReadError(f"{file}: unknown setting {unknown[0]!r}; was it saved by a later version of vipe?")
        try:
            config = msgspec.convert(trained.config, PrVIPEConfig)
        except (msgspec.ValidationError, VipeError) as error:
            raise ReadError(f"{file}: config: {error}") from error
        with torch.device("meta"):
            network = PrVIPENetwork(config)
        trained.fill(network)
        return cls(network, card=trained.card, origin=trained.origin)

    @property
    def config(self) -> PrVIPEConfig:
        """What the network was built from."""
        return self.network.config

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self.config.dim

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of configuration and weights."""
        around = [self.name, _MAP_VERSION, _COCO13.joints]
        digest = hashlib.sha256(json.dumps([around, asdict(self.config)], sort_keys=True).encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save(self, path: str | Path, *, files: Mapping[str, str] | None = None, replace: bool = False) -> None:
        """Write the folder that `from_pretrained` reads; arguments as of `Embedder.save`.

        Raises:
            VipeError: If something else is there, or the folder cannot be written.
        """
        tensors = self.network.state_dict()
        pretrained.save(
            path, self.name, asdict(self.config), tensors, self.card, origin=self.origin, files=files, replace=replace
        )

    def encode_poses(self, poses: Float[Array, "N 17 3"]) -> Float32[Array, "N D"]:
        """Pr-VIPE has no encoder of 3D poses.

        Raises:
            VipeError: Always; says what to do.
        """
        raise VipeError(
            f"Pr-VIPE embeds keypoints only, so {len(poses)} poses have no embedding: search them with a V-VIPE or "
            "affine index, or compare views by `vipe evaluate retrieval`"
        )

    def encode_keypoints(self, keypoints: Keypoints) -> Float32[Array, "N D"]:
        """The means of the Gaussians; position and size in the image do not matter.

        Raises:
            ShapeError: If a person's seen joints are fewer than two or all at one place; names the row.
            SkeletonError: If the skeleton does not convert to coco13.
        """
        return self.describe(keypoints)[:, 0]

    def describe(self, keypoints: Keypoints) -> Float32[Array, "N 2 D"]:
        """Mean and scale of each person's Gaussian; raises as `encode_keypoints`."""
        keypoints = keypoints.to(_COCO13)
        gaussians = np.empty((len(keypoints), 2, self.dim), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(keypoints), _ROWS):
                part = keypoints[start : start + _ROWS]
                xy, _, radius = normalize_keypoints(part)
                if (radius == 0).any():
                    row = start + int((radius == 0).argmax())
                    why = "seen joints are fewer than two or all at one place"
                    raise ShapeError(f"person {row} cannot be embedded: {why}; leave it out")
                mean, scale = self.network(torch.from_numpy(xy), torch.tensor(part.mask))
                gaussians[start : start + _ROWS] = torch.stack([mean, scale], dim=1).numpy()
        return gaussians

    def compare(self, query: Float32[Array, "Q 2 D"], gallery: Float32[Array, "G 2 D"]) -> Float32[Array, "Q G"]:
        """How alike described people are: by the distance of means, the nearest of them by sampled probability.

        All pairs' samples would be `samples²` distances each. So the gallery is ordered by the means, and its first
        `candidates` again by the probability of a match. The draws are the same for everybody.

        Returns:
            Minus the squared distance of means, and 1 plus the probability for the candidates.
        """
        mean, other = torch.from_numpy(query[:, 0]), torch.from_numpy(gallery[:, 0])
        middle = other.mean(0)
        mean, other = mean - middle, other - middle
        scores = -(mean.square().sum(-1)[:, None] + other.square().sum(-1) - 2 * mean @ other.T).clamp(min=0)
        count = min(self.candidates, len(gallery))
        nearest = scores.topk(count, dim=1, sorted=False).indices
        own, theirs = self._draws
        samples = mean[:, None] + torch.from_numpy(query[:, 1])[:, None] * own
        step = max(1, _PAIRS // (count * self.config.samples))
        found = torch.empty(nearest.shape)
        for start in range(0, len(query), step):
            rows = nearest[start : start + step]
            drawn = other[rows][:, :, None] + torch.from_numpy(gallery[:, 1])[rows][:, :, None] * theirs
            found[start : start + step] = match_probability(
                samples[start : start + step, None], drawn, self.network.slope, self.network.offset
            )
        return scores.scatter_(1, nearest, 1 + found).numpy()

    @cached_property
    def _draws(self) -> tuple[Float32[Tensor, "K D"], Float32[Tensor, "K D"]]:
        """Standard normal, of a query and of what it is compared with."""
        generator = torch.Generator().manual_seed(0)
        own, theirs = torch.randn(2, self.config.samples, self.dim, generator=generator).unbind(0)
        return own, theirs
