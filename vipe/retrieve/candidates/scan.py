"""Exact search by whatever joints are seen: the affine residual of every pose of a gallery (torch)."""

__all__ = ["PreparedGallery", "affine_residual", "scan"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from vipe.cores import cores
from vipe.crossing import full_precision
from vipe.embed.affine import column_basis
from vipe.errors import ShapeError, VipeError
from vipe.geometry.planes import in_blocks, to_planes

_TILE = 32768  # poses: a step of a formula must take longer than its call, during which no other thread calls
_TILE_GPU = 1 << 17
_STRIDE = 16  # the best of every 16 rows is looked at first, and that is all that most tiles need

# The most that an explained share may be off, times the trace of the inverse of the seen joints' Gram matrix: first
# order of rounding that matrix and the projections at 6e-8. Tests hold what is measured to a quarter of it.
_ROUNDING = 1e-6
_LEAST_PIVOT = 1e-6  # here the margin reaches 1, the whole range of a share: only double precision can tell

_MANY = 8  # queries from which one matrix product over projectors beats a projection each
_CHUNK = 128  # queries: their products with a tile, 8 MB, stay in the shared cache
_EXACT = 4096  # candidates a block in double precision


@dataclass(frozen=True)
class PreparedGallery:
    """Poses made ready to be scanned: orthonormal bases of what cameras can make of them, joints first, poses last.

    Any invertible affine map of a pose leaves its affine images what they are, so each is stored centred and with
    orthonormal coordinates over all joints, made in double precision. The Gram matrix of the seen joints is then the
    identity less what is missing: few sums, and well conditioned unless the seen joints alone are nearly flat.

    Holds 12 bytes a joint and pose: 156 MB for 1,000,000 poses of 13 joints.
    """

    tiles: Float32[Tensor, "tiles J 3 tile"]
    """A tile's poses lie side by side, coordinate by coordinate; the last tile is filled up with zeros."""
    count: int
    """How many poses there are."""

    @classmethod
    def prepare(
        cls,
        poses: Float[Tensor, "N J 3"],
        joints: Sequence[int] | None = None,
        device: torch.device | str | None = None,
    ) -> "PreparedGallery":
        """Make poses ready; 1,000,000 take about a second on 2 cores.

        Args:
            poses: The joints that queries may show, any unit, origin and orientation; finite. A pose in a plane or on
                a line (`column_basis`) counts with the dimensions it has, a point with none.
            joints: Take only these joints, block by block, where a selection of all poses would fill memory once more.
            device: Where they are scanned, to which they go block by block; where they are by default.

        Raises:
            ShapeError: If poses are not (N, J, 3).
            VipeError: If a GPU has too little memory.
        """
        if poses.ndim != 3 or poses.shape[-1] != 3:
            raise ShapeError(f"poses must be (N, J, 3), got shape {tuple(poses.shape)}")
        count, kept = len(poses), poses.shape[1] if joints is None else len(joints)
        place = poses.device if device is None else torch.device(device)
        tile = _TILE if place.type == "cpu" else _TILE_GPU
        # Small galleries get a small tile, but one that divides into strides.
        tile = max(_STRIDE, min(tile, -(-count // _STRIDE) * _STRIDE))
        try:
            tiles = torch.zeros((-(-count // tile), kept, 3, tile), dtype=torch.float32, device=place)
        except torch.OutOfMemoryError as error:
            raise VipeError(f"{place}: cannot hold {count:,} poses: {str(error).splitlines()[0]}") from error

        def fill(rows: slice) -> None:
            points = (poses[rows] if joints is None else poses[rows, list(joints)]).to(place)
            basis = _basis(to_planes(points).double())
            tiles[rows.start // tile, ..., : basis.shape[-1]] = basis

        in_blocks(fill, count, tile, workers=_workers(tiles))
        return cls(tiles, count)

    def __len__(self) -> int:
        return self.count

    def at(self, rows: Int64[Tensor, " M"]) -> Float32[Tensor, "M J 3"]:
        """The poses at these rows, up to an affine map: centred, their coordinates orthonormal."""
        tile = self.tiles.shape[-1]
        points: Tensor = self.tiles[rows // tile, :, :, rows % tile]
        return points


def affine_residual(points: Float[Tensor, "N S 3"], xy: Float[Tensor, "Q S 2"]) -> Float[Tensor, "Q N"]:
    """Fit the best affine camera of every pose to every query, and say what it leaves.

    With B the orthonormal basis of a pose's centred seen joints and p the centred keypoints of unit Frobenius norm,
    this is sqrt(1 - |Bᵀp|²): the root of the squared residual over that of no camera but a shift. Fewer seen joints
    leave fewer dimensions in which a wrong pose could show, 2 (S - 4) of them, so residuals of queries with different
    joints do not compare, and at S = 4 every pose fits perfectly.

    Worked out in double precision: in single, one minus a share knows a perfect fit to 3e-4 only.

    Args:
        points: The seen joints of N poses, any unit.
        xy: The same joints of Q people in pixels; they must not all coincide.

    Reference:
        Equal, joint by joint, to least squares over cameras (2 x 3 matrix and shift); see `AffineSignature`.
    """
    basis = _basis(points.double().permute(1, 2, 0))
    explained = torch.einsum("qjx,jcn->qxcn", _unit(xy.double()), basis).square().sum((1, 2))
    return _residual(explained).to(xy.dtype)


def scan(
    gallery: PreparedGallery | Float32[Tensor, "N J 3"],
    joints: Int64[Tensor, " S"],
    xy: Float32[Tensor, "Q S 2"],
    k: int,
    rows: Int64[Tensor, " M"] | None = None,
) -> tuple[Int64[Tensor, "Q K"], Float32[Tensor, "Q K"]]:
    """Find the k poses of least affine residual for Q people who show the same joints.

    Every pose is compared, and the answer is that of `affine_residual` in double precision: single precision gives
    each pose a share and a bound on its error, and whatever could be among the first k is worked out again. Runs
    where the gallery lies; on a CPU with `vipe.cores.cores()` threads.

    Args:
        gallery: The poses; a `PreparedGallery` is prepared once for any joints, a tensor is for this one call.
        joints: Which of a pose's joints are seen.
        xy: Where they are seen, pixels; a person's must not all coincide.
        k: How many; fewer if there are fewer poses.
        rows: Look only at these poses; each at most once.

    Returns:
        Rows of the gallery and their residuals, least first, equal ones by row.
    """
    if not isinstance(gallery, PreparedGallery):
        seen = gallery.index_select(1, joints) if rows is None else gallery[rows][:, joints]
        order = None if rows is None else rows.argsort()
        ready = PreparedGallery.prepare(seen if order is None else seen[order])
        found, residual = scan(ready, torch.arange(len(joints), device=seen.device), xy, k)
        return found if rows is None else rows[order][found], residual
    unit = _unit(xy.double())
    rows = None if rows is None else rows.sort().values
    total = len(gallery) if rows is None else len(rows)
    workers = _workers(gallery.tiles)
    floor = torch.full((len(xy),), torch.finfo(torch.float32).min, device=xy.device)
    lists = [_BestSoFar(k, floor) for _ in range(workers)]
    width = gallery.tiles.shape[-1]
    edges = torch.arange(len(gallery.tiles) + 1, device=xy.device) * width
    ends = [] if rows is None else torch.searchsorted(rows, edges).tolist()

    def work(share: slice) -> None:
        scanner, shortlist = _Scanner(gallery, joints, unit.float()), lists[share.start]
        for number in range(share.start, len(gallery.tiles), workers):
            start = number * width
            chosen: Tensor | slice | None = None
            if rows is not None:
                chosen = rows[ends[number] : ends[number + 1]] - start
                if not len(chosen):
                    continue
            elif start + width > len(gallery):
                chosen = slice(0, len(gallery) - start)
            scanner.look(gallery.tiles[number], chosen, start, shortlist)

    with full_precision(gallery.tiles.device):  # which the bounds count on
        in_blocks(work, workers, block=1, workers=workers)
    return _checked(gallery, joints, unit, _BestSoFar.merged(lists), min(k, total))


def _workers(where: Tensor) -> int:
    """Threads that take blocks: a GPU does one step after another, and one thread tells it which."""
    return cores() if where.is_cpu else 1


class _BestSoFar:
    """The poses that may be among the k best of each query, going by shares that are off by at most a margin.

    What stays has a share that, at its best, reaches the k-th largest share at its worst, so nothing is lost. Lists of
    several threads write to the same floors: each knows a k-th largest of some of the poses, and all do no worse.
    """

    def __init__(self, k: int, floor: Float32[Tensor, " Q"]) -> None:
        self.k = k
        self.floor = floor
        empty = torch.empty(0, dtype=torch.int64, device=floor.device)
        self._query, self._row = [empty], [empty]
        self._highest, self._margin = [empty.float()], [empty.float()]
        self._waiting = 0

    @classmethod
    def merged(cls, lists: "list[_BestSoFar]") -> "_BestSoFar":
        whole = cls(lists[0].k, lists[0].floor)
        for part in lists:
            whole._query += part._query
            whole._row += part._row
            whole._highest += part._highest
            whole._margin += part._margin
        whole.tighten()
        return whole

    @property
    def pairs(self) -> tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]:
        """Queries and rows of what is left; after `tighten`."""
        return self._query[0], self._row[0]

    def offer(
        self, chunk: slice, highest: Float32[Tensor, "Q tile"], margin: Float32[Tensor, " tile"], start: int
    ) -> None:
        """Look at a tile's shares, at their highest, of some of the queries; minus infinity is never taken."""
        floor = self.floor[chunk]
        columns = highest.view(len(highest), _STRIDE, -1)
        best = columns.amax(1)
        if self.k <= best.shape[1] and floor.numel() and floor[0] == torch.finfo(torch.float32).min:
            # No k-th largest is below that of the columns' best, each of which is one pose.
            lowest = best - 2 * margin.view(_STRIDE, -1).amax(0)
            floor.copy_(lowest.topk(self.k, sorted=False).values.amin(1).maximum(floor))
        query, column = (best >= floor[:, None]).nonzero(as_tuple=True)
        if not len(query):
            return
        values = columns[query, :, column]
        which, step = (values >= floor[query, None]).nonzero(as_tuple=True)
        place = step * columns.shape[2] + column[which]
        self._query.append(query[which] + chunk.start)
        self._row.append(place + start)
        self._highest.append(values[which, step])
        self._margin.append(margin[place])
        self._waiting += len(which)
        if self._waiting > len(self.floor) * max(self.k, 256):
            self.tighten()

    def tighten(self) -> None:
        """Raise the floors to the k-th largest of the lowest shares, and drop what is below."""
        query, order = torch.cat(self._query).sort(stable=True)
        row, highest, margin = (torch.cat(part)[order] for part in (self._row, self._highest, self._margin))
        count = query.bincount(minlength=len(self.floor))
        place = torch.arange(len(query), device=query.device) - (count.cumsum(0) - count)[query]
        if len(query) and (width := int(count.max())) >= self.k:
            lowest = highest.new_full((len(count), width), float("-inf"))
            lowest[query, place] = highest - 2 * margin
            kth = lowest.topk(self.k, sorted=False).values.amin(1)
            torch.maximum(self.floor, kth, out=self.floor)
        keep = highest >= self.floor[query]
        self._query, self._row = [query[keep]], [row[keep]]
        self._highest, self._margin = [highest[keep]], [margin[keep]]
        self._waiting = 0


def _basis(planes: Float[Tensor, "S 3 N"]) -> Float[Tensor, "S 3 N"]:
    centred = planes - planes.mean(0)
    return column_basis(centred.permute(2, 0, 1)).permute(2, 1, 0)


def _unit(xy: Float[Tensor, "Q S 2"]) -> Float[Tensor, "Q S 2"]:
    centred = xy - xy.mean(dim=-2, keepdim=True)
    return centred / centred.square().sum((-2, -1), keepdim=True).sqrt()


def _residual(explained: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    return (1 - explained).clamp(min=0).sqrt()  # rounding may take a perfect fit just past 1


class _Scanner:
    """Shares of all poses of a tile for the same queries; one a thread, since it works in memory of its own.

    Memory asked for anew at every step would cost more than the arithmetic.
    """

    def __init__(self, gallery: PreparedGallery, joints: Int64[Tensor, " S"], unit: Float32[Tensor, "Q S 2"]) -> None:
        _, count, _, width = gallery.tiles.shape
        self.joints = joints.tolist()
        self.missing = sorted(set(range(count)) - set(self.joints))
        self.pivot, self.inverse, self.mean = unit.new_empty((3, 3, width)).unbind()
        self.beside, self.lower = unit.new_empty((2, 2, width)).unbind()
        self.across, self.last, self.corner, self.margin, self.bias = unit.new_empty((5, width)).unbind()
        self.many = len(unit) >= _MANY
        if not self.missing:
            self._take_as_it_is()
        if self.many:
            self._for_many(unit, width)
            return
        self.rows = unit.new_zeros((2 * len(unit), count))
        self.rows[:, joints] = unit.mT.reshape(-1, len(joints))
        self.products = unit.new_empty((len(self.rows), 3 * width))
        self.highest = unit.new_empty((1, width))

    def _for_many(self, unit: Float32[Tensor, "Q S 2"], width: int) -> None:
        """Queries as how far apart their keypoints are, and memory for what that is multiplied by.

        The rows of a projector P onto centred vectors sum to zero, so its diagonal says nothing new: the share
        <p pᵀ, P> is the sum over pairs of joints of -|p_j - p_k|² P_jk. A last row takes the margin.
        """
        seen = len(self.joints)
        first, second = torch.triu_indices(seen, seen, 1, device=unit.device)
        apart = (unit[:, first] - unit[:, second]).square().sum(-1)
        self.views = torch.cat([-apart, torch.ones_like(apart[:, :1])], dim=1)
        self.projector = unit.new_empty((self.views.shape[1], width))
        self.basis = unit.new_empty((3, seen, width))
        self.shift = unit.new_empty((3, width))
        ends = [0, *accumulate(range(seen - 1, 0, -1))]
        self.pairs = [
            (self.projector[start:end], [(axis[joint], axis[joint + 1 :]) for axis in self.basis])
            for joint, (start, end) in enumerate(pairwise(ends))
        ]
        # Seen joints that follow each other lie in one piece of memory: one call is enough.
        breaks = [i for i in range(1, seen) if self.joints[i] != self.joints[i - 1] + 1]
        self.pieces = [
            (slice(self.joints[start], self.joints[end - 1] + 1), self.basis[:, start:end].unbind())
            for start, end in pairwise([0, *breaks, seen])
        ]

    def look(
        self,
        tile: Float32[Tensor, "J 3 tile"],
        chosen: Int64[Tensor, " M"] | slice | None,
        start: int,
        shortlist: "_BestSoFar",
    ) -> None:
        """Put the tile's best poses on the list, or the best of those of its rows that are chosen."""
        if self.missing:
            self._factor(tile)
        bias = self.margin
        if chosen is not None:
            bias = self.bias.fill_(float("-inf"))
            bias[chosen] = self.margin[chosen]
        if self.many:
            self._project(tile)
            self.projector[-1] = bias
            for first in range(0, len(self.views), _CHUNK):
                chunk = slice(first, min(first + _CHUNK, len(self.views)))
                shortlist.offer(chunk, _product(self.views[chunk], self.projector), self.margin, start)
            return
        y = torch.mm(self.rows, tile.flatten(1), out=self.products).view(-1, *tile.shape[1:])
        if self.missing:
            y[:, 1:].addcmul_(self.lower, y[:, :1])
            y[:, 2].addcmul_(self.last, y[:, 1])
        for query, own in enumerate(y.square_().view(-1, 2, *tile.shape[1:])):
            first, second = own
            torch.addcmul(bias, first.add_(second)[0], self.inverse[0], out=self.highest[0])
            self.highest[0].addcmul_(first[1], self.inverse[1]).addcmul_(first[2], self.inverse[2])
            shortlist.offer(slice(query, query + 1), self.highest, self.margin, start)

    def _factor(self, tile: Float32[Tensor, "J 3 tile"]) -> None:
        """Factor the Gram matrix G = L D Lᵀ of each pose's centred seen joints.

        Leaves D^-1 in `inverse`; of L^-1 = (1 last) (lower 1) the rows that add to the coordinates after the first,
        in that order; and in `margin` the error's bound, from the trace of G^-1.
        """
        # Off the diagonal everything is kept with the sign changed: all steps add then.
        pivot, inverse, lower, last, mean = self.pivot, self.inverse, self.lower, self.last, self.mean
        # All joints together are centred, so the seen ones lie as far to one side as the missing to the other.
        mean.zero_()
        points = [tile[joint] for joint in self.missing]
        for point in points:
            mean.add_(point)
        mean.mul_(len(self.joints) ** -0.5)
        pivot.fill_(1).addcmul_(mean, mean, value=-1)
        beside = torch.mul(mean[:1], mean[1:], out=self.beside)
        across = torch.mul(mean[1], mean[2], out=self.across)
        for point in points:
            pivot.addcmul_(point, point, value=-1)
            beside.addcmul_(point[:1], point[1:])
            across.addcmul_(point[1], point[2])
        torch.reciprocal(pivot[0].clamp_(min=_LEAST_PIVOT), out=inverse[0])
        torch.mul(beside, inverse[0], out=lower)
        pivot[1:].addcmul_(lower, beside, value=-1)
        across.addcmul_(lower[0], beside[1])
        torch.reciprocal(pivot[1].clamp_(min=_LEAST_PIVOT), out=inverse[1])
        torch.mul(across, inverse[1], out=last)
        pivot[2].addcmul_(last, across, value=-1)
        torch.reciprocal(pivot[2].clamp_(min=_LEAST_PIVOT), out=inverse[2])
        # The trace: the entries of D^-1 times the squared rows of L^-1, of which `corner` is the third's first entry.
        corner = torch.addcmul(lower[1], last, lower[0], out=self.corner)
        torch.mul(last, last, out=self.margin).addcmul_(corner, corner).add_(1).mul_(inverse[2]).add_(inverse[0])
        torch.mul(lower[0], lower[0], out=across).add_(1).mul_(inverse[1])
        self.margin.add_(across).mul_(_ROUNDING)

    def _take_as_it_is(self) -> None:
        """All joints are seen, and their basis is orthonormal as it is stored."""
        self.inverse.fill_(1)
        self.margin.fill_(3 * _ROUNDING)

    def _project(self, tile: Float32[Tensor, "J 3 tile"]) -> None:
        """Write the pairs' entries of each pose's projector."""
        if not self.missing:
            for joints, axes in self.pieces:
                for axis, values in zip(axes, tile[joints].unbind(1), strict=True):
                    axis.copy_(values)
        else:
            self._whiten(tile)
        for part, ((x, others_x), (y, others_y), (z, others_z)) in self.pairs:
            torch.mul(x, others_x, out=part).addcmul_(y, others_y).addcmul_(z, others_z)

    def _whiten(self, tile: Float32[Tensor, "J 3 tile"]) -> None:
        """Make the basis D^-1/2 L^-1 X, and centre it; uses up what `_factor` left but the margin."""
        scale = self.inverse.sqrt_()
        ahead, corner = self.lower[0].mul_(scale[1]), self.corner.mul_(scale[2])
        last = self.last.mul_(scale[2])
        for joints, (x, y, z) in self.pieces:
            one, two, three = tile[joints].unbind(1)
            torch.mul(one, scale[0], out=x)
            torch.mul(two, scale[1], out=y).addcmul_(one, ahead)
            torch.mul(three, scale[2], out=z).addcmul_(two, last).addcmul_(one, corner)
        mean = self.mean.mul_(len(self.joints) ** -0.5)
        shift = torch.mul(mean, scale, out=self.shift)
        shift[1].addcmul_(mean[0], ahead)
        shift[2].addcmul_(mean[1], last).addcmul_(mean[0], corner)
        self.basis.add_(shift[:, None])


def _product(views: Float32[Tensor, "Q D"], projector: Float32[Tensor, "D tile"]) -> Float32[Tensor, "Q tile"]:
    if _ONEDNN is None or not views.is_cpu:
        return views @ projector
    product: Tensor = _ONEDNN(views, projector.T, None, "none", [], "")
    return product


def _onednn() -> Callable[..., Any] | None:
    """OneDNN's matrix product in single precision: more than twice as fast as torch.mm's on AMD's processors."""
    try:
        product: Callable[..., Any] = torch.ops.mkldnn._linear_pointwise.default
    except AttributeError:  # not a public name, and not in every build
        return None
    return product


_ONEDNN = _onednn()


def _checked(
    gallery: PreparedGallery,
    joints: Int64[Tensor, " S"],
    unit: Float[Tensor, "Q S 2"],
    shortlist: _BestSoFar,
    k: int,
) -> tuple[Int64[Tensor, "Q K"], Float32[Tensor, "Q K"]]:
    """Work out the shares of the short-listed poses in double precision, and keep the best."""
    query, row = shortlist.pairs
    # By row, and stable from here on: that is how equal poses come.
    row, order = row.sort()
    query = query[order]
    explained = unit.new_empty(len(row))

    def work(block: slice) -> None:
        points = gallery.at(row[block]).index_select(1, joints)
        basis = _basis(to_planes(points).double())
        own = unit[query[block]].permute(1, 2, 0)
        share = torch.zeros_like(explained[block])
        for column in basis.unbind(1):
            share += (own * column[:, None]).sum(0).square().sum(0)
        explained[block] = share

    in_blocks(work, len(row), _EXACT, workers=_workers(row))
    # Equal poses may differ in the last digits, by where in a block they lie.
    explained = (explained * 2**40).round() / 2**40
    order = explained.argsort(descending=True, stable=True)
    order = order[query[order].argsort(stable=True)]
    count = query.bincount(minlength=len(unit))
    first = (count.cumsum(0) - count)[:, None] + torch.arange(k, device=row.device)
    best = order[first]
    return row[best], _residual(explained[best]).float()
