"""Automatic gain control, as recorders, telephones and broadcast have it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from selfremaster.core.damage import Drawn, SettledDegradation, ValueOrRange, column, in_double
from selfremaster.core.filtering import recursive_filter
from selfremaster.core.interfaces import ComponentConfig

BLOCK_SECONDS = 0.005  # from one measurement of the level to the next
AT_ONCE = 2048  # blocks that are worked on together: small enough to stay near the processor
SOFTEST = 1e-20  # power that digital silence is taken to have
RELEASE_DB = 10.0  # by which the gain comes up in release_seconds

Seconds = Annotated[float, Field(ge=0.001, le=60)]
Level = Annotated[float, Field(ge=-100, le=0)]
Ratio = Annotated[float, Field(ge=1, le=100)]
Limit = Annotated[float, Field(ge=0, le=80)]


class AgcConfig(ComponentConfig):
    """Settings of `Agc`."""

    target_db: Annotated[
        ValueOrRange[Level],
        Drawn(),
        Field(description="RMS level that it aims at, dBFS; [low, high] draws it"),
    ] = -20.0
    ratio: Annotated[
        ValueOrRange[Ratio],
        Drawn("log"),
        Field(description="dB at the input for each dB at the output; [low, high] draws it"),
    ] = 10.0
    attack_seconds: Annotated[
        ValueOrRange[Seconds],
        Drawn("log"),
        Field(description="until 63 percent of a rise in level, in dB, is met; [low, high] draws"),
    ] = 0.02
    release_seconds: Annotated[
        ValueOrRange[Seconds],
        Drawn("log"),
        Field(description="in which the gain comes up again by 10 dB; [low, high] draws it"),
    ] = 1.0
    max_gain_db: Annotated[
        ValueOrRange[Limit],
        Drawn(),
        Field(description="beyond which nothing is amplified, dB; [low, high] draws it"),
    ] = 30.0
    gate_db: Annotated[
        ValueOrRange[Level],
        Drawn(),
        Field(description="RMS level, dBFS, below which the gain waits; [low, high] draws it"),
    ] = -70.0


class Agc(SettledDegradation):
    """Bring loud and soft speech to one level: onsets jump out, and the noise of pauses is pumped.

    The level is that of blocks of 5 ms. Where it rises, the gain follows with the time of the
    attack; where it falls, the level that counts falls evenly in dB, so that the gain comes up
    until the greatest gain is met. In what is softer than the gate, such as digital silence, the
    gain stays where it is. The machine is taken to have heard the same sort of sound before: it
    begins with the gain for the RMS of the wave, or with none where all of the wave is softer than
    the gate. After that it knows only what has been; what overshoots is not clipped.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: the decoupled peak detector of Giannoulis, Massberg and Reiss, "Digital Dynamic Range
    Compressor Design", J. Audio Eng. Soc. 60(6), 2012; here with the law of a leveller.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    A steady sound comes out at the target; -20 dB of full scale are 0.1:

    >>> steady = Agc(AgcConfig(target_db=-20, ratio=100))
    >>> steady.apply(torch.full((1, 500), 0.1), {})[0, -1].round(decimals=4).item()
    0.10000000149011612
    """

    Config = AgcConfig
    config: AgcConfig
    differentiable = True
    scales = False

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Multiply every wave by a gain that goes with its level."""
        samples = wave.shape[-1]
        block = max(1, round(BLOCK_SECONDS * sample_rate))
        parts = [_in_blocks(own, block) for own in torch.split(wave, AT_ONCE * block, dim=-1)]
        power = in_double(torch.cat([own.square().mean(-1) for own in parts], dim=-1))
        # the last block may have fewer samples than the others
        sizes = torch.full_like(power[:1], block)
        sizes[:, -1] = samples - (power.shape[-1] - 1) * block
        level_db = followed_level(power * (block / sizes), values, block / sample_rate)
        wanted_db = column(values, "target_db", level_db) - level_db
        part = 1 - 1 / column(values, "ratio", level_db)
        gain_db = (part * wanted_db).minimum(column(values, "max_gain_db", level_db))
        gain = (10 ** (gain_db / 20)).to(wave)[..., None]
        # a block is heard with what was known before it began
        ramp = torch.arange(block, device=wave.device, dtype=wave.dtype) / block
        begin, end = (torch.split(own, AT_ONCE, dim=1) for own in (gain[:, :-1], gain[:, 1:]))
        heard = [
            (own * torch.lerp(first, last, ramp)).flatten(1)
            for own, first, last in zip(parts, begin, end, strict=True)
        ]
        return torch.cat(heard, dim=-1)[:, :samples]


def _in_blocks(wave: Tensor, block: int) -> Tensor:
    """A wave in blocks, the last one filled with silence, (batch, blocks, block)."""
    whole = functional.pad(wave, (0, -wave.shape[-1] % block)) if wave.shape[-1] % block else wave
    return whole.reshape(len(wave), -1, block)


def followed_level(
    power: Tensor, values: Sequence[Mapping[str, Any]], block_seconds: float
) -> Tensor:
    """The level in dBFS that the gain goes by, at the beginning and at the end of each block.

    Shape: power (batch, blocks), float64 -> (batch, blocks + 1).
    """
    level = 10 * power.clamp(min=SOFTEST).log10()
    heard = level > column(values, "gate_db", level)
    mean = (power * heard).sum(-1, keepdim=True) / heard.sum(-1, keepdim=True).clamp(min=1)
    # where all is below the gate, nothing is turned up or down
    before = (10 * mean.clamp(min=SOFTEST).log10()).where(
        heard.any(-1, keepdim=True), column(values, "target_db", level)
    )
    fall = RELEASE_DB * block_seconds / column(values, "release_seconds", level)
    fallen = (heard * fall).cumsum(-1)
    # the largest of all levels before, each fallen since
    levels = (level + fallen).masked_fill(~heard, -torch.inf)
    since = torch.cat([before, levels], dim=-1).cummax(-1).values[:, 1:] - fallen
    rows = []
    for row, own in enumerate(values):
        kept = np.exp(-block_seconds / own["attack_seconds"])
        smoothing = np.array([[1 - kept, 0.0, 0.0, 1.0, -kept, 0.0]])
        rows.append(recursive_filter(since[row : row + 1] - before[row], smoothing))
    followed = before + torch.cat(rows)
    found: Tensor = torch.cat([before, before, followed[:, :-1]], dim=-1)
    return found
