"""The extensions of the documentation site: links lead, browsers draw formulas, docstrings are shown as written."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("sphinx")
ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@pytest.fixture
def site(monkeypatch):
    """The modules of docs/_ext by name."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    names = ("contents", "formulas", "reference", "repository")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return SimpleNamespace(**{name: __import__(name) for name in names})


def led(site, page, text):
    """A page's text with its links led to pages of the site."""
    source = [text]
    site.repository.lead_links(None, page, source)
    return source[0]


def test_links_between_pages_of_docs_stay(site):
    text = "See [data](data.md#the-store), [above](#above), [GitHub](https://github.com/a/b.md)."
    assert led(site, "index", text) == text
    assert led(site, "how_to/gpu", "[training](../gpu.md)") == "[training](../gpu.md)"


@pytest.mark.parametrize(
    ("page", "link", "place"),
    [
        ("index", "../benchmarks/RESULTS.md#speed", "repository/benchmarks/RESULTS.md#speed"),
        ("how_to/gpu", "../../benchmarks/RESULTS.md", "../repository/benchmarks/RESULTS.md"),
        ("gallery", "pictures/make.py", "repository/docs/pictures/make.py.md"),
        ("index", "../benchmarks/results", "repository/benchmarks/results.md"),
        ("repository/benchmarks/RESULTS", "results/search.md", "results/search.md"),
        ("repository/benchmarks/results/real", "../../docs/query.md#modes", "../../../query.md#modes"),
        ("repository/CONTRIBUTING", "docs/cli.md", "../cli.md"),
    ],
)
def test_links_out_of_docs_lead_to_copies_and_back(site, page, link, place, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: True)  # copies are made when the site is
    assert led(site, page, f"[here]({link})") == f"[here]({place})"


def test_links_in_code_are_code(site):
    text = "```md\n[results](../benchmarks/RESULTS.md)\n```"
    assert led(site, "index", text) == text


def test_a_link_to_nothing_stays_so_that_the_build_warns(site):
    assert led(site, "index", "[x](../nothing.md)") == "[x](../nothing.md)"


def test_a_file_is_shown_as_it_is_and_a_long_one_by_its_beginning(site, tmp_path, monkeypatch):
    monkeypatch.setattr(site.repository, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    assert "# a.py\n\n~~~~~python\nx = 1\n" in site.repository._shown(tmp_path / "a.py")
    monkeypatch.setattr(site.repository, "LARGE", 3)
    assert "~~~~~python\nx =\n~~~~~\n\nThe first 3 of 6 characters." in site.repository._shown(tmp_path / "a.py")


def test_the_start_page_lists_what_the_sidebar_shows(site):
    app = SimpleNamespace(
        config=SimpleNamespace(root_doc="index"), env=SimpleNamespace(found_docs={"reference/commands/a"})
    )
    source = [
        "# vipe\n\n## First\n\n- [Tutorial](tutorial.md): text.\n- [Results](repository/./R.md)\n\n## Later\n\nText.\n"
    ]
    site.contents.add_contents(app, "index", source)
    assert re.findall(r"^```\{toctree\}\n.*?```$", source[0], re.MULTILINE | re.DOTALL) == [
        "```{toctree}\n:hidden:\n:glob:\n:caption: First\n\nTutorial <tutorial>\nResults <repository/R>\n```"
    ]
    source = ["# Commands\n"]
    site.contents.add_contents(app, "cli", source)
    assert "```{toctree}\n:hidden:\n:glob:\n\n/reference/commands/*\n```" in source[0]


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_formula_becomes_mathml(site, page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]+`", "", text)
    for formula in re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL) + re.findall(r"(?<!\$)\$([^$]+)\$(?!\$)", text):
        node = SimpleNamespace(astext=lambda formula=formula: formula, source=page.name, line=1)
        written = site.formulas.mathml(node, block=True)
        assert written.startswith("<math"), formula
        # docutils takes a subscript of an accent for one below it
        assert not re.search(r"<munderover>\s*<mi>.</mi>.*?<mo[^>]*>[ˆ¯_~]</mo>\s*</munderover>", written, re.DOTALL), (
            formula
        )


def test_a_formula_that_cannot_be_converted_is_named_with_its_place(site):
    from sphinx.errors import ExtensionError

    node = SimpleNamespace(astext=lambda: r"\nonsense{x", source="page.md", line=7)
    with pytest.raises(ExtensionError, match=r"page.md:7: .*nonsense"):
        site.formulas.mathml(node, block=False)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Give `path` or `a | b`.", "Give ``path`` or ``a | b``."),
        ("The norm |x|^2 of a_i * b.", r"The norm \|x\|^2 of a\_i \* b."),
        ("    >>> 2 * `x` | 3", "    >>> 2 * `x` | 3"),
        ("- a point", "- a point"),
        ("* a point", "* a point"),
    ],
)
def test_docstrings_are_read_as_they_are_written(site, written, shown):
    lines = [written]
    site.reference.read_as_markdown(None, "function", "f", None, None, lines)
    assert lines == [shown]


def test_a_constant_without_a_docstring_shows_none_and_a_property_keeps_its_colon(site):
    lines = (tuple.__doc__ or "").splitlines()
    site.reference.read_as_markdown(None, "data", "x", (1, 2), None, lines)
    assert lines == []
    lines = ["The first digits: those of the hash."]
    site.reference.read_as_markdown(None, "property", "x", property(), None, lines)
    assert lines == ["The first", "digits: those of the hash."]  # no colon in the first line: no type


def test_every_command_has_a_page_of_its_help(site, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["-m", "sphinx"])
    pages = site.reference._commands()
    assert not any(" -m " in page or "--empty-" in page for page in pages.values())
    assert {"query", "lift", "index", "evaluate"} <= set(pages)
    assert "vipe query [OPTIONS] INDEX" in pages["query"]
    assert "* `--max-per-clip INT`" in pages["query"]
    assert "## vipe index build\n" in pages["index"]


def test_each_name_is_documented_once(site):
    pages = site.reference._modules()
    documented = re.findall(r"^\.\. auto\w+:: ([\w.]+)$", "\n".join(pages.values()), re.MULTILINE)
    assert len(documented) == len(set(documented)) > 60
    assert ".. autofunction:: vipe.query" in pages["vipe"]
    assert ".. autodata:: vipe.evaluate.metrics.HIT_DEPTHS" in pages["vipe.evaluate.metrics"]  # which writes it
    assert "``Lifter`` is :py:obj:`vipe.Lifter`." in pages["vipe.lift"]


def test_a_class_is_shown_with_what_it_has_from_bases_of_the_library_alone(site):
    pages = site.reference._modules()
    assert ".. autoclass:: vipe.PoseIndex\n   :members:\n   :inherited-members: object\n" in pages["vipe"]
    assert ".. autoclass:: vipe.Embedder\n   :members:\n   :inherited-members: ABC, Generic, object\n" in pages["vipe"]
    members = site.reference._members(type("Counts", (tuple,), {"__module__": "vipe"}))
    assert members == ["   :members:", "   :inherited-members: tuple, object"]
