"""Mel features: the published numbers, what bands, levels and the floor mean, and errors."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Features
from selfremaster.core.levels import normalise_peak
from selfremaster.core.promises import check
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
from tests.strategies import waves

REFERENCE = Path(__file__).parent / "reference" / "features.npz"
RATE_HZ = 22050
MEL = MelSpectrogram(MelConfig())


def tone(frequency_hz: float, samples: int = 8192, level: float = 0.5) -> Tensor:
    return level * torch.sin(2 * math.pi * frequency_hz * torch.arange(samples) / RATE_HZ)[None]


def slaney_mel(frequency_hz: float) -> float:
    """Slaney's scale: 3 mel each 200 Hz up to 1000 Hz, then 27 for a factor of 6.4."""
    if frequency_hz < 1000:
        return frequency_hz * 3 / 200
    return 15 + 27 * math.log(frequency_hz / 1000) / math.log(6.4)


def test_the_published_log_mel_is_met() -> None:
    with np.load(REFERENCE) as stored:
        samples, wanted = stored["in/pcm16_22050"], torch.from_numpy(stored["logmel"])
    wave = normalise_peak(torch.from_numpy(samples.astype(np.float32) / 32768)[None], peak_db=-3)
    found = MEL(wave)
    assert found.shape == (1, 80, 173)
    torch.testing.assert_close(found[0], wanted, rtol=0, atol=2e-4)
    assert torch.equal(MEL.log_mel(wave), found)


@pytest.mark.parametrize(
    "settings",
    ["size=256,hop_samples=64,bands=24", "hop_samples=1024", "sample_rate=16000,bands=1"],
)
def test_other_sizes_keep_the_promises(settings: str) -> None:
    check("features", sr.build("features", f"mel:{settings}"))


@given(frequency_hz=st.floats(60, 7800))
def test_a_tone_is_loudest_in_its_band(frequency_hz: float) -> None:
    loudest = int(MEL(tone(frequency_hz))[0, :, 8:-8].mean(dim=-1).argmax())
    step = slaney_mel(8000) / 81  # 80 triangles on 82 points
    low, high = (
        slaney_mel(max(0.0, frequency_hz + sign * RATE_HZ / 1024)) / step for sign in (-1, 1)
    )
    assert low - 2 <= loudest <= high  # its triangle, from point to point + 2, or the next bin's


@given(frequency_hz=st.floats(9000, 11000))
def test_a_tone_above_the_last_band_is_hardly_heard(frequency_hz: float) -> None:
    heard = MEL(tone(frequency_hz))[0, :, 8:-8]
    assert heard.max() < MEL(tone(4000))[0, :, 8:-8].max() - math.log(100)


@given(gain_db=st.floats(-20, 6))
def test_the_log_mel_falls_as_the_level_does(gain_db: float) -> None:
    wave = noise(1, 8192)
    fall = MEL(wave) - MEL(wave * 10 ** (gain_db / 20))
    wanted = torch.full_like(fall, -gain_db * math.log(10) / 20)
    torch.testing.assert_close(fall, wanted, rtol=0, atol=1e-3)


def test_half_the_level_is_the_logarithm_of_two_less() -> None:
    fall = MEL(speech_like(8192) + noise(1, 8192, level=0.01))
    fall = fall - MEL(0.5 * (speech_like(8192) + noise(1, 8192, level=0.01)))
    torch.testing.assert_close(fall, torch.full_like(fall, math.log(2)), rtol=0, atol=1e-3)


@given(wave=waves(max_samples=4000))
def test_nothing_lies_below_the_floor(wave: Tensor) -> None:
    assert MEL(wave).min() >= MEL.silence - 1e-6
    assert MEL.silence == pytest.approx(math.log(1e-5))


def test_what_is_too_soft_for_the_floor_is_silence() -> None:
    soft = noise(1, 4000, level=1e-7)
    assert torch.equal(MEL(soft), MEL(0 * soft))
    lower: Features = sr.build("features", "mel:floor=1e-9")
    assert lower.silence == pytest.approx(math.log(1e-9))
    assert (lower(soft) > lower.silence + 1).all()


@pytest.mark.parametrize("frame", [3, 10])
def test_frames_are_a_hop_apart_and_centred(frame: int) -> None:
    wave = torch.zeros(1, 16 * 256)
    wave[0, frame * 256] = 1.0
    level = MEL(wave)[0].exp().sum(dim=0)
    assert int(level.argmax()) == frame
    torch.testing.assert_close(level[frame - 1], level[frame + 1], rtol=1e-3, atol=0)
    assert (level[: frame - 2] < 1e-3 * level[frame]).all()  # the window is 4 hops long


def test_half_precision_and_autocast_count_in_float32() -> None:
    wave = noise(1, 4000)
    assert MEL(wave.bfloat16()).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(MEL(wave), MEL.log_mel(wave))
        assert MEL(wave).dtype == torch.float32


def test_silence_sends_a_finite_gradient() -> None:
    wave = torch.zeros(1, 2000, requires_grad=True)
    MEL(wave).sum().backward()
    assert wave.grad is not None
    assert wave.grad.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("fmax_hz=12000", r"fmin_hz=0.0 and fmax_hz=12000.0 must rise and .*\(11025.0 Hz\)"),
        ("sample_rate=8000", r"fmax_hz=8000.0 must rise and lie within half .*\(4000.0 Hz\)"),
        ("fmin_hz=500,fmax_hz=400", "fmin_hz=500.0 and fmax_hz=400.0 must rise"),
        ("hop_samples=1025", "hop_samples=1025 is longer than the window of 1024"),
        ("size=128", "hop_samples=256 is longer than the window of 128"),
        ("floor=0", "floor=0: Input should be greater than 0"),
        ("bands=0", "bands=0: Input should be greater than or equal to 1"),
        ("band=40", "no setting 'band'; did you mean 'bands'"),
    ],
)
def test_settings_that_cannot_be_are_told(settings: str, words: str) -> None:
    with pytest.raises(ComponentError, match=f"^features mel: .*{words}"):
        sr.build("features", f"mel:{settings}")
