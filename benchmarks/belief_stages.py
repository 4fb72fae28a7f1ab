"""Six stages of belief maps, with and without a prior of 3D poses: 2D error by stage, all joints and occluded ones.

python benchmarks/belief_stages.py [--work out/belief_stages] [--ways without with] [--seeds 0 1 2] [--out FOLDER]

People are drawn from synthetic motion by `vipe.simulate.draw_people`, once, into the folder `--work`; the prior is
fitted to the poses of the clips that are drawn to train on. As in the paper, a network without a prior is trained first
(`--before` steps, one a seed): a first stage and one other, used twice, by the likelihood of the true places. All later
stages start from that one, and training goes on end to end by the paper's loss (`--steps`), once a way: the same
network, pictures, order and steps, with the prior fused in each stage or without it. Each training that is
finished is kept in the folder and not done again. `--out` writes the tables, `--picture` draws belief maps before and
after the fusion. Errors are pixels of the pictures, which are 64 pixels wide.
"""

import argparse
import json
import math
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inputs import arguments
from results_tables import write

from vipe.detections import Keypoints
from vipe.lift import Lifter
from vipe.lift.ppca.lifter import PPCAConfig, PPCALifter
from vipe.lift.ppca.training import PPCATrainingConfig, train_ppca
from vipe.lift.stages import BeliefStages, PriorConfig, ProjectedBeliefs, SmallStagesConfig, small_stages, stage_loss
from vipe.lift.stages.beliefs import beliefs_at, gaussian_beliefs, peaks, to_image, to_map
from vipe.lift.stages.network import STRIDE
from vipe.plots.bodies.beliefs import BeliefRow, save_beliefs
from vipe.simulate import DrawConfig, DrawnPeople, draw_people, random_views
from vipe.simulate.motion import synthesize
from vipe.skeletons.working import COCO13

