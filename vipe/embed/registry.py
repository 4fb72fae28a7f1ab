"""Find an encoder by its name or folder."""

__all__ = ["find_encoder"]

from pathlib import Path

from vipe import pretrained
from vipe.embed.affine import AffineSignature
from vipe.embed.embedder import Embedder
from vipe.embed.encoder import Encoder
from vipe.errors import ReadError

_KINDS: dict[str, type[AffineSignature] | type[Embedder]] = {
    AffineSignature.name: AffineSignature,
    **{network.kind: Embedder for network in Embedder.networks},
}


def find_encoder(source: str | Path) -> Encoder:
    """Load the encoder of a name or a folder.

    Args:
        source: "affine", which needs no training, the folder of a trained encoder, or the name of one that comes with
            the library.

    Raises:
        ReadError: If it does not exist, is broken, or is no encoder of poses.

    >>> find_encoder("affine").dim
    78
    """
    if str(source) == AffineSignature.name:
        return AffineSignature()
    trained = pretrained.load(source)
    if trained.kind not in _KINDS:
        file = trained.where / "config.json"
        raise ReadError(f"{file}: is a {trained.kind!r}; encoders are {', '.join(sorted(_KINDS))}")
    return _KINDS[trained.kind].from_pretrained(source)
