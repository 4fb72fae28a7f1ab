"""Notebooks: every one is sound Python, its page is up to date and listed, and what is no page's is told."""

import importlib.util
import re
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")
pytest.importorskip("nbclient")

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
PAGES = FOLDER / "executed"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # a PNG


@pytest.fixture(scope="module")
def execute():
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def notebook(tmp_path, text, name="01_one.py"):
    """A notebook of a text, and what jupytext makes of it."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path, jupytext.read(path)


def shown(cell, **data):
    """The outputs of a cell set to one that shows this."""
    from nbformat.v4 import new_output

    cell.outputs = [new_output("display_data", data={name.replace("_", "/"): value for name, value in data.items()})]


def named(path):
    return path.stem


def test_there_are_five_notebooks():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_every_code_cell_of_a_notebook_compiles(path):
    cells = jupytext.read(path).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert code
    for source in code:
        compile(re.sub(r"^%.*$", "", source, flags=re.MULTILINE), str(path), "exec")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_a_notebook_begins_with_its_title_and_says_something_before_every_code_cell(path):
    cells = jupytext.read(path).cells
    assert re.match(r"# \w.*\n\n\w", cells[0].source)
    kinds = [cell.cell_type for cell in cells]
    assert all(kinds[i - 1] == "markdown" for i, kind in enumerate(kinds) if kind == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_one_path_takes_a_notebook_to_motion_of_ones_own(path):
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^DATA = None  # path of your own motion capture", text, re.MULTILINE)
    assert 'DATA = DATA or os.environ.get("VIPE_NOTEBOOK_DATA")' in text
    assert "vipe.read(DATA) if DATA else synthesize(" in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_the_page_of_a_notebook_shows_its_present_text(path, execute):
    page = PAGES / f"{path.stem}.md"
    assert page.exists(), f"run: python notebooks/execute.py {path.stem}"
    assert execute.shown_source(page) == (path.stem, execute.source_hash(path)), (
        f"{page.name} shows an earlier {path.name}; run: python notebooks/execute.py {path.stem}"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_the_pictures_of_a_page_are_there_small_and_all_shown(path, execute):
    text = (PAGES / f"{path.stem}.md").read_text(encoding="utf-8")
    pictures = sorted((PAGES / path.stem).iterdir())
    assert {f"{path.stem}/{picture.name}" for picture in pictures} == set(re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text))
    sizes = [picture.stat().st_size for picture in pictures]
    assert max(sizes) <= execute.PICTURE_BYTES
    assert sum(sizes) <= execute.PAGE_BYTES


@pytest.mark.parametrize("page", [FOLDER / "README.md", *(PAGES / f"{path.stem}.md" for path in NOTEBOOKS)], ids=named)
def test_links_and_pictures_lead_to_files(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert target.startswith("https://") or (page.parent / target.partition("#")[0]).exists(), target


def test_the_readme_lists_every_page_with_a_picture_and_no_other():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(executed/(\w+)\.md\)", text)) == {path.stem for path in NOTEBOOKS}
    assert {name for name, _ in re.findall(r"\(executed/(\w+)/(\d+)\.png\)", text)} == {path.stem for path in NOTEBOOKS}
    assert {page.stem for page in PAGES.glob("*.md")} == {path.stem for path in NOTEBOOKS}


def test_a_page_holds_what_a_notebook_says_computes_and_draws(tmp_path, execute):
    path, made = notebook(tmp_path, "# %% [markdown]\n# # Title\n#\n# A pixel. It is red.\n\n# %%\nprint(1)\n")
    shown(made.cells[1], image_png=PIXEL)
    page = execute.write_page(path, made, tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"<!-- notebooks/01_one.py sha256:{execute.source_hash(path)} -->"
    assert "# Title\n\nA pixel. It is red.\n\n```python\nprint(1)\n```\n\n![A pixel](01_one/01.png)\n" in text
    assert (tmp_path / "out" / "01_one" / "01.png").read_bytes()[:4] == b"\x89PNG"


def test_pictures_of_an_earlier_page_go(tmp_path, execute):
    path, made = notebook(tmp_path, "# %% [markdown]\n# one\n\n# %%\n1\n")
    shown(made.cells[1], image_png=PIXEL)
    execute.write_page(path, made, tmp_path)
    shown(made.cells[1], text_plain="1")
    page = execute.write_page(path, made, tmp_path)
    assert not (tmp_path / "01_one").exists()
    assert page.read_text(encoding="utf-8").endswith("```text\n1\n```\n")


def test_links_of_a_notebook_are_those_of_its_page(tmp_path, execute):
    path, made = notebook(tmp_path, "# %% [markdown]\n# [a](../docs/a.md#b) [c](#d) [e](https://f.org)\n")
    text = execute.write_page(path, made, tmp_path / "out").read_text(encoding="utf-8")
    assert "[a](../../docs/a.md#b) [c](#d) [e](https://f.org)" in text


def test_a_link_to_a_notebook_leads_to_its_page(tmp_path, execute, monkeypatch):
    monkeypatch.setattr(execute, "HERE", tmp_path)
    path, made = notebook(tmp_path, "# %% [markdown]\n# [next](01_one.py)\n")
    assert "[next](01_one.md)" in execute.write_page(path, made, tmp_path / "out").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"output_type": "stream", "name": "stderr", "text": "careful"}, "cell 1 writes a warning: careful"),
        (
            {"output_type": "stream", "name": "stdout", "text": f"at {ROOT}/vipe"},
            "cell 1 prints a path of this machine",
        ),
        ({"output_type": "stream", "name": "stdout", "text": "line\n" * 61}, "cell 1 prints 61 lines, at most 60"),
        ({"output_type": "display_data", "data": {"text/html": "<b>"}, "metadata": {}}, "cell 1 shows text/html"),
    ],
    ids=["a warning", "a path", "many lines", "another kind"],
)
def test_what_a_page_must_not_show_is_told(output, message, tmp_path, execute):
    from nbformat import from_dict

    path, made = notebook(tmp_path, "# %%\n1\n")
    made.cells[0].outputs = [from_dict(output)]
    with pytest.raises(execute.NotebookProblem, match=re.escape(message)):
        execute.write_page(path, made, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_picture_that_is_too_large_is_told(tmp_path, execute, monkeypatch):
    path, made = notebook(tmp_path, "# %%\n1\n")
    shown(made.cells[0], image_png=PIXEL)
    monkeypatch.setattr(execute, "PICTURE_BYTES", 10)
    with pytest.raises(execute.NotebookProblem, match=r"cell 1 draws \d+ bytes, at most 10 are wanted"):
        execute.write_page(path, made, tmp_path)


def test_a_large_picture_loses_colours_first(tmp_path, execute, monkeypatch):
    import io

    import numpy as np
    from PIL import Image

    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    monkeypatch.setattr(execute, "PICTURE_BYTES", len(file.getvalue()) - 1)
    small = execute._small(file.getvalue())
    assert len(small) < len(file.getvalue()) / 2
    assert Image.open(io.BytesIO(small)).size == (60, 60)
    monkeypatch.setattr(execute, "PICTURE_BYTES", len(file.getvalue()))
    assert execute._small(file.getvalue()) == file.getvalue()


def test_the_hash_of_a_notebook_is_that_of_its_text(tmp_path, execute):
    one, other, third = (tmp_path / name for name in "abc")
    one.write_bytes(b"# %%\n1\n")
    other.write_bytes(b"# %%\r\n1\r\n")
    third.write_bytes(b"# %%\n2\n")
    assert execute.source_hash(one) == execute.source_hash(other) != execute.source_hash(third)


def test_a_failing_cell_is_named_and_the_exit_code_is_1(tmp_path, execute, monkeypatch, capsys):
    notebook(tmp_path, "# %%\nx = 1\n\n# %%\nassert x == 1\n", "01_good.py")
    notebook(tmp_path, "# %% [markdown]\n# one\n\n# %%\nx = 1\n\n# %%\nassert x == 2\n", "02_bad.py")
    monkeypatch.setattr(execute, "HERE", tmp_path)
    monkeypatch.setattr(execute, "OUT", tmp_path / "executed")
    assert execute.main(["--check"]) == 1
    told = capsys.readouterr()
    assert re.match(r"01_good: \d+ s\n$", told.out)
    assert told.err.startswith("02_bad: cell 3 fails\n")
    assert "AssertionError" in told.err
    assert not (tmp_path / "executed").exists()


def test_a_name_that_fits_no_notebook_is_told(execute, capsys):
    with pytest.raises(SystemExit):
        execute.main(["07"])
    assert "no notebook '07'; there are 01_build_an_index, " in capsys.readouterr().err


def test_pages_of_the_repository_are_not_written_from_other_motion(execute, monkeypatch, capsys):
    monkeypatch.setenv("VIPE_NOTEBOOK_DATA", "mocap.zip")
    monkeypatch.setattr(execute, "run", lambda path: pytest.fail("it runs"))
    with pytest.raises(SystemExit):
        execute.main(["01"])
    assert "--out FOLDER" in capsys.readouterr().err


def test_lines_of_the_readme_fit_the_screen():
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 160
