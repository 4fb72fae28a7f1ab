"""The archive, embedded and stored as a folder that answers: which of its poses are nearest?"""

from vipe.index.index import PoseIndex
from vipe.index.manifest import verify
from vipe.index.neighbours import Neighbours

__all__ = ["Neighbours", "PoseIndex", "verify"]
