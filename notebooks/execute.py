"""Run the notebooks, each in a fresh kernel, and write what they show: python notebooks/execute.py [NAME ...].

    python notebooks/execute.py                       # all, as pages in notebooks/executed
    python notebooks/execute.py 03                    # one; the first letters of a name are enough
    python notebooks/execute.py --check               # run all, write nothing; exit code 1 with the cell that fails
    VIPE_NOTEBOOK_DATA=mocap.zip python notebooks/execute.py 01 --out mine    # on motion capture of your own

A page is Markdown with pictures beside it. Its first line has the hash of the notebook that it shows.
"""

import argparse
import base64
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jupytext
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from PIL import Image

HERE = Path(__file__).resolve().parent
OUT = HERE / "executed"
DATA = "VIPE_NOTEBOOK_DATA"
CELL_SECONDS = 600  # after which a cell is stopped
PICTURE_BYTES, PAGE_BYTES = 150_000, 1_500_000  # of one picture, and of all pictures of a page
LINES = 60  # of text that one cell may print

_HEAD = re.compile(r"<!-- notebooks/(\S+)\.py sha256:(\w+) -->")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # in which errors come
_LINK = re.compile(r"(\]\()(?!https?:|#)([^)\s]+\))")


class NotebookProblem(Exception):
    """A notebook that fails, or that shows what a page must not show; says where."""


def main(words: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        words: Its arguments, if not those of the process.

    Returns:
        The exit code: 1 if a notebook fails.
    """
    parser = argparse.ArgumentParser(prog="notebooks/execute.py", description=__doc__.partition(":")[0])
    parser.add_argument("name", nargs="*", help="notebooks to run, by the first letters of their names; all by default")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the pages (default: notebooks/executed)")
    parser.add_argument("--check", action="store_true", help="run, but write nothing")
    given = parser.parse_args(words)
    try:
        chosen = chosen_notebooks(given.name)
        if os.environ.get(DATA) and not given.check and given.out.resolve() == OUT:
            raise NotebookProblem(f"{DATA} is set: pages of your own motion need another folder, --out FOLDER")
    except NotebookProblem as problem:
        parser.error(str(problem))
    failed = 0
    for path in chosen:
        start = time.monotonic()
        try:
            notebook = run(path)
            if not given.check:
                write_page(path, notebook, given.out)
        except NotebookProblem as problem:
            failed = 1
            print(f"{path.stem}: {problem}", file=sys.stderr)
        else:
            print(f"{path.stem}: {time.monotonic() - start:.0f} s")
    return failed


def notebooks() -> list[Path]:
    """The notebooks, in order."""
    return sorted(HERE.glob("[0-9][0-9]_*.py"))


def chosen_notebooks(names: list[str]) -> list[Path]:
    """The notebooks whose names begin as told; all if nothing is told.

    Raises:
        NotebookProblem: If a name fits none.
    """
    every = notebooks()
    chosen: list[Path] = []
    for name in names or [""]:
        found = [path for path in every if path.stem.startswith(name.removesuffix(".py"))]
        if not found:
            raise NotebookProblem(f"no notebook {name!r}; there are {', '.join(path.stem for path in every)}")
        chosen += [path for path in found if path not in chosen]
    return sorted(chosen)


def source_hash(path: Path) -> str:
    """What the first line of a page holds, to tell whether it shows this notebook."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:16]


def shown_source(page: Path) -> tuple[str, str]:
    """The notebook that a page shows, and the hash of it.

    Raises:
        NotebookProblem: If the page does not say.
    """
    found = _HEAD.match(page.read_text(encoding="utf-8"))
    if found is None:
        raise NotebookProblem(f"{page.name}: its first line does not name a notebook; run notebooks/execute.py")
    return found[1], found[2]


def run(path: Path) -> Any:
    """Run a notebook from top to bottom in a fresh kernel, in an empty folder.

    Returns:
        The notebook with its outputs.

    Raises:
        NotebookProblem: If a cell fails, or takes longer than `CELL_SECONDS`.
    """
    notebook = jupytext.read(path)
    if given := os.environ.get(DATA):  # the kernel starts elsewhere
        os.environ[DATA] = str(Path(given).resolve())
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # small steps: more threads wait for each other
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a warning of the kernel, about nothing here
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],  # the kernel has warnings of its own
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute()
        except CellExecutionError as error:
            number = next((i for i, cell in enumerate(notebook.cells) if _failed(cell)), -1)
            raise NotebookProblem(f"cell {number + 1} fails\n{_COLOUR.sub('', str(error)).strip()}") from error
        except CellTimeoutError as error:
            raise NotebookProblem(f"a cell takes longer than {CELL_SECONDS} s") from error
    return notebook


