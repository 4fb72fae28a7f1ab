"""Models of which 3D poses given keypoints allow: one paper a file."""

from vipe.lift.hypotheses import Hypotheses
from vipe.lift.lifter import Lifter

__all__ = ["Hypotheses", "Lifter"]
