"""Hard clipping, as an overloaded recording stage does it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import (
    Drawn,
    PeakDb,
    SettledDegradation,
    ValueOrRange,
    asks_gradient,
    column,
    peak,
)
from selfremaster.core.interfaces import ComponentConfig

Ratio = Annotated[float, Field(gt=0, le=1)]


class ClipConfig(ComponentConfig):
    """Settings of `Clip`."""

    ratio: Annotated[
        ValueOrRange[Ratio],
        Drawn(),
        Field(description="clipping level as a part of each item's peak; [low, high] draws it"),
    ] = 0.25
    reference: Annotated[
        Literal["absolute", "signed"],
        Field(description="the peak: largest magnitude, or largest signed sample as published"),
    ] = "absolute"
    peak_db: PeakDb = None


class Clip(SettledDegradation):
    """Flatten every sample beyond +-ratio * peak.

    The published files are clipped at a quarter of the largest signed sample, then normalised:
    ``clip:reference=signed,peak_db=-3``. An item without a sample above zero has no signed peak and
    is clipped by its magnitude.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: SelfRemaster (Interspeech 2022), section 4.1, "clipped".
    Raises `ComponentError` for parameters that are not settings or out of their range.

    >>> import torch
    >>> Clip(ClipConfig(ratio=0.5)).apply(torch.tensor([[0.2, -1.0]]), {}).tolist()
    [[0.20000000298023224, -0.5]]
    """

    Config = ClipConfig
    config: ClipConfig
    differentiable = True
    takes_any_level = True

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Clip every wave at its own part of its own peak."""
        del sample_rate
        level = peak(wave)
        signed = [own["reference"] == "signed" for own in values]
        if any(signed):
            highest = wave.amax(dim=-1, keepdim=True)
            counts = torch.tensor(signed, device=wave.device)[:, None] & (highest > 0)
            level = highest.where(counts, level)
        level = column(values, "ratio", wave) * level
        if wave.device.type != "cpu" or asks_gradient(wave):
            # several times as fast as to clamp by a tensor
            return torch.minimum(torch.maximum(wave, -level), level)
        if wave.shape[0] == 1:
            return wave.clamp(-level.item(), level.item())
        clipped = torch.empty_like(wave)
        for row, target, own in zip(wave, clipped, level[:, 0].tolist(), strict=True):
            torch.clamp(row, -own, own, out=target)
        return clipped