def write_page(path: Path, notebook: Any, out: Path) -> Path:
    """Write a notebook that was run as a page, in place of an earlier one.

    Args:
        path: The notebook's text.
        notebook: With outputs.
        out: Folder of the pages. Pictures come into a folder in it.

    Returns:
        The page.

    Raises:
        NotebookProblem: If an output is none for a page: a warning, a path of this machine, too many lines, a picture
            that is too large, or a kind that Markdown does not show.
    """
    pictures: dict[str, bytes] = {}
    parts = [f"<!-- notebooks/{path.stem}.py sha256:{source_hash(path)} -->"]
    for number, cell in enumerate(notebook.cells, start=1):
        try:
            if cell.cell_type == "markdown":
                parts.append(_linked(cell.source, path.parent, out))
            elif cell.cell_type == "code":
                said = _first_sentence(notebook.cells[number - 2].source)
                parts += [_fenced(cell.source, "python"), *_outputs(cell.outputs, path.stem, said, pictures)]
        except NotebookProblem as problem:
            raise NotebookProblem(f"cell {number} {problem}") from problem
    whole = sum(len(picture) for picture in pictures.values())
    if whole > PAGE_BYTES:
        raise NotebookProblem(f"its pictures have {whole:,} bytes together, at most {PAGE_BYTES:,} are wanted")
    shutil.rmtree(out / path.stem, ignore_errors=True)
    for name, picture in pictures.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(picture)
    out.mkdir(parents=True, exist_ok=True)
    page = out / f"{path.stem}.md"
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def _outputs(outputs: list[Any], name: str, said: str, pictures: dict[str, bytes]) -> list[str]:
    """What a cell printed and drew; pictures are added to those of the page, and get what was said before as text."""
    parts: list[str] = []
    for output in outputs:
        if output.output_type == "stream":
            if output.name == "stderr":
                raise NotebookProblem(f"writes a warning: {output.text.strip()[:300]}")
            parts.append(_text(output.text))
            continue
        data = output.data
        if "image/png" in data:
            picture = _small(base64.b64decode(data["image/png"]))
            if len(picture) > PICTURE_BYTES:
                raise NotebookProblem(f"draws {len(picture):,} bytes, at most {PICTURE_BYTES:,} are wanted")
            file = f"{name}/{len(pictures) + 1:02d}.png"
            pictures[file] = picture
            parts.append(f"![{output.metadata.get('image/png', {}).get('alt', said)}]({file})")
        elif "text/markdown" in data:
            parts.append(data["text/markdown"].strip())
        elif "text/plain" in data:
            parts.append(_text(data["text/plain"]))
        else:
            raise NotebookProblem(f"shows {', '.join(data)}, expected text or image/png")
    return parts


def _small(picture: bytes) -> bytes:
    """A picture with 256 colours, if it is too large with all of them."""
    if len(picture) <= PICTURE_BYTES:
        return picture
    file = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(256).save(file, "PNG", optimize=True)
    return file.getvalue()


def _first_sentence(markdown: str) -> str:
    """The first sentence below the headings, as plain text."""
    prose = " ".join(line for line in markdown.splitlines() if not line.startswith("#"))
    plain = re.sub(r"[`*\[\]]|\]?\([^)]*\.(py|md)[^)]*\)", "", prose).strip()
    return plain.partition(". ")[0].rstrip(".:") or "picture"


def _text(text: str) -> str:
    text = _COLOUR.sub("", text).rstrip()
    if len(text.splitlines()) > LINES:
        raise NotebookProblem(f"prints {len(text.splitlines())} lines, at most {LINES} are wanted")
    own = {str(HERE.parent), str(Path.home()), tempfile.gettempdir()} - {"/"}
    if found := [place for place in own if place in text]:
        raise NotebookProblem(f"prints a path of this machine, {found[0]}")
    return _fenced(text, "text")


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def _linked(text: str, where: Path, out: Path) -> str:
    """Markdown whose links lead from the page to where they led from the notebook."""

    def moved(found: re.Match[str]) -> str:
        file, mark, anchor = found[2][:-1].partition("#")
        place = (where / file).resolve()
        if place.parent == where.resolve() and place.stem in {path.stem for path in notebooks()}:
            place = out.resolve() / f"{place.stem}.md"
        target = os.path.relpath(place, out.resolve())
        return f"{found[1]}{Path(target).as_posix()}{mark}{anchor})"

    return _LINK.sub(moved, text)


def _failed(cell: Any) -> bool:
    return cell.cell_type == "code" and any(output.output_type == "error" for output in cell.outputs)


if __name__ == "__main__":
    sys.exit(main())
