"""Make every picture of the docs from synthetic motion: python docs/pictures/make.py (a few minutes of one core)."""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

import vipe
from vipe.cli import app
from vipe.detections import write_coco_results
from vipe.embed.generation.joint_limits import JointLimits
from vipe.embed.generation.prior import Prior
from vipe.evaluate import pose_distance
from vipe.plots.bodies.sheet import save_sheet
from vipe.plots.figures import Card, colours, figure_2d, figure_3d, figure_in_camera
from vipe.simulate import View, simulate_keypoints
from vipe.skeletons import load

HERE = Path(__file__).parent
GREY = "#b9c0ca"
# Clip, frame and where the camera stands (radians around the person); docs/tutorial.md takes the same three.
PHOTOS = {"ball_0043": (30, 2.2), "talk_0040": (55, 0.9), "leap_0027": (15, 4.0)}
HITS = 4


def main() -> None:
    """Write all pictures beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        command("synth", "--out", work / "store", "--minutes", "6", "--fps", "10")
        command("index", "build", work / "store", "--out", work / "index", "--encoder", "default")
        store, index = vipe.PoseStore.open(work / "store"), vipe.PoseIndex.open(work / "index")
        write_coco_results(work / "photos.json", people(store))
        photos = vipe.read_keypoints(work / "photos.json")  # what the tutorial searches with: no covariance
        draw_hits(HERE / "first_search.png", index, photos, vipe.query(index, photos, 3, max_per_clip=1))
        one, clip = photos[1:2], next(iter(PHOTOS))
        draw_page(HERE / "page.png", one, vipe.query(index, one, HITS, max_per_clip=1))
        draw_absent(HERE / "absent.png", index, photos)
        draw_distances(HERE / "distances.png", index)
        draw_data_flow(HERE / "data_flow.png")
        command("synth", "--out", work / "more", "--minutes", "20", "--fps", "10", "--seed", "1")
        few = (
            "--queries",
            "150",
            "--condition",
            "noise 0.03",
        )  # of several conditions: one shows what the pictures are
        command("evaluate", "search", work / "more", *few, "--picture", HERE / "search.png")
        command("evaluate", "calibration", work / "more", *few, "--picture", HERE / "reliability.png")
        draw_variations(HERE / "variations.png", store, clip)


def command(*words: str | Path) -> None:
    """Run a command of the command line."""
    with suppress(SystemExit):
        app.main([str(word) for word in words])


def people(store: vipe.PoseStore) -> vipe.Keypoints:
    """Simulated photos of the three moments, as recorded."""
    poses = np.concatenate([store.poses({"clip": clip, "frame": frame}) for clip, (frame, _) in PHOTOS.items()])
    views = [View(name=clip, azimuth=azimuth, elevation=0.25) for clip, (_, azimuth) in PHOTOS.items()]
    return simulate_keypoints(poses, views, noise=0.03, generator=np.random.default_rng(0))


def draw_hits(path: Path, index: vipe.PoseIndex, photos: vipe.Keypoints, hits: vipe.Hits) -> None:
    """A row a photo: its keypoints, the first hit over them and from the front, and two further hits."""
    heads = ("keypoints of a photo", "first hit", "the same from the front", "second hit", "third hit")
    canvas, axes = grid(len(photos), len(heads))
    for axis, head in zip(axes[0], heads, strict=True):
        axis.set_title(head, fontsize=9)
    for row, line in enumerate(axes):
        photo = photos[row : row + 1]
        person(line[0], figure_2d(photo.xy[0], photo.mask[0], photo.skeleton).points, photo_bones(photo))
        line[0].text(0.5, -0.02, f"in the archive: {hits.presence[row]:.0%}", **below(line[0]))
        front = figure_3d(index.poses(hits.rows[row, 0]))
        person(line[2], front.points, front.bones)
        for place, axis in enumerate((line[1], line[3], line[4])):
            overlay(axis, photo, hits, row, place)
            when = f"{hits.clip[row, place]} at {hits.time[row, place]:.1f} s"
            axis.text(0.5, -0.02, when, **below(axis))
            bar(axis, float(hits.probability[row, place]))
    save(canvas, path)


def draw_page(path: Path, photo: vipe.Keypoints, hits: vipe.Hits) -> None:
    """One person as `vipe query --page` shows them, with numbers that the tutorial explains."""
    canvas, axes = grid(2, 1 + HITS)
    for axis in axes.flat:
        axis.set_axis_off()
    person(axes[0, 0], figure_2d(photo.xy[0], photo.mask[0], photo.skeleton).points, photo_bones(photo))
    axes[0, 0].set_title("query (1)", fontsize=9)
    axes[1, 0].text(
        0,
        0,
        f"(2) The archive holds\nthis pose with a\nprobability of {hits.presence[0]:.0%}.",
        ha="center",
        fontsize=9,
    )
    for place in range(HITS):
        overlay(axes[0, 1 + place], photo, hits, 0, place)
        number = " (3)" if place == 0 else ""
        axes[0, 1 + place].set_title(
            f"{place + 1}. {hits.clip[0, place]} {hits.time[0, place]:.2f} s{number}", fontsize=9
        )
        figure = figure_in_camera(hits.fits.poses[0, place])
        person(axes[1, 1 + place], figure.points, figure.bones)
        bar(axes[1, 1 + place], float(hits.probability[0, place]), "(5) " if place == 0 else "")
        axes[1, 1 + place].set_title("(4)" if place == 0 else "", fontsize=9)
    save(canvas, path)


def draw_absent(path: Path, index: vipe.PoseIndex, photos: vipe.Keypoints) -> None:
    """The same photos, searched in an archive without their clips."""
    canvas, axes = grid(len(photos), 2 + 2 * 2)
    for row, (line, clip) in enumerate(zip(axes, PHOTOS, strict=True)):
        photo = photos[row : row + 1]
        line[3].set_axis_off()
        person(line[0], figure_2d(photo.xy[0], photo.mask[0], photo.skeleton).points, photo_bones(photo))
        for first, where in ((1, None), (4, pc.field("clip") != clip)):
            hits = vipe.query(index, photo, 2, max_per_clip=1, where=where)
            what = "whole archive" if where is None else "without its clip"
            line[first].set_title(f"{what}: {hits.presence[0]:.0%}", fontsize=9, loc="left")
            for place in range(2):
                overlay(line[first + place], photo, hits, 0, place)
                line[first + place].text(0.5, -0.02, str(hits.clip[0, place]), **below(line[first + place]))
                bar(line[first + place], float(hits.probability[0, place]))
    save(canvas, path)


def draw_distances(path: Path, index: vipe.PoseIndex) -> None:
    """Pairs of poses of the archive that lie as far apart as the thresholds, one over the other."""
    asked, poses = (0.05, 0.1, 0.2, 0.4), index.canonical
    canvas, axes = grid(1, len(asked))
    row = int(np.flatnonzero((index.frames()["clip"] == "ball_0043") & (index.frames()["frame"] == 30))[0])
    away = pose_distance(poses[row][None], poses)
    for axis, distance in zip(axes[0], asked, strict=True):
        other = int(np.abs(away - distance).argmin())
        aligned = onto(poses[other], poses[row])
        for pose, grey in ((poses[row], True), (aligned, False)):
            figure = figure_3d(pose)
            flat = (pose - poses[row].mean(axis=0)) @ FRONT.T / 2.6
            person(axis, flat, [(a, b, GREY if grey else colour) for a, b, colour in figure.bones])
        axis.set_title(f"{away[other]:.2f} torso apart", fontsize=9)
    save(canvas, path)


FRONT = np.array(
    [[0.5, -0.866, 0], [0, 0, 1], [-0.866, -0.5, 0]]
)  # canonical axes as seen from the front, 30 degrees off


def onto(pose: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The similarity that best carries one pose onto another: what `pose_distance` measures after."""
    a, b = pose - pose.mean(axis=0), target - target.mean(axis=0)
    u, s, vt = np.linalg.svd(b.T @ a)
    s[-1] *= np.sign(np.linalg.det(u @ vt))
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    return s.sum() / (a**2).sum() * a @ (u @ vt).T + target.mean(axis=0)


