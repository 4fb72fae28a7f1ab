"""README and docs tell the truth: snippets run, links lead somewhere, every command, name and citation is there."""

import ast
import re
import shlex
import shutil
import zipfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import vipe
from vipe.cli.app import app, main
from vipe.detections import write_coco_results
from vipe.geometry import bone_vectors
from vipe.simulate import View, simulate_keypoints
from vipe.skeletons import load

ROOT = Path(__file__).resolve().parents[1]
DOCS = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "how_to").glob("*.md"))]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
PICTURES = sorted(path for path in (ROOT / "docs" / "pictures").iterdir() if path.suffix != ".py")
NOT_RUN = re.compile(r"<!-- not run: \S.* -->")
PLACEHOLDER = re.compile(r"/[A-Z]+[/.]")  # such as readers/FORMAT.py


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    text: str
    runs: bool


def blocks(page):
    """The fenced blocks of a page, in order; one below a `not run` comment is not run."""
    found, start, language, before = [], None, "", ""
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line.startswith("```") and start is None:
            start, language = number, line[3:].strip()
            before = lines[number - 1] if number else ""
        elif line.startswith("```") and start is not None:
            text = "\n".join(lines[start + 1 : number])
            found.append(Block(start + 1, language, text, NOT_RUN.fullmatch(before) is None))
            start = None
    assert start is None, f"{page.name}:{start}: a fence is never closed"
    return found


def commands(block):
    """The commands of a block as words, without comments."""
    return [shlex.split(line, comments=True) for line in block.text.splitlines() if line.strip()]


def outputs(page):
    """The folders that the commands of a page make."""
    running = [words for block in blocks(page) if block.language == "sh" and block.runs for words in commands(block)]
    return [words[words.index("--out") + 1] for words in running if "--out" in words]


def prose(page):
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def named(page):
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def archive(tmp_path_factory, standing):
    """The files that pages name: a store, an index, keypoint files, and motion files."""
    folder = tmp_path_factory.mktemp("docs")
    for words in (
        ["synth", "--out", "stores/mocap", "--minutes", "1", "--fps", "10", "--programs", "walk"],
        ["index", "build", "stores/mocap", "--out", "index/mocap", "--encoder", "default"],
    ):
        places = [str(folder / word) if "/" in word else word for word in words]
        main(places)
    poses = vipe.PoseStore.open(folder / "stores" / "mocap").poses()
    cameras = [View(name=str(i), azimuth=2.0 * i, elevation=0.2) for i in range(3)]
    rng = np.random.default_rng(0)
    write_coco_results(folder / "people.json", simulate_keypoints(poses[[20, 90, 160]], cameras, generator=rng))
    write_coco_results(folder / "cameras.json", simulate_keypoints(poses[[40] * 3], cameras, generator=rng))
    video = simulate_keypoints(poses[30:36], cameras[0], generator=rng)
    (folder / "openpose_folder").mkdir()
    for frame, xy in enumerate(video.xy):
        (folder / "openpose_folder" / f"video_{frame:012d}_keypoints.json").write_text(_openpose(xy), encoding="utf-8")
    for name in ("walks/walk.bvh", "one/jump.bvh"):
        (folder / name).parent.mkdir()
        (folder / name).write_text(_bvh(standing, rng), encoding="utf-8")
    with zipfile.ZipFile(folder / "mocap.zip", "w") as file:
        file.writestr("mocap/stretch.bvh", _bvh(standing, rng, seconds=5))
    return folder


@pytest.fixture(scope="module")
def code():
    """Every word of the library."""
    return {word for file in (ROOT / "vipe").rglob("*.py") for word in re.findall(r"\w+", file.read_text("utf-8"))}


