"""Real keypoints are matched to the archive's frames, one person an image, and scored by camera."""

import json
from dataclasses import replace

import numpy as np
import pytest

from vipe.cli.app import main
from vipe.detections import Keypoints, write_coco_results
from vipe.embed import AffineSignature
from vipe.errors import VipeError
from vipe.evaluate.protocols.real import evaluate_real
from vipe.index import PoseIndex
from vipe.retrieve.archive_lifter import ArchiveLifter, ArchiveLifterConfig
from vipe.simulate import CameraRig, simulate_keypoints
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """An archive at 10 frames/s of clips of 20, and two cameras' keypoints of every frame of one of them."""
    folder = tmp_path_factory.mktemp("recording")
    clips = synthesize(clips=6, fps=20.0, generator=np.random.default_rng(0))
    clips = list(clips)
    store = PoseStore.create(folder / "store", clips, fps=10.0)
    index = PoseIndex.build(store, AffineSignature(), folder / "index")
    clip, rig = clips[2], CameraRig.load("mpi_inf_3dhp")
    count = min(24, len(clip.positions))
    views = []
    for camera in (0, 3):
        people = simulate_keypoints(
            clip.positions[:count], rig.cameras[camera], noise=0.01, generator=np.random.default_rng(camera)
        )
        number = np.arange(count)
        views.append(replace(people, frame=number, video=np.full(count, camera), covariance=None))
    return folder, index, clip.name, Keypoints.concat(views)


def test_frames_of_both_are_searched_for_and_found(recording):
    _, index, clip, people = recording
    report = evaluate_real(index, clip, people)
    scores = {(score.mode, score.camera): score for score in report.scores}
    assert set(scores) == {(mode, camera) for mode in ("affine", "full") for camera in ("all", "0", "3")}
    assert scores["full", "all"].queries == 24  # every second frame of two cameras
    assert scores["full", "0"].queries + scores["full", "3"].queries == 24
    assert report.left_out == len(people) - 24
    assert scores["full", "all"].hit[1] > 0.9
    assert scores["full", "all"].said > 0.7
    assert scores["affine", "all"].said is None
    assert len(report.to_table()) == 7


def test_lifters_are_scored_by_their_hypotheses_beside_modes(recording):
    _, index, clip, people = recording
    lifter = ArchiveLifter(index, ArchiveLifterConfig(candidates=8))
    report = evaluate_real(index, clip, people, modes=("affine",), lifters={"archive": lifter}, samples=10)
    scores = {(score.mode, score.camera): score for score in report.scores}
    assert set(scores) == {(mode, camera) for mode in ("affine", "archive x 10") for camera in ("all", "0", "3")}
    found = scores["archive x 10", "all"]
    assert found.hit[1] > 0.9
    assert 0.3 < found.said < 1.001
    assert 0.3 < found.presence < 1.001
    others = evaluate_real(
        index,
        clip,
        people,
        modes=(),
        lifters={"archive": lifter.among(np.flatnonzero(index.frames()["clip"].astype(str) != clip))},
        samples=10,
    )
    assert others.scores[0].hit[1] < found.hit[1]
    assert others.scores[0].said < others.scores[0].presence  # any of the rows, not the first alone


def test_a_clip_that_they_do_not_show_is_not_found(recording):
    _, index, clip, people = recording
    other = next(name for name in np.unique(index.frames()["clip"].astype(str)) if name != clip)
    report = evaluate_real(index, other, people, modes=("affine",))
    assert report.scores[0].hit[1] < 0.5


def test_of_an_image_the_surest_person_is_taken(recording):
    _, index, clip, people = recording
    unsure = replace(people, xy=people.xy[::-1], confidence=people.confidence * np.float32(0.3))
    both = Keypoints.concat([unsure, people])
    once, twice = (evaluate_real(index, clip, some, modes=("affine",)) for some in (people, both))
    assert [score.hit for score in once.scores] == [score.hit for score in twice.scores]
    assert twice.left_out == once.left_out + len(people)


def test_what_cannot_be_matched_is_refused(recording):
    _, index, clip, people = recording
    with pytest.raises(VipeError, match="has no clip 'nobody'"):
        evaluate_real(index, "nobody", people)
    with pytest.raises(VipeError, match="neither a mode nor a lifter to measure"):
        evaluate_real(index, clip, people, modes=())
    with pytest.raises(VipeError, match="no image shows a frame"):
        evaluate_real(index, clip, replace(people, frame=people.frame + 100_000))


def test_the_command_prints_the_report(recording, capsys):
    folder, _, clip, people = recording
    one = people[np.flatnonzero(people.video == 0)]
    write_coco_results(folder / "one.json", replace(one, image_id=tuple(f"{n:05d}.jpg" for n in one.frame)))
    main(["evaluate", "real", str(folder / "store"), "--clip", clip, "--keypoints", str(folder / "one.json"), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["convention"] == "coco"
    assert report["scores"][-1]["queries"] == 12
    assert report["scores"][-1]["hit"]["1"] > 0.6


def test_the_command_scores_the_archive_as_a_lifter(recording, capsys):
    folder, _, clip, people = recording
    one = people[np.flatnonzero(people.video == 0)]
    write_coco_results(folder / "two.json", replace(one, image_id=tuple(f"{n:05d}.jpg" for n in one.frame)))
    options = ["--mode", "affine", "--lifter", "archive", "--samples", "3", "--json"]
    main(["evaluate", "real", str(folder / "store"), "--clip", clip, "--keypoints", str(folder / "two.json"), *options])
    report = json.loads(capsys.readouterr().out)
    assert [score["mode"] for score in report["scores"]] == ["affine", "archive x 3"]
    assert report["scores"][1]["hit"]["1"] > 0.6
