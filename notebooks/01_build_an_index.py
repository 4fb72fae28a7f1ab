# %% [markdown]
# # Build an index
#
# From motion files to an index that finds poses: what happens to the data on the way, step by step.

# %% [markdown]
# Set `DATA` to motion capture of your own, and everything below is about it. Without it the notebook makes synthetic
# motion.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np

import vipe

DATA = None  # path of your own motion capture (BVH, ASF/AMC, C3D ...: file, folder, archive); None: synthetic motion
DATA = DATA or os.environ.get("VIPE_NOTEBOOK_DATA")
work = Path(tempfile.mkdtemp())  # all files of this notebook
# %matplotlib inline

# %% [markdown]
# ## Clips
#
# `vipe.read` gives a `Clip` for each motion in the files: named joints, positions in metres, z up, at the file's own
# rate.

# %%
from vipe.simulate.motion import synthesize

clips = list(vipe.read(DATA) if DATA else synthesize(minutes=6, fps=30, generator=np.random.default_rng(0)))
print(f"{len(clips)} clips, {sum(clip.seconds for clip in clips) / 60:.1f} minutes")
print(
    "the first:",
    clips[0].name,
    "-",
    len(clips[0]),
    "frames,",
    f"{clips[0].fps:g} a second, on {clips[0].skeleton.name}",
)

# %% [markdown]
# ## A store
#
# The store keeps one row a pose, on 17 joints, as Parquet. Ten poses a second are enough to find moments.

# %%
store = vipe.PoseStore.create(work / "store", clips, fps=10)
print(f"{len(store):,} poses of {len(store.clips())} clips")

# %% [markdown]
# The store says what it holds. These are the actions with the most poses, where the files name actions, and else the
# clips.

# %%
from collections import Counter

from vipe.plots.curves.bars import bar_chart

labels = store.table(["action", "clip"])
names = labels["action"].to_pylist()
names = names if any(names) else labels["clip"].to_pylist()
bar_chart("Poses in the store", dict(Counter(names).most_common(12)), unit="poses")

# %% [markdown]
# One clip, a pose each half second.

# %%
from vipe.plots.bodies.pose_rows import pose_rows
from vipe.store.moments import take_moment

longest = max(store.clips(), key=lambda clip: clip["rows"])["clip"]
moment = take_moment(store, longest)
frames = np.arange(0, len(moment), 5)[:8]
recorded = moment.clip.positions[frames]
pose_rows({longest: recorded}, titles=[f"{seconds:.1f} s" for seconds in moment.time[frames]], turned="no")

# %% [markdown]
# Broken files show first in the poses that differ most from all others. Look at them before you build anything on a
# new archive.

# %%
from vipe.store.most_different import most_different

different = most_different(store, 8)
pose_rows({"": different.poses}, titles=[name[:18] for name in different.clip])

# %% [markdown]
# ## Canonical poses
#
# A search shall not care where a person stands, how they are turned, or how large they are. So each pose is put on
# one body, faces one way, and has one size. Nothing is lost: `restore` gives the recorded pose back.

# %%
canonical = vipe.canonicalize(different.poses)
error = np.abs(canonical.restore() - different.poses).max()
print(f"largest error after restoring: {1000 * error:.3f} mm")
pose_rows({"as recorded": different.poses, "canonical": canonical.poses}, turned="no")

# %% [markdown]
# ## An index
#
# An index holds a row of numbers for each pose, made so that the keypoints of a photo can be compared with them.
# There are two kinds:
#
# - **affine signature**: 78 numbers, from a formula. Their inner product with what keypoints give is how badly the
#   best affine camera fits. No training.
# - **`default` embedding**: 32 numbers, learned. It comes with the library.
#
# Both work with the same queries.

# %%
affine = vipe.PoseIndex.build(store, vipe.AffineSignature(), work / "affine")
index = vipe.PoseIndex.build(store, vipe.Embedder.from_pretrained("default"), work / "learned")
for name, made in {"affine signature": affine, "default": index}.items():
    print(f"{name}: {made.embeddings.shape[1]} numbers for each of {len(made):,} poses")

# %% [markdown]
# An index is a folder that needs nothing else: neither the store nor the files. What takes how much of it:


# %%
def kilobytes(folder: Path) -> dict[str, float]:
    """Sizes of the files in a folder."""
    return {
        str(file.relative_to(folder)): file.stat().st_size / 1000
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


bar_chart("Files of the learned index", kilobytes(work / "learned"), unit="kB")

# %% [markdown]
# ## What a search sees
#
# Take one moment and photograph it: a simulated camera and a simulated detector give 13 keypoints, with errors of
# about 1.5 cm.

# %%
from vipe.simulate import View, simulate_keypoints

row = len(index) // 3
clip, frame = str(index.frames()["clip"][row]), int(index.frames()["frame"][row])
view = View(name="from the side", azimuth=2.2, elevation=0.2)
pose = store.poses({"clip": clip, "frame": frame})
photo = simulate_keypoints(pose, view, noise=0.03, generator=np.random.default_rng(0))
print(photo)

# %% [markdown]
# Compared with every pose of the archive, the residual of the best camera has a valley where the photo was taken. It
# has other valleys, too: poses that look alike from this side.

# %%
from vipe.plots.curves.lines import line_chart

near = affine.search(affine.encoder.encode_keypoints(photo), len(affine))
residual = np.empty(len(affine))
residual[near.rows[0]] = near.distance[0]
line_chart(
    "How badly each pose of the archive fits the photo",
    np.arange(len(affine)),
    {"residual": residual},
    x_label="pose of the archive, clip after clip",
    y_label="affine residual",
    marks={"the moment": row},
)

# %% [markdown]
# ## The first search
#
# `vipe.query` takes the nearest poses, fits a real camera and the person's proportions to each, and gives the
# likeliest, with probabilities. The photo is at the left. Hits are drawn over it.

# %%
from vipe.plots.bodies.hits import hits_over_keypoints

hits = vipe.query(index, photo, k=3, max_per_clip=1)
print(f"photographed: {clip}, frame {frame}; found: {hits.clip[0, 0]}, frame {hits.frame[0, 0]}")
hits_over_keypoints(photo, hits, labels=["the photo"])

# %% [markdown]
# What the probabilities mean is the matter of the next notebook, [query by keypoints](02_query_by_keypoints.py).
#
# More: [data](../docs/data.md), [motion files](../docs/formats.md), [how it works](../docs/how_it_works.md),
# [commands](../docs/cli.md) (`vipe ingest`, `vipe index build`).
