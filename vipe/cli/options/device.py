"""Where a command computes."""

__all__ = ["Device"]

from typing import Annotated

from cyclopts import Parameter

Device = Annotated[str, Parameter(help="Where to compute: `cpu`, or a GPU as torch names it: `cuda`, `cuda:1`.")]
