import pytest

pytest.importorskip("matplotlib")

from vipe.plots.bodies.sheet import save_sheet
from vipe.plots.figures import Card, colours, figure_3d


def test_hits_and_misses_have_their_colours_on_a_sheet(tmp_path, canonical, drawn):
    cards = [Card(figure=figure_3d(canonical), title="t", hit=hit) for hit in (True, False, None)]
    save_sheet(tmp_path / "sheet.png", "t", [("row", cards), ("short", cards[:1])])
    shown = [axis.title.get_color() for axis in drawn[0].axes[:3]]
    assert shown == [colours()["hit"], colours()["miss"], "black"]
