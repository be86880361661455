"""The running mean of the weights of a run: steadier than the last ones, where a run wanders."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Weights = dict[str, dict[str, Tensor]]
"""Module -> name in its state -> value."""


def copied(weights: Mapping[str, Mapping[str, Tensor]]) -> Weights:
    """The same values, detached, in memory of their own."""
    return {
        name: {key: value.detach().clone() for key, value in part.items()}
        for name, part in weights.items()
    }


class RunningMean:
    """An exponential mean of the weights of some modules, which soon forgets how it began.

    Step t has the weight ``1 - decay``, once (1 + t) / (10 + t) has grown to the decay; before that
    more, so that the weights of the start are soon forgotten. Whole numbers among the weights are
    taken as they are.

    Source: Polyak and Juditsky (1992); the growing decay as in TensorFlow's moving averages.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> mean = RunningMean({"layer": layer}, decay=0.5)
    >>> _ = layer.weight.data.fill_(0.0), mean.start(), layer.weight.data.fill_(1.0)
    >>> mean.update(100)
    >>> with mean.in_use():
    ...     layer.weight.item()
    0.5
    >>> layer.weight.item()
    1.0
    """

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        self.modules = dict(modules)
        self.decay = decay
        self.weights: Weights = {}
        self.start()

    def start(self) -> None:
        """Begin anew from the weights as they are."""
        self.weights = copied(self._own())

    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, part in self._own().items():
            for key, value in part.items():
                mean = self.weights[name][key]
                if mean.is_floating_point():
                    mean.lerp_(value.detach(), share)
                else:
                    mean.copy_(value)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Give the modules the mean inside the block, and their own weights back after it."""
        kept = copied(self._own())
        self._give(self.weights)
        try:
            yield
        finally:
            self._give(kept)

    def _own(self) -> dict[str, dict[str, Tensor]]:
        return {name: module.state_dict() for name, module in self.modules.items()}

    def _give(self, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
        with torch.no_grad():
            for name, part in self._own().items():
                for key, value in part.items():
                    value.copy_(weights[name][key])
