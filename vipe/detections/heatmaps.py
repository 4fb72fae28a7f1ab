"""Gaussians fitted to a keypoint detector's heatmaps, all joints of all images at once (torch).

Levenberg-Marquardt on many heatmaps in step. In the coordinates p of a window the model is m = exp(c . phi(p)) with
phi = (1, x, y, x^2, xy, y^2), and its derivative by c is m phi. So gradient, normal equations and curvature are
moments: sums of m h and m^2 times monomials up to order 4. One matrix product gives them for all windows of one size.
First steps see the heatmap in bins where the Gaussian is wide enough for it, last steps see its own pixels. Away from a
border and from noise the very first step ends near the result.
"""

__all__ = ["START_SIGMA", "HeatmapGaussians", "fit_gaussians", "to_keypoints"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from vipe.arrays import Array, blocks
from vipe.detections.keypoints import MIN_CONFIDENCE, Keypoints
from vipe.errors import ShapeError, VipeError
from vipe.skeletons import Skeleton, load
from vipe.skeletons.working import COCO13

START_SIGMA = 2.0
"""Pixels: the width of the Gaussians that the detector was trained on (Wehrbein et al. 2021, sec. 4)."""

_LEAST_SIDE = 4  # pixels of a heatmap
_BLOCK = 2**26  # pixels of heatmaps in step, 256 MiB; with more of them the calls cost less
_CACHE = 2**16  # pixels of windows in one product: they stay in the cache
_REACH = 3.5  # standard deviations from the mean to a window's sides, beyond which lies 2e-6 of the square of the model
_BIN = 0.75  # standard deviations: the narrowest Gaussian that is seen in bins of width 1
_SIZES = (8, 16, 24, 32, 40, 48, *(64 << i for i in range(16)))  # of windows, in bins
_FEW, _FEW_SIZES = 2048, tuple(16 << i for i in range(18))  # for few fits, few sizes cost less than small windows
_STEPS, _LATE = 20, 12  # late steps may end where float32 leaves the rest uncertain
_COARSE, _FINE = (1e-3, 1e-4), (3e-4, 1e-9)  # shares of residual and sum of h^2 that the last step may gain
_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-7, 1e4
_NOISE = 1e-6  # of the sum of h^2: what float32 leaves uncertain in the cost
_INEXACT = 2e-3  # of the sum of h^2: smaller residuals are summed up, not taken as the difference of sums
_LEAST_PRECISION = 0.05  # after the first step, over the precision of the start: 4.5 times as wide
_SHORT = 0.3  # standard deviations, or change of a variance: a last step that is taken without a look at its end
_FAR = 100.0  # times the maximum: the amplitude of a fit that has left the heatmap
_SMALLEST = 0.1  # pixels, along x and y: a narrower Gaussian is one pixel

_POWERS = [(order - y, y) for order in range(5) for y in range(order + 1)]  # of x and y; the first 6 are phi
_PRODUCTS = [_POWERS.index((a + c, b + d)) for a, b in _POWERS[:6] for c, d in _POWERS[:6]]  # phi phi^T in moments
# What is known of a fit under way, a column each. Parameters: amplitude, x, y, and the Cholesky factor (xx, yx, yy) of
# the covariance, in pixels. Cost: the residual less the sum of h^2. Frame: centre and half size of the window. Then the
# moments of m^2, and those of m (h - m), of which the first 6 are the gradient.
_PARAMETERS, _COST, _LEVEL, _FRAME, _SQUARES, _REST = slice(0, 6), 6, 7, slice(8, 12), slice(12, 27), slice(27, 42)
_ROWS = 42


@dataclass(frozen=True, kw_only=True)
class HeatmapGaussians:
    """Gaussians amplitude exp(-1/2 (p - mean)^T covariance^-1 (p - mean)), one a heatmap.

    Places are pixels of the heatmap, x right, y down, (0, 0) at the centre of the top left pixel.
    """

    amplitude: Float32[Tensor, "*batch joints"]
    mean: Float32[Tensor, "*batch joints 2"]  # x, y
    covariance: Float32[Tensor, "*batch joints 2 2"]  # squared pixels, positive definite
    residual: Float32[Tensor, "*batch joints"]  # sum of squared differences over the heatmap
    converged: Bool[Tensor, "*batch joints"]  # where False, the Gaussian is the start
    size: tuple[int, int]  # width and height of the heatmaps in pixels


@torch.no_grad()
def fit_gaussians(
    heatmaps: Float[Tensor, "*batch joints height width"], *, start_sigma: float = START_SIGMA
) -> HeatmapGaussians:
    """Fit one Gaussian to each heatmap by non-linear least squares over all its pixels.

    The start has the heatmap's maximum as amplitude, the pixel of the maximum as mean, and `start_sigma` in both
    directions. The result is a local minimum near it. Of two separate peaks the Gaussian keeps to the higher one; peaks
    that overlap may get one wide Gaussian. The mean of a peak at the border may lie outside the heatmap. A fit fails if
    it does not end within 20 steps or leaves the heatmap: then the start is the result, and `converged` is False.
    The same holds without a peak, and the amplitude is 0: the heatmap is constant, or nowhere above 0.

    Beyond 3.5 standard deviations along x or y the model counts as 0. `residual` is exact to about 1e-3 of itself, or
    1e-8 of the sum of squares of the heatmap. Standard deviations along x and y are at least 0.1 pixels. The arithmetic
    is float32, in blocks that bound the memory. Many heatmaps at once take less time each: 16,000 a quarter of what 250
    take. No gradients flow back.

    Args:
        heatmaps: At least 4 pixels a side.
        start_sigma: Pixels, above 0.

    Raises:
        ShapeError: If the heatmaps are too small, or one has a value that is not finite; names the heatmap.
        VipeError: If `start_sigma` is not above 0.

    Reference:
        Wehrbein et al. 2021, sec. 3.2. There the amplitude starts at 1, in the authors' code at the maximum.

    Example:
        >>> y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
        >>> heatmap = 0.8 * torch.exp(-((x - 20.5) ** 2 / 18 + (y - 31) ** 2 / 8))
        >>> fitted = fit_gaussians(heatmap[None])
        >>> [round(value, 3) for value in (*fitted.amplitude.tolist(), *fitted.mean[0].tolist())]
        [0.8, 20.5, 31.0]
    """
    if heatmaps.ndim < 3 or min(heatmaps.shape[-2:]) < _LEAST_SIDE:
        raise ShapeError(
            f"heatmaps must be (..., joints, height, width) with at least {_LEAST_SIDE} pixels a side, got shape "
            f"{tuple(heatmaps.shape)}"
        )
    if not 0 < start_sigma < math.inf:
        raise VipeError(f"start_sigma must be above 0 pixels, got {start_sigma}")
    *batch, height, width = heatmaps.shape
    each = heatmaps.reshape(math.prod(batch), height, width)
    fitted = torch.empty(7, len(each), device=each.device)
    converged = torch.empty(len(each), dtype=torch.bool, device=each.device)
    number = max(1, math.ceil(each.numel() / _BLOCK))
    for block in blocks(len(each), max(1, math.ceil(len(each) / number))):
        levels, peak, energy = _seen(each[block].float().contiguous())
        if len(broken := energy.isfinite().logical_not().nonzero()):
            place = tuple(int(i) for i in np.unravel_index(block.start + int(broken[0]), batch))
            raise ShapeError(
                f"heatmaps: the one at {place} has a value that is not finite; leave it out, or give zeros"
            )
        flat = (peak[0] <= 0) | (energy >= (1 - 1e-5) * height * width * peak[0].square())
        sigma = peak.new_tensor([[start_sigma], [0], [start_sigma]]).expand(3, -1)
        start = torch.cat([peak[:1].masked_fill(flat, 0), peak[1:], sigma.expand(3, len(flat))])
        fitted[:, block], converged[block] = _checked(levels[0], energy, start, *_fit(levels, energy, start))
    amplitude, x, y, xx, yx, yy, residual = fitted
    covariance = torch.stack([xx * xx, xx * yx, xx * yx, yx * yx + yy * yy], dim=-1)
    return HeatmapGaussians(
        amplitude=amplitude.reshape(batch),
        mean=torch.stack([x, y], dim=-1).reshape(*batch, 2),
        covariance=covariance.reshape(*batch, 2, 2),
        residual=residual.reshape(batch),
        converged=converged.reshape(batch),
        size=(width, height),
    )


def to_keypoints(
    gaussians: HeatmapGaussians,
    boxes: Float[Array, "N 4"],
    image_size: Float[Array, "N 2"] | None = None,
    *,
    skeleton: Skeleton | str = COCO13,
    min_confidence: float = MIN_CONFIDENCE,
) -> Keypoints:
    """Turn the Gaussians of N people into keypoints of their images, with covariances.

    A heatmap covers its box: pixel i of a row, counted from 0, covers the box from i / width to (i + 1) / width, and
    the centre of the pixel is the middle of that part. The confidence is the amplitude, clipped to 0 to 1. A joint
    whose fit failed is at the peak. A heatmap without a peak has confidence 0, and its joint is never seen.

    Args:
        gaussians: N people, one Gaussian for each joint of the skeleton.
        boxes: Left, top, width and height of each person's box in pixels of the image.
        image_size: Width and height of each person's image in pixels.
        skeleton: The skeleton of the heatmaps, or its name; `Keypoints.to` converts it to another.
        min_confidence: Joints below are not seen.

    Raises:
        ShapeError: If the arrays are not of N people, or a box is not finite or has no size.
        SkeletonError: If there is no such skeleton.
    """
    body = load(skeleton) if isinstance(skeleton, str) else skeleton
    people, boxes = tuple(gaussians.amplitude.shape), np.asarray(boxes, dtype=np.float64)
    if len(people) != 2 or people[1] != len(body):
        raise ShapeError(f"gaussians must be (N, {len(body)}) for {body.name}, got shape {people}")
    if boxes.shape != (people[0], 4):
        raise ShapeError(f"boxes must be ({people[0]}, 4): left, top, width, height; got shape {boxes.shape}")
    if len(broken := np.flatnonzero(~(np.isfinite(boxes).all(1) & (boxes[:, 2:] > 0).all(1)))):
        raise ShapeError(f"boxes: box {broken[0]} is {boxes[broken[0]].tolist()}, expected a width and height above 0")
    scale = boxes[:, None, 2:] / gaussians.size  # (N, 1, 2)
    mean, covariance = gaussians.mean.cpu().numpy(), gaussians.covariance.cpu().numpy()
    confidence = gaussians.amplitude.cpu().numpy().clip(0, 1)
    return Keypoints(
        xy=(boxes[:, None, :2] + (mean + 0.5) * scale).astype(np.float32),
        mask=(confidence >= min_confidence) & (confidence > 0),
        confidence=confidence,
        image_id=tuple(range(people[0])),
        person=np.zeros(people[0], dtype=np.int64),
        covariance=(covariance * scale[..., :, None] * scale[..., None, :]).astype(np.float32),
        image_size=None if image_size is None else np.asarray(image_size, dtype=np.float64),
        skeleton=body,
    )


def _seen(
    heatmaps: Float32[Tensor, "N height width"],
) -> tuple[list[Float32[Tensor, "N _ _"]], Float32[Tensor, "3 N"], Float32[Tensor, " N"]]:
    """The heatmaps and their means over bins of 2 x 2, 4 x 4, ...; the maximum, its x and y; the sum of squares."""
    count, height, width = heatmaps.shape
    levels = [heatmaps]
    while min(levels[-1].shape[1:]) >= 24:
        levels.append(heatmaps.new_empty(count, levels[-1].shape[1] // 2, levels[-1].shape[2] // 2))
    maximum, norm = heatmaps.new_empty(count), heatmaps.new_empty(count)
    row = torch.empty(count, dtype=torch.int64, device=heatmaps.device)
    for part in blocks(count, max(1, 4 * _CACHE // (height * width))):  # what is read several times stays in the cache
        maximum[part], row[part] = heatmaps[part].amax(2).max(1)
        torch.linalg.vector_norm(heatmaps[part].flatten(1), dim=1, out=norm[part])
        for whole, binned in pairwise(levels):
            rows, columns = 2 * binned.shape[1], 2 * binned.shape[2]
            pairs = whole[part, :rows:2] + whole[part, 1:rows:2]
            torch.add(pairs[..., :columns:2], pairs[..., 1:columns:2], out=binned[part]).mul_(0.25)
    column = heatmaps[torch.arange(count, device=row.device), row].argmax(1)
    return levels, torch.stack([maximum, column.float(), row.float()]), norm.square_()


def _fit(
    levels: Sequence[Float32[Tensor, "N _ _"]], energy: Float32[Tensor, " N"], start: Float32[Tensor, "6 N"]
) -> tuple[Float32[Tensor, "7 N"], Bool[Tensor, " N"]]:
    """Parameters and residual of the fits that ended, and which did."""
    found, ended = torch.cat([start, energy[None]]), torch.zeros_like(energy, dtype=torch.bool)
    rows = start[0].nonzero()[:, 0]
    trial, energy = start[:, rows], energy[rows]
    state = trial.new_zeros(_ROWS, len(rows))
    state[_PARAMETERS], state[_COST], state[_LEVEL], state[_FRAME] = trial, math.inf, -1, 1
    damping, fine = torch.full_like(energy, _DAMPING), torch.zeros_like(energy, dtype=torch.bool)
    for number in range(_STEPS):
        if not len(rows):
            break
        seen = _evaluate(levels, rows, trial, fine)
        # Costs on two levels differ by what the bins hide, which is no reason to go back.
        slack = torch.where(seen[_LEVEL] == state[_LEVEL], _NOISE * energy, 0.3 * state[_COST].abs())
        better = (seen[_COST] <= state[_COST] + slack) & seen[_COST].isfinite()
        state = torch.where(better, seen, state)
        damping = torch.where(better, damping * 0.1, damping * 10).clamp_min_(_LEAST_DAMPING)
        step = _step(state, damping, fine)
        trial, length = _moved(state, step)
        if number == 0:
            leap = _leap(state)
            trial = torch.where(better & leap.isfinite().all(0), leap, trial)
        gain = (step * state[_REST][:6]).sum(0).abs() * 4 ** state[_LEVEL]
        residual = (energy + state[_COST]).clamp_min_(0)
        stuck = damping >= _MOST_DAMPING
        floor = _FINE[1] if number < _LATE else _NOISE
        done = fine & (stuck | (better & (gain <= _FINE[0] * residual + floor * energy)))
        finer = ~fine & (stuck | (better & (gain <= _COARSE[0] * residual + _COARSE[1] * energy)))
        fine = fine | finer
        state[_COST].masked_fill_(finer, math.inf)
        damping = torch.where(finer, damping.clamp_max(_DAMPING), damping)
        if len(last := done.nonzero()[:, 0]):
            # Where the step is long, nothing is known of its end, and little is gained.
            stay = torch.cat([state[_PARAMETERS], residual[None]])
            moved = torch.cat([trial, (residual - gain)[None]])
            found[:, rows[last]] = torch.where(stuck | (length > _SHORT), stay, moved)[:, last]
            ended[rows[last]] = state[_COST, last].isfinite()
            left = done.logical_not().nonzero()[:, 0]
            rows, energy, damping, fine = rows[left], energy[left], damping[left], fine[left]
            trial, state = trial[:, left], state[:, left]
    return found, ended


def _evaluate(
    levels: Sequence[Float32[Tensor, "N _ _"]],
    rows: Int64[Tensor, " M"],
    trial: Float32[Tensor, "6 M"],
    fine: Bool[Tensor, " M"],
) -> Float32[Tensor, "42 M"]:
    """What is known of a fit at given parameters, with the best amplitude for their mean and covariance."""
    amplitude, x, y, xx, yx, yy = trial
    a, b, c = xx * xx, xx * yx, yx * yx + yy * yy
    middle, det = (a + c) / 2, (xx * yy).square()
    narrow = (middle - (middle.square() - det).clamp_min_(0).sqrt_()).clamp_min_(1e-4)  # the smaller eigenvalue
    level = torch.where(fine, 0.0, (torch.log2(narrow / _BIN**2) / 2).floor_().clamp_(0, len(levels) - 1))
    bins, number = torch.exp2(level), level.long()
    blur = (bins.square() - 1) / 12  # the variance of the pixels in a bin
    a, c, det = a + blur, c + blur, det + blur * (2 * middle + blur)
    height, width = trial.new_tensor([pixels.shape[1:] for pixels in levels]).T[:, number]
    (left, wide), (top, tall) = _window(x, a, width, bins), _window(y, c, height, bins)
    centre_x, centre_y = bins * (left + wide / 2) - 0.5, bins * (top + tall / 2) - 0.5
    frame = torch.stack([centre_x, centre_y, bins * wide / 2, bins * tall / 2])
    model = _coefficients(torch.stack([amplitude * xx * yy * det.rsqrt(), x, y, a, b, c, det]), frame)
    first = (rows * height.long() + top.long()) * width.long() + left.long()
    product, square = _moments(levels, (number << 40) + (tall.long() << 20) + wide.long(), first, model)
    factor = product[0] / square[0].clamp_min(1e-30)
    cost = torch.where(factor > 0, -factor * product[0] * bins.square(), math.inf)
    known = torch.stack([amplitude * factor, x, y, xx, yx, yy, cost, level])
    return torch.cat([known, frame, factor.square() * square, factor * (product - factor * square)])


def _window(
    mean: Float32[Tensor, " M"],
    variance: Float32[Tensor, " M"],
    side: Float32[Tensor, " M"],
    bins: Float32[Tensor, " M"],
) -> tuple[Float32[Tensor, " M"], Float32[Tensor, " M"]]:
    """First bin and number of bins along one axis with `side` bins; many windows share one size."""
    centre, reach = (mean + 0.5) / bins - 0.5, _REACH * variance.sqrt() / bins
    low = torch.minimum((centre - reach).floor_().clamp_min_(0), side - 1)
    needed = torch.minimum((centre + reach).ceil_().clamp_min_(0), side - 1) - low + 1
    sizes = mean.new_tensor(_FEW_SIZES if len(mean) < _FEW else _SIZES)
    size = torch.minimum(sizes[torch.bucketize(needed, sizes)], side)
    return torch.minimum((low - ((size - needed) / 2).floor_()).clamp_min_(0), side - size), size


def _coefficients(gaussian: Float32[Tensor, "7 M"], frame: Float32[Tensor, "4 #M"]) -> Float32[Tensor, "M 6"]:
    """The c of exp2(c . phi) in a window, for amplitude, mean, covariance [[a, b], [b, c]] and its determinant."""
    amplitude, x, y, a, b, c, det = gaussian
    centre_x, centre_y, half_x, half_y = frame
    u, v = (x - centre_x) / half_x, (y - centre_y) / half_y
    p, q, r = c / det * half_x * half_x, -b / det * half_x * half_y, a / det * half_y * half_y
    across, down = p * u + q * v, q * u + r * v
    constant = amplitude.log() - (across * u + down * v) / 2
    # In torch exp2 takes a third of the time of exp, also where it underflows.
    return torch.stack([constant, across, down, -p / 2, -q, -r / 2], dim=1).mul_(math.log2(math.e))


def _moments(
    levels: Sequence[Float32[Tensor, "N _ _"]],
    kind: Int64[Tensor, " M"],
    first: Int64[Tensor, " M"],
    model: Float32[Tensor, "M 6"],
) -> Float32[Tensor, "2 15 M"]:
    """Moments of m h and m^2 over windows, given by a number for level, height and width, and by their first bin."""
    kind, order = kind.sort()
    kinds, counts = torch.unique_consecutive(kind, return_counts=True)
    model, first = model[order], first[order]
    moments, start = model.new_empty(2, len(order), 16), 0
    for window, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        pixels, height, width = levels[window >> 40], window >> 20 & 0xFFFFF, window & 0xFFFFF
        stride = pixels.shape[2]
        lines, length = (1, height * width) if width == stride else (height, width)  # whole rows lie together
        runs = pixels.as_strided((pixels.numel() - length + 1, length), (1, 1))
        line = torch.arange(0, lines * stride, stride, device=model.device)
        phi, powers = _basis(height, width, model.device)
        for part in blocks(count, max(1, _CACHE // (height * width))):
            rows = slice(start + part.start, start + part.stop)
            space = model.new_empty(2, rows.stop - rows.start, height * width)
            torch.index_select(runs, 0, (first[rows, None] + line).view(-1), out=space[0].view(-1, length))
            m = torch.mm(model[rows], phi, out=space[1]).exp2_()
            space[0].mul_(m)
            m.mul_(m)
            moments[:, rows] = torch.mm(space.view(-1, height * width), powers).view(2, -1, 16)
        start += count
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    return moments.index_select(1, back)[..., :15].mT


@lru_cache(maxsize=128)
def _basis(
    height: int, width: int, device: torch.device
) -> tuple[Float32[Tensor, "6 pixels"], Float32[Tensor, "pixels 16"]]:
    """phi, and all monomials up to order 4, in a window from -1 to 1; 15 columns and one of zeros multiply faster."""
    y, x = ((torch.arange(n, device=device, dtype=torch.float64) * 2 + 1 - n) / n for n in (height, width))
    columns = [(y[:, None] ** power_y * x**power_x).flatten() for power_x, power_y in _POWERS]
    powers = torch.stack([*columns, torch.zeros_like(columns[0])], dim=1).float()
    return powers[:, :6].T.contiguous(), powers


def _step(
    state: Float32[Tensor, "42 M"], damping: Float32[Tensor, " M"], fine: Bool[Tensor, " M"]
) -> Float32[Tensor, "6 M"]:
    """A damped step of c: on the last level Newton's where its matrix is positive definite, else Gauss and Newton's."""
    squares, rest = state[_SQUARES], state[_REST]
    ridge = damping * squares[_PRODUCTS[::7]] + 1e-9 * squares[0]
    step, definite = _solved(squares - torch.where(fine, rest, 0), ridge, rest[:6])
    if len(again := definite.logical_not().nonzero()[:, 0]):
        step[:, again], _ = _solved(squares[:, again], ridge[:, again], rest[:6, again])
    return step


def _solved(
    moments: Float32[Tensor, "15 M"], ridge: Float32[Tensor, "6 M"], right: Float32[Tensor, "6 M"]
) -> tuple[Float32[Tensor, "6 M"], Bool[Tensor, " M"]]:
    """Solve by Cholesky in float64, all columns at once; and whether the matrix is positive definite."""
    matrix = torch.cat([moments[_PRODUCTS], right]).double().view(7, 6, -1)  # the right-hand side is the last row
    matrix.diagonal()[..., :6] += ridge.T
    definite, inverse = torch.ones_like(ridge[0], dtype=torch.bool), []
    for k in range(6):
        definite &= matrix[k, k] > 0
        inverse.append(matrix[k, k].clamp_min(1e-30).rsqrt_())
        column = matrix[k + 1 :, k].mul_(inverse[k])
        matrix[k + 1 :, k + 1 :].addcmul_(column[:, None], column[None, : 5 - k], value=-1)
    solution = matrix[6]
    for k in reversed(range(6)):
        solution[k] *= inverse[k]
        solution[:k].addcmul_(matrix[k, :k], solution[k], value=-1)
    return solution.nan_to_num(0).clamp_(-1e6, 1e6).float(), definite


def _moved(
    state: Float32[Tensor, "42 M"], step: Float32[Tensor, "6 M"]
) -> tuple[Float32[Tensor, "6 M"], Float32[Tensor, " M"]]:
    """Parameters after a step of c, shortened so that no variance grows more than fourfold; and its whole length."""
    amplitude, x, y, xx, yx, yy = state[_PARAMETERS]
    centre_x, centre_y, half_x, half_y = state[_FRAME]
    u, v = (x - centre_x) / half_x, (y - centre_y) / half_y
    one, to_x, to_y, to_xx, to_xy, to_yy = step
    value = one + to_x * u + to_y * v + to_xx * u * u + to_xy * u * v + to_yy * v * v
    # Slope and second derivatives at the mean, in the coordinates in which the covariance is the unit matrix.
    slope_x, slope_y = (to_x + 2 * to_xx * u + to_xy * v) / half_x, (to_y + to_xy * u + 2 * to_yy * v) / half_y
    bend_xx, bend_xy, bend_yy = 2 * to_xx / half_x.square(), to_xy / (half_x * half_y), 2 * to_yy / half_y.square()
    s, t = xx * slope_x + yx * slope_y, yy * slope_y
    a = xx * xx * bend_xx + 2 * xx * yx * bend_xy + yx * yx * bend_yy
    b, c = yy * (xx * bend_xy + yx * bend_yy), yy * yy * bend_yy
    middle, spread = (a + c) / 2, torch.hypot((a - c) / 2, b)
    length = torch.stack([(middle + spread) / 0.75, (spread - middle) / 3, torch.hypot(s, t)]).amax(0)
    s, t, a, b, c = torch.stack([s, t, a, b, c]) / length.clamp_min(1)
    # The precision becomes 1 - [[a, b], [b, c]]. The Cholesky factor of its inverse, and the mean's way to the peak:
    det = (1 - a) * (1 - c) - b * b
    grown, kept = ((1 - c) / det).sqrt(), (1 - c).rsqrt()
    s, t = ((1 - c) * s + b * t) / det, (b * s + (1 - a) * t) / det
    new_yx = yx * grown + yy * b / (det * grown)
    new_yy = torch.maximum(yy * kept, 2e-3 * new_yx.abs()).clamp_min_(_SMALLEST)  # or float32 makes it singular
    new_x, new_y = x + xx * s, y + yx * s + yy * t
    new_amplitude = amplitude * (1 + value.clamp(-0.9, 9))
    moved = torch.stack([new_amplitude, new_x, new_y, (xx * grown).clamp_min_(_SMALLEST), new_yx, new_yy])
    return moved, length


def _leap(state: Float32[Tensor, "42 M"]) -> Float32[Tensor, "6 M"]:
    """Parameters after the first step: the Gaussian whose product with the start has the moments of m h.

    The precision of a product of Gaussians is the sum of theirs, so a clean Gaussian is found at once.
    """
    amplitude, x, y, sigma, _, _ = state[_PARAMETERS]
    centre_x, centre_y, half_x, half_y = state[_FRAME]
    blur = (4 ** state[_LEVEL] - 1) / 12
    variance = sigma.square() + blur
    seen = state[_REST][:6] + state[_SQUARES][:6]
    u, v, uu, uv, vv = seen[1:] / seen[0]
    a, b, c = (uu - u * u) * half_x * half_x, (uv - u * v) * half_x * half_y, (vv - v * v) * half_y * half_y
    u, v = centre_x + u * half_x - x, centre_y + v * half_y - y
    scale = variance / (a * c - b * b).clamp_min(1e-6)
    p, q, r = c * scale - 1, -b * scale, a * scale - 1  # the heatmap's precision over that of the start
    lacking = (_LEAST_PRECISION - (p + r) / 2 + torch.hypot((p - r) / 2, q)).clamp_min(0)
    p, r = p + lacking, r + lacking
    det, s, t = p * r - q * q, (c * u - b * v) * scale, (a * v - b * u) * scale
    u, v = (r * s - q * t) / det, (p * t - q * s) / det
    far = (torch.hypot(u, v) / (2 * variance.sqrt())).clamp_min(1)
    xx = (r / det * variance - blur).clamp_min(_BIN**2).sqrt()
    yx = -q / det * variance / xx
    yy = (p / det * variance - blur - yx * yx).clamp_min(_BIN**2).sqrt()
    return torch.stack([amplitude, x + u / far, y + v / far, xx, yx, yy])


def _checked(
    heatmaps: Float32[Tensor, "N height width"],
    energy: Float32[Tensor, " N"],
    start: Float32[Tensor, "6 N"],
    found: Float32[Tensor, "7 N"],
    ended: Bool[Tensor, " N"],
) -> tuple[Float32[Tensor, "7 N"], Bool[Tensor, " N"]]:
    """Starts in place of failed fits; residuals summed up where the difference of two sums would not be exact."""
    height, width = heatmaps.shape[1:]
    extent = start.new_tensor([[width], [height]])
    near = ((found[1:3] >= -extent) & (found[1:3] <= 2 * extent)).all(0) & (found[0] <= _FAR * start[0])
    converged = ended & near
    found = torch.where(converged, found, torch.cat([start, found[6:]]))
    inexact = (~converged | (found[6] < _INEXACT * energy)).nonzero()[:, 0]
    amplitude, x, y, xx, yx, yy, _ = found[:, inexact]
    gaussian = torch.stack([amplitude, x, y, xx * xx, xx * yx, yx * yx + yy * yy, (xx * yy).square()])
    frame = start.new_tensor([[width - 1], [height - 1], [width], [height]]) / 2
    model, (phi, _) = _coefficients(gaussian, frame), _basis(height, width, start.device)
    for part in blocks(len(inexact), max(1, _CACHE // (height * width))):
        values = torch.mm(model[part], phi).exp2_().sub_(heatmaps[inexact[part]].flatten(1))
        found[6, inexact[part]] = torch.linalg.vector_norm(values, dim=1).square_()
    return found, converged
