"""What lifting_papers.py trains: the rows of the papers' tables, as settings of the networks there are.

A row is a kind of lifter, the settings that it differs in from its paper's full model, and its share of the steps of
its kind. Rows of one paper's ablations have the same sizes and about the same CPU time as that paper's `full` row.

Presets: `cpu` takes minutes of a core a row; what it leaves unlike the papers is in `PRESETS`. `paper` has the papers'
sizes, which are the networks' defaults, and takes a GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vipe.lift.registry import NETWORKS
from vipe.lift.training import LifterTrainingConfig

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """A lifter to train."""

    kind: str
    main: bool = False  # one of the five that are compared with each other; else an ablation
    settings: Settings = field(default_factory=dict)
    share: float = 1.0  # of the steps: a row whose steps cost more, or change more, has fewer


ROWS: dict[str, Row] = {
    "regression": Row("regression", main=True),
    "mdn": Row("mdn", main=True),
    "cvae": Row("cvae", main=True),
    "flow": Row("flow", main=True),
    "propose": Row("propose", main=True),
    # li2019, tables 5 and 6
    "mdn-full": Row("mdn"),
    "mdn-1-kernel": Row("mdn", settings={"components": 1}),
    "mdn-3-kernels": Row("mdn", settings={"components": 3}),
    "mdn-8-kernels": Row("mdn", settings={"components": 8}),
    "mdn-no-prior": Row("mdn", settings={"concentration": 1.0}),
    # wehrbein2021, table 4; without a critic every step is the flow's
    "flow-full": Row("flow"),
    "flow-no-condition": Row("flow", settings={"conditioned": False}),
    "flow-no-hm": Row("flow", settings={"spread_weight": 0.0}),
    "flow-no-gen": Row("flow", settings={"realism_weight": 0.0}, share=1 / 3),
    "flow-no-mb": Row("flow", settings={"best_weight": 0.0}),
    "flow-best-least": Row("flow"),
    "flow-best-more": Row("flow"),
    "flow-best-many": Row("flow"),
    # han2025, tables 4 to 7; a step of end-to-end training is one of both phases
    "propose-full": Row("propose"),
    "propose-no-pilgd": Row("propose", settings={"instance_level": False}),
    "propose-no-pagd": Row("propose", settings={"pose_adaptive": False}),
    "propose-end-to-end": Row("propose", settings={"alternate": False}, share=0.5),
    "propose-no-m2m": Row("propose", settings={"mode_to_mode": False}),
    "propose-no-bi": Row("propose", settings={"bidirectional": False}),
    "propose-no-nll": Row("propose", settings={"alternate": False, "likelihood": False}, share=0.5),
    # sharma2019: the hybrid of both, and each of them alone
    "cvae-full": Row("cvae", settings={"relation_share": 0.0}),
    "cvae-gsnn-only": Row("cvae", settings={"relation_share": 0.0, "recognized": 0.0}),
    "cvae-only": Row("cvae", settings={"relation_share": 0.0, "recognized": 1.0}),
}
"""Names are those of the folders."""


@dataclass(frozen=True)
class Preset:
    """Sizes and steps of all rows."""

    sizes: Mapping[str, Settings]  # by kind, where they differ from the network's defaults
    best: Mapping[str, int]  # k of the rows of L_MB
    steps: Mapping[str, int]  # of the five main rows, by kind
    ablation_steps: Mapping[str, int]
    training: Settings


PRESETS = {
    # Chosen on validation clips: in so few steps a critic of the paper's weight draws all samples to one pose.
    "cpu": Preset(
        sizes={
            "regression": {"width": 512},
            "mdn": {"width": 512},
            "cvae": {"width": 256, "latent": 64, "samples": 5},
            "flow": {
                "width": 256,
                "encoder_width": 512,
                "encoder_blocks": 1,
                "hypotheses": 12,
                "best": 2,
                "critic_width": 128,
                "critic_pose_width": 64,
                "critic_steps": 2,
                "realism_weight": 0.05,
            },
        },
        best={"flow-best-least": 1, "flow-best-more": 3, "flow-best-many": 6},
        steps={"regression": 4_500, "mdn": 3_800, "cvae": 2_700, "flow": 2_400, "propose": 2_200},
        ablation_steps={"mdn": 1_300, "cvae": 700, "flow": 750, "propose": 900},
        training={"batch": 128, "warmup": 0.1},
    ),
    "paper": Preset(
        sizes={},
        best={"flow-best-least": 1, "flow-best-more": 10, "flow-best-many": 50},
        steps=dict.fromkeys(("regression", "mdn", "cvae", "flow", "propose"), 200_000),
        ablation_steps=dict.fromkeys(("mdn", "cvae", "flow", "propose"), 200_000),
        training={},
    ),
}

_CHECKS = 10  # validations of a training


def configuration(name: str, preset: str, steps: int | None = None) -> tuple[Any, LifterTrainingConfig]:
    """Network and training of a row.

    Args:
        name: Of the row.
        preset: One of `PRESETS`.
        steps: Of a row whose share of steps is 1; the preset's if not given.
    """
    row, chosen = ROWS[name], PRESETS[preset]
    settings = {**chosen.sizes.get(row.kind, {}), **row.settings}
    if name in chosen.best:
        settings["best"] = chosen.best[name]
    usual = (chosen.steps if row.main else chosen.ablation_steps)[row.kind]
    count = max(1, round((usual if steps is None else steps) * row.share))
    every = max(1, count // _CHECKS)
    training = LifterTrainingConfig(steps=count, validate_every=every, record_every=min(50, every), **chosen.training)
    return NETWORKS[row.kind].config_type(**settings), training
