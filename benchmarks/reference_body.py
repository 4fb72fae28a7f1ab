"""What the reference body's proportions do to a search without training: Hit@k by hips and forearm.

python benchmarks/reference_body.py [--source ../shared/mocap] [--part val train]

Poses of the clips of each part (clips.csv beside the motion), 10 frames/s, without near-duplicates, seen by the
simulated 3DHP rig with noise 0.03; ranked by the affine signature; hits are judged on the body in use.
"""

from pathlib import Path

import numpy as np
import torch
from inputs import FPS, MOCAP, arguments, splits

from vipe.embed.affine import pose_signature, view_signature
from vipe.evaluate import HIT_DEPTHS, HIT_THRESHOLD, pose_distance, without_near_duplicates
from vipe.evaluate.scoring import Scoring
from vipe.geometry import REFERENCE_LENGTHS, canonicalize_array, with_bone_lengths
from vipe.readers import read
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.skeletons import load
from vipe.skeletons.working import COCO13_IN_H36M17
from vipe.store.conversion import thin

SKELETON = load("h36m17")
BONES = [SKELETON.joints[child] for _, child in SKELETON.bones]
TORSO = 490  # millimetres, as in reference.toml
BODIES = ((133, 252), (110, 252), (100, 252), (85, 252), (85, 266), (75, 252), (65, 252))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--source", type=Path, default=MOCAP)
    parser.add_argument("--part", nargs="+", default=["val", "train"])
    options = parser.parse_args()
    if not options.source.is_dir():
        print(f"{options.source}: no motion capture here, so everything is left out; give --source")
        return
    split = splits(options.source / "clips.csv")
    clips = [clip.to(SKELETON) for clip in read(options.source) if split.get(clip.name) in options.part]
    for part in options.part:
        mine = [(clip, thin(len(clip), clip.fps, FPS)) for clip in clips if split[clip.name] == part]
        poses = np.concatenate([clip.positions[kept] for clip, kept in mine])
        names = [clip.name for clip, kept in mine for _ in kept]
        canonical = canonicalize_array(poses).poses
        rows = without_near_duplicates(canonical)
        generator = np.random.default_rng(0)
        seen = simulate_keypoints(poses[rows], CameraRig.load("mpi_inf_3dhp"), noise=0.03, generator=generator)
        asked = view_signature(torch.tensor(seen.xy)).numpy()
        clips_of = [names[row] for row in rows]
        scoring = Scoring(clips=clips_of, generator=lambda drawn=generator: drawn, thresholds=(HIT_THRESHOLD,))
        print(f"{part}: {len(rows):,} poses")
        for hip, forearm in BODIES:
            lengths = dict(zip(BONES, REFERENCE_LENGTHS, strict=True))
            lengths |= dict.fromkeys(("left_hip", "right_hip"), hip / TORSO)
            lengths |= dict.fromkeys(("left_wrist", "right_wrist"), forearm / TORSO)
            body = torch.tensor([lengths[bone] for bone in BONES])
            points = with_bone_lengths(torch.from_numpy(canonical[rows]), body, SKELETON.parents)
            gallery = pose_signature(points[:, list(COCO13_IN_H36M17)]).numpy()
            best = np.argsort(-(asked @ gallery.T), axis=1)[:, :20]
            score = scoring.of_distances(pose_distance(canonical[rows][best], canonical[rows][:, None]))
            shown = " / ".join(score.percent(HIT_THRESHOLD, k) for k in HIT_DEPTHS)
            print(f"  hips {hip}, forearm {forearm} mm: Hit@1/10/20 {shown}")


if __name__ == "__main__":
    main()
