"""Make the pictures of docs/mathematics.md from synthetic motion: python docs/pictures/ideas.py (some minutes).

With names of lifters it makes their pictures only: python docs/pictures/ideas.py mdn flow.
"""

import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make import GREY, HERE, command, grid, person, photo_bones
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from PIL import Image

import vipe
from vipe.evaluate import pose_distance
from vipe.geometry import bone_vectors, from_bone_vectors, look_at
from vipe.lift.presets import train
from vipe.plots.bodies.flat import draw_bones
from vipe.plots.bodies.hypotheses import draw_hypotheses
from vipe.plots.figures import colours, figure_2d, figure_3d, repeated
from vipe.retrieve import affine_camera, fit_cameras
from vipe.retrieve.archive_lifter import ArchiveLifter
from vipe.retrieve.ranking.marginal_likelihood import TILTS, marginal_likelihood
from vipe.simulate import View, simulate_keypoints
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17

LIFTERS = {  # trained small, for the picture; seconds to minutes
    "regression": "lifter_regression.png",
    "mdn": "lifter_mdn.png",
    "cvae": "lifter_cvae.png",
    "flow": "lifter_flow.png",
    "propose": "lifter_propose.png",
    "ppca": "lifter_ppca.png",
}
BODY = load("h36m17")
ELEVATION = 0.25
NEAR = ("leap_0027", 15, 4.0)
PHOTO = ("talk_0040", 55, 0.9)  # clip, frame, where the camera stands; one of the three of docs/tutorial.md


