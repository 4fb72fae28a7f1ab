"""The archive, embedded and stored as a folder that answers: which of its poses are nearest?"""

from vipe.index.hits import Hits
from vipe.index.index import PoseIndex
from vipe.index.manifest import verify

__all__ = ["Hits", "PoseIndex", "verify"]
