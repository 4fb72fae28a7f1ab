"""Camera rigs: tables that come with the library, a user's own, and views drawn at random."""

import math

import numpy as np
import pytest

from vipe.errors import ReadError, ShapeError, VipeError
from vipe.simulate import CameraRig, View, Views, random_views

RIG = """
name = "mine"
cameras = [
    { name = "left", azimuth_deg = 90, elevation_deg = 0, chest = true },
    { name = "mast", azimuth_deg = -180.0, elevation_deg = 45.5, roll_deg = 10, chest = false },
]
"""


def test_h36m_has_four_cameras_at_chest_height():
    rig = CameraRig.load("h36m")
    assert len(rig) == 4
    assert rig.unseen == ()
    assert all(abs(camera.elevation) < math.radians(10) for camera in rig.cameras)


def test_mpi_inf_3dhp_has_eleven_of_which_six_are_tilted():
    rig = CameraRig.load("mpi_inf_3dhp")
    assert len(rig) == 11
    assert len(rig.unseen) == 6
    assert not any(camera.chest for camera in rig.unseen)
    tilts = [math.degrees(camera.elevation) for camera in rig.unseen]
    assert min(tilts) < -9
    assert max(tilts) > 30
    assert all(abs(math.degrees(camera.elevation)) < 5 for camera in rig.cameras if camera.chest)


@pytest.mark.parametrize("name", ["h36m", "mpi_inf_3dhp"])
def test_the_cameras_of_a_rig_stand_around_the_person(name):
    azimuth = np.sort([camera.azimuth % (2 * math.pi) for camera in CameraRig.load(name).cameras])
    gaps = np.diff(azimuth, append=azimuth[0] + 2 * math.pi)
    assert gaps.max() < math.pi
    assert len({camera.name for camera in CameraRig.load(name).cameras}) == len(azimuth)


def test_a_user_adds_a_rig_as_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RIG)
    rig = CameraRig.load(str(path))
    assert rig.cameras[0] == View(name="left", azimuth=math.pi / 2, elevation=0.0, roll=0.0, chest=True)
    assert rig.unseen == (rig.cameras[1],)
    np.testing.assert_allclose(np.rad2deg(rig.cameras[1].roll), 10)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (RIG, "name = ", r"mine\.toml: not TOML: "),
        (RIG, 'name = "x"', r"mine\.toml: not a camera rig: expected name = "),
        (RIG, 'name = "x"\ncameras = []', "not a camera rig"),
        ('name = "left", ', "", "camera 0 has no name"),
        ("elevation_deg = 45.5, ", "", r"camera 1 \(mast\): elevation_deg is None, expected degrees from -90 to 90"),
        ("45.5", "95", r"camera 1 \(mast\): elevation_deg is 95, expected degrees from -90 to 90"),
        ("45.5", "nan", r"elevation_deg is nan"),
        ("-180.0", '"behind"', r"azimuth_deg is 'behind', expected degrees from -360 to 360"),
        ("roll_deg = 10", "roll_deg = true", "roll_deg is True"),
        ("roll_deg", "roll", r"camera 1 \(mast\) has roll; expected azimuth_deg, chest"),
        ("chest = false", "chest = 0", "chest is 0, expected true"),
        ('"mast"', '"left"', "cameras named twice: left"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    path.write_text(RIG.replace(old, new))
    with pytest.raises(ReadError, match=message):
        CameraRig.load(str(path))


def test_an_unknown_rig_is_refused(tmp_path):
    with pytest.raises(ReadError, match="no camera rig 'studio': known are h36m, mpi_inf_3dhp"):
        CameraRig.load("studio")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ReadError, match=r"bytes\.toml: not TOML"):
        CameraRig.load(str(tmp_path / "bytes.toml"))


def test_random_views_stay_within_their_limits_and_fill_them(rng):
    views = random_views(4000, generator=rng, elevation=(-0.2, 0.6), roll=(0.0, 0.0), distance=(3.0, 5.0))
    assert len(views) == 4000
    for array, (low, high) in (
        (views.azimuth, (-math.pi, math.pi)),
        (views.elevation, (-0.2, 0.6)),
        (views.distance, (3, 5)),
    ):
        assert array.min() >= low
        assert array.max() <= high
        np.testing.assert_allclose(array.mean(), (low + high) / 2, atol=0.05 * (high - low))
    assert not views.roll.any()


def test_random_views_depend_on_the_generator_alone():
    first, second, third = (random_views(5, generator=np.random.default_rng(seed)) for seed in (1, 1, 2))
    for name in ("azimuth", "elevation", "roll", "distance"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        assert not (getattr(first, name) == getattr(third, name)).any()  # so each draw uses it


@pytest.mark.refusal
def test_wrong_views_are_refused(rng):
    with pytest.raises(VipeError, match="distance must be above 0 m, got 0"):
        random_views(3, generator=rng, distance=(0.0, 1.0))
    with pytest.raises(VipeError, match="limits of elevation must be finite and in order, got 1 and 0"):
        random_views(3, generator=rng, elevation=(1, 0))
    angles = {"azimuth": np.zeros(2), "elevation": np.zeros(2)}
    with pytest.raises(ShapeError, match=r"roll must be \(2,\) like azimuth, got \(3,\)"):
        Views(**angles, roll=np.zeros(3))
    with pytest.raises(ShapeError, match="roll 1 is not finite"):
        Views(**angles, roll=np.array([0, np.nan]))