def main(only: list[str]) -> None:
    """Write the pictures beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        command("synth", "--out", work / "store", "--minutes", "6", "--fps", "10")
        store = vipe.PoseStore.open(work / "store")
        if not only:
            command("index", "build", work / "store", "--out", work / "index", "--encoder", "default")
            index = vipe.PoseIndex.open(work / "index")
            draw_canonical(HERE / "canonical.png", store)
            draw_signature(HERE / "signature.png", store, index)
            draw_camera(HERE / "camera.png", store)
            draw_likelihood(HERE / "likelihood.png", store, index)
            draw_embedding(HERE / "embedding.png", store)
            draw_lifter(HERE / "lifter_bone_flow.png", store, vipe.Lifter.from_pretrained("default"))
            draw_lifter(HERE / "lifter_archive.png", store, ArchiveLifter(index))
        command("synth", "--out", work / "more", "--minutes", "20", "--fps", "10", "--seed", "1")
        poses = vipe.PoseStore.open(work / "more").poses()
        for kind in only or list(LIFTERS):
            lifter = train(kind, poses[:-2000], poses[-2000:], work / kind, preset="tiny")
            draw_lifter(HERE / LIFTERS[kind], store, lifter)


def pose_of(store: vipe.PoseStore, clip: str, frame: int) -> np.ndarray:
    """One pose of a store, (1, 17, 3)."""
    return store.poses({"clip": clip, "frame": frame})


def photo_of(store: vipe.PoseStore, clip: str, frame: int, azimuth: float, distance: float = 4.0) -> vipe.Keypoints:
    """A simulated photo of a pose."""
    view = View(name=clip, azimuth=azimuth, elevation=ELEVATION)
    pose, rng = pose_of(store, clip, frame), np.random.default_rng(0)
    return simulate_keypoints(pose, view, distance=distance, noise=0.03, generator=rng)


def draw_canonical(path: Path, store: vipe.PoseStore) -> None:
    """Three people in one pose with other builds, places and directions; below, the canonical pose of each."""
    pose = torch.from_numpy(pose_of(store, *PHOTO[:2])[0]).double()
    rng, canvas_axes = np.random.default_rng(1), grid(2, 3)
    canvas, axes = canvas_axes
    for column, (size, turn) in enumerate(((1.0, 0.3), (0.72, 2.4), (1.12, 4.1))):
        vectors = bone_vectors(pose, BODY.parents) * torch.from_numpy(size * rng.uniform(0.85, 1.2, (16, 1)))
        c, s = np.cos(turn), np.sin(turn)
        around = torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
        body = from_bone_vectors(vectors, BODY.parents, pose[0]) @ around.T
        canonical = vipe.canonicalize(body[None].numpy()).poses[0]
        for axis, points, title in (
            (axes[0, column], body.numpy(), "as recorded"),
            (axes[1, column], canonical / 2, "canonical"),
        ):
            flat = points[:, 1:] - points[:, 1:].mean(axis=0)
            person(axis, 0.62 * flat, figure_3d(points).bones)
            axis.set_title(title, fontsize=9)
    keep(canvas, path)


def draw_signature(path: Path, store: vipe.PoseStore, index: vipe.PoseIndex) -> None:
    """Of every pose of an archive: its affine residual, and its distance from the pose of the photo."""
    photo = photo_of(store, *PHOTO)
    hits = vipe.query(index, photo, len(index), mode="affine")
    rows = hits.rows[0]
    away = pose_distance(vipe.canonicalize(pose_of(store, *PHOTO[:2])).poses, index.canonical[rows])
    canvas, axis = plot("distance from the pose of the photo, torso lengths", "affine residual")
    axis.scatter(away, hits.distance[0], s=5, color=colours()["left"], alpha=0.35, linewidths=0)
    axis.axvline(0.1, color=GREY, linewidth=1)
    axis.text(0.105, axis.get_ylim()[1] * 0.95, "a hit", fontsize=8, color="#5b6470", va="top")
    axis.set_xlim(0, None)
    axis.set_ylim(0, None)
    keep(canvas, path)


def draw_camera(path: Path, store: vipe.PoseStore) -> None:
    """A photo from near by: the true pose under the best affine camera, and under the fitted one."""
    photo = photo_of(store, *NEAR, distance=1.3)
    pose = vipe.canonicalize(pose_of(store, *NEAR[:2])).poses
    canvas, axes = grid(1, 2)
    affine = affine_camera(pose[None], photo)
    fits = fit_cameras(pose[None], photo)
    for axis, image, title in (
        (axes[0, 0], affine.project(pose[None])[0, 0], "best affine camera"),
        (axes[0, 1], fits.project()[0, 0], "fitted camera and bones"),
    ):
        seen = photo.xy[0][photo.mask[0]]
        low, high = seen.min(axis=0), seen.max(axis=0)
        scale, middle = (high - low).max(), (low + high) / 2
        person(
            axis, (photo.xy[0] - middle) / scale * [1, -1], [(a, b, GREY) for a, b, _ in photo_bones(photo)], width=4
        )
        left = np.linalg.norm(image[list(COCO13_IN_H36M17)] - photo.xy[0], axis=1).mean() / scale
        axis.text(0.5, -0.02, f"{left:.1%} of the person's height", transform=axis.transAxes, ha="center", fontsize=8)
        bones = figure_2d(image, np.ones(17, dtype=bool), BODY).bones
        person(axis, (image - middle) / scale * [1, -1], bones)
        axis.set_title(title, fontsize=9)
    keep(canvas, path)


def draw_likelihood(path: Path, store: vipe.PoseStore, index: vipe.PoseIndex) -> None:
    """The marginal likelihood of candidates at growing distance from the true pose, by how far bones may turn."""
    photo = photo_of(store, *PHOTO)
    truth = vipe.canonicalize(pose_of(store, *PHOTO[:2])).poses
    away = pose_distance(truth, index.canonical)
    rows = [int(np.abs(away - distance).argmin()) for distance in (0.0, 0.05, 0.1, 0.2, 0.3)]
    fits = fit_cameras(index.canonical[rows][None], photo)
    cost = marginal_likelihood(fits, photo).cost[:, 0]
    canvas, axis = plot("radians by which bones may turn", "log likelihood")
    for place, row in enumerate(rows):
        shade = 0.85 - 0.16 * place
        axis.plot(TILTS, -0.5 * cost[:, place], marker="o", markersize=3, color=(1 - shade, 0.35, shade))
        axis.annotate(
            f"{away[row]:.2f}", (TILTS[-1], -0.5 * cost[-1, place]), (4, -3), textcoords="offset points", fontsize=8
        )
    axis.set_ylim(np.median(-0.5 * cost) - 60, (-0.5 * cost).max() + 8)
    keep(canvas, path)


def draw_embedding(path: Path, store: vipe.PoseStore) -> None:
    """Poses and their views in the plane of the embedding's two widest directions."""
    embedder = vipe.Embedder.from_pretrained("default")
    poses = store.poses()
    chosen = poses[np.linspace(0, len(poses) - 1, 12).astype(int)]
    mean = (every := embedder.encode_poses(poses)).mean(axis=0)
    plane = np.linalg.svd(every - mean, full_matrices=False)[2][:2]
    views = [View(name=str(i), azimuth=2 * np.pi * i / 8, elevation=0.2) for i in range(8)]
    canvas, axis = plot("first principal direction", "second")
    dots = (every - mean) @ plane.T
    axis.scatter(dots[:, 0], dots[:, 1], s=3, color=GREY, linewidths=0, alpha=0.5)
    for row, pose in enumerate(chosen):
        seen = simulate_keypoints(pose[None].repeat(8, 0), views, noise=0.03, generator=np.random.default_rng(row))
        places = (embedder.encode_keypoints(seen) - mean) @ plane.T
        own = (embedder.encode_poses(pose[None]) - mean) @ plane.T
        colour = f"C{row % 10}"
        axis.scatter(places[:, 0], places[:, 1], s=22, marker="x", color=colour, linewidths=1)
        axis.scatter(own[:, 0], own[:, 1], s=45, color=colour, edgecolors="white", zorder=3)
    keep(canvas, path)


