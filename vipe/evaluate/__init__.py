"""How good a search is, measured honestly: metrics as functions, and the protocols."""

from vipe.evaluate.metrics import HIT_THRESHOLD, chance_at, hits_at, pose_distance, without_near_duplicates

__all__ = ["HIT_THRESHOLD", "chance_at", "hits_at", "pose_distance", "without_near_duplicates"]