def draw_variations(path: Path, store: vipe.PoseStore, clip: str) -> None:
    """Variations of one pose by growing alpha, a direction a row."""
    embedder, pose = vipe.Embedder.from_pretrained("default"), store.poses({"clip": clip, "frame": PHOTOS[clip][0]})[0]
    recorded, alphas = store.poses(), (0.1, 0.2, 0.3, 0.4, 0.5)
    made = embedder.generate(
        pose,
        alphas,
        3,
        generator=np.random.default_rng(0),
        prior=Prior.fit(embedder.encode_poses(recorded)),
        limits=JointLimits.learn(recorded),
    )
    facing = vipe.canonicalize(np.concatenate([pose[None], *made])).poses.reshape(-1, 17, 3)
    start = Card(figure=figure_3d(facing[0]), title="the pose")
    rows = []
    for number in range(3):
        of = facing[1 + 5 * number : 6 + 5 * number]
        cards = [Card(figure=figure_3d(one), title=f"alpha {a:g}") for one, a in zip(of, alphas, strict=True)]
        rows.append((f"direction {number + 1}", [start, *cards]))
    save_sheet(path, "Variations of one pose", rows)


def draw_data_flow(path: Path) -> None:
    """The way of the data, from files to hits: boxes are values, words beside the arrows are the packages."""
    canvas = Canvas(figsize=(9.2, 3.5), dpi=110)
    FigureCanvasAgg(canvas)
    axis = canvas.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    axis.set_xlim(0, 9.2)
    axis.set_ylim(0, 3.5)
    boxes = {
        "files": (0.75, 2.6, "motion files\nBVH, ASF/AMC"),
        "clip": (2.55, 2.6, "Clip"),
        "store": (4.15, 2.6, "PoseStore\nParquet"),
        "vectors": (6.1, 2.6, "embeddings\n(N, D)"),
        "index": (8.1, 2.6, "PoseIndex\nFAISS"),
        "json": (0.75, 0.75, "keypoint files\nCOCO, OpenPose"),
        "keypoints": (2.75, 0.75, "Keypoints"),
        "candidates": (4.7, 0.75, "candidates\n200 a person"),
        "fits": (6.45, 0.75, "fitted\ncameras"),
        "hits": (8.1, 0.75, "Hits"),
    }
    for x, y, text in boxes.values():
        axis.add_patch(
            FancyBboxPatch((x - 0.55, y - 0.27), 1.1, 0.54, boxstyle="round,pad=0.05", fc="white", ec="#5b6470")
        )
        axis.text(x, y, text, ha="center", va="center", fontsize=8.5)
    arrows = [
        ("files", "clip", "readers"),
        ("clip", "store", "store"),
        ("store", "vectors", "geometry,\nembed"),
        ("vectors", "index", "index"),
        ("json", "keypoints", "detections"),
        ("keypoints", "candidates", "embed"),
        ("candidates", "fits", "camera"),
        ("fits", "hits", "ranking"),
    ]
    for start, end, text in arrows:
        (x0, y0, _), (x1, _, _) = boxes[start], boxes[end]
        arrow(axis, (x0 + 0.61, y0), (x1 - 0.61, y0))
        axis.text((x0 + x1) / 2, y0 + 0.36, text, ha="center", va="bottom", fontsize=8, color=colours()["left"])
    arrow(axis, (8.1, 2.27), (4.75, 1.08))
    axis.text(6.9, 1.62, "search", fontsize=8, color=colours()["left"])
    axis.add_patch(FancyBboxPatch((4.0, 0.28), 4.75, 1.18, boxstyle="round,pad=0.06", fc="none", ec=GREY, ls="--"))
    axis.text(4.0, 0.06, "vipe.retrieve", fontsize=8, color="#5b6470")
    save(canvas, path)