def draw_lifter(path: Path, store: vipe.PoseStore, lifter: vipe.Lifter) -> None:
    """Hypotheses for one photo: over the keypoints, and from the side with the true pose in black."""
    photo = photo_of(store, *PHOTO)
    generator = torch.Generator().manual_seed(0)
    poses = lifter.sample(photo, 40, generator).poses[0]
    single = lifter.predict(photo)[0]
    canvas, axes = grid(1, 3)
    even = np.full(len(poses), 1 / len(poses))
    axes[0, 0].set_xlim(auto=True)
    axes[0, 0].set_ylim(auto=True)
    draw_hypotheses(axes[0, 0], photo.xy[0], photo.mask[0], poses, even)
    truth = seen_by_camera(store)
    bones = figure_3d(truth).bones
    for axis, view in ((axes[0, 1], [0, 1]), (axes[0, 2], [2, 1])):
        flat = 0.62 * poses[..., view] * [1, -1]
        draw_bones(axis, flat.reshape(-1, 2), repeated(bones, 17, len(poses)), width=1.0, alpha=0.22)
        person(axis, 0.62 * single[:, view] * [1, -1], [(a, b, "#d62728") for a, b, _ in bones], width=1.4)
        person(axis, 0.62 * truth[:, view] * [1, -1], [(a, b, "black") for a, b, _ in bones], width=1.4)
    for axis, title in zip(axes[0], ("over the keypoints", "from the camera", "from the side"), strict=True):
        axis.set_title(title, fontsize=9)
    keep(canvas, path)


def seen_by_camera(store: vipe.PoseStore) -> np.ndarray:
    """The true pose in the space of the lifter: camera directions, pelvis at the origin, a torso of 0.49 m."""
    pose = torch.from_numpy(pose_of(store, *PHOTO[:2])).double()
    one = torch.ones(1, dtype=torch.float64)
    R_cam_world, _ = look_at(PHOTO[2] * one, ELEVATION * one, 4 * one, 0 * one, pose[:, 0])
    torso = (pose[:, [8, 7]] - pose[:, [7, 0]]).norm(dim=-1).sum()
    return (0.49 / torso * (pose - pose[:, :1]) @ R_cam_world.mT)[0].numpy()


def keep(canvas: Canvas, path: Path) -> None:
    """Write a picture without its empty edges, with 128 colours, so that it stays small."""
    whole = BytesIO()
    canvas.savefig(whole, dpi=130, bbox_inches="tight", pad_inches=0.08)
    Image.open(whole).convert("RGB").quantize(128).save(path, optimize=True)


def plot(x: str, y: str) -> tuple[Canvas, Any]:
    """A small plot."""
    canvas = Canvas(figsize=(5.2, 3.6), dpi=100, layout="constrained")
    FigureCanvasAgg(canvas)
    axis = canvas.subplots()
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    return canvas, axis


if __name__ == "__main__":
    main(sys.argv[1:])
