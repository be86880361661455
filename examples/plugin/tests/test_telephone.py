"""What a telephone line does to a sound."""

import math

import pytest
import torch
from torch import Tensor

import selfremaster as sr

RATE_HZ = 22050


def tone(frequency_hz: float, samples: int = RATE_HZ) -> Tensor:
    return torch.sin(2 * math.pi * frequency_hz * torch.arange(samples) / RATE_HZ)[None]


def decibels(wave: Tensor) -> float:
    return 10 * math.log10(wave.square().mean().item())


@pytest.mark.parametrize("frequency_hz", [500, 1000, 2500])
def test_a_tone_inside_the_band_passes(frequency_hz: float) -> None:
    line = sr.build("degradation", "telephone:low_hz=300,high_hz=3400,mu_law=false")
    wave = tone(frequency_hz)
    assert decibels(line.apply(wave, {})) == pytest.approx(decibels(wave), abs=0.2)


@pytest.mark.parametrize("frequency_hz", [75, 6800])
def test_a_tone_an_octave_or_two_outside_is_gone(frequency_hz: float) -> None:
    line = sr.build("degradation", "telephone:low_hz=300,high_hz=3400,mu_law=false")
    wave = tone(frequency_hz)
    settled = line.apply(wave, {})[:, RATE_HZ // 2 :]
    assert decibels(settled) < decibels(wave) - 24


def test_the_coder_leaves_no_more_than_255_values() -> None:
    line = sr.build("degradation", "telephone:low_hz=300,high_hz=3400")
    coded = line.apply(tone(1000), {})
    assert 50 < len(coded.unique()) <= 255


def test_the_coder_is_as_clean_as_the_standard_asks() -> None:
    clean = sr.build("degradation", "telephone:low_hz=300,high_hz=3400,mu_law=false")
    coded = sr.build("degradation", "telephone:low_hz=300,high_hz=3400")
    wave = tone(1000)
    noise = coded.apply(wave, {}) - clean.apply(wave, {})
    assert 33 < decibels(wave) - decibels(noise) < 42  # G.712 asks for 33 dB at this level


def test_what_is_drawn_lies_in_the_ranges_and_differs() -> None:
    line = sr.build("degradation", "telephone:low_hz=[200, 400],high_hz=3000")
    generator = torch.Generator().manual_seed(0)
    drawn = [line.draw(generator, RATE_HZ) for _ in range(20)]
    assert all(200 <= values["low_hz"] <= 400 and values["high_hz"] == 3000 for values in drawn)
    assert len({values["low_hz"] for values in drawn}) == 20


def test_a_range_that_falls_is_refused() -> None:
    with pytest.raises(sr.ComponentError, match=r"telephone: low_hz.*falls; write \[low, high\]"):
        sr.build("degradation", "telephone:low_hz=[400, 200]")


def test_a_rate_below_the_band_is_refused() -> None:
    line = sr.build("degradation", "telephone:low_hz=300")
    with pytest.raises(sr.ComponentError, match="a rate of 500 Hz carries nothing above"):
        line.apply(tone(100), {"high_hz": 3000}, sample_rate=500)
