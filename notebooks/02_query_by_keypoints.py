# %% [markdown]
# # Query by keypoints
#
# A photo's people, a video and two cameras are searched for in an archive; and what the probabilities of the answer
# mean.

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
index = vipe.PoseIndex.build(store, vipe.Embedder.from_pretrained("default"), work / "index")
print(f"an archive of {len(index):,} poses, {len(store.clips())} clips")

# %% [markdown]
# ## A photo with four people
#
# With a photo of your own, a detector gives the keypoints: `vipe query INDEX --image photo.jpg`. Here the photo is
# drawn, so that we know the truth. It shows four moments of the archive. C's is the one that is least like any other
# clip's.

# %%
from vipe.evaluate import pose_distance

rng = np.random.default_rng(1)
poses, frames = store.poses(), index.frames()
chosen = np.sort(rng.choice(len(index), 12, replace=False))


def nearest_elsewhere(row: int) -> float:
    """Distance to the most similar pose of all other clips, torso lengths."""
    other = frames["clip"] != frames["clip"][row]
    return float(pose_distance(index.canonical[row][None], index.canonical[other]).min())


rare = max(chosen, key=nearest_elsewhere)
common = min(chosen, key=nearest_elsewhere)
others = [row for row in chosen if row not in (rare, common)]
rows = np.array([others[0], common, rare, others[-1]])
names = ["A", "B", "C", "D"]

# %% [markdown]
# A table hides B's legs. Of D only nose and shoulders were found.

# %%
from vipe.plots.bodies.photo import people_in_photo
from vipe.simulate import NOISE_003, DrawConfig, disturb
from vipe.simulate.drawn_group import draw_group
from vipe.skeletons import load

picture, exact = draw_group(poses[rows], np.array([0.6, 2.2, 4.0, 5.2]), config=DrawConfig(noise=0), generator=rng)
body = load("coco13")
legs = [body.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]
people = disturb(exact, NOISE_003, rng)
mask = people.mask.copy()
mask[1, legs] = False
mask[3, 3:] = False
hips = [body.index("left_hip"), body.index("right_hip")]
left, right = int(exact.xy[1, :, 0].min()) - 25, int(exact.xy[1, :, 0].max()) + 25
picture[int(exact.xy[1, hips, 1].mean()) + 8 :, left:right] = (150, 120, 90)
people = replace(people, mask=mask)
people_in_photo(picture, people, names)

# %% [markdown]
# C's clip is taken out of the archive before the search. Then the archive does not hold C's pose.

# %%
import pyarrow.compute as pc

without_c = pc.field("clip") != str(frames["clip"][rare])
hits = vipe.query(index, people, k=3, max_per_clip=1, where=without_c)
for name, reason in zip(names, hits.skipped, strict=True):
    print(name, reason or "searched for")

# %% [markdown]
# A row a person. The keypoints are at the left, the hits lie over them. Since we know the truth, bars of right hits
# are green and those of wrong ones purple; a user does not know that, and has the probabilities alone.

# %%
from vipe.plots.bodies.hits import hits_over_keypoints

found = [index.canonical[np.maximum(own, 0)] for own in hits.rows]
distance = np.stack([pose_distance(index.canonical[row][None], own) for row, own in zip(rows, found, strict=True)])
is_right = (distance < 0.1) & hits.found
hits_over_keypoints(people, hits, labels=names, right=is_right)

# %% [markdown]
# ## Reading the answer
#
# - `probability` of a hit: that it shows the pose of the photo. It shows it if it lies within 0.1 torso lengths of
#   the true pose, about 5 cm on average over the joints.
# - `presence` of a person: that *any* pose of the archive does.
# - `probability_close` of a hit: that it lies within 0.05. Then the eye sees no difference.
#
# So there are three kinds of answers. *High, high*: take the hit. *High presence, low probability*: the pose is
# there, but look at more hits. *Low presence*: the first hit is just what happens to be nearest.

# %%
for row, name in enumerate(names):
    if not hits.skipped[row]:
        told = f"presence {hits.presence[row]:4.0%}, first hit {hits.probability[row, 0]:4.0%}"
        print(f"{name}: {told}; it is {distance[row, 0]:.2f} torso lengths from the truth")

