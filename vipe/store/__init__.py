"""An archive of poses in Parquet; nothing else in the library knows its layout."""

from vipe.store.bodies import Note
from vipe.store.identical import PassedOver
from vipe.store.sources import read_sources
from vipe.store.store import PoseStore, Where

__all__ = ["Note", "PassedOver", "PoseStore", "Where", "read_sources"]
