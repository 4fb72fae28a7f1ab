"""One example of every picture, and how pictures are compared. Run as a script it draws the references again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vipe.evaluate.protocols.calibration_report import CalibrationReport
from vipe.evaluate.protocols.lifting_report import LiftingReport, LiftingScore
from vipe.evaluate.protocols.search_report import SearchReport, SearchScore
from vipe.geometry import axis_angle
from vipe.geometry.upright import upright_pose
from vipe.lift import Hypotheses
from vipe.plots.bodies.generation_strip import generation_strip
from vipe.plots.bodies.hypotheses import hypotheses_over_keypoints
from vipe.plots.bodies.sheet import sheet
from vipe.plots.bodies.skeleton_2d import skeleton_2d
from vipe.plots.bodies.skeleton_3d import skeleton_3d
from vipe.plots.curves.error_by_samples import error_by_samples
from vipe.plots.curves.recall_by_speed import SpeedRow, recall_by_speed
from vipe.plots.curves.reliability import reliability, reliability_by_gallery
from vipe.plots.curves.search import search_picture
from vipe.plots.figures import Card, figure_2d, figure_3d
from vipe.simulate import View, simulate_keypoints
from vipe.skeletons.working import COCO13, H36M17

REFERENCES = Path(__file__).parent / "references"
_DPI = 40
_BLOCK = 4  # pixels a side: what is averaged before pictures are compared, so that outlines of letters do not count
_MOST_INK, _MOST_COLOUR = 0.35, 0.25  # of what is drawn in both, by which pictures may differ


def pose(bend=0.0):
    """Somebody whose left arm is raised, and whose right knee is bent; more with `bend`."""
    body = torch.from_numpy(upright_pose()).double()
    for side, joints, axis, angle in (
        ("left", ("elbow", "wrist"), (0.0, 1.0, 0.0), -0.6 - bend),
        ("right", ("elbow", "wrist"), (0.0, 1.0, 0.0), -1.2 + bend / 3),
        ("right", ("knee", "ankle"), (1.0, 0.0, 0.0), -0.9),
    ):
        centre = {"elbow": "shoulder", "knee": "hip"}[joints[0]]
        rows = [H36M17.index(f"{side}_{joint}") for joint in joints]
        at = body[H36M17.index(f"{side}_{centre}")]
        turn = axis_angle(torch.tensor(axis, dtype=torch.float64)[None], torch.tensor([angle]).double())[0]
        body[rows] = (body[rows] - at) @ turn.mT + at
    return body.float().numpy()


def keypoints(bend=0.0):
    """That person from the front, a little aside; the right wrist is not seen."""
    view = View(name="front", azimuth=-np.pi / 2 + 0.3, elevation=0.1)
    people = simulate_keypoints(pose(bend)[None], view, noise=0.0, generator=np.random.default_rng(0))
    mask = people.mask.copy()
    mask[:, COCO13.index("right_wrist")] = False
    return people.xy, mask, replace(people, mask=mask)


def _skeleton_2d():
    xy, mask, _ = keypoints()
    return skeleton_2d(xy[0], mask[0])


def _hypotheses():
    _, _, people = keypoints()
    camera = np.stack([pose(bend) for bend in np.linspace(-0.3, 0.3, 12)]) @ _in_camera().T
    poses = camera[None].astype(np.float32)
    return hypotheses_over_keypoints(people, Hypotheses(poses=poses, log_weight=np.zeros((1, 12), np.float32)))


def _in_camera():
    """World to camera of `keypoints`: x right, y down, z away."""
    ahead = np.array([np.cos(0.1) * np.sin(0.3), -np.cos(0.1) * np.cos(0.3), np.sin(0.1)])  # towards the camera
    right = np.cross([0.0, 0.0, 1.0], ahead)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, ahead), -ahead])


def _strip():
    poses = np.stack([[pose(side * step) for step in (0.3, 0.7, 1.1)] for side in (1, -1)])
    return generation_strip(pose(), poses, ["alpha 0.2", "alpha 0.4", "alpha 0.6"], labels=["noise 1", "noise 2"])


def _sheet():
    xy, mask, _ = keypoints()
    front = pose() @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]).T  # canonical bodies face -x
    cards = [Card(figure=figure_2d(xy[0], mask[0], COCO13), title="query")]
    cards += [
        Card(figure=figure_3d(front), title="walk 1.00 s", note="distance 0.02", hit=True),
        Card(figure=figure_3d(front * [1, 1, 0.8]), title="jump 0.40 s", note="distance 0.31", hit=False),
    ]
    return sheet("Hits", [("person 0", cards)])


def lifting_report():
    """Two lifters, one of which spreads too little."""

    def score(lifter, floor, wide):
        counts = (1, 5, 20, 200)
        best = {count: floor + 60 / (1 + np.log2(count) / 2) for count in counts}
        levels = np.linspace(0, 1, 21)
        coverage = levels**wide
        return LiftingScore(
            lifter=lifter,
            condition="noise 0.03",
            best={count: {"mean": one, "low": 0.9 * one, "high": 1.1 * one} for count, one in best.items()},
            best_aligned={count: 0.8 * one for count, one in best.items()},
            single={"predict": {"mean": floor + 30, "low": floor + 25, "high": floor + 35}},
            single_aligned={"predict": floor + 20},
            worst=floor + 120,
            universal={"single": floor},
            pck=0.9,
            pck_single=0.8,
            auc_single=0.5,
            cps=200.0,
            spread={"x": 30.0, "y": 30.0, "z": 90.0},
            reprojection=0.9,
            calibration={
                "ece": float(np.abs(coverage - levels).mean()),
                "curve": {"levels": levels.tolist(), "coverage": coverage.tolist()},
            },
            energy=280.0,
            symmetry=5.0,
            consistency=20.0,
            actions={},
            cost={"ms_one": 3.0},
        )

    return LiftingReport(
        protocol={"conditions": ["noise 0.03"], "samples": 200, "seed": 0},
        scores=(score("default", 30.0, 1.1), score("mdn", 45.0, 2.2)),
        queries=300,
        clips=12,
        seconds=4.0,
    )


def calibration_report():
    """Probabilities that are nearly right, by gallery."""

    def bins(off):
        sure = np.linspace(0.05, 0.95, 10)
        right = (sure + off * sure * (1 - sure)).clip(0, 1)
        share = np.array([4, 1, 1, 1, 1, 1, 1, 2, 3, 5]) / 20
        return [
            {"probability": float(a), "rate": float(b), "share": float(c)}
            for a, b, c in zip(sure, right, share, strict=True)
        ]

    kinds = ("within 0.1", "within 0.1, first hit", "presence")
    return CalibrationReport(
        protocol={"conditions": ["noise 0.03"], "seed": 0},
        rows=(),
        pooled={"first": 0.02, "all": 0.03, "close": 0.04, "presence": 0.05},
        presence_auroc=0.9,
        presence_auroc_left_out=None,
        bins={kind: bins(0.3 * i) for i, kind in enumerate(kinds)},
        gallery_bins={
            gallery: {kind: bins(0.3 * i - off) for i, kind in enumerate(kinds)}
            for gallery, off in (("whole gallery", 0.0), ("1 s left out", 0.6))
        },
        galleries=(),
        lists=(),
        share_of_five_clips=0.4,
        seconds=4.0,
    )


def search_report():
    """Two modes, raw 2D and chance, under two conditions."""

    def score(search, condition, at):
        hit = {0.1: {1: at, 10: min(1.0, at + 0.15)}}
        interval = {0.1: {k: (rate - 0.05, rate + 0.05) for k, rate in hit[0.1].items()}}
        return SearchScore(
            search=search,
            condition=condition,
            gallery="1 s left out",
            distance=4.0,
            error=0.1,
            recall={},
            milliseconds=2.0,
            queries={0.1: 30},
            hit=hit,
            interval=interval,
            concentration={0.1: 0.5},
        )

    rates = {"affine": (0.6, 0.5), "full": (0.8, 0.7), "raw 2D": (0.2, 0.1)}
    conditions = ("ground truth", "noise 0.03")
    scores = [score(name, one, rate[i]) for name, rate in rates.items() for i, one in enumerate(conditions)]
    return SearchReport(
        protocol={
            "thresholds": (0.1,),
            "ks": (1, 10),
            "distances": [4.0],
            "conditions": list(conditions),
            "modes": ["affine", "full"],
            "neighbourhood": 1.0,
            "recall_at": [],
        },
        scores=(*scores, score("chance", "any", 0.03)),
        queries=30,
        clips=5,
        gallery=800,
        seconds=3.0,
    )


def speed_rows():
    """Recipes of an index; the last one is beaten."""
    return [
        SpeedRow(name="flat", recall=1.0, queries_per_second=300.0, bytes=310_000_000),
        SpeedRow(name="fp16", recall=0.99, queries_per_second=500.0, bytes=156_000_000),
        SpeedRow(name="ivf", recall=0.93, queries_per_second=9_000.0, bytes=160_000_000),
        SpeedRow(name="int8", recall=0.9, queries_per_second=400.0, bytes=78_000_000),
    ]


PICTURES = {
    "skeleton_2d": _skeleton_2d,
    "skeleton_3d": lambda: skeleton_3d(pose()),
    "hypotheses": _hypotheses,
    "generation_strip": _strip,
    "sheet": _sheet,
    "error_by_samples": lambda: error_by_samples(lifting_report()),
    "reliability": lambda: reliability(calibration_report()),
    "reliability_by_gallery": lambda: reliability_by_gallery(calibration_report()),
    "recall_by_speed": lambda: recall_by_speed(speed_rows()),
    "search": lambda: search_picture(search_report()),
}


def pixels(drawn):
    """What a figure looks like, small: `(height, width, 3)`, 0 to 1."""
    drawn.set_dpi(_DPI)
    drawn.canvas.draw()
    return np.asarray(drawn.canvas.buffer_rgba())[..., :3].astype(np.float64) / 255


def differences(one, other):
    """How far two pictures differ in ink, and in colour, as shares of both: 0 where they are the same, 1 if all is.

    Blocks of pixels are compared, and white counts for nothing: a thin line in another place is a large difference.
    Letters have no colour, so what they look like on another machine does not count there.
    """
    if one.shape != other.shape:
        return 1.0, 1.0
    ink = [1 - picture for picture in (one, other)]
    return _apart(*ink), _apart(*(picture - picture.mean(axis=-1, keepdims=True) for picture in ink))


def looks_like(drawn, name):
    """Whether a figure looks like the reference of that name."""
    from matplotlib.image import imread

    ink, colour = differences(pixels(drawn), imread(REFERENCES / f"{name}.png")[..., :3].astype(np.float64))
    return ink < _MOST_INK and colour < _MOST_COLOUR


def _apart(one, other):
    a, b = _blocks(one), _blocks(other)
    return float(np.abs(a - b).sum() / max(np.abs(a).sum() + np.abs(b).sum(), 1e-9))


def _blocks(picture):
    """Means over blocks that overlap by half."""
    height, width = (side // _BLOCK * _BLOCK for side in picture.shape[:2])
    means = []
    for top, left in np.ndindex(2, 2):
        part = picture[top * 2 : height - 2 + top * 2, left * 2 : width - 2 + left * 2]
        rows, columns = (side // _BLOCK for side in part.shape[:2])
        part = part[: rows * _BLOCK, : columns * _BLOCK]
        means.append(part.reshape(rows, _BLOCK, columns, _BLOCK, 3).mean(axis=(1, 3)).ravel())
    return np.concatenate(means)


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        figure = draw()
        figure.set_dpi(_DPI)
        figure.savefig(REFERENCES / f"{name}.png", dpi=_DPI, metadata={"Software": None})
