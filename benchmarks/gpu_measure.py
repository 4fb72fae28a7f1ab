"""What the GPU suite measures of a trained model: search, view invariance, lifting, and speed (torch, on one device).

The protocols are those of `vipe evaluate search` and `vipe evaluate retrieval` with the whole gallery: hits are poses
within 0.1 torso lengths after similarity alignment, all pairs are compared, the query's own pose counts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vipe.detections import Keypoints, normalize_keypoints
from vipe.embed import Embedder
from vipe.embed.prvipe.losses import match_probability
from vipe.embed.prvipe.network import PrVIPENetwork
from vipe.geometry import canonicalize, procrustes_mpjpe
from vipe.simulate import CameraRig, DetectorNoise, simulate_keypoints
from vipe.simulate.detector import GROUND_TRUTH, MISSING_2, NOISE_003

KS = (1, 10, 20)
DEEP = 200
CONDITIONS = {"ground truth": GROUND_TRUTH, "noise 0.03": NOISE_003, "2 missing": MISSING_2}
HIT = 0.1  # torso lengths
DISTANCE = 4.0  # metres
_ROWS = 1024  # queries at a time
_PAIRS = 1 << 20  # of poses compared at a time
_CANDIDATES = 64  # of each query, by the means, that Pr-VIPE compares by samples


class Comparer(Protocol):
    """A model as the view protocol needs it."""

    def describe(self, people: Keypoints) -> tuple[Tensor, ...]:
        """All that is kept of each person."""

    def nearest(self, query: tuple[Tensor, ...], gallery: tuple[Tensor, ...], k: int) -> Tensor:
        """Rows of the gallery, best first."""


@dataclass(frozen=True)
class Learned:
    """V-VIPE or the towers."""

    embedder: Embedder
    device: torch.device

    def poses(self, canonical: Tensor) -> Tensor:
        """Embeddings of canonical poses."""
        return torch.cat([self.embedder.model.encode_poses(part) for part in canonical.split(1 << 16)])

    def describe(self, people: Keypoints) -> tuple[Tensor, ...]:
        """Embeddings."""
        xy, seen = tensors(people, self.device)
        pairs = zip(xy.split(1 << 16), seen.split(1 << 16), strict=True)
        return (torch.cat([self.embedder.model.encode_keypoints(*pair) for pair in pairs]),)

    def nearest(self, query: tuple[Tensor, ...], gallery: tuple[Tensor, ...], k: int) -> Tensor:
        """Rows of the gallery, best first."""
        return nearest(query[0], gallery[0], k)


@dataclass(frozen=True)
class Probabilistic:
    """Pr-VIPE: by the means first, the best of them again by the probability of a match."""

    network: PrVIPENetwork
    device: torch.device

    def describe(self, people: Keypoints) -> tuple[Tensor, ...]:
        """Means and scales."""
        mean, scale = self.network(*tensors(people, self.device))
        return mean, scale

    def nearest(self, query: tuple[Tensor, ...], gallery: tuple[Tensor, ...], k: int) -> Tensor:
        """Rows of the gallery, best first."""
        rows = nearest(query[0], gallery[0], max(k, _CANDIDATES))
        generator = torch.Generator().manual_seed(0)
        samples, dim = self.network.config.samples, self.network.config.dim
        own, theirs = torch.randn(2, samples, dim, generator=generator).to(self.device)
        ordered = []
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            drawn = query[0][part, None, None] + query[1][part, None, None] * own
            others = gallery[0][rows[part], None] + gallery[1][rows[part], None] * theirs
            match = match_probability(drawn, others, self.network.slope, self.network.offset)
            ordered.append(rows[part].gather(1, match.argsort(dim=1, descending=True)))
        return torch.cat(ordered)[:, :k]


def tensors(people: Keypoints, device: torch.device) -> tuple[Tensor, Tensor]:
    """Keypoints as the networks take them."""
    return torch.from_numpy(normalize_keypoints(people)[0]).to(device), torch.tensor(people.mask, device=device)


def nearest(query: Tensor, gallery: Tensor, k: int) -> Tensor:
    """Rows of the k nearest, exactly: |q - g|^2 = |q|^2 - (2 q.g - |g|^2), measured from the gallery's middle."""
    middle = gallery.mean(0)
    query, gallery = query - middle, gallery - middle
    square, doubled = gallery.square().sum(1), 2 * gallery.T
    k = min(k, len(gallery))
    return torch.cat([(part @ doubled - square).topk(k, dim=1).indices for part in query.split(_ROWS)])


@torch.inference_mode()
def measure_search(
    model: Learned, poses: np.ndarray, clips: np.ndarray, rig: str, *, queries: int, seed: int
) -> dict[str, Any]:
    """Hit@k and recall@200 of one view against all 3D poses, and the error of the pose lifted from the view."""
    canonical = canonicalize(torch.from_numpy(poses).to(model.device)).poses
    gallery = model.poses(canonical)
    asked = np.sort(np.random.default_rng(seed).permutation(len(poses))[:queries])
    truth = canonical[torch.from_numpy(asked).to(model.device)]
    result: dict[str, Any] = {"gallery": len(poses), "queries": len(asked)}
    for name, noise in CONDITIONS.items():
        people = _see(poses[asked], CameraRig.load(rig), noise, [seed, 1])
        (embedded,) = model.describe(people)
        within = _within(canonical, truth, nearest(embedded, gallery, DEEP))
        lifted = (model.embedder.model.decode(embedded) - truth).norm(dim=-1).mean(1)
        result[name] = {
            **_hits(within[:, None], clips[asked], seed),
            f"recall@{DEEP}": float(within.any(1).float().mean()),
            "lifted_mpjpe": float(lifted.mean()),
        }
    return result


