"""Uneven speed, as discs off their centre, bent capstans and worn rubber make it."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import Drawn, Seed, SettledDegradation, ValueOrRange, seeded
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.warping import CROSSINGS, read_at

WowPercent = Annotated[float, Field(ge=0, le=10)]
FlutterPercent = Annotated[float, Field(ge=0, le=5)]
WowHertz = Annotated[float, Field(ge=0.1, le=6)]
FlutterHertz = Annotated[float, Field(ge=6, le=200)]
Share = Annotated[float, Field(ge=0, le=1)]

LINES = 24  # sinusoids that an irregular part is made of, over two octaves
PIECE_SAMPLES = 1024
BLOCK_SAMPLES = 2**18


class WowFlutterConfig(ComponentConfig):
    """Settings of `WowFlutter`."""

    wow_percent: Annotated[
        ValueOrRange[WowPercent],
        Drawn(),
        Field(description="peak deviation of the slow part from the speed; [low, high] draws it"),
    ] = 1.0
    wow_hz: Annotated[
        ValueOrRange[WowHertz],
        Drawn("log"),
        Field(description="its rate: 0.56 Hz is a turn at 33 rpm, 1.3 Hz one at 78 rpm"),
    ] = 1.3
    flutter_percent: Annotated[
        ValueOrRange[FlutterPercent],
        Drawn(),
        Field(description="peak deviation of the quick part from the speed; [low, high] draws it"),
    ] = 0.3
    flutter_hz: Annotated[
        ValueOrRange[FlutterHertz],
        Drawn("log"),
        Field(description="its rate, as of a capstan; [low, high] draws it"),
    ] = 10.0
    irregular: Annotated[
        ValueOrRange[Share],
        Drawn(),
        Field(description="share of both that does not repeat itself, 0 to 1"),
    ] = 0.2
    seed: Seed = None


class WowFlutter(SettledDegradation):
    """Play the sound at an uneven speed: its pitch sways slowly (wow) and quickly (flutter).

    The speed is 1 + wow + flutter. Each is a sinusoid at a phase that is drawn, and for the share
    ``irregular`` noise from half to twice its rate, as a sum of sinusoids by chance. Percents are
    peak deviations, not weighted; twice the standard deviation of the irregular share is taken for
    its peak, as AES6-2008 does. Meters to AES6, IEC 60386 and DIN 45507 weigh rates as they annoy:
    they read as much for a sinusoid of 4 Hz, and less for any other.

    What is heard at a moment is read at the integral of the speed, of which each sinusoid's part
    swings about 0: the sound is early as much as it is late, percent / (200 pi hertz) seconds at
    most (1.2 ms for 1 percent at 1.3 Hz); what is irregular may swing twice as far. What is so read
    from before or after the wave is silent.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: AES6-2008, weighted peak flutter; S. O. Rice, Mathematical Analysis of Random Noise
    (Bell System Technical Journal, 1944), for noise as a sum of sinusoids.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    A ramp is read at a speed of up to 1.02:

    >>> swaying = WowFlutter(WowFlutterConfig(wow_percent=2, flutter_percent=0, irregular=0))
    >>> heard, _ = swaying(torch.arange(44100.0)[None].double(), torch.Generator().manual_seed(1))
    >>> round(heard[0, 2000:-2000].diff().max().item(), 3)
    1.02
    """

    Config = WowFlutterConfig
    config: WowFlutterConfig
    differentiable = True
    moves_time = True

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Read every wave at the same moments."""
        return self._read(wave, [values], sample_rate)

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Read each wave at moments of its own."""
        return self._read(wave, values, sample_rate)

    def _read(self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int) -> Tensor:
        if len(values) > 1:
            rows = zip(wave, values, strict=True)
            return torch.cat([self._read(row[None], [own], sample_rate) for row, own in rows])
        pieces = []
        # in stretches: moments in float64 take twice the memory of what is read at them
        for start in range(0, wave.shape[-1], BLOCK_SAMPLES):
            count = min(BLOCK_SAMPLES, wave.shape[-1] - start)
            moments = uneven_moments(values[0], count, sample_rate, start)
            first = min(max(int(moments.min()) - CROSSINGS, 0), wave.shape[-1] - 1)
            last = max(int(moments.max()) + CROSSINGS + 1, first)
            pieces.append(read_at(wave[:, first : last + 1], moments[None].sub_(first)))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)


def uneven_moments(
    values: Mapping[str, Any], samples: int, sample_rate: int, first: int = 0
) -> Tensor:
    """Where in the wave so many samples from one on are read, (samples,), in samples, float64."""
    hertz, peak, phase = speed_lines(values)
    turning = 2 * math.pi * hertz / sample_rate
    swing = peak / turning
    # sin(a + b) as products: tables of piece beginnings and of samples within, one matrix product
    beginnings = torch.arange(0, samples, PIECE_SAMPLES, dtype=torch.float64)[:, None] + first
    within = torch.arange(min(samples, PIECE_SAMPLES), dtype=torch.float64)
    angle, further = beginnings * turning + phase, turning[:, None] * within
    moments = torch.cat([swing * angle.sin(), swing * angle.cos()], dim=1) @ torch.cat(
        [further.cos(), further.sin()]
    )
    return moments.add_(beginnings).add_(within).flatten()[:samples]


def speed_lines(values: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """The sinusoids that the speed deviates by: their Hz, peaks (parts of the speed) and phases.

    Shape: -> three (lines,), float64.
    """
    chance = torch.rand(2, 2 * LINES + 1, generator=seeded(values["seed"]), dtype=torch.float64)
    octaves = 2 * (torch.arange(LINES) + chance[:, :LINES]) / LINES - 1
    share = values["irregular"]
    # each of so many sinusoids has its part of the power; twice their deviation is the peak
    shares = [1 - share] + [share / math.sqrt(2 * LINES)] * LINES
    hertz, peaks = torch.empty(2, 2, LINES + 1, dtype=torch.float64)
    for row, name in enumerate(("wow", "flutter")):
        hertz[row] = values[f"{name}_hz"]
        peaks[row] = torch.tensor(shares, dtype=torch.float64) * values[f"{name}_percent"] / 100
    hertz[:, 1:] *= octaves.exp2()
    heard = peaks > 0
    return hertz[heard], peaks[heard], 2 * math.pi * chance[:, LINES:][heard]
