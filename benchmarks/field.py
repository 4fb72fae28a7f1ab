"""Small files as people's tools write them: what vipe prints for each case, and whether that is right.

    python benchmarks/field.py [CASE ...] [--index INDEX]

Cases are the folders of ../shared/field and the files of ../shared/rigs; with names, those that begin so. Each runs its
command in a copy of its folder. EXPECTED says what is right: how the command ends, what it must say, of a query also
for how many of its people the moment must come first. INDEX is an affine-signature index of ../shared/mocap/cmu.tar.xz
at 10 frames a second; it is made under --work where it is not given. Exits with 1 if a case is not right.
"""

import contextlib
import io
import json
import os
import re
import runpy
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from inputs import arguments

from vipe.cli.app import main as vipe

SHARED = Path("../shared")
COLUMNS = 150  # of a line of the table
NEAR = 30  # frames of a clip within which a hit shows the person's moment
DOUBT = re.compile(r"doubtful|spec?aks for|fit far better|upside down|lying with the head")


class Right(NamedTuple):
    """What is right for a case."""

    says: str = ""  # a regular expression that the output must hold, case ignored
    code: int = 0  # how the command ends: 2 is a refusal in one line
    found: int = 0  # of a query: people whose moment comes first, at least
    doubt: bool = False  # whether it must voice a doubt; else it must not


PERSON = r"height 1\.[5-7]\d m, thigh 0\.4\d"
READ, REFUSED = Right(PERSON), Right(code=2)


def refused(says: str) -> Right:
    return Right(says, code=2)


def found(least: int, says: str = "") -> Right:
    return Right(says, found=least)


