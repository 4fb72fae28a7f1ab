"""How fast poses become canonical, beside Kabsch by batched SVD and beside a plain copy of the same bytes.

    python benchmarks/canonicalize.py [--poses 1000000] [--rounds 5] [--json]

Each round times all rows in turn. The best round of each row counts, for other work on the machine slows all of them.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import torch
from inputs import arguments

from vipe.geometry import (
    REFERENCE_LENGTHS,
    bone_vectors,
    canonical_rotation,
    canonicalize_array,
    from_bone_vectors,
    kabsch,
)
from vipe.geometry.planes import in_blocks
from vipe.skeletons import load

SKELETON = load("h36m17")
ANCHORS = [SKELETON.index(joint) for joint in ("left_hip", "right_hip", "spine")]
TARGETS = torch.tensor([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def people(count: int, generator: np.random.Generator) -> np.ndarray:
    """Bodies of adults' lengths anywhere in a room: hips roughly right and left of the pelvis, all else at random."""
    directions = generator.standard_normal((count, 16, 3), dtype=np.float32)
    for joint, side in (("right_hip", 1), ("left_hip", -1)):
        hip = SKELETON.index(joint) - 1
        directions[:, hip] = 0.2 * directions[:, hip] + np.array([0, side, 0], np.float32)
    spine = SKELETON.index("spine") - 1
    directions[:, spine] = 0.2 * directions[:, spine] + np.array([0, 0, 1], np.float32)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    vectors = directions * (np.asarray(REFERENCE_LENGTHS, np.float32) / 2)[:, None]
    root = torch.from_numpy(generator.uniform(-3, 3, (count, 3)).astype(np.float32))
    return from_bone_vectors(torch.from_numpy(vectors), SKELETON.parents, root).numpy()


def canonicalize_by_svd(poses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same result as written down in the paper: lengths, then Kabsch by SVD, on tensors as they come."""
    vectors = bone_vectors(poses, SKELETON.parents)
    lengths = vectors.norm(dim=-1)
    vectors = vectors * (poses.new_tensor(REFERENCE_LENGTHS) / lengths)[..., None]
    body = from_bone_vectors(vectors, SKELETON.parents)
    rotation = kabsch(body[:, ANCHORS], TARGETS.to(body).expand(len(body), 3, 3))
    return body @ rotation.mT, rotation, lengths


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--poses", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    poses = people(options.poses, np.random.default_rng(0))
    anchors = torch.from_numpy(poses[:, ANCHORS] - poses[:, :1])
    targets = TARGETS.expand(len(anchors), 3, 3).contiguous()
    # Slow rows get a tenth of the poses; what counts is poses a second.
    few = slice(0, max(1, options.poses // 10))

    def kabsch_in_blocks() -> None:
        def work(block: slice) -> None:
            kabsch(anchors[block], targets[block])

        in_blocks(work, few.stop)

    hips, spine = anchors[:, 1] - anchors[:, 0], anchors[:, 2].contiguous()

    def closed_form_in_blocks() -> None:
        def work(block: slice) -> None:
            canonical_rotation(hips[block], spine[block])

        in_blocks(work, options.poses)

    rows: dict[str, tuple[Callable[[], object], int]] = {
        "canonicalize, whole, numpy to numpy": (lambda: canonicalize_array(poses), options.poses),
        "Kabsch by torch.linalg.svd, anchors only": (lambda: kabsch(anchors[few], targets[few]), few.stop),
        "the same, in blocks over all cores": (kabsch_in_blocks, few.stop),
        "the same rotation in closed form": (closed_form_in_blocks, options.poses),
        "canonicalize with Kabsch by SVD, plain": (lambda: canonicalize_by_svd(torch.from_numpy(poses[few])), few.stop),
        "copy of the input (memory)": (poses.copy, options.poses),
    }
    rate, cpu = dict.fromkeys(rows, 0.0), dict.fromkeys(rows, float("inf"))
    for _ in range(options.rounds):
        for name, (run, count) in rows.items():
            start, used = time.perf_counter(), time.process_time()
            run()
            rate[name] = max(rate[name], count / (time.perf_counter() - start))
            # Time on all cores together: says the same thing when other programs use the machine.
            cpu[name] = min(cpu[name], (time.process_time() - used) / count)

    whole, svd, svd_blocks, closed, plain, copy = rate.values()
    expected = canonicalize_by_svd(torch.from_numpy(poses[few]).double())[0].float().numpy()
    worst = float(np.abs(canonicalize_array(poses[few]).poses - expected).max())
    result = {
        "threads": torch.get_num_threads(),
        "poses": options.poses,
        "poses_per_second": {name: round(value) for name, value in rate.items()},
        "cpu_nanoseconds_per_pose": {name: round(value * 1e9) for name, value in cpu.items()},
        "rotation_times_svd_kabsch": closed / svd,
        "rotation_times_svd_kabsch_in_blocks": closed / svd_blocks,
        "times_svd_kabsch": whole / svd,
        "times_svd_kabsch_in_blocks": whole / svd_blocks,
        "times_svd_pipeline": whole / plain,
        "share_of_copy_speed": whole / copy,
        "largest_difference_to_float64_svd": worst,
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{options.poses:,} poses, {torch.get_num_threads()} threads, best of {options.rounds} rounds")
    for name, value in rate.items():
        used = cpu[name] * 1e9
        print(f"  {name:<42} {value / 1e6:7.2f} M poses/s {whole / value:6.1f}x {used:7.0f} ns of CPU a pose")
    print(f"  rotation alone, closed form to SVD: {closed / svd:.1f}x; whole, closed form to SVD: {whole / plain:.1f}x")
    print(f"  largest difference to the same in float64 by SVD: {worst:.1e} torso")


if __name__ == "__main__":
    main()
