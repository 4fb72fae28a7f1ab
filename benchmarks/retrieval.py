"""How long the retrieval protocol takes: seconds a part, for many poses and the 110 camera pairs of the 3DHP rig.

python benchmarks/retrieval.py [--store STORE] [--embedder MODEL] [--poses 10000] [--threads N]

Without a store the poses are synthetic, without a model the embedder is untrained: neither changes the work. Dropping
near-duplicates is left out of the protocol here and timed by itself with --near-duplicates, since how long it takes
depends on how many poses there were.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from inputs import FPS, arguments

from vipe.embed import Embedder
from vipe.embed.presets import TINY
from vipe.embed.vvipe.network import VVIPE
from vipe.evaluate import Condition, RetrievalProtocol, evaluate_retrieval, without_near_duplicates
from vipe.evaluate.baselines.matchers import EmbeddingMatcher, Matcher
from vipe.evaluate.baselines.raw_2d import Raw2D
from vipe.evaluate.protocols.view_invariance import RETRIEVAL_CONDITIONS
from vipe.geometry import canonicalize_array
from vipe.simulate.motion import synthesize
from vipe.store import PoseStore


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--embedder")
    parser.add_argument("--poses", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--near-duplicates", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    embedder = (
        Embedder.from_pretrained(options.embedder) if options.embedder else Embedder(VVIPE.untrained(TINY.network, 0))
    )
    with tempfile.TemporaryDirectory(prefix="vipe-") as folder:
        if options.store is None:
            clips = synthesize(minutes=options.poses / 600 + 1, generator=np.random.default_rng(0))
            store = PoseStore.create(Path(folder) / "store", clips, fps=FPS)
        else:
            store = PoseStore.open(options.store)
        if options.near_duplicates:
            poses = canonicalize_array(store.poses()).poses
            start = time.perf_counter()
            kept = without_near_duplicates(poses)
            print(f"near-duplicates: {time.perf_counter() - start:.1f} s, {len(kept):,} of {len(poses):,} poses remain")
        matchers: list[Matcher] = [EmbeddingMatcher(embedder), Raw2D()]
        for matcher in matchers:
            for condition in RETRIEVAL_CONDITIONS[:: 2 if matcher.name == "raw 2D" else 3]:
                _time(store, matcher, condition, options.poses)


def _time(store: PoseStore, matcher: Matcher, condition: Condition, poses: int) -> None:
    marks: dict[str, float] = {}

    def tell(step: str, *_: object) -> None:
        marks.setdefault(step, time.perf_counter())

    start = time.perf_counter()
    protocol = RetrievalProtocol(poses=poses, near_duplicate=0.0, conditions=(condition,))
    report = evaluate_retrieval(store, [matcher], protocol=protocol, progress=tell)
    end = time.perf_counter()
    pairs = marks["camera pairs"]
    print(
        f"{matcher.name}, {condition.name}: {report.poses:,} poses, {report.pairs['all']} camera pairs in "
        f"{end - start:.1f} s, of which 3D distances {pairs - start:.1f} s, views and ranks {end - pairs:.1f} s"
    )


if __name__ == "__main__":
    main()
