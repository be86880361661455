"""Loudness and peaks of sounds that come in blocks, and the gain from one to another."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly
from torch import Tensor

from selfremaster.core.loudness import integrated_loudness
from selfremaster.core.metering import PEAK_LIMIT, LevelMeter, gains_between, match_level
from selfremaster.core.promises.inputs import noise, speech_like

RATE = 22050


def meter_of(wave: Tensor, apart: bool = False, block: int = 10_000) -> LevelMeter:
    meter = LevelMeter(RATE, len(wave), apart)
    for piece in torch.split(wave, block, dim=1):
        meter.add(piece)
    return meter


@pytest.mark.parametrize("block", [100, 4096, 10**6])
def test_blocks_of_any_length_are_heard_alike(block: int) -> None:
    wave = torch.cat([speech_like(RATE), 0.3 * noise(1, RATE)])
    meter = meter_of(wave, block=block)
    assert meter.whole_lufs == pytest.approx(integrated_loudness(wave, RATE))
    assert meter.peak == float(wave.abs().max())
    assert float(meter.rms) == pytest.approx(float(wave.square().mean().sqrt()), rel=1e-6)
    assert meter.true_peak == pytest.approx(meter_of(wave, block=RATE).true_peak, rel=0.02)


def test_the_true_peak_lies_between_samples() -> None:
    time = torch.arange(RATE)
    tone = 0.5 * torch.sin(math.pi * time / 2 + math.pi / 4)[None]
    faded = tone * torch.hann_window(RATE)
    meter = meter_of(faded)
    assert meter.peak == pytest.approx(0.5 * math.sqrt(0.5), rel=0.01)
    assert meter.true_peak == pytest.approx(0.5, rel=0.01)


def test_peaks_between_samples_far_below_the_highest_are_found() -> None:
    """Samples of 0.6 of the peak, each with the sign that adds up in the middle of two."""
    near = torch.arange(-200, 200) + 0.5
    row = torch.zeros(8192)
    row[4000:4400] = 0.6 * torch.sign(torch.sin(math.pi * near) / near)
    row[100] = 0.95
    finest = float(abs(resample_poly(row.numpy(), 4, 1)).max())
    assert finest > 1.2
    for block in (100, 1000, 8192):
        assert meter_of(row[None], block=block).true_peak == pytest.approx(finest, rel=1e-3)


@given(samples=st.integers(30, 3000), block=st.integers(20, 900), seed=st.integers(0, 99))
def test_no_stretch_is_left_out(samples: int, block: int, seed: int) -> None:
    wave = noise(2, samples, seed=seed) * torch.tensor([[1.0], [0.01]])
    finest = abs(resample_poly(wave.numpy(), 4, 1, axis=1))[:, 40 : 4 * (samples - 10)]
    expected = torch.maximum(torch.from_numpy(finest.max(axis=1)), wave.abs().amax(dim=1))
    torch.testing.assert_close(
        meter_of(wave, block=block).true_peaks, expected.float(), rtol=1e-3, atol=1e-7
    )


@given(seed=st.integers(0, 99), level=st.floats(0.01, 0.1))
def test_loudness_is_matched_channel_by_channel_and_silence_silenced(
    seed: int, level: float
) -> None:
    reference = torch.cat([noise(1, 9000, seed=seed, level=level), torch.zeros(1, 9000)])
    matched = match_level(noise(2, 9000, seed=seed + 1), reference, RATE)
    assert integrated_loudness(matched[:1], RATE) == pytest.approx(
        integrated_loudness(reference[:1], RATE), abs=0.01
    )
    assert not matched[1].any()


def test_what_is_too_soft_for_loudness_goes_by_its_power() -> None:
    reference = 1e-6 * noise(1, 9000)
    matched = match_level(noise(1, 9000, seed=1), reference, RATE)
    assert float(matched.std()) == pytest.approx(float(reference.std()), rel=1e-3)


def test_no_peak_passes_full_scale_but_one_that_was_there() -> None:
    loud, soft = 8 * noise(1, 9000, level=0.2), noise(1, 9000, level=0.3)
    made = noise(1, 9000, seed=3)
    gains, softer_db = gains_between(meter_of(loud), meter_of(made))
    assert meter_of(gains * made).true_peak <= 1.01 * meter_of(loud).true_peak
    peaky = torch.zeros(1, 9000)
    peaky[0, 4000:4002] = 1.0
    gains, softer_db = gains_between(meter_of(soft), meter_of(peaky))
    limit = max(PEAK_LIMIT, meter_of(soft).true_peak)
    assert meter_of(gains * peaky).true_peak == pytest.approx(limit, rel=1e-3)
    assert softer_db > 6


@pytest.mark.parametrize("block", [100, 1000, 4096, 10**6])
@pytest.mark.parametrize("hertz", [60.3, 440.0])
def test_the_end_of_a_block_is_no_peak(block: int, hertz: float) -> None:
    """Nor is the end of the sound, where a tone breaks off."""
    time = torch.arange(2 * RATE, dtype=torch.float64) / RATE
    tone = 0.95 * torch.sin(2 * math.pi * hertz * time).float()[None]
    assert meter_of(tone, block=block).true_peak == pytest.approx(0.95, abs=0.002)


def test_channels_of_surround_count_as_in_bs1770() -> None:
    sides = 0.1 * noise(6, RATE)
    silent = torch.zeros_like(sides)
    effects, behind, front = silent.clone(), silent.clone(), silent.clone()
    effects[3], behind[4], front[0] = sides[0], sides[0], sides[0]
    assert meter_of(effects).whole_lufs == -math.inf
    louder = meter_of(behind).whole_lufs - meter_of(front).whole_lufs
    assert louder == pytest.approx(10 * math.log10(1.41), abs=0.01)


SPEAKERS = {  # mask -> how much each channel counts
    0x10F: (1, 1, 1, 0, 1),  # one behind the listener
    0x60F: (1, 1, 1, 0, 1.41, 1.41),
    0x63F: (1, 1, 1, 0, 1, 1, 1.41, 1.41),
    0x33: (1, 1, 1.41, 1.41),
    0x107: (1, 1, 1, 1),
    0: (1, 1, 1, 0, 1.41, 1.41),  # says nothing: the usual order
}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("mask", SPEAKERS)
def test_each_channel_counts_as_its_speaker_does(mask: int, apart: bool) -> None:
    weights = SPEAKERS[mask]
    sound = 0.1 * noise(1, RATE)
    alone = LevelMeter(RATE, 1)
    alone.add(sound)
    for place, weight in enumerate(weights):
        wave = torch.zeros(len(weights), sound.shape[1])
        wave[place] = sound[0]
        meter = LevelMeter(RATE, len(weights), apart, mask)
        meter.add(wave)
        louder = meter.whole_lufs - alone.whole_lufs
        assert louder == pytest.approx(10 * math.log10(weight) if weight else -math.inf, abs=0.01)
