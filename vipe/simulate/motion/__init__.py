"""Procedural whole-body motion: clips of people who walk, sit, throw and dance, made from anatomy alone."""

from vipe.simulate.motion.programs import PROGRAMS
from vipe.simulate.motion.synthesis import synthesize

__all__ = ["PROGRAMS", "synthesize"]
