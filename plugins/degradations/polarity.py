"""Reversed polarity, as one swapped pair of wires gives it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from selfremaster.core.damage import SettledDegradation
from selfremaster.core.interfaces import ComponentConfig


class PolarityConfig(ComponentConfig):
    """`Polarity` has no settings."""


class Polarity(SettledDegradation):
    """Turn the wave upside down, which nobody hears and every difference of waves shows.

    A chance of it is ``sometimes:degradation=polarity,chance=0.5``.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: AES26, on the polarity of audio signals.
    Raises `ComponentError` for any parameter.

    >>> import torch
    >>> Polarity(PolarityConfig()).apply(torch.tensor([[0.5, 0.0, -1.0]]), {}).tolist()
    [[-0.5, 0.0, 1.0]]
    """

    Config = PolarityConfig
    config: PolarityConfig
    differentiable = True
    takes_any_level = True

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Turn every wave upside down; silence does not become -0."""
        del values, sample_rate
        return torch.rsub(wave, 0)
