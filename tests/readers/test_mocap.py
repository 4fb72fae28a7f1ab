"""Real motion capture, against an independent reader's positions and against pybvh; skipped where there is none."""

import csv
import tarfile
from collections import Counter

import numpy as np
import pytest

from vipe.readers import read
from vipe.skeletons import load

pytestmark = pytest.mark.mocap

# Where each clip of reference_positions.npz lies.
ARCHIVES = {
    "dataset-1_kick_normal_001.bvh": "bandai-namco-1.tar.xz",
    "05_02.bvh": "cmu.tar.xz",
    "06_10.bvh": "cmu.tar.xz",
    "02_01.amc": "cmu.tar.xz",
    "02_07.amc": "cmu.tar.xz",
    "01_08.amc": "cmu.tar.xz",
    "03_01.amc": "cmu.tar.xz",
}


@pytest.fixture(scope="module")
def unpacked(mocap, tmp_path_factory):
    """The seven clips, and what they need beside them, as files in a temporary folder."""
    folder = tmp_path_factory.mktemp("mocap")
    for archive in set(ARCHIVES.values()):
        with tarfile.open(mocap / archive) as tar:
            for member in tar:
                name = member.name.rpartition("/")[2]
                if name in ARCHIVES or name.endswith(".asf"):
                    target = folder / member.name  # extract(filter=) is younger than Python 3.11
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(tar.extractfile(member).read())
    return folder


def test_positions_agree_with_an_independent_reader(mocap, unpacked):
    reference = np.load(mocap / "reference_positions.npz")
    seen = set()
    for clip in read(unpacked):
        file = clip.source.rpartition("/")[2]
        joints = reference[f"{file}:joints"].tolist()
        shared = [joint for joint in clip.skeleton.joints if joint in joints]
        assert len(shared) == len(clip.skeleton) - len(clip.skeleton.sites)
        theirs = reference[f"{file}:positions"][:, [joints.index(joint) for joint in shared]]
        x, y, z = np.moveaxis(clip.positions[reference[f"{file}:frames"]], -1, 0)
        ours = np.stack([x, z, -y], axis=-1)[:, [clip.skeleton.index(joint) for joint in shared]]  # y up again
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
        assert np.abs(ours - theirs).max() < 5e-6  # what float32 allows
        seen.add(file)
    assert seen == ARCHIVES.keys()


def test_character_rigs_agree_with_pybvh(unpacked):
    pybvh = pytest.importorskip("pybvh", reason="pybvh, of the extra `bench`, is not installed")
    for file in ("cmu/05/05_02.bvh", "cmu/06/06_10.bvh"):
        (clip,) = read(unpacked / file)
        peer = pybvh.read_bvh_file(unpacked / file)
        names, theirs = list(peer.joint_names), peer.joint_positions() * 0.01
        joints = [joint for joint in clip.skeleton.joints if joint in names]
        assert len(joints) == 100
        x, y, z = np.moveaxis(clip.positions, -1, 0)
        ours = np.stack([x, z, -y], axis=-1)[:, [clip.skeleton.index(joint) for joint in joints]]
        np.testing.assert_allclose(ours, theirs[:, [names.index(joint) for joint in joints]], atol=1e-4)


def test_people_stand_upright_and_are_of_human_size(unpacked):
    h36m = load("h36m17")
    for clip in read(unpacked):
        pose = clip.to(h36m).positions
        height = np.median(pose[:, h36m.index("head"), 2] - pose[:, :, 2].min(axis=1))
        assert 1.2 < height < 2.0, clip.name
        # The nose is in front: pelvis to nose has the sense of right hip to left hip turned forward.
        left = pose[:, h36m.index("left_hip")] - pose[:, h36m.index("right_hip")]
        forward = np.cross(left, pose[:, h36m.index("thorax")] - pose[:, h36m.index("pelvis")])
        nose = pose[:, h36m.index("nose")] - pose[:, h36m.index("head")]
        assert np.median((forward * nose).sum(axis=1)) > 0, clip.name


def test_bandai_namco_1_is_whole(mocap):
    clips = [(clip.name, len(clip), clip.fps, clip.action) for clip in read(mocap / "bandai-namco-1.tar.xz")]
    assert (len(clips), sum(frames for _, frames, _, _ in clips)) == (166, 28_970)
    assert clips[0] == ("dataset-1_bow_active_001", 128, 30.0, "bow active")


@pytest.mark.slow
def test_the_folder_of_archives_is_whole(mocap):
    with (mocap / "clips.csv").open(newline="") as file:
        table = {(row["dataset"], row["clip"]): (int(row["frames"]), float(row["fps"])) for row in csv.DictReader(file)}
    found, skeletons = {}, Counter()
    for clip in read(mocap):
        found[clip.source.partition(".")[0], clip.name] = len(clip), clip.fps
        skeletons[clip.skeleton.name] += 1
        assert clip.action
    assert found == table
    assert (len(found), sum(frames for frames, _ in found.values())) == (502, 121_189)
    assert skeletons == {"bandai": 446, "cc_base": 39, "cmu_asf": 17}
