"""The command that runs the whole library once."""

__all__ = ["demo"]

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vipe.cli.output import Json, Seed, counted, emit, progress, table


def demo(
    *,
    out: Annotated[Path, Parameter(help="Folder for everything the demo makes; finished steps are reused.")] = Path(
        "out/demo"
    ),
    source: Annotated[Path | None, Parameter(help="Motion capture to use instead of synthetic motion.")] = None,
    minutes: Annotated[float, Parameter(help="How much synthetic motion.")] = 40.0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Build an archive, train, index it, search it with simulated photos, and draw the results on a page."""
    from vipe.demo import DemoConfig, run
    from vipe.evaluate import HIT_THRESHOLD

    config = DemoConfig(source=None if source is None else str(source), minutes=minutes, seed=seed)
    with progress() as advance:
        result = run(config, out, progress=advance)
    head, *rows = result.to_table()
    emit(
        result.to_json(),
        table(head, rows),
        f"{counted(result.queries, 'simulated query', 'simulated queries')} against "
        f"{counted(result.gallery, 'pose')} nobody trained on; "
        f"95% intervals over clips; a hit is within {HIT_THRESHOLD:g} torso lengths",
        "seconds: " + ", ".join(f"{step} {seconds:.1f}" for step, seconds in result.seconds.items()),
        f"look at {result.page} and {result.picture}",
        f"or ask yourself: vipe query {out}/index --keypoints {out}/queries.json",
        as_json=as_json,
    )
