"""Keyframes of glTF animations, interpolated as glTF 2.0 states (appendix C): LINEAR, STEP, CUBICSPLINE (numpy)."""

__all__ = ["Keyframes", "Rotations", "Translations", "keyframes"]

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from vipe.arrays import Array
from vipe.errors import ReadError
from vipe.readers.rigs.gltf_file import Animation, Gltf, accessor

_SHARED, _FREE = 10, 1 << 20  # how often channels may use the same numbers, and numbers that do not count
_INTERPOLATIONS = ("LINEAR", "STEP", "CUBICSPLINE")


@dataclass(frozen=True)
class Translations:
    """Values at times; with `tangents` before and after each, a cubic spline."""

    times: Float64[Array, " keys"]
    values: Float64[Array, "keys width"]
    step: bool = False
    tangents: tuple[Float64[Array, "keys width"], Float64[Array, "keys width"]] | None = None

    def at(self, times: Float64[Array, " frames"]) -> Float64[Array, "frames width"]:
        """Values at other times; before the first key and after the last, those of that key."""
        left, share, gap = self._between(times)
        a, b = self.values[left], self.values[np.minimum(left + 1, len(self.times) - 1)]
        if self.step:
            return np.asarray(a)
        u = share[:, None]
        if self.tangents is None:
            return np.asarray(a + u * (b - a))
        before, after = self.tangents
        out, into = after[left] * gap[:, None], before[np.minimum(left + 1, len(self.times) - 1)] * gap[:, None]
        u2, u3 = u * u, u * u * u
        spline = (2 * u3 - 3 * u2 + 1) * a + (u3 - 2 * u2 + u) * out + (3 * u2 - 2 * u3) * b + (u3 - u2) * into
        return np.asarray(spline)

    def _between(self, times: Array) -> tuple[Array, Array, Array]:
        """The key before each time, how far it is on the way to the next, and how long that way is."""
        left = np.clip(np.searchsorted(self.times, times, side="right") - 1, 0, len(self.times) - 1)
        gap = self.times[np.minimum(left + 1, len(self.times) - 1)] - self.times[left]
        share = np.clip((times - self.times[left]) / np.where(gap > 0, gap, 1), 0, 1)
        return left, np.where(gap > 0, share, 0), gap


@dataclass(frozen=True)
class Rotations(Translations):
    """Quaternions (x, y, z, w) at times."""

    def at(self, times: Float64[Array, " frames"]) -> Float64[Array, "frames 3 3"]:
        """Rotation matrices at other times; between keys along the shorter arc."""
        from scipy.spatial.transform import Rotation  # slow to import, and most files need none

        if self.step or self.tangents is not None:
            quaternions = super().at(times)
        else:
            left, share, _ = self._between(times)
            a, b = self.values[left], self.values[np.minimum(left + 1, len(self.times) - 1)]
            cosine = (a * b).sum(axis=1)
            b = np.where(cosine[:, None] < 0, -b, b)
            angle = np.arccos(np.clip(np.abs(cosine), 0, 1))
            sine = np.sin(angle)
            # Where the two are the same, the arc is straight.
            near = sine < 1e-6
            sine = np.where(near, 1, sine)
            u = np.where(near, 1 - share, np.sin((1 - share) * angle) / sine)
            v = np.where(near, share, np.sin(share * angle) / sine)
            quaternions = u[:, None] * a + v[:, None] * b
        length = np.linalg.norm(quaternions, axis=1, keepdims=True)
        quaternions = np.where(length > 1e-9, quaternions, [0.0, 0.0, 0.0, 1.0])
        return np.asarray(Rotation.from_quat(quaternions).as_matrix())


@dataclass
class Keyframes:
    """What an animation moves, by node."""

    translations: dict[int, Translations] = field(default_factory=dict)
    rotations: dict[int, Rotations] = field(default_factory=dict)
    scales: dict[int, float] = field(default_factory=dict)  # the value furthest from the first axis' first
    start: float = np.inf
    end: float = -np.inf
    step: float = np.inf  # the usual distance of two keys, of the channel where it is smallest
    keys: int = 0


def keyframes(gltf: Gltf, buffers: list[bytes], animation: Animation, name: str) -> Keyframes:
    """The keyframes of an animation.

    Raises:
        ReadError: If a sampler is missing, times do not increase, or numbers are missing.
    """
    found = Keyframes()
    cached: dict[int, Array] = {}
    left = _SHARED * sum(map(len, buffers)) + _FREE
    for channel in animation.channels:
        node, path = channel.target.node, channel.target.path
        if path not in ("translation", "rotation", "scale") or node < 0:
            continue
        if not 0 <= channel.sampler < len(animation.samplers) or node >= len(gltf.nodes):
            raise ReadError(f"{name}: a channel of sampler {channel.sampler} and node {node}, which are not there")
        sampler = animation.samplers[channel.sampler]
        if sampler.input not in cached:
            cached[sampler.input] = _times(accessor(gltf, buffers, sampler.input, 1, name)[:, 0], name)
            found.keys += len(cached[sampler.input])
        times = cached[sampler.input]
        width = 4 if path == "rotation" else 3
        values = accessor(gltf, buffers, sampler.output, width, name)
        left -= values.size
        if left < 0:
            raise ReadError(f"{name}: animations use the same numbers so often that they come to many times the file")
        if sampler.interpolation not in _INTERPOLATIONS:
            raise ReadError(
                f"{name}: interpolation {sampler.interpolation[:20]!r}, expected {', '.join(_INTERPOLATIONS)}"
            )
        cubic = sampler.interpolation == "CUBICSPLINE"
        if len(values) != len(times) * (3 if cubic else 1):
            raise ReadError(f"{name}: {len(values)} values at {len(times)} times of a {path}; was it cut?")
        tangents = (values[0::3], values[2::3]) if cubic else None
        values = values[1::3] if cubic else values
        if path == "scale":
            found.scales[node] = float(values.flat[int(np.argmax(np.abs(values - values.flat[0])))])
            continue
        if path == "rotation" and not (np.linalg.norm(values, axis=1) > 0.5).all():
            raise ReadError(f"{name}: a rotation of length 0, expected quaternions of length 1")
        step = sampler.interpolation == "STEP"
        if path == "rotation":
            values = values / np.linalg.norm(values, axis=1, keepdims=True)
            found.rotations[node] = Rotations(times, values, step, tangents)
        else:
            found.translations[node] = Translations(times, values, step, tangents)
        found.start, found.end = min(found.start, float(times[0])), max(found.end, float(times[-1]))
        if len(times) > 1:
            found.step = min(found.step, float(np.median(np.diff(times))))
    if not found.rotations and not found.translations:
        raise ReadError(
            f"{name}: the animation {animation.name[:40].encode('unicode_escape').decode()!r} moves no node"
        )
    return found


def _times(times: Array, name: str) -> Array:
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise ReadError(f"{name}: times of keyframes that do not increase")
    return times
