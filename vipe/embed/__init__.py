"""Encoders: 3D poses and 2D keypoints into one space where near means alike; one model a module."""

from vipe.embed.affine import AffineSignature
from vipe.embed.embedder import Embedder
from vipe.embed.encoder import Encoder, Metric
from vipe.embed.registry import find_encoder

__all__ = ["AffineSignature", "Embedder", "Encoder", "Metric", "find_encoder"]
