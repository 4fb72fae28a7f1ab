"""Make the picture of the four steps of a search: python docs/pictures/four_steps.py (a minute of one core).

One simulated photo of synthetic motion goes through the steps. The figures below them are those of the results on CMU
with noise 0.03 and 4 s around the query left out, read from benchmarks/results.
"""

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from make import HERE, arrow, command, overlay, people, person, photo_bones, save
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

import vipe
from vipe.lift import Lifter
from vipe.plots.figures import figure_2d, figure_in_camera
from vipe.retrieve import fit_cameras
from vipe.retrieve.candidates.affine import by_affine_camera

RESULTS = HERE.parent.parent / "benchmarks" / "results"
CONDITION, GALLERY = "noise 0.03", "4 s left out"
SHOWN = 6  # hypotheses, candidates


def main() -> None:
    """Write the picture beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        command("synth", "--out", work / "store", "--minutes", "6", "--fps", "10")
        command("index", "build", work / "store", "--out", work / "index")
        index = vipe.PoseIndex.open(work / "index")
        photo = people(vipe.PoseStore.open(work / "store"))[:1]
        drawn = Lifter.from_pretrained("default").sample(photo, SHOWN, torch.Generator().manual_seed(0)).poses[0]
        near = by_affine_camera(index, photo, 200).rows
        some = near[:, np.linspace(0, near.shape[1] - 1, SHOWN).astype(int)]
        candidates = SimpleNamespace(fits=fit_cameras(index.poses(some), photo))
        draw(HERE / "four_steps.png", photo, drawn, candidates, vipe.query(index, photo, 3, max_per_clip=1))


def draw(path: Path, photo: vipe.Keypoints, drawn: np.ndarray, fitted: SimpleNamespace, hits: vipe.Hits) -> None:
    """Four columns with arrows between, what each step finds below."""
    canvas = Canvas(figsize=(11, 4.3), dpi=110)
    FigureCanvasAgg(canvas)
    ground = canvas.add_axes((0, 0, 1, 1))
    ground.set_axis_off()
    ground.set_xlim(0, 11)
    ground.set_ylim(0, 4.3)
    heads = ("1. keypoints of a photo", "2. hypotheses of a lifter", "3. candidates of the archive", "4. ranked hits")
    for column, (head, lines) in enumerate(zip(heads, figures(), strict=True)):
        middle = 1.375 + 2.75 * column
        ground.text(middle, 4.12, head, ha="center", va="top", fontsize=10.5, weight="bold")
        ground.text(middle, 0.95, lines, ha="center", va="top", fontsize=9, linespacing=1.5)
        if column:
            arrow(ground, (middle - 1.5, 2.45), (middle - 1.25, 2.45))
    whole = figure_2d(photo.xy[0], photo.mask[0], photo.skeleton)
    person(place(canvas, 0.3, 1.25, 2.2), whole.points, photo_bones(photo))
    for number in range(SHOWN):
        x, y = 0.9 * (number % 3) - 0.12, 1.4 * (1 - number // 3)
        body = figure_in_camera(drawn[number])
        person(place(canvas, 2.75 + x, 1.15 + y, 1.3), body.points, body.bones, width=1.6)
        overlay(place(canvas, 5.5 + x, 1.15 + y, 1.3), photo, fitted, 0, number)
    for number in range(3):
        overlay(place(canvas, 8.0 + 0.9 * number, 1.7, 1.5), photo, hits, 0, number)
        chance = float(hits.probability[0, number])
        ground.text(8.75 + 0.9 * number, 1.5, f"{chance:.0%}", ha="center", fontsize=9)
    ground.text(0.15, 0.07, told(), fontsize=8, color="#5b6470")
    save(canvas, path)


def figures() -> tuple[str, str, str, str]:
    """What each step finds, of the tables on CMU."""
    search = table("search_cmu")[CONDITION]
    hypotheses = json.loads((RESULTS / "hypotheses_cmu.json").read_text(encoding="utf-8"))["report"]["results"]
    one, many = (found(hypotheses[f"default x {count}"]) for count in (1, 200))
    first, first_of_many, held = one["hit"]["0.1"]["1"], many["hit"]["0.1"]["1"], many["recall"]["200"]
    affine, whole, ten = (search["4 s out recall@200"], search["full, 4 s out @1"], search["full, 4 s out @10"])
    return (
        "13 points",
        f"first moment right: {first:.0%} with 1,\n{first_of_many:.0%} with 200 (mode hypotheses)",
        f"the nearest 200 hold it: {held:.0%} by hypotheses,\n{affine:.0f}% by affine camera (mode full)",
        f"first moment right: {whole:.0f}%,\none of ten: {ten:.0f}% (mode full)",
    )


def found(cameras: dict) -> dict:
    """The figures of a search, of all cameras, conditions and galleries."""
    (of_camera,) = cameras.values()
    return of_camera[CONDITION][GALLERY]


def table(name: str) -> dict[str, dict[str, float]]:
    """Rows of a table by their first cell."""
    source = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return {row[0]: dict(zip(source["columns"], row, strict=True)) for row in source["rows"]}


def told() -> str:
    """What the figures are of."""
    return (
        f"How often the first moment is right (Hit@1): CMU, {CONDITION}, {GALLERY}. The photo is of synthetic motion."
    )


def place(canvas: Canvas, x: float, y: float, size: float):
    """A square without axes, inches from the lower left."""
    axis = canvas.add_axes((x / 11, y / 4.3, size / 11, size / 4.3))
    axis.set_axis_off()
    axis.set_aspect("equal")
    axis.set_xlim(-0.6, 0.6)
    axis.set_ylim(-0.6, 0.6)
    return axis


if __name__ == "__main__":
    main()
