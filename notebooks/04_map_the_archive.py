# %% [markdown]
# # Map the archive
#
# All poses of an archive in one picture: t-SNE with ten key poses, UMAP beside it, how true both are, and a page on
# which every point shows its skeleton.

# %% [markdown]
# Set `DATA` to motion capture of your own, and everything below is about it. Without it the notebook makes synthetic
# motion.

# %%
import os
import tempfile
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
embedder = vipe.Embedder.from_pretrained("default")
index = vipe.PoseIndex.build(store, embedder, work / "index")
print(f"{len(index):,} poses, {embedder.dim} numbers each")

# %% [markdown]
# ## Two layouts
#
# Both put poses near each other whose 32 numbers are near. A map holds 100,000 poses; of more, `lay_out` takes those
# that cover the others.

# %%
from vipe.plots.embedding_map.labels import label_map
from vipe.plots.embedding_map.layout import lay_out

maps = {
    "t-SNE": lay_out(index, "tsne", generator=np.random.default_rng(0)),
    "UMAP": lay_out(index, "umap", generator=np.random.default_rng(0)),
}
labels = {name: label_map(index, layout, generator=np.random.default_rng(0)) for name, layout in maps.items()}

# %% [markdown]
# ## Ten key poses
#
# This is Figure 8 of Levy & Shrivastava 2024: ten poses that look different, and each point in the colour of the one
# that it is most like. Colours that stay together say that near on the map is similar to the eye.

# %%
from vipe.plots.embedding_map.picture import draw_map
from vipe.plots.writing import new_figure

figure = new_figure(7, 6.4)
draw_map(figure.subplots(), maps["t-SNE"], labels["t-SNE"])
figure

# %% [markdown]
# UMAP tears islands further apart. How far apart they lie says little, in both.

# %%
figure = new_figure(7, 6.4)
draw_map(figure.subplots(), maps["UMAP"], labels["UMAP"])
figure

# %% [markdown]
# ## How true they are
#
# *Trustworthiness*: are neighbours on the map also neighbours in the 32 numbers? 1 is perfect, about 0.5 is chance.
# *Purity*: how many of a point's 15 neighbours from other clips have its key pose, or its action. No map can do much
# better than the 32 numbers themselves, in the last row. (Synthetic clips of one action are few, and far from alike.)

# %%
from vipe.plots.embedding_map.measures import knn_purity, trustworthiness


def row(name, places, own, numbers):
    asked = {"generator": np.random.default_rng(0)}
    values = [trustworthiness(numbers, places, **asked)]
    values += [knn_purity(places, words, apart=own.clip, **asked) for words in (own.keys.nearest, own.action)]
    return f"{name:12}" + "".join(f"{value:17.3f}" for value in values)


rows = [f"{'':12}{'trustworthiness':>17}{'by key pose':>17}{'by action':>17}"]
rows += [row(name, layout.xy, labels[name], layout.embeddings) for name, layout in maps.items()]
rows.append(row("32 numbers", maps["UMAP"].embeddings, labels["UMAP"], maps["UMAP"].embeddings))
print("\n".join(rows))

# %% [markdown]
# ## New poses, and people
#
# `place` puts new poses on a map that stays as it is. `place_people` does it for keypoints: here three simulated photos
# of moments of the archive.

# %%
from vipe.plots.embedding_map.people import place_people
from vipe.simulate import View, simulate_keypoints

moments = np.random.default_rng(1).choice(len(store), 3, replace=False)
views = [View(name=str(number), azimuth=2.0 * number, elevation=0.2) for number in range(3)]
photos = simulate_keypoints(store.poses()[moments], views, noise=0.02, generator=np.random.default_rng(0))
people = place_people(maps["UMAP"], photos, embedder)
for moment, point in zip(moments, people.nearest, strict=True):
    true, found = (f"{index.frames()['clip'][i]} {index.frames()['time'][i]:.1f} s" for i in (moment, point))
    print(f"photo of {true}; nearest on the map: {found}")

# %% [markdown]
# ## The page
#
# Point at a pose, and it turns. Colour by action, cluster or density, search a clip, draw a lasso around moments. The
# numbered marks are the three people. `vipe map` writes the same page; [docs/map.md](../docs/map.md) says more.

# %%
from html import escape

from IPython.display import display

from vipe.plots.embedding_map.page import save_map_page

save_map_page(work / "map.html", "Map of the archive", maps["UMAP"], labels["UMAP"], people=people)
page = (work / "map.html").read_text(encoding="utf-8")
shown = {
    "text/html": f'<iframe srcdoc="{escape(page)}" width="100%" height="640" style="border: 0"></iframe>',
    "text/markdown": f"*A page of {len(page) / 1e6:.1f} MB, which a notebook shows here.*",
}
display(shown, raw=True)
