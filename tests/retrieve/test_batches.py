"""A person's answer is theirs alone: whoever else is asked about in the same call changes nothing of it."""

import numpy as np
import pytest

from vipe.detections import Keypoints
from vipe.index.recipe import shipped_recipes
from vipe.retrieve import CameraPrior, fit_cameras
from vipe.retrieve.query import query
from vipe.simulate import CameraRig, simulate_keypoints

LARGE = 1e10


@pytest.fixture(scope="module")
def odd(affine):
    """People as they come, and people on a line, far too large, far too small, of noise, and with joints missing."""
    rng = np.random.default_rng(3)
    poses = affine.canonical[rng.integers(0, len(affine), 22)] * 0.49
    people = simulate_keypoints(poses, CameraRig.load("mpi_inf_3dhp"), noise=0.03, generator=rng)
    xy, mask = people.xy.astype(np.float64), people.mask.copy()
    middle = xy.mean(axis=1, keepdims=True)
    xy[[1, 12]] *= LARGE
    xy[[2, 13]] = (middle + (xy - middle) * [1e-6, 1])[[2, 13]]
    xy[[3, 14]] = (middle + (xy - middle) * 1e-4)[[3, 14]]
    xy[[4, 15]] = rng.normal(0, 100, (2, 13, 2))
    xy[[5, 16], 3:] = middle[[5, 16]]
    xy[[6, 17]] = LARGE * rng.normal(size=(2, 13, 2))
    xy[[7, 18]] = LARGE * (middle + (xy - middle) * [1e-5, 1])[[7, 18]]
    for person, missing in ((8, 4), (9, 6), (19, 3), (20, 8)):
        mask[person, rng.permutation(13)[:missing]] = False
    return Keypoints.of(xy.astype(np.float32), mask)


def assert_answers_are_each_ones_own(ask, people):
    together = ask(people)
    for person in range(len(people)):
        alone = ask(people[person : person + 1])
        np.testing.assert_array_equal(alone.rows[0], together.rows[person], err_msg=f"person {person}")
        found = alone.found[0]
        for name in ("distance", "probability", "presence", "presence_mirrored"):
            one, many = getattr(alone, name), getattr(together, name)
            if one is not None:
                own, others = one[0], many[person]
                if np.ndim(own):
                    own, others = own[found], others[found]
                # Rounding alone: how many are summed at once decides which instructions sum them.
                np.testing.assert_allclose(own, others, rtol=1e-3, atol=1e-3, err_msg=f"{name} of person {person}")
        for name in ("relabelled", "skipped"):
            if getattr(alone, name) is not None:
                assert getattr(alone, name)[0] == getattr(together, name)[person]


@pytest.mark.parametrize("mirrored", [False, True], ids=["as they are", "mirrored too"])
@pytest.mark.parametrize("mode", ["full", "affine", "point", "hypotheses"])
def test_an_answer_does_not_depend_on_who_else_is_asked_about(affine, learned, odd, mode, mirrored):
    for index in (affine, learned):
        if mode == "point" and index is affine:
            continue

        def ask(people, index=index):
            return query(index, people, 8, mode, candidates=20, mirrored=mirrored)

        assert_answers_are_each_ones_own(ask, odd)


@pytest.mark.parametrize("recipe", shipped_recipes("faiss_cpu"))
def test_nor_does_it_in_any_recipe(affine, learned, odd, recipe):
    for index, mode in ((affine, "affine"), (learned, "point")):
        recoded = index.recoded(recipe)
        for where in (None, np.arange(0, len(index), 2)):

            def ask(people, index=recoded, mode=mode, where=where):
                return query(index, people, 8, mode, where=where)

            assert_answers_are_each_ones_own(ask, odd)


def test_places_that_hold_no_candidate_take_part_in_nothing(affine, odd):
    poses = np.stack([affine.poses(np.random.default_rng(row).permutation(len(affine))[:30]) for row in range(4)])
    people, prior = odd[8:12], CameraPrior(refine=8)
    plain = fit_cameras(poses, people, prior)
    # As if another person of the batch had 20 candidates more: their best one again.
    best = plain.cost.argmin(axis=1)
    filled = np.concatenate([poses, np.repeat(poses[np.arange(4), best][:, None], 20, axis=1)], axis=1)
    empty = np.zeros(filled.shape[:2], dtype=bool)
    empty[:, 30:] = True
    padded = fit_cameras(filled, people, prior, empty=empty)
    np.testing.assert_allclose(padded.cost[:, :30], plain.cost, rtol=1e-3, atol=1e-3)
    assert np.isposinf(padded.cost[:, 30:]).all()
    assert np.isfinite(padded.cost[:, :30]).all()
