"""Tiny motion files, good ones written by a few lines each; tests break them as they need."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from vipe.skeletons import Skeleton, load

MOCAP = Path(__file__).parents[3] / "shared" / "mocap"
CHANNELS = ("Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation")


@pytest.fixture(scope="session")
def mocap() -> Path:
    """The folder of real motion capture beside the project."""
    if not MOCAP.is_dir():
        pytest.skip("no ../shared/mocap beside the repository: real motion capture is not part of it")
    return MOCAP


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture
def arm() -> Skeleton:
    """A skeleton of a user's own: metres, z up."""
    return Skeleton(name="arm", joints=("shoulder", "elbow", "wrist"), parents=(-1, 0, 1))


@pytest.fixture
def arm_bvh() -> bytes:
    """Three joints, two frames: at rest, and the elbow bent by 90 degrees about z."""
    return b"""HIERARCHY
ROOT shoulder
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT elbow
  {
    OFFSET 1 0 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT wrist
    {
      OFFSET 1 0 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 0.2 0 0
      }
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 0 0 0 0 0 0 0 0 0 0 0
5 6 7 0 0 0 90 0 0 0 0 0
"""


@pytest.fixture
def walk_bvh() -> bytes:
    """The joints of h36m17, three frames of noise: a skeleton that the library knows."""
    skeleton = load("h36m17")
    rng = np.random.default_rng(1)
    return write_bvh(
        skeleton.joints,
        skeleton.parents,
        rng.normal(size=(17, 3)),
        [CHANNELS] + [CHANNELS[3:]] * 16,
        rng.normal(size=(3, 6 + 16 * 3)),
    )


@pytest.fixture(name="write_bvh")
def write_bvh_fixture() -> Callable[..., bytes]:
    return write_bvh


def write_bvh(
    joints: Sequence[str],
    parents: Sequence[int],
    offsets: np.ndarray,
    channels: Sequence[Sequence[str]],
    values: np.ndarray,
    frame_time: float = 1 / 30,
) -> bytes:
    """A BVH file; joints must be listed depth first, which is the order of the values."""
    out = io.StringIO()
    out.write("HIERARCHY\n")
    open_: list[int] = []
    for i, joint in enumerate(joints):
        while open_ and open_[-1] != parents[i]:
            open_.pop()
            out.write("}\n")
        open_.append(i)
        out.write(f"{'ROOT' if parents[i] < 0 else 'JOINT'} {joint}\n{{\n")
        out.write(f"OFFSET {' '.join(map(repr, offsets[i].tolist()))}\n")
        out.write(f"CHANNELS {' '.join([str(len(channels[i])), *channels[i]])}\n")
    out.write("}\n" * len(open_))
    out.write(f"MOTION\nFrames: {len(values)}\nFrame Time: {frame_time}\n")
    out.writelines(" ".join(map(repr, row)) + "\n" for row in values.tolist())
    return out.getvalue().encode()


@pytest.fixture
def leg() -> Skeleton:
    return Skeleton(name="leg", joints=("root", "femur", "tibia", "foot"), parents=(-1, 0, 1, 2))


@pytest.fixture
def leg_asf() -> bytes:
    """Lengths in inches; the knee bends about x in a space turned by 90 degrees about z; the foot has no dof."""
    return b"""# a comment
:version 1.10
:name leg
:units
  mass 1.0
  length 1.0
  angle deg
:documentation
   anything at all: begin end
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name femur
     direction 0 -1 0
     length 10
     axis 0 0 0 XYZ
     dof rx ry rz
     limits (-160.0 20.0)
            (-70.0 70.0)
            (-60.0 70.0)
  end
 begin
   id 2
     name tibia
     direction 0 -1 0
     length 20
     axis 0 0 90 XYZ
    dof rx
    limits (-10.0 170.0)
end
  begin
     id 3
     name foot
     direction 7.62852e-016 0 1
     length 5
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root femur
    femur tibia
    tibia foot
  end
"""


@pytest.fixture
def leg_amc() -> bytes:
    return b"""#!OML:ASF H:\\somewhere\\leg.ASF
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 0 0
femur 0 0 0
tibia 0
2
root 0 0 0 0 0 0
femur 90 7.62852e-016 0
tibia 90
"""
