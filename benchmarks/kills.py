"""Random kills of what writes: after each, nothing is lost, and after the next run nothing is left.

    python benchmarks/kills.py [--rounds 1000] [--seed 0] [--only index] [--json]

A round forks a process that ingests, appends, builds an index, adds to it, removes from it, compacts it, or trains a
lifter on a few small clips, and sends it SIGKILL, SIGTERM, SIGINT or SIGHUP at a random moment of the time that such a
run takes. Then whatever is at the path must be whole (a store of all its clips, an index whose checksums agree, a model
that loads, a checkpoint that the next run goes on from), what was there before must still be there, and the same run
again must succeed and leave no hidden file. A store or an index that was finished when the kill came is removed before
that run, which would refuse it; so is an index from which the clip was removed already.

Forking leaves out the seconds in which Python loads its libraries, and so most kills meet the work itself.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import torch
from inputs import arguments

from vipe.cli.app import main as vipe
from vipe.clips import Clip
from vipe.embed import AffineSignature
from vipe.index import PoseIndex
from vipe.lift import Lifter
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore
from vipe.writers import write

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
CLIPS, FPS = 4, 10.0
STEPS = 60  # of a training


class Task:
    """One kind of run: its command, what makes it possible, and what must hold whenever it was killed."""

    def __init__(
        self, name: str, command: Sequence[str], target: Path, check: Callable[[bool], list[str]], *, new: bool = False
    ) -> None:
        self.name, self.command, self.target, self.check = name, list(command), target, check
        self.new = new  # it refuses what a run before has done already
        self.seconds = 0.0  # of a run that nobody kills


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="the runs whose names begin so, such as `index`")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)  # a forked process has no other threads
    draw = random.Random(options.seed)
    start = time.perf_counter()
    done: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="vipe-kills-") as name:
        tasks = [task for task in prepared(Path(name)) if task.name.startswith(options.only)]
        for task in tasks:
            here(task.command)  # loads what the forked processes need
            restore(task)
            before = time.perf_counter()
            run(task.command)
            task.seconds = time.perf_counter() - before
            restore(task)
        for number in range(options.rounds):
            task, how = draw.choice(tasks), draw.choice(SIGNALS)
            wait = draw.uniform(0, 1.1 * task.seconds)
            done[one_round(task, how, wait, faults)] += 1
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{number + 1}/{options.rounds}: {len(faults)} faults")
    result = {
        "rounds": options.rounds,
        "killed": done["killed"],
        "ended before": done["ended"],
        "faults": faults,
        "seconds": round(time.perf_counter() - start, 1),
    }
    text = f"{options.rounds:,} rounds, {done['killed']:,} killed in their work, {len(faults)} faults"
    print(json.dumps(result) if options.json else "\n".join([*faults, f"{text}, {result['seconds']:.0f} s"]))
    if faults:
        raise SystemExit(1)


def one_round(task: Task, how: str, wait: float, faults: list[str]) -> str:
    """Start, kill, check, run again, check, and put everything back; says whether the kill met a living process."""
    child = started(task.command)
    time.sleep(wait)
    alive = os.waitpid(child, os.WNOHANG)[0] == 0
    if alive:
        os.kill(child, getattr(signal, how))
        os.waitpid(child, 0)
    said = [f"after it: {fault}" for fault in task.check(False)]
    if task.new and task.target.exists() and not task.check(True):
        remove(task.target)
        put_back(task)
    if run(task.command):
        said.append("the next run failed")
    said += [f"after the next run: {fault}" for fault in task.check(True)]
    said += [f"left: {path.relative_to(task.target.parent)}" for path in hidden(task.target.parent)]
    faults += [f"{task.name}, {how} after {wait:.3f} s: {fault}" for fault in said]
    restore(task)
    return "killed" if alive else "ended"


def hidden(folder: Path) -> list[Path]:
    """What a killed run may leave."""
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


def started(command: Sequence[str]) -> int:
    """A process that runs a command of `vipe` without output."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = here(command)
    except KeyboardInterrupt:
        code = 130
    finally:
        os._exit(code)


def here(command: Sequence[str]) -> int:
    """The exit code of a command of `vipe`, run in this process without output."""
    try:
        with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
            vipe(command)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def run(command: Sequence[str]) -> int:
    """The exit code of a command of `vipe`, in a process of its own."""
    return os.waitstatus_to_exitcode(os.waitpid(started(command), 0)[1])


def restore(task: Task) -> None:
    """Everything as it was before the task ran."""
    for path in [task.target, *hidden(task.target.parent)]:
        remove(path)
    put_back(task)


