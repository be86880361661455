"""Channels that speak against each other."""

import math

import pytest
import torch
from torch import Tensor

from selfremaster.core.phases import PhaseMeter
from selfremaster.core.promises.inputs import noise, speech_like

RATE = 8000


def meter_of(wave: Tensor, block: int = 3000) -> PhaseMeter:
    meter = PhaseMeter(RATE)
    for piece in torch.split(wave, block, dim=1):
        meter.add(piece)
    return meter


@pytest.mark.parametrize("block", [100, 8000, 10**6])
def test_channels_in_anti_phase_are_told(block: int) -> None:
    wave = speech_like(20_000, sample_rate=RATE)
    same, turned = (meter_of(torch.cat([wave, sign * wave]), block) for sign in (1, -0.3))
    assert same.correlation == pytest.approx(1)
    assert turned.correlation == pytest.approx(-1)
    assert turned.is_anti_phase
    assert not same.is_anti_phase
    assert turned.against(1) == (3, 3)
    assert turned.against(-1) == same.against(1) == (0, 3)


def test_nothing_is_said_of_silence_and_of_other_numbers_of_channels() -> None:
    wave = speech_like(4000, sample_rate=RATE)
    for other in (torch.cat([wave, 0 * wave]), wave, wave.expand(3, -1), wave[:, :0]):
        meter = meter_of(other)
        assert math.isnan(meter.correlation)
        assert not meter.is_anti_phase
        assert meter.against(1).seconds == 0


def test_only_the_voice_is_compared() -> None:
    voice = 0.1 * speech_like(3 * RATE, sample_rate=RATE)
    hum = torch.sin(torch.arange(3 * RATE) * (2 * math.pi * 50 / RATE))
    assert meter_of(torch.cat([voice + hum, hum - voice])).correlation < -0.9
    assert meter_of(torch.cat([voice + hum, voice - hum])).correlation > 0.9


def test_seconds_are_counted_where_there_is_sound() -> None:
    voice = speech_like(10 * RATE, sample_rate=RATE)
    other = voice.clone()
    other[:, 3 * RATE : 5 * RATE] *= -1
    pair = torch.cat([voice, other])
    pair[:, 8 * RATE :] = torch.cat([noise(1, 2 * RATE, level=1e-5)] * 2)
    assert meter_of(pair).against(1) == (2, 8)
    assert meter_of(pair).against(-1) == (6, 8)