def arrow(axis: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """An arrow between two points."""
    axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=10, color="#5b6470"))


def overlay(axis: Any, photo: vipe.Keypoints, hits: vipe.Hits, row: int, place: int) -> None:
    """A hit under its fitted camera, in colours, over the keypoints, in grey."""
    image, seen = hits.fits.project()[row, place], photo.xy[0][photo.mask[0]]
    low, high = np.minimum(seen.min(axis=0), image.min(axis=0)), np.maximum(seen.max(axis=0), image.max(axis=0))

    def placed(xy: np.ndarray) -> np.ndarray:
        return (xy - (low + high) / 2) / (high - low).max() * [1, -1]

    person(axis, placed(photo.xy[0]), [(a, b, GREY) for a, b, _ in photo_bones(photo)], width=4)
    skeleton = load("h36m17")
    person(axis, placed(image), figure_2d(image, np.ones(17, dtype=bool), skeleton).bones)


def photo_bones(photo: vipe.Keypoints) -> Sequence[tuple[int, int, str]]:
    """The bones that are drawn between seen keypoints."""
    return figure_2d(photo.xy[0], photo.mask[0], photo.skeleton).bones


def person(axis: Any, points: np.ndarray, bones: Sequence[tuple[int, int, str]], width: float = 2) -> None:
    """Coloured bones between points."""
    for a, b, colour in bones:
        axis.plot(points[[a, b], 0], points[[a, b], 1], color=colour, linewidth=width, solid_capstyle="round")


def bar(axis: Any, probability: float, number: str = "") -> None:
    """A bar as long as a probability, and its figure."""
    axis.plot([-0.45, 0.45], [-0.72, -0.72], color="#e4e7eb", linewidth=5, solid_capstyle="butt")
    axis.plot(
        [-0.45, 0.9 * probability - 0.45], [-0.72, -0.72], color=colours()["hit"], linewidth=5, solid_capstyle="butt"
    )
    axis.text(0.5, -0.72, f"{number}{probability:.0%}", fontsize=9, va="center", ha="left")


def below(axis: Any) -> dict[str, Any]:
    """Where a line of text below a figure stands."""
    return {"transform": axis.transAxes, "ha": "center", "va": "top", "fontsize": 8.5}


def grid(rows: int, columns: int) -> tuple[Canvas, np.ndarray]:
    """A white sheet of square places without axes."""
    canvas = Canvas(figsize=(1.85 * columns, 2.25 * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
        axis.set_aspect("equal")
        axis.set_xlim(-0.62, 0.78)
        axis.set_ylim(-0.8, 0.6)
    return canvas, axes


def save(canvas: Canvas, path: Path) -> None:
    """Write a picture, without the date that would make every run another file."""
    canvas.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    main()
