"""Gaps where packets of a digital line got lost, and how a receiver covers them."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import (
    Drawn,
    PeakDb,
    Seed,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
    seeded,
)
from selfremaster.core.interfaces import ComponentConfig

Milliseconds = Annotated[float, Field(ge=1, le=500)]
Percent = Annotated[float, Field(ge=0, le=100)]
Burst = Annotated[float, Field(ge=1, le=1000)]
Concealment = Literal["silence", "repeat"]
FULL_MS, GONE_MS = 10.0, 60.0  # a repeated packet begins to fade, and is silent
RUNS = 256  # drawn at once
LONGEST = 1e12  # packets that a line stays as it is, on average


class PacketLossConfig(ComponentConfig):
    """Settings of `PacketLoss`."""

    loss_percent: Annotated[
        ValueOrRange[Percent],
        Drawn(),
        Field(description="how many of all packets get lost, percent; [low, high] draws it"),
    ] = 5.0
    burst_packets: Annotated[
        ValueOrRange[Burst],
        Drawn("log"),
        Field(description="how many get lost in a row, on average; [low, high] draws it"),
    ] = 2.0
    packet_ms: Annotated[
        ValueOrChoices[Milliseconds],
        Drawn("choice"),
        Field(description="length of a packet, milliseconds; a list draws one of it"),
    ] = 20.0
    concealment: Annotated[
        ValueOrChoices[Concealment],
        Drawn("choice"),
        Field(
            description="what is heard instead: silence, or the last packet again and again, "
            "fading; a list draws one of it"
        ),
    ] = "repeat"
    seed: Seed = None
    peak_db: PeakDb = None


class PacketLoss(SettledDegradation):
    """Lose stretches of the sound, alone or in bursts, as calls over a bad network do.

    The line is good or bad, each for a random number of packets; in the bad state all are lost.
    Where so many cannot be lost in bursts so short, bursts are longer and one packet lies between
    two. What arrives stays as it is. A packet that is repeated fades from 10 ms on, by a fifth
    every 10 ms, as in G.711 Appendix I, which repeats a period of the voice instead. All channels
    of a recording lose the same packets.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: E. N. Gilbert, Capacity of a burst-noise channel (1960), and E. O. Elliott (1963);
    ITU-T G.711 Appendix I (1999) for the fading.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    Packets of two samples, of which the second and third are lost with this seed:

    >>> import torch
    >>> line = PacketLoss(PacketLossConfig(packet_ms=2, loss_percent=40, seed=2))
    >>> line.apply(torch.arange(1.0, 9.0)[None], {}, sample_rate=1000).tolist()
    [[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 7.0, 8.0]]
    """

    Config = PacketLossConfig
    config: PacketLossConfig
    differentiable = True
    takes_any_level = True

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Lose the same packets of every wave of a batch."""
        size = max(1, round(values["packet_ms"] * sample_rate / 1000))
        count = math.ceil(wave.shape[-1] / size)
        lost = lost_packets(values["seed"], values["loss_percent"], values["burst_packets"], count)
        heard = wave.clone()
        gaps = lost.nonzero()[:, 0]
        whole = wave.shape[-1] // size
        if values["concealment"] == "silence":
            if lost[-1]:  # the last packet, cut short
                heard[:, whole * size :] = 0
            packets = heard[:, : whole * size].view(len(wave), whole, size)
            packets.index_fill_(1, gaps[gaps < whole].to(wave.device), 0)
            return heard
        last = last_arrived(lost)[gaps]
        gain = fades(gaps - last, size, sample_rate) * (last >= 0)[:, None]
        if lost[-1] and whole < count:  # the last packet, cut short
            before, rest = max(int(last[-1]), 0) * size, wave.shape[-1] - whole * size
            heard[:, whole * size :] = wave[:, before : before + rest] * gain[-1, :rest].to(wave)
            gaps, last, gain = gaps[:-1], last[:-1], gain[:-1]
        if not len(gaps):
            return heard
        # only what is lost is worked on
        packets, kept = (
            own[:, : whole * size].view(len(wave), whole, size) for own in (wave, heard)
        )
        repeated = packets.index_select(1, last.clamp(min=0).to(wave.device)) * gain.to(wave)
        kept.index_copy_(1, gaps.to(wave.device), repeated)
        return heard


def lost_packets(seed: int, loss_percent: float, burst_packets: float, count: int) -> Tensor:
    """Which of so many packets get lost, (count,) of booleans; the first hang on no later one.

    >>> lost_packets(seed=1, loss_percent=100, burst_packets=2, count=3).tolist()
    [True, True, True]
    """
    loss = loss_percent / 100
    if loss in (0, 1):
        return torch.full((count,), loss == 1)
    # bad and good last burst and burst * (1 - loss) / loss packets on average, one at least
    burst = max(burst_packets, loss / (1 - loss))
    means = {True: burst, False: burst * (1 - loss) / loss}
    stays = {bad: math.log(max(1 - 1 / min(mean, LONGEST), 1e-300)) for bad, mean in means.items()}
    generator = seeded(seed)
    bad = float(torch.rand((), generator=generator, dtype=torch.float64)) < loss
    lost = np.zeros(count, dtype=bool)
    place = 0
    while place < count:
        # by turns bad and good, for times that are geometrically spread
        for chance in torch.rand(RUNS, generator=generator, dtype=torch.float64).tolist():
            end = place + 1 + min(int(math.log1p(-chance) / stays[bad]), count)
            lost[place:end] = bad
            place, bad = end, not bad
            if place >= count:
                break
    return torch.from_numpy(lost)


def last_arrived(lost: Tensor) -> Tensor:
    """The number of the last packet that is there, for each packet; -1 where there was none.

    >>> last_arrived(torch.tensor([True, False, True, True])).tolist()
    [-1, 1, 1, 1]
    """
    return torch.where(lost, -1, torch.arange(len(lost))).cummax(0).values


def fades(ordinal: Tensor, size: int, sample_rate: int) -> Tensor:
    """The gain of each sample of a packet repeated for the first, second, ... time in a row.

    Shape: ordinal (packets,), from 1 -> (packets, size).

    >>> fades(torch.tensor([1, 2]), size=2, sample_rate=50).tolist()
    [[1.0, 0.800000011920929], [0.4000000059604645, 0.0]]
    """
    most = math.ceil(GONE_MS / 1000 * sample_rate / size) + 1
    time_ms = torch.arange(most * size) * 1000 / sample_rate
    gain = ((GONE_MS - time_ms) / (GONE_MS - FULL_MS)).clamp(0, 1)
    return gain.reshape(most, size)[(ordinal - 1).clamp(max=most - 1)]
