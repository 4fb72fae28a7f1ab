"""The folders that commands take: a store, or an index."""

__all__ = ["IndexFolder", "NewStore", "StoreFolder"]

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

StoreFolder = Annotated[Path, Parameter(help="Folder of the store.")]
NewStore = Annotated[Path, Parameter(help="Folder of the new store.")]
IndexFolder = Annotated[Path, Parameter(help="Folder of the index.")]
