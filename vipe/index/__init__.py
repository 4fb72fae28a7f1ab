"""The archive, embedded and stored as a folder that answers: which of its poses are nearest?"""

from vipe.index.folder.checks import verify
from vipe.index.grow import Change
from vipe.index.index import PoseIndex
from vipe.index.neighbours import Neighbours
from vipe.index.radius import Within

__all__ = ["Change", "Neighbours", "PoseIndex", "Within", "verify"]