def put_back(task: Task) -> None:
    """What was at its path before, if anything was."""
    if (kept := task.target.parent.parent / f"{task.target.name}-kept").exists():
        shutil.copytree(kept, task.target)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def prepared(work: Path) -> Iterator[Task]:
    """The tasks, each with a folder of its own."""
    clips = list(synthesize(clips=2 * CLIPS, fps=FPS, generator=np.random.default_rng(0)))
    first, second = work / "first", work / "second"
    for folder, some in ((first, clips[:CLIPS]), (second, clips[CLIPS:])):
        folder.mkdir()
        for clip in some:
            write(folder / f"{clip.name}.bvh", clip)
    source = PoseStore.create(work / "source", clips)
    for name in ("ingest", "append", "index", "train"):
        (work / name).mkdir()
    PoseStore.create(work / "appended-kept", clips[:CLIPS])
    shutil.copytree(work / "appended-kept", work / "append" / "appended")
    store, appended = work / "ingest" / "store", work / "append" / "appended"
    index, model = work / "index" / "index", work / "train" / "model"
    names = [clip.name for clip in clips]
    changes = {
        "add": (["add", "{index}", str(source.path)], names[:CLIPS], names),
        "remove": (["remove", "{index}", "--clip", names[0]], names, names[1:]),
        "compact": (["compact", "{index}", "--recipe", "int8"], names[1:], names[1:]),
    }
    for name, (words, before, after) in changes.items():
        yield index_change(work, source, name, words, before, after)
    yield Task(
        "ingest",
        ["ingest", str(first), "--out", str(store)],
        store,
        lambda ended: whole(store, CLIPS, ended),
        new=True,
    )
    yield Task(
        "append",
        ["ingest", str(second), "--out", str(appended), "--append"],
        appended,
        lambda ended: grown(appended, clips[:CLIPS], ended),
    )
    yield Task(
        "index build",
        ["index", "build", str(source.path), "--out", str(index)],
        index,
        lambda ended: searchable(index, len(source), ended),
        new=True,
    )
    yield Task(
        "train lifter",
        ["train", "lifter", str(source.path), "--kind", "regression", "--steps", str(STEPS), "--out", str(model)],
        model,
        lambda ended: loadable(model, ended),
    )


def index_change(
    work: Path, source: PoseStore, name: str, words: Sequence[str], before: Sequence[str], after: Sequence[str]
) -> Task:
    """A change of an index that holds some clips, and then others."""
    target, kept = work / f"index {name}" / name, work / f"{name}-kept"
    names = [clip["clip"] for clip in source.clips()]
    index = PoseIndex.build(source, AffineSignature(), kept, where={"clip": before if name == "add" else names})
    if name == "compact":
        index.remove({"clip": names[0]})
    target.parent.mkdir()
    shutil.copytree(kept, target)
    return Task(
        f"index {name}",
        ["index", *(word.format(index=target) for word in words)],
        target,
        lambda ended: changed(target, before, after, ended),
        new=name == "remove",
    )


def whole(store: Path, clips: int, ended: bool) -> list[str]:
    """A store that is not there, or has all clips."""
    if not store.exists():
        return ["no store"] if ended else []
    found = PoseStore.open(store).summary["clips"]
    return [] if found == clips else [f"{found} clips, expected {clips}"]


def grown(store: Path, before: Sequence[Clip], ended: bool) -> list[str]:
    """A store with its first clips as they were, and all of the new ones or none."""
    opened = PoseStore.open(store)
    rows = sum(len(clip) for clip in before)
    clips = opened.summary["clips"]
    expected = (2 * CLIPS,) if ended else (CLIPS, 2 * CLIPS)
    faults = [] if clips in expected else [f"{clips} clips, expected {expected}"]
    names = [clip.name for clip in before]
    if len(opened.poses({"clip": names})) != rows:
        faults.append("clips of before are lost")
    return faults


def searchable(index: Path, poses: int, ended: bool) -> list[str]:
    """An index that is not there, or is whole; opening compares every checksum."""
    if not index.exists():
        return ["no index"] if ended else []
    found = len(PoseIndex.open(index))
    return [] if found == poses else [f"{found} poses, expected {poses}"]


def changed(index: Path, before: Sequence[str], after: Sequence[str], ended: bool) -> list[str]:
    """An index of which every byte is right, with the clips of before or of after; at the end no part is left over."""
    opened = PoseIndex.open(index)
    opened.verify()
    clips = set(opened.frames()["clip"])
    faults = [] if clips in ([set(after)] if ended else [set(before), set(after)]) else [f"holds {sorted(clips)}"]
    parts = {part.folder for part in opened.manifest.parts}
    if ended and (more := {f"parts/{path.name}" for path in index.glob("parts/*")} - parts):
        faults.append(f"{len(more)} parts are left over")
    near = opened.search(opened.vectors(np.arange(len(opened)))[::7], 1)
    return faults if (near.rows >= 0).all() else [*faults, "a search finds nothing"]


def loadable(model: Path, ended: bool) -> list[str]:
    """A folder of a training that goes on, or a model that loads."""
    if ended or (model / "config.json").exists():
        Lifter.from_pretrained(str(model))
    return []


if __name__ == "__main__":
    main()
