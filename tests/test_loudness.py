"""Loudness by ITU-R BS.1770: the numbers that the recommendation and EBU Tech 3341 state."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core.errors import AudioError
from selfremaster.core.loudness import (
    gain_to,
    gated,
    integrated_loudness,
    loudness_gain,
    weighting,
)


def sine(seconds: float, peak_db: float, rate: int = 48000, hertz: float = 1000) -> Tensor:
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return 10 ** (peak_db / 20) * torch.sin(2 * math.pi * hertz * time)


def test_the_filters_are_those_of_the_tables_at_48000_hz() -> None:
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285]
    shelf += [1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    assert np.allclose(weighting(48000), [shelf, high_pass], atol=1e-8)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000])
def test_a_sine_at_full_scale_has_minus_3_lufs(rate: int) -> None:
    # -3.01 LUFS in one channel is what the recommendation says of 997 Hz, at any rate
    allowed = 0.25 if rate < 16000 else 0.06
    assert integrated_loudness(sine(2, 0, rate, 997), rate) == pytest.approx(-3.01, abs=allowed)


def test_minimum_requirements_of_ebu_tech_3341() -> None:
    def stereo(*parts: tuple[float, float]) -> Tensor:
        return torch.cat([sine(seconds, peak) for seconds, peak in parts]).expand(2, -1)

    cases = {
        -23.0: [stereo((20, -23)), stereo((10, -36), (60, -23), (10, -36))],
        -33.0: [stereo((20, -33))],
    }
    cases[-23.0].append(stereo((10, -72), (10, -36), (60, -23), (10, -36), (10, -72)))
    cases[-23.0].append(stereo((20, -26), (20.1, -20), (20, -26)))
    for expected, waves in cases.items():
        for wave in waves:
            assert integrated_loudness(wave, 48000) == pytest.approx(expected, abs=0.1)


@given(st.floats(-40, 0), st.integers(0, 99))
def test_a_gain_is_heard_as_such(gain_db: float, seed: int) -> None:
    wave = torch.randn(8000, generator=torch.Generator().manual_seed(seed)) / 10
    louder = integrated_loudness(wave, 16000)
    assert integrated_loudness(wave * 10 ** (gain_db / 20), 16000) == pytest.approx(
        louder + gain_db, abs=0.01
    )
    matched = wave * loudness_gain(wave, 16000, -30)
    assert integrated_loudness(matched, 16000) == pytest.approx(-30, abs=0.01)


def test_pauses_do_not_count() -> None:
    spoken = sine(3, -20)
    with_pause = torch.cat([spoken, torch.zeros(48000 * 6)])
    assert integrated_loudness(with_pause, 48000) == pytest.approx(
        integrated_loudness(spoken, 48000), abs=0.3
    )


def test_silence_and_short_sounds() -> None:
    assert integrated_loudness(torch.zeros(10), 48000) == -math.inf
    assert loudness_gain(torch.zeros(10), 48000, -23) == 1
    assert integrated_loudness(sine(0.1, -20), 48000) == pytest.approx(-23, abs=0.5)


@pytest.mark.parametrize(
    ("wave", "rate", "words"),
    [
        (torch.zeros(0), 48000, "not .0,."),
        (torch.zeros(1, 2, 3), 48000, "not .1, 2, 3."),
        (torch.tensor([0.0, math.nan]), 48000, "not finite"),
        (torch.zeros(9), 10, "10 Hz; rates from 1000 Hz"),
    ],
)
def test_what_has_no_loudness(wave: Tensor, rate: int, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        integrated_loudness(wave, rate)


@given(
    seed=st.integers(0, 999),
    blocks=st.integers(1, 60),
    spread_db=st.floats(0, 40),
    wanted=st.floats(-69.99, 0),
    scale_db=st.floats(-150, 50),
)
def test_a_gain_leads_to_the_loudness_whatever_the_gates_let_through(
    seed: int, blocks: int, spread_db: float, wanted: float, scale_db: float
) -> None:
    chance = np.random.default_rng(seed)
    powers = 10 ** ((scale_db + spread_db * chance.standard_normal(blocks)) / 10)
    gain = gain_to(powers, wanted)
    assert gated(gain**2 * powers) == pytest.approx(wanted, abs=1e-6)


def test_the_gain_is_the_nearest_to_what_is_expected() -> None:
    powers = 10 ** ((np.array([-64.0] + [-69.5] * 9) + 0.691) / 10)
    lufs = gated(powers)
    assert gain_to(powers, lufs) == pytest.approx(1)
    softer = gain_to(powers, lufs, near=0.5)
    assert softer < 0.9
    assert gated(softer**2 * powers) == pytest.approx(lufs)


def test_silence_has_no_gain() -> None:
    assert gain_to(np.zeros(3), -23) == 1
    assert gain_to(np.zeros(0), -23) == 1
    assert gain_to(np.ones(3), -70, near=0.5) == 0.5
