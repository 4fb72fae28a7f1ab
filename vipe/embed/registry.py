"""Find an encoder by its name or folder."""

__all__ = ["find_encoder"]

from pathlib import Path

from vipe import pretrained
from vipe.embed.affine import AffineSignature
from vipe.embed.embedder import Embedder
from vipe.embed.encoder import Encoder
from vipe.errors import ReadError

_LEARNED = tuple(network.kind for network in Embedder.networks)


def find_encoder(source: str | Path, *, device: str = "cpu") -> Encoder:
    """Load the encoder of a name or a folder.

    Args:
        source: "affine", which needs no training, the folder of a trained encoder, or the name of one that comes with
            the library.
        device: Where a trained one runs, as torch names it; affine signatures are made on the CPU.

    Raises:
        ReadError: If it does not exist, is broken, or is no encoder of poses.
        VipeError: If the device cannot be used.

    >>> find_encoder("affine").dim
    78
    """
    if str(source) == AffineSignature.name:
        return AffineSignature()
    trained = pretrained.load(source, also=(AffineSignature.name,))
    if trained.kind == AffineSignature.name:
        return AffineSignature.from_pretrained(source)
    if trained.kind not in _LEARNED:
        file, known = trained.where / "config.json", sorted((AffineSignature.name, *_LEARNED))
        raise ReadError(f"{file}: is a {trained.kind!r}; encoders are {', '.join(known)}")
    return Embedder.from_pretrained(source, device=device)
