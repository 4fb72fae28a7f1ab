"""How many Gaussians, of how many dimensions: the mixture under which poses held out are most likely (numpy)."""

__all__ = ["Candidate", "MixtureChoice", "choose_mixture"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vipe.errors import VipeError
from vipe.lift.ppca.prior.mixture import MixtureOfPPCA


@dataclass(frozen=True)
class Candidate:
    """One size of mixture, and how well it did."""

    components: int  # asked for
    dimensions: int
    found: int  # components; fewer than asked for where the rows hold no more
    train: float  # mean log density, nats a row
    held_out: float
    steps: int  # of EM


@dataclass(frozen=True)
class MixtureChoice:
    """The best of a grid of mixtures."""

    mixture: MixtureOfPPCA
    best: Candidate
    table: tuple[Candidate, ...]  # in the order of the grid: all dimensions of the first number of components, ...


def choose_mixture(
    train: Any,
    held_out: Any,
    components: Sequence[int] = (1, 2, 3, 4),
    dimensions: Sequence[int] = (5, 10, 15, 20, 30),
    *,
    estimator: MixtureOfPPCA | None = None,
    progress: Callable[[Candidate], None] | None = None,
) -> MixtureChoice:
    """Fit a mixture for each pair of a grid, and take the one with the greatest mean log density of `held_out`.

    Among equals the first of the grid wins.

    Args:
        train: (N, D) rows to fit to.
        held_out: (M, D) rows of other people or recordings: neighbouring frames of the same one say nothing.
        components: Numbers of Gaussians to try.
        dimensions: Sizes of their bases to try.
        estimator: Its other settings are used; it is not changed.
        progress: Called with each candidate as soon as it is known.

    Raises:
        VipeError: If there is nothing to try, or as `MixtureOfPPCA.fit`.
    """
    settings = (estimator or MixtureOfPPCA()).get_params()
    table: list[Candidate] = []
    best: tuple[Candidate, MixtureOfPPCA] | None = None
    for count in components:
        for latent in dimensions:
            mixture = MixtureOfPPCA(**{**settings, "n_components": count, "n_latent": latent}).fit(train)
            candidate = Candidate(
                components=count,
                dimensions=latent,
                found=len(mixture.weights_),
                train=mixture.lower_bound_,
                held_out=mixture.score(held_out),
                steps=mixture.n_iter_,
            )
            table.append(candidate)
            if best is None or candidate.held_out > best[0].held_out:
                best = (candidate, mixture)
            if progress is not None:
                progress(candidate)
    if best is None:
        raise VipeError("choose_mixture: components and dimensions must each name at least one number to try")
    return MixtureChoice(mixture=best[1], best=best[0], table=tuple(table))
