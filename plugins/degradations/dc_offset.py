"""A constant beneath the sound, as converters and amplifiers out of adjustment add it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Generator, Tensor

from selfremaster.core.damage import (
    Drawn,
    Seed,
    SettledDegradation,
    ValueOrRange,
    column,
    seeded,
)
from selfremaster.core.interfaces import ComponentConfig

Offset = Annotated[float, Field(ge=-1, le=1)]
Drift = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0.1, le=3600)]


class DcOffsetConfig(ComponentConfig):
    """Settings of `DcOffset`."""

    offset: Annotated[
        ValueOrRange[Offset],
        Drawn(),
        Field(description="what is added, as a part of full scale; [low, high] draws it"),
    ] = 0.02
    drift: Annotated[
        ValueOrRange[Drift],
        Drawn(),
        Field(description="how far it wanders either way, part of full scale; [low, high] draws"),
    ] = 0.0
    drift_seconds: Annotated[
        ValueOrRange[Seconds],
        Drawn("log"),
        Field(description="in which it wanders to its next place; [low, high] draws it"),
    ] = 5.0
    seed: Seed = None


class DcOffset(SettledDegradation):
    """Shift the whole wave up or down, so that silence is no longer zero.

    The shift may drift: it moves in straight lines between places that are drawn evenly within
    +-drift of the offset. Each channel of a recording has its own offset, as it has its own
    converter. Nothing is clipped here.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: the offset error of converters, IEEE Std 1241.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    >>> import torch
    >>> shifted = DcOffset(DcOffsetConfig(offset=0.25))
    >>> shifted.apply(torch.tensor([[0.5, 0.0, -1.0]]), {"seed": 1}).tolist()
    [[0.75, 0.25, -0.75]]
    """

    Config = DcOffsetConfig
    config: DcOffsetConfig
    differentiable = True
    adds_sound = True
    scales = False
    takes_any_level = True

    def draw_channels(
        self, generator: Generator, sample_rate: int, channels: int
    ) -> list[dict[str, Any]]:
        """An offset and a drift for each channel."""
        return [self.draw(generator, sample_rate) for _ in range(channels)]

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Add the same offset to every wave."""
        if values["drift"]:
            return self.damage_each(wave, [values] * len(wave), sample_rate)
        offset: float = values["offset"]
        return wave + offset

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Add to every wave its own offset, and its drift where it has one."""
        shifted = wave + column(values, "offset", wave)
        rows = [row for row, own in enumerate(values) if own["drift"]]
        if not rows:
            return shifted
        drifts = torch.zeros_like(wave)
        for row in rows:
            drifts[row] = drift(values[row], wave.shape[-1], sample_rate).to(wave)
        return shifted.add_(drifts)


def drift(values: Mapping[str, Any], samples: int, sample_rate: int) -> Tensor:
    """How far the offset has wandered, (samples,); it does not depend on how long it goes on."""
    stretch = max(1, round(values["drift_seconds"] * sample_rate))
    places = 2 + samples // stretch
    chance = torch.rand(places, generator=seeded(values["seed"]), dtype=torch.float64)
    knots = (values["drift"] * (2 * chance - 1)).float()[:, None]
    ramp = torch.arange(min(stretch, samples), dtype=torch.float32) / stretch
    return torch.lerp(knots[:-1], knots[1:], ramp).flatten()[:samples]