# %% [markdown]
# This is what distances look like: the first pose, and poses of the archive that lie 0.05, 0.1, 0.2 and 0.4 torso
# lengths away from it.

# %%
from vipe.plots.bodies.pose_rows import pose_rows

asked = np.array([0.05, 0.1, 0.2, 0.4])
apart = np.stack([pose_distance(index.canonical[row][None], index.canonical) for row in chosen])
off = np.abs(apart[:, None] - asked[:, None])  # (12, 4, poses)
shown = int(off.min(axis=2).max(axis=1).argmin())  # of the twelve, the one with poses at just these distances
near, away = off[shown].argmin(axis=1), apart[shown]
pose_rows(
    {"": index.canonical[[chosen[shown], *near]]}, titles=["the pose", *(f"{away[one]:.2f} away" for one in near)]
)

# %% [markdown]
# ## Are the probabilities true?
#
# Search with many photos whose truth is known, and count: of all hits with a probability of about 70%, do 70% show
# the pose? Photos are searched for in the whole archive, without the moment they show, without its clip, and without
# any right pose. Dots on the diagonal mean yes; large dots stand for many hits. The last panel asks the same of
# `presence`.

# %%
from vipe.evaluate.conditions import Condition
from vipe.evaluate.protocols.calibration import evaluate_calibration
from vipe.evaluate.protocols.search import SearchProtocol
from vipe.plots.curves.reliability import reliability

protocol = SearchProtocol(queries=60, conditions=(Condition(name="noise 0.03", noise=NOISE_003),))
report = evaluate_calibration(store, index, protocol=protocol)
reliability(report)

# %% [markdown]
# Most photos are at the ends: a pose is surely found, or surely not there. In the middle, where few photos are, the
# probabilities of this synthetic motion are too high: the ranking was learned on archives where other clips hold
# similar poses, and six minutes hold few. So set a threshold. Of the first hits with at least such a probability,
# these shares show the pose:

# %%
from vipe.plots.curves.bars import bar_chart

bins = report.bins["within 0.1, first hit"]
shares = {}
for threshold in (0.0, 0.5, 0.8, 0.9):
    above = [one for one in bins if one["probability"] >= threshold]
    count = sum(one["share"] for one in above)
    shares[f"at least {threshold:.0%}"] = (
        100 * sum(one["rate"] * one["share"] for one in above) / count if count else 0.0
    )
bar_chart("First hits that are right, by their probability", shares, unit="%")

# %% [markdown]
# The measured figures, on recorded motion and under harder conditions, are in [the
# results](../benchmarks/results/calibration.md). On real photos probabilities are less good; the page says by how
# much.

# %% [markdown]
# ## How many hits must I look at?
#
# `confidence=0.9` gives each person as many hits as it takes that one of them is right nine times in ten, if the
# archive holds the moment. Here for twelve photos of single people, four joints of each not seen.

# %%
from vipe.simulate import random_views, simulate_keypoints
from vipe.simulate.detector import MISSING_4

photos = simulate_keypoints(poses[chosen], random_views(len(chosen), generator=rng), noise=MISSING_4, generator=rng)
sure = vipe.query(index, photos, confidence=0.9)
lengths = {f"photo {row + 1}: {sure.probability[row, 0]:.0%}": int(count) for row, count in enumerate(sure.enough)}
bar_chart("Hits to look at, by the probability of the first", lengths, unit="hits (0: no list is long enough)")

# %% [markdown]
# ## A video
#
# A person in the frames of a video is a track, and all its frames are searched together. This is a second of one
# clip, with noisy keypoints of which some are missing.

# %%
from vipe.plots.bodies.sheet import sheet
from vipe.plots.figures import Card, figure_2d
from vipe.simulate import DetectorNoise, View
from vipe.store.moments import take_moment

