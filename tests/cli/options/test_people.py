"""What a user says about a keypoint file, and what the commands say of it."""

import json

import numpy as np
import pytest

import vipe
from vipe.cli.app import main
from vipe.simulate import CameraRig, simulate_keypoints


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An index, and five people as results: as they are, as shares of the image, and upside down."""
    folder = tmp_path_factory.mktemp("options")
    main(["synth", "--out", str(folder / "store"), "--minutes", "0.3", "--fps", "10", "--seed", "1"])
    main(["index", "build", str(folder / "store"), "--out", str(folder / "index")])
    poses = vipe.PoseStore.open(folder / "store").poses()[::30][:5]
    seen = simulate_keypoints(poses, CameraRig.load("mpi_inf_3dhp"), noise=0.0, generator=np.random.default_rng(0))
    pixels = np.concatenate([seen.xy, np.full((5, 13, 1), 0.6)], axis=-1)
    for name, people in {
        "pixels": pixels,
        "shares": pixels / [8192, 8192, 1],
        "turned": pixels * [1, -1, 1] + [0, 9000, 0],
    }.items():
        rows = [{"image_id": i, "keypoints": one.ravel().tolist()} for i, one in enumerate(people)]
        (folder / f"{name}.json").write_text(json.dumps(rows))
    return folder


def answer(run, folder, name, *options):
    code, out, err = run(
        "query", folder / "index", folder / f"{name}.json", "--k", 1, "--mode", "affine", "--json", *options
    )
    return (json.loads(out) if code == 0 else err.strip()), code


def test_joints_of_a_low_score_are_not_seen(run, folder):
    plain, _ = answer(run, folder, "pixels")
    assert all(one["hits"] for one in plain["queries"])
    assert plain["remarks"] == []
    strict, code = answer(run, folder, "pixels", "--min-confidence", 0.7)
    assert code == 0
    assert all("0 joints seen" in one["skipped"] for one in strict["queries"])


def test_shares_need_the_size_of_the_image(run, folder):
    line, code = answer(run, folder, "shares")
    assert code == 2
    assert "lie within 0 to 1" in line
    scaled, _ = answer(run, folder, "shares", "--image-size", "8192x8192")
    plain, _ = answer(run, folder, "pixels")
    assert [one["hits"][0]["clip"] for one in scaled["queries"]] == [one["hits"][0]["clip"] for one in plain["queries"]]
    assert "shares of the image's width and height" in scaled["remarks"][0]
    line, code = answer(run, folder, "shares", "--image-size", "big")
    assert (code, "--image-size is WIDTHxHEIGHT" in line) == (2, True)


def test_the_users_skeleton_wins(run, folder):
    line, code = answer(run, folder, "pixels", "--skeleton", "coco17")
    assert code == 2
    assert "13 joints a person, but coco17 has 17" in line


def test_what_is_noticed_is_printed(run, folder):
    noticed, _ = answer(run, folder, "turned")
    assert noticed["remarks"][0].startswith("all 5 people are upside down: does y point up")
    code, out, _ = run("query", folder / "index", folder / "turned.json", "--k", 1)
    assert code == 0
    assert "all 5 people are upside down" in out
