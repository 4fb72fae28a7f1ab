"""The report of an ingest on one page: what was read, what was not and why, and what looks wrong (numpy, jinja2)."""

__all__ = ["save_ingest_page"]

from collections.abc import Sequence
from pathlib import Path

from vipe.geometry import canonicalize_array
from vipe.plots.figures import Card, figure_3d
from vipe.plots.pages.page import Section, save_page
from vipe.store import Note, PoseStore
from vipe.store.bodies import BONES
from vipe.store.most_different import most_different
from vipe.store.speeds import FAST, clip_speeds

_POSES = 18
_LISTED = 20  # notes, skipped files
_FASTEST = 10  # clips


def save_ingest_page(
    page: Path,
    store: PoseStore,
    *,
    facts: Sequence[tuple[str, str]],
    skipped: Sequence[str] = (),
    notes: Sequence[Note] = (),
    command: str = "",
) -> None:
    """Write what a store holds as one HTML page.

    Args:
        page: HTML file to write; it is replaced if it exists.
        store: As it is now.
        facts: Counts of the ingest, by name.
        skipped: Of each file that could not be read: which, and why.
        notes: What readers assumed or doubt.
        command: That was run.

    Raises:
        MissingExtra: If jinja2 is not installed.
        VipeError: If the page cannot be written; an existing file stays as it is.
    """
    summary = store.summary
    about = [
        ("poses in the store", f"{summary['rows']:,} of {summary['clips']:,} clips"),
        ("frames a second, at most", "all" if summary["fps"] is None else f"{summary['fps']:g}"),
        ("subjects, actions", f"{summary['subjects']:,}, {summary['actions']:,}"),
        ("licence", summary["licence"] or "not told"),
    ]
    sections = [
        Section(title="What was read", code=command, facts=[*facts, *about]),
        *_skipped(skipped),
        *_noted(notes),
        _speeds(store),
        _bodies(store),
        _poses(store),
    ]
    save_page(
        page,
        f"Motion in {store.path.absolute().name}",
        sections,
        intro="Blue is the person's left, orange the right. If a body is crippled, bent the wrong way or lies down, "
        "look at unit, up axis and skeleton of its file.",
    )


def _skipped(skipped: Sequence[str]) -> list[Section]:
    if not skipped:
        return []
    more = f"{len(skipped) - _LISTED:,} more are not listed." if len(skipped) > _LISTED else ""
    table = [["skipped file, and why"], *([one] for one in skipped[:_LISTED])]
    return [Section(title=f"Skipped: {len(skipped):,}", note=more, table=table)]


def _noted(notes: Sequence[Note]) -> list[Section]:
    if not notes:
        return []
    rows = [[note.text, f"{note.clips:,}", note.first] for note in notes[:_LISTED]]
    return [Section(title="Assumed or doubted", table=[["note", "clips", "the first"], *rows])]


def _speeds(store: PoseStore) -> Section:
    speeds = sorted(clip_speeds(store), key=lambda one: -one.speed)
    fast = sum(one.speed > FAST for one in speeds)
    told = f"The fastest joint of each clip, between rows: {min(_FASTEST, len(speeds))} of {len(speeds):,} clips."
    doubt = "look whether a marker slipped, or unit or rate is wrong"
    if not speeds:
        note = "No clip has two rows, so there are no speeds."
    elif fast:
        note = f"{told} {fast:,} {'is' if fast == 1 else 'are'} faster than {FAST:g} m/s: {doubt}."
    else:
        note = f"{told} None is faster than {FAST:g} m/s."
    rows = [
        [one.clip, f"{one.speed:.1f}", one.joint.replace("_", " "), f"{one.time:.2f}", f"{one.usual:.2f}"]
        for one in speeds[:_FASTEST]
    ]
    table = [["clip", "fastest, m/s", "joint", "at, s", "usual, m/s"], *rows] if rows else []
    return Section(title="Speeds", note=note, table=table)


def _bodies(store: PoseStore) -> Section:
    head = ["rig", "clips", *(f"{bone}, m" for bone in BONES), "shortest", "tallest"]
    rows = [
        [
            str(rig["rig"]),
            f"{rig['clips']:,}",
            *(f"{rig[bone]:.2f}" for bone in BONES),
            f"{rig['shortest']:.2f}",
            f"{rig['tallest']:.2f}",
        ]
        for rig in store.rigs
    ]
    note = "Medians over the clips of a rig. Adults are 1.5 to 2 m tall: other heights speak for a wrong unit."
    return Section(title="Bodies", note=note, table=[head, *rows] if rows else [])


def _poses(store: PoseStore) -> Section:
    found = most_different(store, _POSES)
    poses = canonicalize_array(found.poses).poses
    cards = [
        Card(figure=figure_3d(pose), title=clip, note=f"frame {frame}, {time:.2f} s")
        for pose, clip, frame, time in zip(poses, found.clip, found.frame.tolist(), found.time.tolist(), strict=True)
    ]
    note = "Each is as far as it can be from all before it. Bodies are canonical: one size, facing the viewer, upright."
    return Section(title="The most different poses", note=note, rows=[("", cards)])
