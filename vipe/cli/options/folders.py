"""The folders that commands take: a store, or an index."""

__all__ = ["IndexFolder", "StoreFolder"]

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

StoreFolder = Annotated[Path, Parameter(help="Folder of the store.")]
IndexFolder = Annotated[Path, Parameter(help="Folder of the index.")]
