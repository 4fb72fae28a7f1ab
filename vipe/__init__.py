"""Search motion capture with the 2D keypoints of a photo, from any side."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vipe.same_name import warn_of_same_name

if TYPE_CHECKING:
    from vipe.clips import Clip
    from vipe.detections import Keypoints, read_keypoints
    from vipe.embed import AffineSignature, Embedder
    from vipe.errors import VipeError
    from vipe.geometry import CanonicalArrays as Canonical
    from vipe.geometry import canonicalize_array as canonicalize
    from vipe.index import PoseIndex
    from vipe.lift import Hypotheses, Lifter
    from vipe.readers import read
    from vipe.retrieve.hits import Hits
    from vipe.retrieve.query import query
    from vipe.skeletons import Skeleton
    from vipe.store import PoseStore

__all__ = [
    "AffineSignature",
    "Canonical",
    "Clip",
    "Embedder",
    "Hits",
    "Hypotheses",
    "Keypoints",
    "Lifter",
    "PoseIndex",
    "PoseStore",
    "Skeleton",
    "VipeError",
    "canonicalize",
    "query",
    "read",
    "read_keypoints",
]
__version__ = "0.1.0.dev0"

# Where each public name lives. Looked up on first use, so that `import vipe` loads neither torch nor FAISS.
_HOME = {
    "AffineSignature": "vipe.embed:AffineSignature",
    "Canonical": "vipe.geometry:CanonicalArrays",
    "Clip": "vipe.clips:Clip",
    "Embedder": "vipe.embed:Embedder",
    "Hits": "vipe.retrieve.hits:Hits",
    "Hypotheses": "vipe.lift:Hypotheses",
    "Keypoints": "vipe.detections:Keypoints",
    "Lifter": "vipe.lift:Lifter",
    "PoseIndex": "vipe.index:PoseIndex",
    "PoseStore": "vipe.store:PoseStore",
    "Skeleton": "vipe.skeletons:Skeleton",
    "VipeError": "vipe.errors:VipeError",
    "canonicalize": "vipe.geometry:canonicalize_array",
    "query": "vipe.retrieve.query:query",
    "read": "vipe.readers:read",
    "read_keypoints": "vipe.detections:read_keypoints",
}

warn_of_same_name(__path__[0])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vipe' has no attribute {name!r}")
    module, attribute = _HOME[name].split(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
