"""How good a search is: metrics as functions, baselines, and protocols that each give a report."""

from vipe.evaluate.conditions import CONDITIONS, Condition
from vipe.evaluate.metrics import HIT_DEPTHS, HIT_THRESHOLD, chance_at, hits_at, pose_distance, without_near_duplicates
from vipe.evaluate.protocols.calibration import evaluate_calibration
from vipe.evaluate.protocols.calibration_report import CalibrationReport
from vipe.evaluate.protocols.hypotheses import HYPOTHESES, evaluate_hypotheses
from vipe.evaluate.protocols.lifting import LIFT_CONDITIONS, LiftingProtocol, evaluate_lifting
from vipe.evaluate.protocols.lifting_report import LiftingReport, LiftingScore
from vipe.evaluate.protocols.search import SearchProtocol, evaluate_search
from vipe.evaluate.protocols.search_report import SearchReport, SearchScore
from vipe.evaluate.protocols.view_invariance import RetrievalProtocol, evaluate_retrieval
from vipe.evaluate.protocols.view_invariance_report import RetrievalReport, RetrievalScore

__all__ = [
    "CONDITIONS",
    "CalibrationReport",
    "Condition",
    "HIT_DEPTHS",
    "HIT_THRESHOLD",
    "HYPOTHESES",
    "LIFT_CONDITIONS",
    "LiftingProtocol",
    "LiftingReport",
    "LiftingScore",
    "RetrievalProtocol",
    "RetrievalReport",
    "RetrievalScore",
    "SearchProtocol",
    "SearchReport",
    "SearchScore",
    "chance_at",
    "evaluate_calibration",
    "evaluate_hypotheses",
    "evaluate_lifting",
    "evaluate_retrieval",
    "evaluate_search",
    "hits_at",
    "pose_distance",
    "without_near_duplicates",
]
