"""Raw 2D: people compared by their keypoints alone, after the best similarity in the image (numpy; torch inside)."""

__all__ = ["Raw2D"]

import numpy as np
import torch
from jaxtyping import Float32, Int64

from vipe.arrays import Array, blocks
from vipe.detections import Keypoints, normalize_keypoints

_AT_ONCE = 64  # queries that are compared with a whole gallery at a time


class Raw2D:
    """The baseline without a model: how well one person's keypoints lie on another's after shift, turn and scale.

    With people as complex numbers p and q per joint, centred, the squared residual of the best similarity is
    |p|² (1 - |<p, q>|² / (|p|² |q|²)). A joint that either person lacks is left out, of the alignment too.
    """

    name = "raw 2D"

    def describe(self, keypoints: Keypoints) -> Float32[Array, "N 3 13"]:
        """Real parts, imaginary parts, and which joints are visible; of unit norm over the visible joints."""
        xy, _, _ = normalize_keypoints(keypoints)
        xy /= np.sqrt(np.maximum(keypoints.mask.sum(axis=1), 1))[:, None, None]
        return np.stack([xy[..., 0], xy[..., 1], keypoints.mask.astype(np.float32)], axis=1)

    def compare(self, query: Float32[Array, "Q 3 13"], gallery: Float32[Array, "G 3 13"]) -> Float32[Array, "Q G"]:
        """|<p, q>|² / (|p|² |q|²) over the joints that are visible in both."""
        (x, y, m), (u, v, w) = (torch.from_numpy(side).unbind(1) for side in (query, gallery))
        real = torch.cat([x, y], dim=1) @ torch.cat([u, v], dim=1).T
        imaginary = torch.cat([x, -y], dim=1) @ torch.cat([v, u], dim=1).T
        if m.all() and w.all():  # everybody is centred and of one size already
            return real.square_().addcmul_(imaginary, imaginary).numpy()
        joints = (m @ w.T).clamp_(min=1).reciprocal_()
        px, py, qu, qv = (x @ w.T, y @ w.T, m @ u.T, m @ v.T)
        real.sub_((px * qu).addcmul_(py, qv).mul_(joints))
        imaginary.sub_((px * qv).addcmul_(py, qu, value=-1).mul_(joints))
        size_p = ((x.square() + y.square()) @ w.T).sub_(px.square_().addcmul_(py, py).mul_(joints))
        size_q = (m @ (u.square() + v.square()).T).sub_(qu.square_().addcmul_(qv, qv).mul_(joints))
        likeness = real.square_().addcmul_(imaginary, imaginary).div_(size_p.mul_(size_q).clamp_(min=1e-12))
        return likeness.numpy()

    def rank(self, query: Keypoints, gallery: Keypoints, k: int) -> Int64[Array, "queries ranks"]:
        """The k gallery people whose keypoints look most like each query's, best first.

        Args:
            query: People to look for.
            gallery: One view of each gallery pose.
            k: How many rows to return for each query; all, if the gallery has fewer.
        """
        asked, views = self.describe(query), self.describe(gallery)
        k = min(k, len(views))
        ranked = np.empty((len(asked), k), dtype=np.int64)
        for rows in blocks(len(asked), _AT_ONCE):
            likeness = self.compare(asked[rows], views)
            nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
            order = np.argsort(-np.take_along_axis(likeness, nearest, axis=1), axis=1, kind="stable")
            ranked[rows] = np.take_along_axis(nearest, order, axis=1)
        return ranked
