"""An archive of poses in Parquet; nothing else in the library knows its layout."""

from vipe.store.store import PoseStore, Where

__all__ = ["PoseStore", "Where"]