@pytest.fixture(scope="module")
def messages():
    """The texts of the library, with strings joined that are written in several lines, and … for what is filled in."""
    text = "\n".join(file.read_text("utf-8") for file in (ROOT / "vipe").rglob("*.py"))
    return re.sub(r"\{[^{}]*\}", "…", re.sub(r"\"\s*\n\s*f?\"", "", text))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_snippets_of_a_page_run_from_top_to_bottom(page, archive, tmp_path, monkeypatch):
    shutil.copytree(archive, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for out in outputs(page):
        shutil.rmtree(out, ignore_errors=True)  # the page makes it itself
    names: dict[str, object] = {"__name__": "snippet"}
    for block in blocks(page):
        where = f"{named(page)}:{block.line}"
        if block.language == "python" and block.runs:
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
        if block.language == "sh" and block.runs:
            for words in commands(block):
                assert words[0] == "vipe", f"{where}: only commands of vipe run; say why this one does not"
                main(words[1:])  # exits, and so fails the test, when something is wrong


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_snippet_that_is_not_run_names_what_exists(page):
    for block in blocks(page):
        if block.runs:
            continue
        if block.language == "sh":
            for words in commands(block):
                if words[0] == "vipe":
                    app.parse_args(words[1:], exit_on_error=False, print_error=False)
        if block.language == "python":
            imports = [node for node in ast.parse(block.text).body if isinstance(node, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(imports, []), str(page), "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_a_file_and_to_a_heading_of_it(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{named(page)}: {target} leads to no file"
        if anchor:
            assert anchor in anchors(path), f"{named(page)}: {target} leads to no heading"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_dotted_names_in_prose_exist(page):
    for name in re.findall(r"`(vipe(?:\.\w+)+)(?:\([^`]*\))?(?:\.summary)?`", prose(page)):
        assert _exists(name), f"{named(page)}: there is no {name}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_functions_and_fields_named_in_prose_are_in_the_code(page, code):
    for name in re.findall(r"`(?:\w+\.)*([a-z]+(?:_[a-z]+)+)(?:\([^`]*\))?`", prose(page)):
        assert name in code, f"{named(page)}: nothing in vipe is called {name}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_named_in_prose_exist(page):
    for name in re.findall(r"`((?:vipe|benchmarks|docs|tests)/[\w/.]+)`", prose(page)):
        assert PLACEHOLDER.search(name) or (ROOT / name).exists(), f"{named(page)}: there is no {name}"


def test_every_message_that_troubleshooting_explains_is_one_of_the_library(messages):
    page = ROOT / "docs" / "troubleshooting.md"
    headings = re.findall(r"^### `(.+)`$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(headings) > 20
    for heading in headings:
        gone = [part for part in heading.split("…") if part.strip() and part.strip() not in messages]
        assert not gone, f"docs/troubleshooting.md: no message says {gone[0]!r}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_lines_fit_the_screen(page):
    long = [number for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1) if len(line) > 160]
    assert not long, f"{named(page)}: lines {long} have more than 160 characters"


def test_every_command_has_a_section_with_every_option_and_its_python_twin():
    sections = _sections(ROOT / "docs" / "cli.md")
    for words, command in _commands(app):
        title = " ".join(["vipe", *words])
        assert title in sections, f"docs/cli.md: no section on {title}"
        missing = [name for name in _options(command) if not re.search(rf"{name}\b", sections[title])]
        assert not missing, f"docs/cli.md: {title} lacks {', '.join(missing)}"
        twin = re.search(r"^Python: `(vipe\.[\w.]+)", sections[title], re.MULTILINE)
        assert twin, f"docs/cli.md: {title} does not name its Python twin"
        assert _exists(twin[1]), f"docs/cli.md: {title}: there is no {twin[1]}"


def test_the_command_reference_names_no_option_that_is_gone():
    known = {" ".join(["vipe", *words]): _options(command) for words, command in _commands(app)}
    for title, text in _sections(ROOT / "docs" / "cli.md").items():
        if title.startswith("vipe "):
            assert title in known, f"docs/cli.md: there is no command {title}"
            rows = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
            gone = [name for row in rows for name in re.findall(r"--\w[\w-]*", row) if name not in known[title]]
            assert not gone, f"docs/cli.md: {title} has no {', '.join(gone)}"


def test_every_public_name_has_a_section_with_an_example():
    page = ROOT / "docs" / "api.md"
    sections = _sections(page)
    for name in vipe.__all__:
        assert name in sections, f"docs/api.md: no section on {name}"
        assert re.search(rf"^```python\n.*\b({name}|{name.lower()})\b", sections[name], re.MULTILINE | re.DOTALL), name


def test_every_work_that_the_code_cites_is_in_the_bibliography():
    keys = set(re.findall(r"\*\*([a-z]+\d{4})\*\*", (ROOT / "docs" / "bibliography.md").read_text(encoding="utf-8")))
    cited = {}
    for file in sorted([*(ROOT / "vipe").rglob("*.py"), *(ROOT / "vipe").rglob("*.toml"), *PAGES]):
        text = re.sub(r"\s*\n\s*#?\s*", " ", file.read_text(encoding="utf-8"))
        for key in re.findall(r"\b([a-z]+(?:19|20)\d\d)\b", text):
            cited.setdefault(key, named(file))
        for author, year in re.findall(r"\b([A-Z][A-Za-z]+)(?: et al\.| & [A-Z]\w+)?,? \(?((?:19|20)\d\d)\b", text):
            cited.setdefault(f"{author.lower()}{year}", named(file))
    # The second author of two, and what is no author: venues and months of the bibliography itself.
    cited = {key: file for key, file in cited.items() if file != "docs/bibliography.md"}
    missing = {key: file for key, file in cited.items() if key not in keys}
    assert not missing, f"docs/bibliography.md lacks {missing}"


def test_the_index_lists_every_page():
    # The sidebar of the site is made of these lines.
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^- \[[^\]]+\]\(([\w/]+\.md)\)", text, re.MULTILINE))
    assert listed == {page.relative_to(ROOT / "docs").as_posix() for page in DOCS} - {"index.md"}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_small_shown_and_can_be_made_again(picture):
    assert picture.stat().st_size < 150_000
    shown = [page for page in PAGES if f"pictures/{picture.name})" in page.read_text(encoding="utf-8")]
    assert shown, f"no page shows {picture.name}"
    scripts = [script.read_text(encoding="utf-8") for script in picture.parent.glob("*.py")]
    scripts += [block.text for block in blocks(ROOT / "docs" / "gallery.md")]  # which gallery.py runs
    assert any(picture.name in script for script in scripts), f"no script makes {picture.name}"


def anchors(page):
    """The anchors that a page's headings get on GitHub."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _sections(page):
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _commands(group, path=()):
    for name in group:
        if not name.startswith("-"):
            command = group[name]
            if command.default_command:
                yield (*path, name), command
            yield from _commands(command, (*path, name))


def _options(command):
    names = [name for argument in command.assemble_argument_collection() for name in argument.names]
    # "--empty-..." is cyclopts' own and switched off for the app.
    return [name for name in names if name.startswith("--") and not name.startswith("--empty-")]


def _exists(name):
    """Whether a dotted name can be imported, or is an attribute of what can."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def _openpose(xy):
    """One person of coco13 as OpenPose writes 25 joints."""
    body, target = load("coco13"), load("openpose25")
    weights, _ = target.weights(body)
    people = np.zeros((25, 3))
    for joint, row in enumerate(weights):
        people[np.flatnonzero(row)] = [*xy[joint], 1]
    numbers = ", ".join(f"{value:.2f}" for value in people.ravel())
    return f'{{"version": 1.3, "people": [{{"person_id": [-1], "pose_keypoints_2d": [{numbers}]}}]}}'


def _bvh(standing, rng, seconds=2):
    """Some seconds of a person who moves a little, on the working skeleton."""
    import torch

    body = load("h36m17")
    offsets = np.concatenate([standing[:1], bone_vectors(torch.from_numpy(standing), body.parents).numpy()])
    lines, open_ = ["HIERARCHY"], []
    for joint, (name, parent) in enumerate(zip(body.joints, body.parents, strict=True)):
        while open_ and open_[-1] != parent:
            open_.pop()
            lines.append("}")
        open_.append(joint)
        channels = "3 Zrotation Xrotation Yrotation" if parent >= 0 else "3 Xposition Yposition Zposition"
        lines += [f"{'JOINT' if parent >= 0 else 'ROOT'} {name}", "{", f"OFFSET {' '.join(map(str, offsets[joint]))}"]
        lines.append(f"CHANNELS {channels}")
    lines += ["}"] * len(open_) + ["MOTION", f"Frames: {30 * seconds}", "Frame Time: 0.0333333"]
    turned = rng.normal(size=(1, 48)) * np.linspace(5, 15, 30 * seconds)[:, None]
    place = np.tile(standing[0], (30 * seconds, 1))
    lines += [" ".join(map(str, row)) for row in np.concatenate([place, turned], axis=1).round(4).tolist()]
    return "\n".join(lines) + "\n"
