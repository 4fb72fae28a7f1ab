import base64
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from vipe.clips import Clip
from vipe.errors import ShapeError, VipeError
from vipe.plots.pages.motion import save_motion_page
from vipe.skeletons import Skeleton, load
from vipe.store.moments import Moment


@pytest.fixture
def moment(bent):
    clip = Clip(name="walk", skeleton=load("h36m17"), positions=bent(30, seed=0), fps=30.0, source="a/walk.bvh")
    return Moment.of(clip, 0.5)


def motion_of(page):
    return json.loads(re.search(r'<script id="motion" type="application/json">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_holds_every_frame_with_its_place_in_the_source(moment, tmp_path):
    save_motion_page(tmp_path / "p.html", moment)
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    motion = motion_of(page)
    positions = np.frombuffer(base64.b64decode(motion["positions"]), "<f4").reshape(-1, motion["joints"], 3)
    np.testing.assert_array_equal(positions, moment.clip.positions)
    assert motion["frame"] == list(range(15, 30))
    np.testing.assert_allclose(motion["time"], moment.time, atol=1e-4)
    assert "15 at 30 a second" in page
    assert "0.50 to 0.97 of the source" in page


def test_the_page_needs_no_network_and_no_other_file(moment, tmp_path):
    save_motion_page(tmp_path / "p.html", moment)
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert not re.search(r"\b(src|href)=|https?://|@import|url\(", page)
    assert "default-src 'none'" in page


def test_names_with_odd_characters_stay_text(moment, tmp_path):
    odd = "</script><script>alert(1)</script> \"'&\u2028 dänce \ud800"
    clip = replace(moment.clip, name=odd, action="<img src=x onerror=alert(1)>", source=odd)
    save_motion_page(tmp_path / "p.html", replace(moment, clip=clip))
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    assert "<img" not in page
    assert "dänce" in page


def test_one_frame_is_shown_too(moment, tmp_path):
    one = Moment.of(replace(moment.clip, positions=moment.clip.positions[:1]))
    save_motion_page(tmp_path / "p.html", one)
    assert len(motion_of((tmp_path / "p.html").read_text(encoding="utf-8"))["time"]) == 1


def test_another_skeleton_is_refused(tmp_path):
    arm = Skeleton(name="arm", joints=("shoulder", "elbow"), parents=(-1, 0))
    with pytest.raises(ShapeError, match="a page needs h36m17, got arm"):
        save_motion_page(
            tmp_path / "p.html", Moment.of(Clip(name="a", skeleton=arm, positions=np.zeros((1, 2, 3)), fps=1.0))
        )


def test_a_page_that_cannot_be_written_is_one_line(moment, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(VipeError, match="the page cannot be written"):
        save_motion_page(tmp_path / "file" / "p.html", moment)