@torch.inference_mode()
def measure_views(
    model: Comparer,
    device: torch.device,
    poses: np.ndarray,
    clips: np.ndarray,
    rig: str,
    *,
    most: int,
    seed: int,
    conditions: tuple[str, ...] = tuple(CONDITIONS),
) -> dict[str, Any]:
    """Hit@k of one camera's views among another's, over all ordered pairs; `unseen`: one camera at chest height."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(poses))[:most])
    poses, clips = poses[chosen], clips[chosen]
    canonical = canonicalize(torch.from_numpy(poses).to(device)).poses
    cameras = CameraRig.load(rig).cameras
    pairs = [(i, j) for i in range(len(cameras)) for j in range(len(cameras)) if i != j]
    mixed = [cameras[i].chest != cameras[j].chest for i, j in pairs]
    result: dict[str, Any] = {"poses": len(poses), "pairs": len(pairs)}
    for name in conditions:
        views = [
            model.describe(_see(poses, CameraRig(name=rig, cameras=(camera,)), CONDITIONS[name], [seed, 1, number]))
            for number, camera in enumerate(cameras)
        ]
        rows = torch.cat([model.nearest(views[i], views[j], max(KS)) for i, j in pairs])
        within = _within(canonical, canonical.repeat(len(pairs), 1, 1), rows)
        within = within.unflatten(0, (len(pairs), -1)).transpose(0, 1)
        result[name] = {"all": _hits(within, clips, seed)}
        if any(mixed):
            result[name]["unseen"] = _hits(within[:, torch.tensor(mixed, device=device)], clips, seed)
    return result


@torch.inference_mode()
def time_model(model: Learned, poses: np.ndarray, batches: tuple[int, ...]) -> list[dict[str, Any]]:
    """Rows a second of both encoders and of lifting, data on the device."""
    rows, network = [], model.embedder.model
    for size in batches:
        some = poses[np.arange(size) % len(poses)]
        canonical = canonicalize(torch.from_numpy(some).to(model.device)).poses
        xy, seen = tensors(_see(some, CameraRig.load("h36m"), NOISE_003, [0]), model.device)
        calls: dict[str, Callable[[], object]] = {
            "encode canonical poses": lambda canonical=canonical: network.encode_poses(canonical),
            "encode keypoints": lambda xy=xy, seen=seen: network.encode_keypoints(xy, seen),
            "lift keypoints": lambda xy=xy, seen=seen: network.decode(network.encode_keypoints(xy, seen)),
        }
        rows += [_timed(f"{network.kind}: {name}", size, call, model.device) for name, call in calls.items()]
    return rows


@torch.inference_mode()
def time_geometry(device: torch.device, poses: np.ndarray, size: int) -> list[dict[str, Any]]:
    """Rows a second of canonicalization, of similarity alignment, and of exact search among embeddings."""
    some = torch.from_numpy(poses[np.arange(size) % len(poses)]).to(device)
    gallery = torch.randn(size, 32, device=device)
    return [
        _timed("canonicalize", size, lambda: canonicalize(some), device),
        _timed("align pairs of poses", size, lambda: procrustes_mpjpe(some, some.roll(1, 0)), device),
        _timed(f"nearest {DEEP} of {size:,} embeddings", 256, lambda: nearest(gallery[:256], gallery, DEEP), device),
    ]


def _timed(what: str, rows: int, call: Callable[[], object], device: torch.device) -> dict[str, Any]:
    best, spent = float("inf"), 0.0
    for number in range(20):
        _finish(device)
        start = time.perf_counter()
        call()
        _finish(device)
        took = time.perf_counter() - start
        spent += took
        if number:  # the first call loads kernels
            best = min(best, took)
        if number > 2 and spent > 1.0:
            break
    return {"what": what, "rows": rows, "ms": round(1000 * best, 4), "rows_a_second": round(rows / best)}


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _see(poses: np.ndarray, rig: CameraRig, noise: DetectorNoise, seed: list[int]) -> Keypoints:
    return simulate_keypoints(poses, rig, distance=DISTANCE, noise=noise, generator=np.random.default_rng(seed))


def _within(canonical: Tensor, truth: Tensor, rows: Tensor) -> Tensor:
    step = max(1, _PAIRS // rows.shape[1])
    parts = zip(rows.split(step), truth.split(step), strict=True)
    return torch.cat([procrustes_mpjpe(canonical[some], own[:, None]) < HIT for some, own in parts])


def _hits(within: Tensor, clips: np.ndarray, seed: int) -> dict[str, Any]:
    """Of (queries, pairs, ranks): shares, and 95% intervals by drawing clips again."""
    _, group = np.unique(clips, return_inverse=True)
    sizes = np.bincount(group)
    drawn = np.random.default_rng([seed, 3]).integers(len(sizes), size=(1000, len(sizes)))
    hit, interval = {}, {}
    for k in KS:
        rate = within[..., :k].any(-1).double().mean(1).cpu().numpy()
        means = np.bincount(group, weights=rate)[drawn].sum(1) / sizes[drawn].sum(1)
        hit[str(k)] = float(rate.mean())
        interval[str(k)] = [float(end) for end in np.quantile(means, [0.025, 0.975])]
    return {"hit": hit, "interval": interval}
