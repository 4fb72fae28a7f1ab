"""Encoders: 3D poses and 2D keypoints into one space where near means alike; one method a folder.

`encoder` is the contract, `affine` the signature without training, `embedder` the trained embedding. The methods are
`vvipe`, `prvipe` and `towers`, each with network, losses and training; `presets` names their settings. `generation`
makes new poses.
"""

from vipe.embed.affine import AffineSignature
from vipe.embed.embedder import Embedder
from vipe.embed.encoder import Encoder, Metric
from vipe.embed.registry import find_encoder

__all__ = ["AffineSignature", "Embedder", "Encoder", "Metric", "find_encoder"]
