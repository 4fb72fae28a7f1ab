"""What a search answers today, to the digit: features, log odds and probabilities of a few fixed queries.

`python tests/retrieve/test_golden.py` writes the file anew, after a change that is meant to move them.
"""

from pathlib import Path

import numpy as np
import pytest

from vipe import AffineSignature, Keypoints, PoseIndex, PoseStore, query
from vipe.retrieve import Search
from vipe.retrieve.ranking.features import FEATURES, PERSON_FEATURES
from vipe.retrieve.sequences.tracks import query_tracks, query_views
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.motion import synthesize

GOLDEN = Path(__file__).parent / "golden" / "search.npz"
_FIRST = 12  # candidates of each person whose features are compared
_RATE = 5.0


def make_archive(folder: Path) -> tuple[PoseIndex, Keypoints, Keypoints]:
    """An archive of synthetic motion, eight people (two with joints missing), and five frames of one movement."""
    motion = synthesize(minutes=3.0, fps=_RATE, generator=np.random.default_rng(0))
    store = PoseStore.create(folder / "store", motion, fps=_RATE)
    index = PoseIndex.build(store, AffineSignature(), folder / "index")
    rig, poses = CameraRig.load("mpi_inf_3dhp"), store.poses()
    rows = np.linspace(0, len(index) - 1, 8).astype(int)
    people = simulate_keypoints(poses[rows], rig, noise=0.04, generator=np.random.default_rng(1))
    mask = people.mask.copy()
    mask[3, [3, 9]] = mask[5, [10, 11, 12, 4]] = False
    frames = simulate_keypoints(poses[100:105], rig.cameras[2], noise=0.04, generator=np.random.default_rng(2))
    return index, Keypoints.of(people.xy, mask), Keypoints.of(frames.xy)


def outputs(index: PoseIndex, people: Keypoints, frames: Keypoints) -> dict[str, np.ndarray]:
    """All that is compared."""
    search = Search(index)
    fitted = search.fitted(search.candidates(people, 40), people, 40)
    features = search.features(fitted, people)
    several = np.zeros(5, dtype=int)
    searches = {
        "image": query(index, people, 10),
        "track": query_tracks(index, frames, 10, track=several, time=np.arange(5) / _RATE),
        "views": query_views(index, frames, 10, moment=several),
    }
    return {
        "features": features.values[:, :_FIRST],
        "person": features.person,
        "rows": fitted.rows[:, :_FIRST],
        **{
            f"{name} {field}": getattr(hits, field)
            for name, hits in searches.items()
            for field in ("rows", "probability", "probability_close", "presence", "distance", "fit_cost")
        },
    }


@pytest.fixture(scope="module")
def now(tmp_path_factory):
    return outputs(*make_archive(tmp_path_factory.mktemp("golden")))


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.mark.parametrize("number", range(len(FEATURES)), ids=[feature.name for feature in FEATURES])
def test_each_feature_is_what_it_was(now, golden, number):
    np.testing.assert_allclose(now["features"][..., number], golden["features"][..., number], rtol=2e-3, atol=5e-3)


@pytest.mark.parametrize("number", range(len(PERSON_FEATURES)), ids=[feature.name for feature in PERSON_FEATURES])
def test_each_feature_of_a_person_is_what_it_was(now, golden, number):
    np.testing.assert_allclose(now["person"][:, number], golden["person"][:, number], rtol=2e-3, atol=5e-3)


@pytest.mark.parametrize("name", ["image", "track", "views"])
def test_hits_and_their_probabilities_are_what_they_were(now, golden, name):
    np.testing.assert_array_equal(now[f"{name} rows"], golden[f"{name} rows"])
    for field in ("probability", "probability_close", "presence", "distance"):
        np.testing.assert_allclose(now[f"{name} {field}"], golden[f"{name} {field}"], atol=2e-3, err_msg=field)
    np.testing.assert_allclose(now[f"{name} fit_cost"], golden[f"{name} fit_cost"], rtol=1e-2, atol=0.05)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        GOLDEN.parent.mkdir(exist_ok=True)
        np.savez_compressed(GOLDEN, **outputs(*make_archive(Path(temporary))))
