"""Exact search by whatever joints are seen: the affine residual of every pose of a gallery (torch)."""

__all__ = ["Gallery", "affine_residual", "scan"]

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from vipe.embed.affine import column_basis
from vipe.errors import ShapeError
from vipe.geometry.planes import in_blocks, to_planes

_TILE = 16384  # poses: a step of a formula must take longer than its call, during which no other thread calls
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
class Gallery:
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
    def prepare(cls, poses: Float[Tensor, "N J 3"]) -> "Gallery":
        """Make poses ready on the device they are on; 1,000,000 take about a second on 2 cores.

        Args:
            poses: The joints that queries may show, any unit, origin and orientation; finite. A pose in a plane or on
                a line (`column_basis`) counts with the dimensions it has, a point with none.

        Raises:
            ShapeError: If poses are not (N, J, 3).
        """
        if poses.ndim != 3 or poses.shape[-1] != 3:
            raise ShapeError(f"poses must be (N, J, 3), got shape {tuple(poses.shape)}")
        count, joints = len(poses), poses.shape[1]
        tile = _TILE_GPU if poses.is_cuda else _TILE
        # Small galleries get a small tile, but one that divides into strides.
        tile = max(_STRIDE, min(tile, -(-count // _STRIDE) * _STRIDE))
        tiles = poses.new_zeros((-(-count // tile), joints, 3, tile), dtype=torch.float32)

        def fill(rows: slice) -> None:
            basis = _basis(to_planes(poses[rows]).double())
            tiles[rows.start // tile, ..., : basis.shape[-1]] = basis

        in_blocks(fill, count, tile)
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
    gallery: Gallery | Float32[Tensor, "N J 3"],
    joints: Int64[Tensor, " S"],
    xy: Float32[Tensor, "Q S 2"],
    k: int,
    rows: Int64[Tensor, " M"] | None = None,
) -> tuple[Int64[Tensor, "Q K"], Float32[Tensor, "Q K"]]:
    """Find the k poses of least affine residual for Q people who show the same joints.

    Every pose is compared, and the answer is that of `affine_residual` in double precision: single precision gives
    each pose a share and a bound on its error, and whatever could be among the first k is worked out again. Runs
    where the gallery lies; on a CPU with torch's number of threads.

    Args:
        gallery: The poses; a `Gallery` is prepared once for any joints, a tensor is for this one call.
        joints: Which of a pose's joints are seen.
        xy: Where they are seen, pixels; a person's must not all coincide.
        k: How many; fewer if there are fewer poses.
        rows: Look only at these poses; each at most once.

    Returns:
        Rows of the gallery and their residuals, least first, equal ones by row.
    """
    if not isinstance(gallery, Gallery):
        seen = gallery.index_select(1, joints) if rows is None else gallery[rows][:, joints]
        order = None if rows is None else rows.argsort()
        ready = Gallery.prepare(seen if order is None else seen[order])
        found, residual = scan(ready, torch.arange(len(joints), device=seen.device), xy, k)
        return found if rows is None else rows[order][found], residual
    unit = _unit(xy.double())
    rows = None if rows is None else rows.sort().values
    total = len(gallery) if rows is None else len(rows)
    workers = 1 if gallery.tiles.is_cuda else torch.get_num_threads()
    lists = [_Shortlist(len(xy), k, xy.device) for _ in range(workers)]
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

    in_blocks(work, workers, block=1)
    return _checked(gallery, joints, unit, _Shortlist.merged(lists), min(k, total))


class _Shortlist:
    """The poses that may be among the k best of each query, going by shares that are off by at most a margin.

    What stays has a share that, at its best, reaches the k-th largest share at its worst, so nothing is lost.
    """

    def __init__(self, queries: int, k: int, device: torch.device) -> None:
        self.k = k
        self.floor = torch.full((queries,), torch.finfo(torch.float32).min, device=device)
        empty = torch.empty(0, dtype=torch.int64, device=device)
        self._query, self._row = [empty], [empty]
        self._highest, self._margin = [empty.float()], [empty.float()]
        self._waiting = 0

    @classmethod
    def merged(cls, lists: "list[_Shortlist]") -> "_Shortlist":
        whole = cls(len(lists[0].floor), lists[0].k, lists[0].floor.device)
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
        if self.k <= len(margin) and floor.numel() and floor[0] == torch.finfo(torch.float32).min:
            lowest = highest - 2 * margin
            floor.copy_(lowest.topk(self.k, sorted=False).values.amin(1).maximum(floor))
        columns = highest.view(len(highest), _STRIDE, -1)
        query, column = (columns.amax(1) >= floor[:, None]).nonzero(as_tuple=True)
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
            self.floor = torch.maximum(self.floor, kth)
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

    def __init__(self, gallery: Gallery, joints: Int64[Tensor, " S"], unit: Float32[Tensor, "Q S 2"]) -> None:
        _, count, _, width = gallery.tiles.shape
        self.missing = sorted(set(range(count)) - set(joints.tolist()))
        self.many = len(unit) >= _MANY
        # Either each query is projected on a pose's basis, or the basis itself is found (its coordinates along axes
        # across the mean) and made the projector whose product with p pᵀ is the share: one product for all queries.
        vectors = _centred_axes(len(joints)).to(unit) if self.many else unit.mT.reshape(-1, len(joints))
        self.rows = unit.new_zeros((len(vectors) + 1, count))
        self.rows[:-1, joints] = vectors
        self.rows[-1, joints] = len(joints) ** -0.5
        self.products = unit.new_empty((len(self.rows), 3 * width))
        self.pivot, self.inverse = unit.new_empty((2, 3, width)).unbind()
        self.beside, self.lower = unit.new_empty((2, 2, width)).unbind()
        self.across, self.last, self.corner, self.margin, self.bias = unit.new_empty((5, width)).unbind()
        self.views = torch.empty(0)
        if self.many:
            seen = torch.einsum("rj,qjx->rxq", vectors, unit)
            self.views = _pairs(seen, unit.new_empty((len(vectors) * (len(vectors) + 1) // 2, len(unit)))).mT
            self.views = (self.views * _off_diagonal(len(vectors), 2.0).to(unit)).contiguous()
            self.projector = unit.new_empty((self.views.shape[1], width))
        self.highest = unit.new_empty((min(_CHUNK, len(unit)) if self.many else 1, width))

    def look(
        self,
        tile: Float32[Tensor, "J 3 tile"],
        chosen: Int64[Tensor, " M"] | slice | None,
        start: int,
        shortlist: "_Shortlist",
    ) -> None:
        """Put the tile's best poses on the list, or the best of those of its rows that are chosen."""
        products = self._factored(tile)
        bias = self.margin
        if chosen is not None:
            bias = self.bias.fill_(float("-inf"))
            bias[chosen] = self.margin[chosen]
        if not self.many:
            for query, own in enumerate(products.view(-1, 2, *tile.shape[1:])):
                x, y = own.square_()
                torch.addcmul(bias, x.add_(y)[0], self.inverse[0], out=self.highest[0])
                self.highest[0].addcmul_(x[1], self.inverse[1]).addcmul_(x[2], self.inverse[2])
                shortlist.offer(slice(query, query + 1), self.highest, self.margin, start)
            return
        _pairs(products.mul_(self.inverse.sqrt_()), self.projector)
        for first in range(0, len(self.views), _CHUNK):
            chunk = slice(first, min(first + _CHUNK, len(self.views)))
            highest = torch.mm(self.views[chunk], self.projector, out=self.highest[: chunk.stop - first])
            shortlist.offer(chunk, highest.add_(bias), self.margin, start)

    def _factored(self, tile: Float32[Tensor, "J 3 tile"]) -> Float32[Tensor, "R 3 tile"]:
        """Products of the rows with the basis of the seen joints of each pose, up to a scale for each coordinate.

        With C the products of a row with a pose's coordinates and G = L D Lᵀ the Gram matrix of its centred seen
        joints, gives L^-1 C, leaves D^-1 in `inverse` and, from the trace of G^-1, the error's bound in `margin`.
        """
        torch.mm(self.rows, tile.flatten(1), out=self.products)
        whole = self.products.view(-1, *tile.shape[1:])
        y: Tensor = whole[:-1]
        mean = whole[-1]
        # Off the diagonal everything is kept with the sign changed: all steps add then.
        pivot, inverse, lower, last = self.pivot, self.inverse, self.lower, self.last
        pivot.fill_(1).addcmul_(mean, mean, value=-1)
        beside = torch.mul(mean[:1], mean[1:], out=self.beside)
        across = torch.mul(mean[1], mean[2], out=self.across)
        for point in [tile[joint] for joint in self.missing]:
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
        y[:, 1:].addcmul_(lower, y[:, :1])
        y[:, 2].addcmul_(last, y[:, 1])
        # The trace: the entries of D^-1 times the squared rows of L^-1, of which `corner` is the third's first entry.
        corner = torch.addcmul(lower[1], last, lower[0], out=self.corner)
        last.square_().addcmul_(corner, corner).add_(1).mul_(inverse[2]).add_(inverse[0]).add_(inverse[1])
        torch.addcmul(last, lower[0].square_(), inverse[1], out=self.margin).mul_(_ROUNDING)
        return y


def _centred_axes(count: int) -> Float[Tensor, "axes count"]:
    """Orthonormal axes of the sets of numbers whose mean is zero."""
    mean_first = torch.cat([torch.ones(count, 1), torch.eye(count)[:, 1:]], dim=1).double()
    axes: Tensor = torch.linalg.qr(mean_first).Q[:, 1:].mT
    return axes


def _pairs(vectors: Float32[Tensor, "R C N"], out: Float32[Tensor, "D N"]) -> Float32[Tensor, "D N"]:
    """Upper triangles, row by row, of the symmetric R x R matrices that sum the C outer products."""
    start = 0
    for row, own in enumerate(vectors):
        part = out[start : start + len(vectors) - row]
        torch.mul(own[0], vectors[row:, 0], out=part)
        for other in range(1, len(own)):
            part.addcmul_(own[other], vectors[row:, other])
        start += len(part)
    return out


def _off_diagonal(count: int, weight: float) -> Float32[Tensor, " D"]:
    row, column = torch.triu_indices(count, count)
    return torch.where(row == column, 1.0, weight)


def _checked(
    gallery: Gallery,
    joints: Int64[Tensor, " S"],
    unit: Float[Tensor, "Q S 2"],
    shortlist: _Shortlist,
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

    in_blocks(work, len(row), _EXACT)
    # Equal poses may differ in the last digits, by where in a block they lie.
    explained = (explained * 2**40).round() / 2**40
    order = explained.argsort(descending=True, stable=True)
    order = order[query[order].argsort(stable=True)]
    count = query.bincount(minlength=len(unit))
    first = (count.cumsum(0) - count)[:, None] + torch.arange(k, device=row.device)
    best = order[first]
    return row[best], _residual(explained[best]).float()