clip = max(store.clips(), key=lambda clip: clip["rows"])["clip"]
moment = take_moment(store, clip)
middle = len(moment) // 2
part = slice(middle - 5, middle + 6)
view = View(name="camera", azimuth=1.2, elevation=0.2)
video = simulate_keypoints(
    moment.clip.positions[part], view, noise=DetectorNoise(scale=0.06, missing=0.25), generator=np.random.default_rng(3)
)
cards = [
    Card(figure=figure_2d(xy, seen, video.skeleton), title="") for xy, seen in zip(video.xy, video.mask, strict=True)
]
sheet("Keypoints of eleven frames", [("", cards[:6]), ("", cards[6:])])

# %% [markdown]
# `follow` says who is who over the frames, `pieces` cuts tracks into pieces, here of at most two seconds, and
# `query_tracks` searches for each piece.

# %%
from vipe.detections import follow, pieces
from vipe.retrieve import query_tracks

time = moment.time[part]
track = pieces(follow(video), time, seconds=2.0)
together = query_tracks(index, video, 5, track=track, time=time)
alone = vipe.query(index, video, k=5)
shown = {"each frame alone": alone.probability[:, 0], "as a track": np.full(len(video), together.probability[0, 0])}

# %% [markdown]
# The frames alone are often unsure. The track is one query with one answer, which says of its middle frame where it
# was found.

# %%
from vipe.plots.curves.lines import line_chart

print(f"middle of the video: {clip} at {time[5]:.1f} s; found: {together.clip[0, 0]} at {together.time[0, 0]:.1f} s")
line_chart(
    f"Probability of the first hit, {clip}",
    time,
    shown,
    x_label="seconds in the clip",
    y_label="probability",
    dots=True,
    share=True,
)

# %% [markdown]
# ## Two cameras
#
# Images of one moment by several cameras are searched together, too. Nothing need be known of the cameras.

# %%
from vipe.detections import together as one_moment
from vipe.retrieve import query_views

cameras = [View(name="front", azimuth=0.3, elevation=0.1), View(name="side", azimuth=1.9, elevation=0.1)]
twice = poses[[others[2]] * 2]
views = simulate_keypoints(
    twice, cameras, noise=DetectorNoise(scale=0.06, missing_count=3), generator=np.random.default_rng(5)
)
both = query_views(index, views, 3, moment=one_moment(views))
single = vipe.query(index, views, k=3)
values = {
    "camera 1": (single.presence[0], single.probability[0, 0]),
    "camera 2": (single.presence[1], single.probability[1, 0]),
    "both": (both.presence[0], both.probability[0, 0]),
}
bar_chart(
    "One moment, two cameras",
    {name: [float(value) for value in own] for name, own in values.items()},
    series=("presence", "probability of the first hit"),
    figure="{:.2f}",
)

# %% [markdown]
# ## Left and right exchanged
#
# Detectors take a back for a front, or exchange the legs. Where the keypoints as they are fit no pose well, the
# search tries other readings, and names the one that it took. In these four photos left and right leg are exchanged.
# "read: legs" says that the search noticed; keypoints are drawn as it read them.

# %%
legs_exchanged = simulate_keypoints(poses[chosen[:4]], random_views(4, generator=rng), noise=NOISE_003, generator=rng)
xy, seen = legs_exchanged.xy.copy(), legs_exchanged.mask.copy()
for joint in ("hip", "knee", "ankle"):
    ends = [body.index(f"{side}_{joint}") for side in ("left", "right")]
    xy[:, ends], seen[:, ends] = xy[:, ends[::-1]], seen[:, ends[::-1]]
legs_exchanged = replace(legs_exchanged, xy=xy, mask=seen, confidence=seen.astype(np.float32), covariance=None)
read = vipe.query(index, legs_exchanged, k=2, max_per_clip=1)
found = index.canonical[np.maximum(read.rows, 0)]
distance = np.stack([pose_distance(index.canonical[row][None], own) for row, own in zip(chosen, found, strict=False)])
hits_over_keypoints(
    legs_exchanged, read, labels=[f"photo {number}" for number in range(1, 5)], right=(distance < 0.1) & read.found
)

# %% [markdown]
# More: [query](../docs/query.md), [tracks and views](../docs/tracks_and_views.md), [keypoint
# files](../docs/keypoint_files.md), [photos and video](../docs/photos_and_video.md). Next: [generate
# variations](03_generate_variations.py).
