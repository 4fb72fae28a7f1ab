"""Frames a second from BVH text to joint positions: vipe beside the readers of the package registry, in one run.

    python benchmarks/readers.py [PATH]

PATH is a BVH file, a folder or an archive, by default ../shared/mocap, or a synthetic clip where that is absent.
Of each kind of rig found, the clip of middling length and the longest are read by every reader many times; the best
time of each counts, from the file's name to the positions of all joints. bvhio, which is slow, gets few rounds.
"""

import argparse
import importlib.metadata
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from vipe.readers import bvh, read
from vipe.readers.archives import Limits, collections
from vipe.readers.numbers import parse_rows
from vipe.skeletons import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = Path(__file__).parents[2] / "shared" / "mocap"
    parser.add_argument("path", nargs="?", type=Path, default=beside if beside.exists() else None)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for title, data in chosen(arguments.path):
            file = Path(folder) / "clip.bvh"
            file.write_bytes(data)
            compare(title, file, arguments.rounds)


def chosen(path: Path | None) -> Iterator[tuple[str, bytes]]:
    """Two clips for each kind of hierarchy: the one of middling length and the longest."""
    if path is None:
        yield "synthetic (cc_base, 2,000 frames)", synthetic(2000)
        return
    kinds: dict[bytes, list[tuple[int, str, bytes]]] = {}
    for collection in collections(path, Limits()):
        for member in collection.members():
            if member.path.lower().endswith(".bvh"):
                data = member.read()
                root = data.split(None, 3)[2]
                kinds.setdefault(root, []).append((len(data), collection.prefix + member.path, data))
    for clips in kinds.values():
        clips.sort()
        for _, title, data in {len(clips) // 2: clips[len(clips) // 2], len(clips) - 1: clips[-1]}.values():
            yield title, data
    if not kinds:
        raise SystemExit(f"{path}: no BVH file")


def synthetic(frames: int) -> bytes:
    """A character rig that sways: 100 joints, 303 channels, six decimals."""
    skeleton = load("cc_base")
    joints = [joint for joint in skeleton.joints if joint not in {site.name for site in skeleton.sites}]
    children: dict[int, list[int]] = {}
    for i in range(len(joints)):
        children.setdefault(skeleton.parents[i], []).append(i)
    rng = np.random.default_rng(0)
    lines = ["HIERARCHY"]

    def write(joint: int) -> None:
        kind = "ROOT" if skeleton.parents[joint] < 0 else "JOINT"
        channels = "6 Xposition Yposition Zposition" if kind == "ROOT" else "3"
        offset = " ".join(f"{x:.6f}" for x in rng.normal(scale=10, size=3))
        lines.extend([f"{kind} {joints[joint]}", "{", f"OFFSET {offset}"])
        lines.append(f"CHANNELS {channels} Zrotation Yrotation Xrotation")
        for child in children.get(joint, ()):
            write(child)
        lines.append("}")

    write(0)
    lines.extend(["MOTION", f"Frames: {frames}", "Frame Time: 0.016667"])
    phase = np.linspace(0, 60, frames)[:, None] * rng.uniform(0.5, 2, 303) + rng.uniform(0, 6, 303)
    lines.extend(" ".join(f"{x:.6f}" for x in row) for row in 60 * np.sin(phase))
    return ("\n".join(lines) + "\n").encode()


def compare(title: str, file: Path, rounds: int) -> None:
    """Print one table: each reader's best time, and how fast its numbers could be parsed at all."""
    (clip,) = read(file)
    text = file.read_bytes()
    readers = {name: reader for name, reader in READERS.items() if works(name, reader, file)}
    best = {
        name: min(seconds(lambda reader=reader: reader(file)) for _ in range(2 if name == "bvhio" else rounds))
        for name, reader in readers.items()
    }
    parsing, numbers = parse_only(text, rounds)

    print(f"\n{title}: {len(clip):,} frames, {numbers:,} numbers, {len(text) / 1e6:.1f} MB")
    peers = [time_ for name, time_ in best.items() if name != "vipe"]
    for name, time_ in best.items():
        version = importlib.metadata.version("vipe-pose" if name == "vipe" else name)
        print(f"  {name + ' ' + version:22} {time_ * 1e3:9.2f} ms {len(clip) / time_:12,.0f} frames/s")
    if peers:
        print(f"  vipe is {min(peers) / best['vipe']:.1f} times as fast as the fastest other reader")
    share = parsing / best["vipe"]
    print(f"  parsing the numbers alone: {numbers / parsing / 1e6:.1f} million/s, {share:.0%} of vipe's time")


def works(name: str, reader: Callable[[Path], object], file: Path) -> bool:
    try:
        reader(file)
    except ImportError:
        print(f"{name} is not installed: pip install 'vipe-pose[bench]'")
    except Exception as error:  # noqa: BLE001  # whatever a peer does with a file that it does not read
        print(f"{name} refuses this file: {str(error).splitlines()[0][:100]}")
    else:
        return True
    return False


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def parse_only(text: bytes, rounds: int) -> tuple[float, int]:
    """Best time of the numbers' parsing within vipe's reading, and how many there are."""
    rig = bvh._read_rig(text[: text.index(b"MOTION")], ())
    frames, _, start = bvh._read_motion_head(text, text.index(b"MOTION") + len(b"MOTION"), "clip.bvh")
    rows = rig.plan.rows
    best = min(seconds(lambda: parse_rows(text, start, frames, rig.channels, rows, "clip.bvh")) for _ in range(rounds))
    return best, frames * rig.channels


def with_vipe(file: Path) -> object:
    return [clip.positions for clip in read(file)]


def with_pybvh(file: Path) -> object:
    import pybvh

    return pybvh.read_bvh_file(file).joint_positions()


def with_bvhio(file: Path) -> object:
    import bvhio

    root = bvhio.readAsHierarchy(str(file))
    first, last = root.getKeyframeRange()
    positions = []
    for frame in range(first, last + 1):
        root.loadPose(frame)
        positions.append([joint.PositionWorld for joint, _, _ in root.layout()])
    return positions


READERS = {"vipe": with_vipe, "pybvh": with_pybvh, "bvhio": with_bvhio}

if __name__ == "__main__":
    main()
