# %% [markdown]
# # Generate variations
#
# New poses from recorded ones: variations, the way between two, samples, hits bent to a photo; and how to take them
# along as files.

# %% [markdown]
# Set `DATA` to motion capture of your own, and everything below is about it. Without it the notebook makes synthetic
# motion.

# %%
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import vipe
from vipe.simulate.motion import synthesize

DATA = None  # path of your own motion capture (BVH, ASF/AMC, C3D ...: file, folder, archive); None: synthetic motion
DATA = DATA or os.environ.get("VIPE_NOTEBOOK_DATA")
work = Path(tempfile.mkdtemp())  # all files of this notebook
# %matplotlib inline

clips = vipe.read(DATA) if DATA else synthesize(minutes=6, fps=10, generator=np.random.default_rng(0))
store = vipe.PoseStore.create(work / "store", clips, fps=10)
poses = store.poses()
print(f"{len(poses):,} recorded poses")

# %% [markdown]
# ## What generates
#
# An embedding that decodes makes poses from 32 numbers. `default` comes with the library. `Prior` says where the
# numbers of recorded poses lie, and `JointLimits` how far their joints bend.

# %%
from vipe.embed.generation.joint_limits import JointLimits
from vipe.embed.generation.prior import Prior

embedder = vipe.Embedder.from_pretrained("default")
prior = Prior.fit(embedder.encode_poses(poses))
limits = JointLimits.learn(poses)

# %% [markdown]
# We start from the pose that is most unlike all others of the archive within the joint limits.

# %%
from vipe.store.most_different import most_different

different = most_different(store, 8).poses
inside = limits.within(different).all(axis=1)
source, target = different[inside][:2]

# %% [markdown]
# ## Variations
#
# Add a random direction to the pose's numbers, further and further, and decode. This is Figure 7 of Levy &
# Shrivastava 2024: the pose goes on moving the same way, because the embedding is smooth.

# %%
from vipe.plots.bodies.generation_strip import generation_strip

alphas = (0.2, 0.3, 0.4, 0.5)
varied = embedder.generate(source, alphas, 3, generator=np.random.default_rng(0), prior=prior, limits=limits)
directions = [f"direction {row + 1}" for row in range(3)]
generation_strip(source, varied, [f"alpha {alpha}" for alpha in alphas], labels=directions)

# %% [markdown]
# How far the variations are from the source, in torso lengths. Directions that leave the joint limits were drawn
# again.

# %%
from vipe.embed.generation.checks import bone_length_error, pose_difference
from vipe.plots.curves.lines import line_chart

print(f"largest error of a bone's length: {100 * bone_length_error(varied.reshape(-1, 17, 3), source):.3f}%")
away = {name: np.r_[0, pose_difference(made, source)] for name, made in zip(directions, varied, strict=True)}
line_chart("Distance from the source", (0, *alphas), away, x_label="alpha", y_label="torso lengths", dots=True)

# %% [markdown]
# ## Limbs that are held
#
# `limbs` names what may move. All other bones keep their directions exactly.

# %%
parts = (("left_arm",), ("arms",), ("legs",), ("torso", "head"))
settings = {"prior": prior, "limits": limits}
made = [
    embedder.generate(source, (0.5,), 4, generator=np.random.default_rng(1), limbs=own, **settings) for own in parts
]
generation_strip(source, np.stack(made)[:, :, 0], ["alpha 0.5"] * 4, labels=[" and ".join(own) for own in parts])

# %% [markdown]
# ## Between two poses
#
# The line between two poses' numbers, decoded. The ends are the two poses, with the body of the first.

# %%
from vipe.embed.generation.interpolation import interpolate
from vipe.plots.bodies.pose_rows import pose_rows

way = interpolate(embedder, source, target, 8)
pose_rows({"": way}, titles=[f"{share:.0%}" for share in np.linspace(0, 1, 8)], turned="first")

# %% [markdown]
# ## Samples, and joint limits
#
# Poses of nobody: draws of the prior. Some bend a joint further than any recorded pose. Those have the names of the
# joints above them.