EXPECTED = {
    "a01-hdm05-layout": Right(f"2 clips, .*{PERSON}"),
    "a04-no-asf": refused(r"no \.asf file"),
    "a05-frame-gap": Right("gaps between its frames: one clip for each of 4 pieces"),
    "a07-cut-last-frame": refused("frame 4"),
    "a08-dof-length": refused("dof"),
    "a09-radians": Right("forearm", doubt=True),
    "a13-other-length-unit": Right("is the unit right", doubt=True),
    "b01-slimevr-missing-blank": refused("68 values, expected 69"),
    "b05-wrong-frame-time": Right("--source-fps", doubt=True),
    "b09-two-roots": Right("2 roots: one clip for each"),
    "b11-comma-decimals": refused("expected three finite numbers"),
    "b15a-frames-too-many": refused("ends after 4 frames"),
    "b15b-frames-too-few": Right("1 more row was left out"),
    "b15c-frames-zero": refused("frames"),
    "b15d-one-extra-row-rokoko": Right("1 more row was left out"),
    "b15e-folder-skip-bad": Right("2 clips"),
    "b17-frame-time-zero": refused("frame time"),
    "b20-metres": refused("--unit 1 "),
    "b20b-inches": Right("--unit 0.0254", doubt=True),
    "b20c-millimetres": refused("--unit 0.001"),
    "b21-comment-lines": refused("is it BVH"),
    "b22-nan-frame": refused("frame 2 has the value 'nan'"),
    "b22b-ind-frame": refused("frame 2 has the value"),
    "b24-gz": refused("no motion file"),
    "b25-txt": refused("no motion file"),
    "b27b-frametime-one-word": refused("Frame Time"),
    "b28-rows-wrapped": refused("40 values, expected 69"),
    "b29-channel-names-rotationX": refused("rotationZ"),
    "b33-six-channels-zero-positions": Right(f"OFFSETs were taken.*{PERSON}"),
    "b33b-zero-positions-of-one-joint": Right(f"OFFSETs were taken.*{PERSON}"),
    "b33c-six-channels-zero-first-frame": Right(f"in 1 of 4 frames: their OFFSETs were taken.*{PERSON}"),
    "k00-baseline": found(11),
    "k01-openpose-write-coco-001": found(10),
    "k01b-same-with-000": found(10),
    "k02-openpose-body25b": found(11, "openpose25b"),
    "k02b-same-as-body25": found(11),
    "k03a-openpose-halpe26": found(11),
    "k03b-openpose-coco17": found(11),
    "k03c-openpose-mpi15": found(11),
    "k04a-alphapose17": found(11),
    "k05a-mmpose-image": found(11),
    "k05b-mmpose-video": found(11),
    "k06-ultralytics-tojson": found(11),
    "k07-ultralytics-val": found(11),
    "k09-posenet-nested": refused("36 numbers"),
    "k10-mmpose-issue1749": found(11),
    "k12-normalised": refused("--image-size"),
    "k14-poem-csv": found(11),
    "k15-rectlabel": refused("keypoints"),
    "k17-null-v": found(11),
    "k18-float-image-id": found(11),
    "k20-nan": refused("NaN"),
    "k21-jsonl": found(11),
    "k22-detectron2": found(11, "above 1 count as 1"),
    "k23-swapped-sides": Right("left and right swapped", doubt=True),
    "k24-result-wrapped": found(11),
    "k25-dict-by-image": found(11),
    "k26-wholebody133": found(11),
    "k27-ultralytics-zeroed-below-half": found(9),
    "k30-y-up": Right("upside down", doubt=True),
    "k31-yx-order": Right("y written before x", doubt=True),
    "k32-squashed-256": Right("squashed", doubt=True),
    "k34-alphapose-video": Right(r"query .* 1   02_01"),
    "k37-page-html": Right("p.html"),
    "k38-folder-of-mmpose": Right("000000000786 person 11.*24 people in"),
    "k39-folder-of-coco-results": Right("24 people in"),
    "k40-torch": Right(),
    "p11-clip-locks-array": Right(),
    "p14-numpy-fps": Right("rig h36m17", doubt=True),  # a store that opens; its poses are noise
    "rigs": Right("9 clips, .*0 files skipped"),
}
"""By case. Cases of motion that are not here are read as a person, without a doubt."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("cases", nargs="*", help="beginnings of names of cases; all if not given")
    parser.add_argument("--shared", type=Path, default=SHARED, help="where field, rigs and mocap lie")
    parser.add_argument("--index", type=Path, help="index of CMU's motion")
    parser.add_argument("--work", type=Path, default=Path("out/field"))
    options = parser.parse_args()
    if not (options.shared / "field").is_dir():
        print(f"{options.shared / 'field'}: no cases here; left out")
        return
    wrong = 0
    index = None if options.index is None else options.index.resolve()
    for case, command, folder in cases(options.shared.resolve()):
        if options.cases and not case.startswith(tuple(options.cases)):
            continue
        if "INDEX" in command and index is None:
            index = made_index(options.shared.resolve(), options.work.resolve())
        code, said, first = ran(command.replace("INDEX", str(index)), folder)
        faults = wrongs(EXPECTED.get(case, READ), code, said, first)
        wrong += bool(faults)
        counted = "" if first is None else f"{first[0]} of {first[1]} first; "
        verdict = f"WRONG: {'; '.join(faults)}" if faults else "right"
        print(f"{case:36} {code}  {verdict}  {counted}{' / '.join(said.split(chr(10)))[:COLUMNS]}", flush=True)
    print(f"{wrong} not right")
    sys.exit(1 if wrong else 0)


def cases(shared: Path) -> Iterator[tuple[str, str, Path]]:
    """Name, command and folder of each case."""
    for folder in sorted((shared / "field").iterdir()):
        if (folder / "cmd").is_file():
            yield folder.name, (folder / "cmd").read_text(encoding="utf-8").strip(), folder
    if (shared / "rigs").is_dir():
        yield "rigs", "vipe ingest . --out out --fps 10", shared / "rigs"


def made_index(shared: Path, work: Path) -> Path:
    index = work / "index"
    if not (index / "manifest.json").is_file():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        called("vipe", ["ingest", str(shared / "mocap" / "cmu.tar.xz"), "--out", str(work / "store"), "--fps", "10"])
        called("vipe", ["index", "build", str(work / "store"), "--out", str(index), "--encoder", "affine"])
    return index


def ran(commands: str, folder: Path) -> tuple[int, str, tuple[int, int] | None]:
    """How commands end in a copy of a folder, what they print, and how many of the folder's people were found first."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "case"
        shutil.copytree(folder, copy)
        with contextlib.chdir(copy):
            code, said, counted = 0, "", None
            for command in commands.split(";"):
                program, *words = shlex.split(command)
                asked = words[:1] == ["query"] and (copy / "truth.json").is_file()
                code, out, err = called(program, [*words, *(["--json"] if asked else [])])
                if asked and code == 0:
                    answer = json.loads(out)
                    counted = first_of(answer["queries"], json.loads((copy / "truth.json").read_text("utf-8")))
                    out = "\n".join(answer.get("remarks", []))
                said = "\n".join(part for part in (said, err.strip(), out.strip()) if part)
    return code, said, counted


def called(program: str, words: list[str]) -> tuple[int, str, str]:
    """What a command of the package, or a script, prints."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            if program == "vipe":
                vipe(words)
            else:
                runpy.run_path(words[0], run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except Exception as error:  # noqa: BLE001  # whatever a script does is what the table says
            code = 1
            print(f"{type(error).__name__}: {error}", file=err)
    return code, out.getvalue(), err.getvalue()


def first_of(queries: list[dict], truth: list[list]) -> tuple[int, int]:
    """For how many people the first hit is their own moment."""
    right = 0
    for query, (clip, frame) in zip(queries, truth, strict=False):
        hit = query["hits"][0] if query["hits"] else None
        right += hit is not None and clip in str(hit["clip"]) and abs(hit["frame"] - frame) <= NEAR
    return right, len(truth)


def wrongs(right: Right, code: int, said: str, first: tuple[int, int] | None) -> list[str]:
    """What is not as it must be."""
    faults = []
    if code != right.code:
        faults.append(f"ends with {code}, not {right.code}")
    if not re.search(right.says, said, re.IGNORECASE | re.DOTALL):
        faults.append(f"does not say {right.says!r}")
    if right.code == 2 and len(said.splitlines()) != 1:
        faults.append("a refusal of several lines")
    if right.code == 0 and bool(DOUBT.search(said)) != right.doubt:
        faults.append("no doubt" if right.doubt else "a doubt")
    if right.found and (first is None or first[0] < right.found):
        faults.append(f"fewer than {right.found} found first")
    return faults


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "400")
    main()
