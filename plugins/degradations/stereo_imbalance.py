"""Channels of unlike level, as a worn head, a bent pickup or a knob off its middle gives them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from torch import Generator, Tensor

from selfremaster.core.damage import Drawn, SettledDegradation, ValueOrRange, factors
from selfremaster.core.interfaces import ComponentConfig

Decibels = Annotated[float, Field(ge=-60, le=60)]


class StereoImbalanceConfig(ComponentConfig):
    """Settings of `StereoImbalance`."""

    balance_db: Annotated[
        ValueOrRange[Decibels],
        Drawn(),
        Field(description="level of the first channel over the last, dB; [low, high] draws it"),
    ] = 6.0
    side: Annotated[
        float,
        Field(ge=-1, le=1, description="of a wave by itself: 1 is the first channel, -1 the last"),
    ] = 1.0


class StereoImbalance(SettledDegradation):
    """Make one channel louder and the other softer, by half the difference each.

    Of the channels of one recording the first is raised and the last lowered; channels between
    them lie between. A wave that is damaged by itself gets what its ``side`` gets.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: channel imbalance as IEC 60098 (discs) and IEC 60094 (tapes) state it, in dB.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    40 dB between both channels are a factor of ten up, and of ten down:

    >>> import torch
    >>> uneven = StereoImbalance(StereoImbalanceConfig(balance_db=40))
    >>> drawn = uneven.draw_channels(Generator().manual_seed(1), 22050, 2)
    >>> uneven.apply(torch.tensor([[0.5], [0.5]]), drawn).round(decimals=4).tolist()
    [[5.0], [0.05000000074505806]]
    """

    Config = StereoImbalanceConfig
    config: StereoImbalanceConfig
    differentiable = True

    def draw_channels(
        self, generator: Generator, sample_rate: int, channels: int
    ) -> list[dict[str, Any]]:
        """One balance for all channels, and the side of each."""
        first = self.draw(generator, sample_rate)
        step = 2 / max(channels - 1, 1)
        return [first] + [{**first, "side": 1 - step * place} for place in range(1, channels)]

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Multiply every wave by the factor of its side."""
        del sample_rate
        halves = [{"half_db": own["balance_db"] * own["side"] / 2} for own in values]
        return wave * factors(halves, "half_db", wave)
