import re

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from plots.examples import PICTURES

from vipe.plots.pages.evaluation import save_evaluation_page


def test_a_report_has_pictures_figures_protocol_and_command(tmp_path):
    save_evaluation_page(
        tmp_path / "p.html",
        "Search, measured",
        [["search", "Hit@1"], ["full", "81.3"]],
        notes=["primary figure: 81.3%", "It is <b>."],
        protocol={"recall_at": (10, 100), "seed": 0, "poses": None, "exact": True, "distances": [4.0], "of": {"a": 1}},
        pictures=[("By condition", PICTURES["search"]()), ("Again", PICTURES["reliability"]())],
        command="vipe evaluate search store",
    )
    page = (tmp_path / "p.html").read_text()
    assert page.count('<svg viewBox="') == 2
    assert "<td>81.3</td>" in page and "<th>Hit@1</th>" in page
    assert "<li>Primary figure: 81.3%.</li><li>It is &lt;b&gt;.</li>" in page
    facts = dict(re.findall(r"<tr><td>([a-z ]+)</td><td>(.*?)</td></tr>", page[page.index("<pre>") :]))
    expected = {"recall at": "10, 100", "seed": "0", "poses": "not given", "exact": "yes", "distances": "4"}
    assert facts == expected | {"of": "a: 1"}
    assert "<pre>vipe evaluate search store</pre>" in page


def test_every_page_has_the_one_stylesheet_and_may_ask_nobody(tmp_path, standing):
    """Light, dark, paper and phone are rules of the stylesheet; the policy keeps any page from the network."""
    from vipe import Clip
    from vipe.plots.pages.motion import save_motion_page
    from vipe.skeletons.working import H36M17
    from vipe.store.moments import Moment

    save_evaluation_page(tmp_path / "a.html", "t", [["a"], ["1"]], protocol={})
    clip = Clip(name="stand", skeleton=H36M17, positions=standing[None], fps=10.0)
    save_motion_page(tmp_path / "b.html", Moment.of(clip))
    styles = []
    for name in ("a", "b"):
        page = (tmp_path / f"{name}.html").read_text()
        assert "default-src 'none'" in page
        assert not re.search(r"https?://|<link|@import|url\(", page)
        assert re.search(r'<meta name="viewport" content="width=device-width', page)
        styles.append(page[page.index(":root {") : page.index("@media print {")])
    assert styles[0] == styles[1]
    assert "prefers-color-scheme: dark" in styles[0]
    assert "max-width: 480px" in styles[0]
