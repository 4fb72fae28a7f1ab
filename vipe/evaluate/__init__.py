"""How good a search is, measured honestly: metrics as functions, and the protocols."""

from vipe.evaluate.conditions import CONDITIONS, Condition
from vipe.evaluate.metrics import HIT_THRESHOLD, chance_at, hits_at, pose_distance, without_near_duplicates
from vipe.evaluate.protocols.search import SearchProtocol, evaluate_search
from vipe.evaluate.protocols.search_report import SearchReport, SearchScore
from vipe.evaluate.protocols.view_invariance import RetrievalProtocol, evaluate_retrieval
from vipe.evaluate.protocols.view_invariance_report import RetrievalReport, RetrievalScore

__all__ = [
    "CONDITIONS",
    "Condition",
    "HIT_THRESHOLD",
    "RetrievalProtocol",
    "RetrievalReport",
    "RetrievalScore",
    "SearchProtocol",
    "SearchReport",
    "SearchScore",
    "chance_at",
    "evaluate_retrieval",
    "evaluate_search",
    "hits_at",
    "pose_distance",
    "without_near_duplicates",
]
