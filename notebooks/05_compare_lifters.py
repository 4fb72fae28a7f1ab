# %% [markdown]
# # Compare lifters
#
# One image allows many 3D poses: what each lifter proposes, how its proposals spread, and whether the spread can be
# believed.

# %% [markdown]
# Set `DATA` to motion capture of your own, and everything below is about it. Without it the notebook makes synthetic
# motion.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

import vipe
from vipe.simulate.motion import synthesize

DATA = None  # path of your own motion capture (BVH, ASF/AMC, C3D ...: file, folder, archive); None: synthetic motion
DATA = DATA or os.environ.get("VIPE_NOTEBOOK_DATA")
work = Path(tempfile.mkdtemp())  # all files of this notebook
# %matplotlib inline

clips = vipe.read(DATA) if DATA else synthesize(minutes=6, fps=10, generator=np.random.default_rng(0))
store = vipe.PoseStore.create(work / "store", clips, fps=10)

# %% [markdown]
# Every fifth clip is held out: its poses are photographed. The others are what lifters may learn from.

# %%
names = [clip["clip"] for clip in store.clips()]
held_out = names[::5]
learned = [name for name in names if name not in held_out] or names
poses = store.poses({"clip": learned})
print(f"{len(poses):,} poses of {len(learned)} clips to learn from, {len(held_out)} clips held out")

# %% [markdown]
# ## Lifters
#
# Six kinds follow papers. Here each trains for seconds, with a small network: **these are toys**, to show how they
# differ. How good the kinds are with a full training is in [the results](../benchmarks/results/lifting.md).

# %%
from vipe.lift.presets import train

steps = {"regression": 250, "mdn": 250, "cvae": 200, "flow": 150, "propose": 200, "ppca": None}
lifters = {kind: train(kind, poses[::2], poses[1:400:2], work / kind, steps=count) for kind, count in steps.items()}

# %% [markdown]
# Two more need no training here. `default` comes with the library, a bone flow that learned from synthetic motion.
# `archive` has no network: it fits the archive's own poses to the keypoints, and proposes them.

# %%
from vipe.retrieve.archive_lifter import ArchiveLifter

index = vipe.PoseIndex.build(store, vipe.Embedder.from_pretrained("default"), work / "index", where={"clip": learned})
lifters = {"default": vipe.Lifter.from_pretrained("default"), "archive": ArchiveLifter(index), **lifters}

# %% [markdown]
# ## Photos, and hypotheses
#
# 60 held-out poses are photographed from anywhere, with keypoints that are off by about 1.5 cm. Each lifter proposes
# 100 poses for each.

# %%
from vipe.evaluate.conditions import Condition
from vipe.evaluate.protocols.lifting import LiftingProtocol, simulate_lifting
from vipe.simulate import NOISE_003

table = store.table(["clip", "action"], where={"clip": held_out})
rows = np.linspace(0, len(table) - 1, 60).astype(int)
clip, action = (table[name].to_numpy()[rows] for name in ("clip", "action"))
photographed = store.poses({"clip": held_out})[rows]
views = simulate_lifting(photographed, clip, action, Condition(name="noise 0.03", noise=NOISE_003), LiftingProtocol())
hypotheses = {
    name: lifter.sample(views.people, 100, torch.Generator().manual_seed(0)) for name, lifter in lifters.items()
}

# %% [markdown]
# ## One ambiguous image
#
# This is the photo over which `default` hesitates most: its hypotheses spread farthest in depth.

# %%
from vipe.plots.bodies.skeleton_2d import skeleton_2d

depth = np.sqrt(hypotheses["default"].spread()[:, :, 2, 2]).mean(axis=1)
row = int(depth.argmax())
skeleton_2d(views.people.xy[row], views.people.mask[row])

# %% [markdown]
# What each lifter makes of it: 30 of its hypotheses, and the true pose in black. From the camera, hypotheses should
# lie near the keypoints. From the side they differ, since the image does not tell the depth. A regression has one
# answer, in the middle of what is possible. The mixture (`mdn`) moves each joint on its own, so that its bodies
# tremble.

# %%
from vipe.plots.bodies.compared_hypotheses import compared_hypotheses

compared_hypotheses({name: own.poses[row] for name, own in hypotheses.items()}, truth=views.truth[row])

# %% [markdown]
# The same as numbers. A dot is a joint: how far its hypotheses spread in width and in depth. Above a panel stand the
# means in depth and in width. A lifter that knows what an image leaves open has its dots above the diagonal.

# %%
from vipe.plots.curves.spread import spread_by_direction

spread_by_direction({name: own.spread()[row] for name, own in hypotheses.items()})

# %% [markdown]
# Over all 60 photos:

# %%
from vipe.plots.curves.bars import bar_chart

spread = {}
for name, own in hypotheses.items():
    variance = np.diagonal(own.spread(), axis1=2, axis2=3)  # x, y, z of each joint
    spread[name] = [100 * float(np.sqrt(variance[..., :2].mean())), 100 * float(np.sqrt(variance[..., 2].mean()))]
bar_chart("Spread of hypotheses", spread, series=("in width", "in depth"), unit="cm", figure="{:.1f}")

# %% [markdown]
# ## Can the spread be believed?
#
# Draw balls around the middle of the hypotheses of each joint, so large that they hold 10%, 20% ... of them. If the
# lifter is calibrated, they hold the truth just as often. A curve below the diagonal is overconfident: the truth lies
# outside more often than the hypotheses say. The ECE is the mean distance from the diagonal (Pierzchlewicz et al.
# 2022). One pose without spread has 0.5.

# %%
from vipe.evaluate.lifting_calibration import radial_calibration
from vipe.plots.curves.coverage import coverage_curves

curves = {name: radial_calibration(own.poses, views.truth) for name, own in hypotheses.items()}
coverage_curves(curves)

# %% [markdown]
# ## How far off are they?
#
# The error of the single pose that a lifter gives, and of the best of its 100 hypotheses, in mm of a person with a
# torso of 490 mm. To pick the best one needs the truth, so it is no error that a user sees; it says whether the right
# pose is among them.

# %%
from vipe.evaluate.lifting_metrics import mpjpe

errors = {}
for name, lifter in lifters.items():
    single = mpjpe(lifter.predict(views.people)[:, None], views.truth).mean()
    best = mpjpe(hypotheses[name].poses, views.truth).min(axis=1).mean()
    errors[name] = [1000 * float(single), 1000 * float(best)]
bar_chart("Error", errors, series=("single pose", "best of 100"), unit="mm")

# %% [markdown]
# Remember: all but `default` and `archive` are toys here, and these photos show the same kind of motion that they
# learned from.
#
# More: [lifting](../docs/lift.md), [measured on recorded motion](../benchmarks/results/lifting.md), [the papers' own
# tables](../benchmarks/results/lifting_papers.md), [evaluation](../docs/evaluation.md#lifting).