# %%
from vipe.embed.generation.samples import sample

drawn = sample(embedder, 200, generator=np.random.default_rng(2), prior=prior)
broken = limits.broken(drawn)
first = [row for row, names in enumerate(broken) if not names][:6]
bad = [row for row, names in enumerate(broken) if names][:6]
pose_rows({"within limits": drawn[first], "outside": drawn[bad]}, titles={"outside": [broken[row][0] for row in bad]})

# %% [markdown]
# How many recorded poses, variations and samples are within the limits. Variations were drawn without regard to them
# here, around a pose that is itself an extreme one.

# %%
from vipe.plots.curves.bars import bar_chart

free = embedder.generate(source, alphas, 50, generator=np.random.default_rng(3), prior=prior)
shares = {"recorded": limits.within(poses).all(axis=1).mean()}
shares |= {
    f"variations, alpha {alpha}": limits.within(free[:, step]).all(axis=1).mean() for step, alpha in enumerate(alphas)
}
shares["samples"] = limits.within(drawn).all(axis=1).mean()
bar_chart("Within joint limits", {name: 100 * float(own) for name, own in shares.items()}, unit="%")

# %% [markdown]
# ## Hits bent to a photo
#
# The archive seldom holds the very pose of a photo. `bend_hits` (`vipe query --vary`) bends the first hit to the
# keypoints: seen limbs land on them, unseen ones follow the archive. Here the photographed person is a variation that
# the archive does not hold, and the left arm is not seen.

# %%
import torch

from vipe.retrieve.bent_hits import bend_hits
from vipe.simulate import View, simulate_keypoints
from vipe.skeletons import load

index = vipe.PoseIndex.build(store, embedder, work / "index")
photo = simulate_keypoints(
    varied[0, -1:], View(name="camera", azimuth=0.8, elevation=0.1), generator=np.random.default_rng(4)
)
hidden = [load("coco13").index(joint) for joint in ("left_elbow", "left_wrist")]
seen = photo.mask.copy()
seen[:, hidden] = False
photo = replace(photo, mask=seen)
hits = vipe.query(index, photo, k=1)
bent = bend_hits(index, photo, hits, 20, torch.Generator().manual_seed(0))
print(f"distance from the keypoints: the hit {hits.distance[0, 0]:.3f}, bent {bent.residual[0, 0, 0]:.3f} RMS radii")

# %% [markdown]
# The hit and its bent poses, as the camera sees them and from the side. Drawn together, the draws show what the photo
# leaves open.

# %%
from vipe.plots.bodies.compared_hypotheses import compared_hypotheses

found = hits.fits.poses[0, :1] - hits.fits.poses[0, :1, :1]
torso = np.linalg.norm(bent.poses[0, 0, 0, 8]) / np.linalg.norm(found[0, 8])  # both of one size
shown = {"the hit": found * torso, "bent": bent.poses[0, 0, :1], "20 draws": bent.poses[0, 0, 1:]}
compared_hypotheses(shown)

# %% [markdown]
# ## Take them along
#
# Any clip becomes a BVH or glTF file for animation programs. The way from above, written and read back:

# %%
from vipe.writers import write

clip = vipe.Clip(name="way", skeleton=load("h36m17"), positions=way, fps=4)
write(work / "way.bvh", clip)
(again,) = vipe.read(work / "way.bvh")
difference = np.abs(again.positions - way).max()
print(f"{len(again)} frames, {again.fps:g} a second; a joint is off by at most {1000 * difference:.2f} mm")
pose_rows({"written": way, "read": again.positions}, turned="first")

# %% [markdown]
# More: [generation](../docs/generation.md), [motion out](../docs/export.md), [hits bent to the
# photo](../docs/query.md#hits-bent-to-the-photo), [commands](../docs/cli.md) (`vipe generate`, `vipe query --vary`).
# Next: [map the archive](04_map_the_archive.py).
