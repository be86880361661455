"""Coarse quantisation and a low sampling rate, as early digital telephony and recorders have it."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import (
    Drawn,
    PeakDb,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
    in_double,
    peak,
)
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.signals import fit_length, resample_hann

Levels = Annotated[int, Field(ge=4, le=65536, multiple_of=2)]
Rate = Annotated[int, Field(ge=1000, le=192000)]
BLOCK_SAMPLES = 2**18  # encoded at once


class QuantizeResampleConfig(ComponentConfig):
    """Settings of `QuantizeResample`; the defaults are the published ones."""

    levels: Annotated[
        ValueOrRange[Levels],
        Drawn(step=2),
        Field(description="number of mu-law codes, even; [low, high] draws it in steps of 2"),
    ] = 128
    rate_hz: Annotated[
        ValueOrChoices[Rate],
        Drawn("choice"),
        Field(
            description="sampling rate that the sound passes through, Hz; a list draws one of it"
        ),
    ] = 8000
    mode: Annotated[
        Literal["companded", "codec"],
        Field(description="leave the codes companded, as published, or decode them as a telephone"),
    ] = "companded"
    peak_db: PeakDb = None


class QuantizeResample(SettledDegradation):
    """Roughen and muffle the sound: few mu-law codes, then a low sampling rate and back.

    Each item is encoded at a peak of 1 and given its peak back. ``mode="companded"`` is the
    published operator, which never expands the codes: quiet sounds come out far too loud.
    ``mode="codec"`` decodes them, as a telephone line does. A rate at or above that of the wave
    changes nothing. The published files are normalised afterwards:
    ``quantize-resample:peak_db=-3``. Published pretraining draws
    ``quantize-resample:levels=[64,1024],rate_hz=[8000,11025,12000,16000]``.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: SelfRemaster (Interspeech 2022), section 4.1, "quantized and resampled"; ITU-T G.711 for
    the law. Resampling is a Hann-windowed sinc of 6 zero crossings.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    With 4 codes, -1, -1/2, 0 and 1/2, no sample keeps its own place but the lowest:

    >>> import torch
    >>> coarse = QuantizeResample(QuantizeResampleConfig(levels=4, rate_hz=22050))
    >>> coarse.apply(torch.tensor([[0.1, 0.9, -1.0]]), {}).tolist()
    [[0.0, 0.5, -1.0]]
    """

    Config = QuantizeResampleConfig
    config: QuantizeResampleConfig

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Encode every wave of a batch, and pass it through the lower rate."""
        level = peak(wave.detach())
        blocks = [
            wave.detach()[:, start : start + BLOCK_SAMPLES]
            for start in range(0, wave.shape[-1], BLOCK_SAMPLES)
        ]
        told = values["levels"], values["mode"]
        rough = torch.cat([coarse(block, level, *told) for block in blocks], dim=-1)
        if values["rate_hz"] < sample_rate:
            low = resample_hann(rough, sample_rate, values["rate_hz"])
            rough = fit_length(resample_hann(low, values["rate_hz"], sample_rate), wave.shape[-1])
        # resampling overshoots by a percent, which a converter cuts off
        return rough.clamp(-1, 1).mul_(level)


def coarse(wave: Tensor, level: Tensor, levels: int, mode: str) -> Tensor:
    """What comes out for a wave of a peak, over that peak; published codes are found in float64."""
    level = level.where(level > 0, 1)
    if mode == "codec":
        spoken = mu_law_wave(torch.arange(levels, dtype=torch.float64), levels).to(wave)
        return spoken[mu_law_codes(wave / level, levels).long()]
    codes = mu_law_codes(in_double(wave) / in_double(level), levels)
    return (codes / levels * 2 - 1).to(wave)


def mu_law_codes(wave: Tensor, levels: int) -> Tensor:
    """The mu-law codes, 0 to levels - 1, of a wave within full scale."""
    law = levels - 1
    companded = torch.sign(wave) * torch.log1p(law * wave.abs()) / math.log1p(law)
    return torch.floor((companded + 1) / 2 * law + 0.5)


def mu_law_wave(codes: Tensor, levels: int) -> Tensor:
    """The wave that mu-law codes stand for."""
    law = levels - 1
    companded = codes / law * 2 - 1
    return torch.sign(companded) * torch.expm1(companded.abs() * math.log1p(law)) / law
