"""A wrong speed, as machines, discs and copies that do not go together have it."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import Drawn, SettledDegradation, ValueOrRange
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.signals import fit_length
from selfremaster.core.warping import half_width, read_at

Percent = Annotated[float, Field(ge=-80, le=400)]


class SpeedConfig(ComponentConfig):
    """Settings of `Speed`."""

    percent: Annotated[
        ValueOrRange[Percent],
        Drawn(),
        Field(
            description="by how much it plays too fast, below 0 too slow; a disc of 78 rpm plays "
            "at -57 at 33 rpm; [low, high] draws it"
        ),
    ] = 5.0


class Speed(SettledDegradation):
    """Play the sound too fast or too slow, so that its pitch rises or falls with the speed.

    The wave begins where it began and stays as long as it was: too fast, silence follows its end;
    too slow, its end is not reached. What rises beyond half the rate is filtered out.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: a tape or disc is read at the moment t (1 + percent / 100).
    Raises `ComponentError` for parameters that are not settings or out of their range.

    At twice the speed a second of 500 Hz is half a second of 1000 Hz, bins being 2 Hz apart:

    >>> tone = torch.sin(2 * math.pi * 500 * torch.arange(22050) / 22050)[None]
    >>> heard = Speed(SpeedConfig(percent=100)).apply(tone, {}, sample_rate=22050)[0]
    >>> 2 * int(torch.fft.rfft(heard[:11025]).abs().argmax()), round(heard[11100:].max().item(), 4)
    (1000, 0.0)
    """

    Config = SpeedConfig
    config: SpeedConfig
    differentiable = True
    moves_time = True
    keeps_pairs = False

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Read every wave at the same speed."""
        del sample_rate
        speed = 1 + values["percent"] / 100
        if speed == 1:
            return wave.clone()
        samples, cutoff = wave.shape[-1], min(1.0, 1 / speed)
        sounding = min(samples, math.ceil((samples + half_width(cutoff)) / speed))
        moments = torch.arange(sounding, dtype=torch.float64).mul_(speed)
        return fit_length(read_at(wave, moments[None], cutoff), samples)
