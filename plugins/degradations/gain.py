"""A change of level, as recordings of every loudness are brought in with."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import Drawn, PeakDb, SettledDegradation, ValueOrRange, factors
from selfremaster.core.interfaces import ComponentConfig

Decibels = Annotated[float, Field(ge=-120, le=60)]


class GainConfig(ComponentConfig):
    """Settings of `Gain`."""

    gain_db: Annotated[
        ValueOrRange[Decibels],
        Drawn(),
        Field(description="by how much louder, dB; below 0 softer; [low, high] draws it"),
    ] = -6.0
    peak_db: PeakDb = None


class Gain(SettledDegradation):
    """Make the sound louder or softer.

    Nothing is clipped here: what leaves full scale is for the parts that follow, or for the file.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: the decibel, 20 log10 of a ratio of amplitudes.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    20 dB are a factor of ten:

    >>> import torch
    >>> Gain(GainConfig(gain_db=20)).apply(torch.tensor([[0.25, -0.5]]), {}).tolist()
    [[2.5, -5.0]]
    """

    Config = GainConfig
    config: GainConfig
    differentiable = True
    takes_any_level = True

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Multiply every wave by its own factor."""
        del sample_rate
        return _within(wave * factors(values, "gain_db", wave), values)

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Multiply every wave by the same factor."""
        del sample_rate
        return _within(wave * 10 ** (values["gain_db"] / 20), [values])


def _within(louder: Tensor, values: Sequence[Mapping[str, Any]]) -> Tensor:
    """What is louder than a number can be is as loud as it can be; others need no look."""
    if all(own["gain_db"] <= 0 for own in values):
        return louder
    limit = torch.finfo(louder.dtype).max
    return louder.clamp_(-limit, limit)
