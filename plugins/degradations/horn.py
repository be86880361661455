"""The horn and diaphragm of acoustic recording, which all records were made with until 1925."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import signal
from torch import Tensor

from selfremaster.core.damage import Drawn, Seed, SettledDegradation, ValueOrRange, seeded, settle
from selfremaster.core.filtering import Sections, lag_of, recursive_filter
from selfremaster.core.interfaces import ComponentConfig, Parameters

Hertz = Annotated[float, Field(ge=20, le=20000)]
Metres = Annotated[float, Field(ge=0.1, le=3)]
Count = Annotated[int, Field(ge=0, le=12)]
Decibels = Annotated[float, Field(ge=0, le=20)]
Quality = Annotated[float, Field(ge=1, le=30)]

SOUND_METRES = 343.0  # a second
MOST_COUNT = 12
LOW_ORDER = 3  # of the horn's fall: 18 dB an octave
HIGH_ORDER = 4  # of the diaphragm, its lever and the wax: 24 dB an octave
HIGHEST = 0.98  # of half the rate: what rings nearer to it is left out
OFF_SERIES = 1 / 12  # octaves by which a mode lies off at most
SOFTEST = 0.5  # of the height told: the least a mode has
APART = 1.5  # times its breadth, that a mode lies from the next at least


class HornConfig(ComponentConfig):
    """Settings of `Horn`."""

    low_hz: Annotated[
        ValueOrRange[Hertz],
        Drawn("log"),
        Field(description="where the horn has lost 3 dB; [low, high] draws it"),
    ] = 168.0
    high_hz: Annotated[
        ValueOrRange[Hertz],
        Drawn("log"),
        Field(description="where the diaphragm has lost 3 dB; [low, high] draws it"),
    ] = 2500.0
    length_m: Annotated[
        ValueOrRange[Metres],
        Drawn("log"),
        Field(
            description="length of the horn, whose air rings at 343 / 2 / length Hz, twice that, "
            "and so on; [low, high] draws it"
        ),
    ] = 0.7
    resonances: Annotated[
        ValueOrRange[Count],
        Drawn(step=1),
        Field(description="how many of these are heard; [low, high] draws it"),
    ] = 6
    resonance_db: Annotated[
        ValueOrRange[Decibels],
        Drawn(),
        Field(
            description="height of the highest there may be; each has half of it, or more; "
            "[low, high] draws it"
        ),
    ] = 10.0
    q: Annotated[
        ValueOrRange[Quality],
        Drawn("log"),
        Field(
            description="sharpness of the resonances, at least; where they would run into each "
            "other they are sharper; [low, high] draws it"
        ),
    ] = 6.0
    seed: Seed = None

    @model_validator(mode="after")
    def _check_band(self) -> "HornConfig":
        highest = self.low_hz[-1] if isinstance(self.low_hz, tuple) else self.low_hz
        lowest = self.high_hz[0] if isinstance(self.high_hz, tuple) else self.high_hz
        if highest >= lowest:
            raise ValueError(
                f"low_hz up to {highest:g} and high_hz from {lowest:g} leave no band; "
                "give a low_hz below high_hz"
            )
        return self


class Resonances(NamedTuple):
    """What rings in a horn: frequencies in Hz and heights in dB, one each."""

    hertz: NDArray[np.float64]
    height_db: NDArray[np.float64]


class Horn(SettledDegradation):
    """Speak into a horn: a narrow band, nasal and hollow, as on records from before 1925.

    The cone passes nothing below its cutoff and its air rings in modes that lie nearly as the
    harmonics of an open pipe; the diaphragm, and the needle it moves through wax, pass nothing
    high. Modes are up to a twelfth of an octave off the series, and at half of the height or more,
    as the seed says (`resonances_of`). All of it answers at once and as soon as it can: minimum
    phase. Where nothing rings, the band passes at its level.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: P. Copeland, Manual of Analogue Sound Restoration Techniques (British Library, 2008),
    on acoustic recordings; modes of a cone: Fletcher and Rossing, The Physics of Musical
    Instruments; peaks: R. Bristow-Johnson's cookbook.
    Raises `ComponentError` for parameters that are not settings or out of their range.

    A horn without resonances has lost 3 dB at 168 Hz, 10^(-3/20) = 0.708:

    >>> tone = torch.sin(2 * torch.pi * 168 * torch.arange(44100) / 22050)[None]
    >>> heard = Horn(HornConfig(resonances=0, seed=1)).apply(tone, {}, sample_rate=22050)
    >>> round(heard[0, 22050:].std().item() / tone[0, 22050:].std().item(), 3)
    0.707
    """

    Config = HornConfig
    config: HornConfig
    differentiable = True

    def delay_of(self, parameters: Parameters, sample_rate: int) -> int:
        """Where the horn answers a click most."""
        return lag_of(horn_sections(settle(self.config, parameters), sample_rate), sample_rate)

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Record every wave of a batch with the same horn."""
        return recursive_filter(wave, horn_sections(values, sample_rate))


def horn_sections(values: Mapping[str, Any], sample_rate: int) -> Sections:
    """The second-order sections of a horn, (sections, 6)."""
    highest = HIGHEST * sample_rate / 2
    rows = [
        signal.butter(order, hertz, shape, fs=sample_rate, output="sos")
        for order, hertz, shape in (
            (LOW_ORDER, min(values["low_hz"], highest), "highpass"),
            (HIGH_ORDER, values["high_hz"], "lowpass"),
        )
        if hertz <= highest
    ]
    ringing = resonances_of(values)
    heard = ringing.hertz <= highest
    q = np.maximum(values["q"], APART * (1 + np.arange(len(heard))))
    rows.append(peaks(ringing.hertz[heard], ringing.height_db[heard], q[heard], sample_rate))
    return np.concatenate(rows)


def resonances_of(values: Mapping[str, Any]) -> Resonances:
    """The modes of the horn that the parameters tell, rising.

    Those of a horn with fewer resonances are the first of one with more.

    >>> told = {"length_m": 1.715, "resonances": 2, "resonance_db": 10, "seed": 1}
    >>> (resonances_of(told).hertz / np.array([100, 200])).round(1).tolist()
    [1.0, 1.0]
    """
    count = values["resonances"]
    chance = torch.rand(2, MOST_COUNT, generator=seeded(values["seed"]), dtype=torch.float64)
    off, height = chance[:, :count].numpy()
    series = SOUND_METRES / (2 * values["length_m"]) * np.arange(1, count + 1)
    return Resonances(
        series * 2 ** (OFF_SERIES * (2 * off - 1)),
        values["resonance_db"] * (SOFTEST + (1 - SOFTEST) * height),
    )


def peaks(
    hertz: NDArray[np.float64],
    height_db: NDArray[np.float64],
    q: NDArray[np.float64],
    sample_rate: int,
) -> Sections:
    """The cookbook's peaks, (peaks, 6): each so high at its frequency, and 1 far from it."""
    angle = 2 * np.pi * hertz / sample_rate
    root = 10 ** (height_db / 40)
    width = np.sin(angle) / (2 * q)
    turn = -2 * np.cos(angle)
    rows = np.stack(
        [1 + width * root, turn, 1 - width * root, 1 + width / root, turn, 1 - width / root], axis=1
    )
    sections: Sections = rows / rows[:, 3:4]
    return sections