DRAWN = DrawConfig(coded=0.8, clutter=2)  # limbs have colours of their own, so that a small network finds what is seen
TILT = 0.15  # radians: the middle of the cameras' elevations. The paper knows that of each camera.
SIGMA = 1.5  # pixels of the maps
WAYS: dict[str, PriorConfig | None] = {  # what differs; all else is the same
    "without": None,
    "with": PriorConfig(sigma=SIGMA),
    "with, landmarks alike": PriorConfig(sigma=SIGMA, even=True),
    "with, no gradient": PriorConfig(sigma=SIGMA, gradient=False),
}
PARTS = ("train", "test")  # other clips of other bodies
RATES = (8e-3, 2e-3)  # of Adam: before, and with or without the prior
BATCH = 16
JOINTS = ("all", "occluded", "seen")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--work", type=Path, default=Path("out/belief_stages"))
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=["without", "with"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--clips", type=int, default=400, help="to train on; 0.15 times as many to test on")
    parser.add_argument("--pictures", type=int, default=8000)
    parser.add_argument("--tested", type=int, default=1000)
    parser.add_argument("--before", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--out", type=Path, help="folder of the tables' JSON files")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if options.out is not None and "without" not in options.ways:
        parser.error("--out needs the way 'without', which the others are compared with")
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    lifter, train, test = prior(options), pictures(options, "train"), pictures(options, "test")
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in options.ways}
    for seed in options.seeds:
        for way in options.ways:
            network = stages(way, lifter, seed, options.width)
            seconds = trained(network, way, seed, lifter, train, options)
            found = measured(network, way, seed, test, options)
            runs[way].append({"seed": seed, "seconds": seconds, "weights": weights(network), "errors": found})
            last = {joints: round(found["fused"][joints][-1], 2) for joints in JOINTS}
            print(f"{way}, seed {seed}: last stage, pixels {last}; {seconds:.0f} s", flush=True)
    if options.out is not None:
        tables(options, runs)
    if options.picture is not None:
        network = stages("with", lifter, options.seeds[0], options.width)
        trained(network, "with", options.seeds[0], lifter, train, options)
        draw(options.picture, network, test)


def poses(options: argparse.Namespace, part: str) -> np.ndarray:
    """Of clips that the other part does not have."""
    clips = options.clips if part == "train" else math.ceil(options.clips * 0.15)
    made = synthesize(clips=clips, fps=5.0, generator=np.random.default_rng(PARTS.index(part)))
    return np.concatenate([clip.positions for clip in made])


def prior(options: argparse.Namespace) -> PPCALifter:
    """The prior of poses. Few directions are tried: six stages ask it for each picture."""
    folder = options.work / "prior"
    if (folder / "config.json").is_file():
        kept = Lifter.from_pretrained(folder)
        assert isinstance(kept, PPCALifter)
        return kept
    config = PPCAConfig(components=2, dimensions=20, angles=24, tilt=(TILT,), roll=(0.0,))
    training = PPCATrainingConfig(starts=1, most_poses=10_000)
    return train_ppca(poses(options, "train"), poses(options, "test"), folder, network=config, config=training)


def pictures(options: argparse.Namespace, part: str) -> DrawnPeople:
    """Drawn people, kept in the folder."""
    count = options.pictures if part == "train" else options.tested
    file = options.work / f"{part}-{count}.npz"
    if not file.exists():
        generator, chosen = np.random.default_rng((count, PARTS.index(part))), poses(options, part)
        views = random_views(count, generator=generator, elevation=(-0.1, 0.4), roll=(-0.1, 0.1), distance=(3.0, 6.0))
        drawn = draw_people(
            chosen[generator.integers(len(chosen), size=count)], views, config=DRAWN, generator=generator
        )
        np.savez(file, images=drawn.images, xy=drawn.keypoints.xy, occluded=drawn.occluded)
    kept = np.load(file)
    return DrawnPeople(images=kept["images"], keypoints=Keypoints.of(kept["xy"]), occluded=kept["occluded"])


def stages(way: str, lifter: PPCALifter, seed: int, width: int) -> BeliefStages:
    config = WAYS[way]
    projected = None if config is None else ProjectedBeliefs(lifter.layer(), config=config)
    sizes = SmallStagesConfig(features=width, width=width)
    return small_stages(sizes, projected, generator=torch.Generator().manual_seed(seed))


def trained(
    network: BeliefStages, way: str, seed: int, lifter: PPCALifter, people: DrawnPeople, options: argparse.Namespace
) -> float:
    """Train, or load what was trained; gives the seconds of a core that it took."""
    first = options.work / f"before-{seed}-{options.before}-{options.width}.pt"
    file = kept_at(way, seed, options)
    start = time.process_time()
    if not first.exists():
        whole = stages("without", lifter, seed, options.width)
        one, other = whole.stages[0], whole.stages[1]
        before = BeliefStages(whole.backbone, [one, other, other])
        fit(before, people, options.before, RATES[0], seed, f"before, seed {seed}", likelihood=True)
        for later in whole.stages[2:]:
            later.load_state_dict(other.state_dict())
        torch.save({"state": whole.state_dict(), "seconds": time.process_time() - start}, first)
    start = time.process_time()
    if not file.exists():
        network.load_state_dict(torch.load(first, weights_only=True)["state"], strict=False)  # but for the fusion
        fit(network, people, options.steps, RATES[1], 100 + seed, f"{way}, seed {seed}")
        torch.save({"state": network.state_dict(), "seconds": time.process_time() - start}, file)
    kept = torch.load(file, weights_only=True)
    network.load_state_dict(kept["state"])
    return float(kept["seconds"])


def kept_at(way: str, seed: int, options: argparse.Namespace) -> Path:
    return Path(options.work) / f"{way}-{seed}-{options.before}-{options.steps}-{options.width}.pt"


def fit(
    network: BeliefStages,
    people: DrawnPeople,
    steps: int,
    rate: float,
    seed: int,
    label: str,
    *,
    likelihood: bool = False,
) -> None:
    """Train end to end."""
    network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam([part for part in network.parameters() if part.requires_grad], lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    images, xy = torch.tensor(people.images), torch.tensor(people.keypoints.xy)
    side = images.shape[1]
    generator = torch.Generator().manual_seed(seed)
    total, start = 0.0, time.process_time()
    for step in range(1, steps + 1):
        rows = torch.randint(len(images), (BATCH,), generator=generator)
        shown = as_input(images[rows]).contiguous(memory_format=torch.channels_last)
        places = xy[rows]
        target = gaussian_beliefs(to_map(places, STRIDE), (side // STRIDE, side // STRIDE), SIGMA)
        with torch.autocast("cpu", torch.bfloat16):
            fused = network(shown).fused
        loss = surprise(fused, to_map(places, STRIDE)) if likelihood else stage_loss(fused.float(), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % 100 == 0:
            print(f"{label}: step {step}, loss {total / 100:.1f}, {time.process_time() - start:.0f} s", flush=True)
            total = 0.0


def surprise(fused: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """How unlikely the maps have the true places, nats a joint: learned faster from nothing than squared errors."""
    return -(beliefs_at(fused, places[:, None].expand(*fused.shape[:3], 2)) + 1e-4).log().mean()


def as_input(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 3, 1, 2).float() / 255


def measured(
    network: BeliefStages, way: str, seed: int, people: DrawnPeople, options: argparse.Namespace
) -> dict[str, dict[str, list[float]]]:
    """The errors of a network, kept beside its weights."""
    file = kept_at(way, seed, options).with_suffix(f".{options.tested}.json")
    if not file.exists():
        file.write_text(json.dumps(errors(network, people)), encoding="utf-8")
    found: dict[str, dict[str, list[float]]] = json.loads(file.read_text(encoding="utf-8"))
    return found


@torch.no_grad()
def errors(network: BeliefStages, people: DrawnPeople) -> dict[str, dict[str, list[float]]]:
    """Mean distance from the true places by stage: of the fused maps, the network's own, and the prior's."""
    network.eval()
    found: dict[str, list[torch.Tensor]] = {"fused": [], "own": [], "projected": []}
    for start in range(0, len(people), 100):
        with torch.autocast("cpu", torch.bfloat16):
            beliefs = network(as_input(torch.tensor(people.images[start : start + 100])))
        for name, parts in found.items():
            if (maps := getattr(beliefs, name)) is not None:
                parts.append(to_image(peaks(maps.float()), STRIDE))
    truth, occluded = torch.tensor(people.keypoints.xy)[:, None], torch.tensor(people.occluded)
    chosen = {"all": torch.ones_like(occluded), "occluded": occluded, "seen": ~occluded}
    result = {}
    for name, parts in found.items():
        if parts:
            away = (torch.cat(parts) - truth).norm(dim=-1).transpose(0, 1)  # (stages, N, 13)
            result[name] = {joints: [one[mask].mean().item() for one in away] for joints, mask in chosen.items()}
    return result


def weights(network: BeliefStages) -> list[float] | None:
    """Of the network's own maps in each stage's fusion."""
    return None if network.weights is None else network.weights.detach().mean(1).tolist()


def tables(options: argparse.Namespace, runs: dict[str, list[dict[str, Any]]]) -> None:
    """The JSON files of results/belief_stages.md."""
    count = len(runs["without"][0]["errors"]["fused"]["all"])
    each = {f"stage {number}": 2 for number in range(1, count + 1)}
    means, lasts = [], []
    for way, of in runs.items():
        for name, title in {"fused": way, "own": f"{way}: own maps", "projected": f"{way}: prior's maps"}.items():
            if name in of[0]["errors"] and (name == "fused" or way != "without"):
                for joints in JOINTS:
                    values = np.mean([run["errors"][name][joints] for run in of], axis=0)
                    means.append([title, joints, *values.tolist()])
        if of[0]["weights"] is not None:
            means.append([f"{way}: weight w", "all", *np.mean([run["weights"] for run in of], axis=0).tolist()])
    for way in runs:
        for joints in JOINTS if way != "without" else ():
            for one, other in zip(runs["without"], runs[way], strict=True):
                pair = [run["errors"]["fused"][joints][-1] for run in (one, other)]
                lasts.append([way, joints, str(one["seed"]), *pair, pair[1] - pair[0], 100 * (pair[1] / pair[0] - 1)])
    spent = [
        torch.load(file, weights_only=True)["seconds"]
        for file in sorted(options.work.glob(f"before-*-{options.before}-{options.width}.pt"))
    ]
    per_way = {way: np.mean([run["seconds"] for run in of]) for way, of in runs.items()}
    took = ", ".join(f"{way} {seconds:.0f} s" for way, seconds in per_way.items())
    source = {
        "command": f"python benchmarks/belief_stages.py --out benchmarks/results --ways {quoted(options.ways)}",
        "data": f"{options.tested} drawn people of other clips and bodies; means of {len(options.seeds)} seeds",
        "seed": None,
        "training": f"{options.before} steps before ({np.mean(spent):.0f} s), {options.steps} each way ({took}), batch "
        f"{BATCH}, {options.pictures} pictures",
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), one used, other work beside it",
    }
    write(options.out / "belief_stages.json", source | {"columns": {"way": None, "joints": None} | each, "rows": means})
    columns = dict.fromkeys(("way", "joints", "seed")) | {"without": 2, "with": 2, "difference": 2, "%": 1}
    write(options.out / "belief_stages_seeds.json", source | {"columns": columns, "rows": lasts})


def quoted(ways: list[str]) -> str:
    return " ".join(f'"{way}"' if " " in way else way for way in ways)


@torch.no_grad()
def draw(path: Path, network: BeliefStages, people: DrawnPeople, stage: int = 0) -> None:
    """Occluded joints that the fusion of a stage brings from far away to their place, and one that it takes away."""
    network.eval()
    beliefs = network(as_input(torch.tensor(people.images[:400])))
    assert beliefs.projected is not None
    truth = torch.tensor(people.keypoints.xy[:400])
    away = {
        name: (to_image(peaks(maps[:, stage]), STRIDE) - truth).norm(dim=-1)
        for name, maps in (("own", beliefs.own), ("fused", beliefs.fused))
    }
    gain = (away["own"] - away["fused"]) * torch.tensor(people.occluded[:400])
    helped = [int(row) for row in gain.amax(1).argsort(descending=True)[:3]]
    harmed = int(gain.amin(1).argmin())
    rows = []
    for row in [*helped, harmed]:
        joint = int(gain[row].argmax() if row != harmed else gain[row].argmin())
        maps = [part[row, stage, joint].numpy() for part in (beliefs.own, beliefs.projected, beliefs.fused)]
        before, after = (away[name][row, joint] for name in ("own", "fused"))
        label = f"{COCO13.joints[joint].replace('_', ' ')}\n{before:.0f} to {after:.0f} px"
        picture, place = people.images[row], people.keypoints.xy[row, joint]
        rows.append(BeliefRow(label=label, picture=picture, network=maps[0], prior=maps[1], fused=maps[2], truth=place))
    save_beliefs(path, rows)


if __name__ == "__main__":
    main()
