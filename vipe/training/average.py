"""The average of a network's weights over the steps of a training (torch)."""

__all__ = ["WeightAverage"]

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_EARLY = 9.0  # steps: as in TensorFlow's ExponentialMovingAverage, where step n decays by at most n / (n + 9)


class WeightAverage:
    """An exponential average of a network's weights and batch statistics.

    Step n moves the average to the network by the share max(1 - `decay`, 9 / (9 + n)) of their difference; the first
    step starts it. So in a short training the initial weights do not weigh: until 9 / (1 - `decay`) steps, the average
    is mostly of the last tenth of the steps.

    Args:
        model: The network. Its parts that are not trained are their own average.
        decay: Above 0, below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = model
        self._average = AveragedModel(model, multi_avg_fn=partial(_move, decay), use_buffers=True)

    def update(self) -> None:
        """Take in the network's weights after a step."""
        self._average.update_parameters(self.model)

    def apply(self) -> None:
        """Give the network the averaged weights; before the first step, those that it had when averaging began."""
        self.model.load_state_dict(self._average.module.state_dict())

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the averaged weights inside the block, and then its own again."""
        own = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.apply()
        try:
            yield
        finally:
            self.model.load_state_dict(own)

    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs, by name."""
        return dict(self._average.state_dict())

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave.

        Raises:
            RuntimeError: If it is of another network.
        """
        self._average.load_state_dict(state)


def _move(decay: float, average: Sequence[Tensor], current: Sequence[Tensor], count: Tensor) -> None:
    """Move tensors of an average, of `count` steps so far, towards those of the next step."""
    share = (_EARLY / (_EARLY + 1 + count)).clamp(min=1 - decay)
    for own, new in zip(average, current, strict=True):
        if own.is_floating_point():
            own.lerp_(new, share.to(own.dtype))
        else:
            own.copy_(new)  # counts of batches
