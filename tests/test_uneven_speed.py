"""Wrong and uneven speeds, measured by the frequency of tones and by the moments that are read."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import hilbert
from torch import Generator, Tensor

from selfremaster.core.promises.inputs import speech_like
from selfremaster.plugins.degradations.wow_flutter import LINES, speed_lines, uneven_moments
from tests.strategies import seeds
from tests.test_tape import RATE_HZ, decibels, degrade, drawn, part, rms, tone

# wow-flutter


def deviation(wave: Tensor, hertz: float) -> Tensor:
    """How far the frequency of a tone lies from what it was, as a part of it, at each sample."""
    turning = np.unwrap(np.angle(hilbert(wave[0].numpy())))
    measured = torch.from_numpy(np.diff(turning)) * RATE_HZ / (2 * math.pi * hertz) - 1
    return measured[RATE_HZ // 2 : -RATE_HZ // 2]


def swing(measured: Tensor, hertz: float) -> float:
    """The peak of the sinusoid of a frequency in what was measured."""
    time = torch.arange(len(measured), dtype=torch.float64) / RATE_HZ
    waves = [torch.sin(2 * math.pi * hertz * time), torch.cos(2 * math.pi * hertz * time)]
    table = torch.stack([*waves, torch.ones_like(time)], dim=1)
    return float(torch.linalg.lstsq(table, measured[:, None]).solution[:2].norm())


@pytest.mark.parametrize(
    ("name", "percent", "hertz"),
    [
        ("wow", 0.2, 0.556),
        ("wow", 1.0, 1.3),
        ("wow", 3.0, 4.0),
        ("flutter", 0.1, 10.0),
        ("flutter", 1.0, 25.0),
        ("flutter", 0.5, 100.0),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_frequency_of_a_tone_deviates_as_told(
    name: str, percent: float, hertz: float, seed: int
) -> None:
    other = "flutter" if name == "wow" else "wow"
    spec = f"wow-flutter:{name}_percent={percent},{name}_hz={hertz},{other}_percent=0,irregular=0"
    measured = deviation(degrade(spec, tone(3150, 8), seed), 3150)
    assert 100 * swing(measured, hertz) == pytest.approx(percent, rel=0.02)
    window = torch.hann_window(len(measured), dtype=torch.float64)
    spectrum = torch.fft.rfft((measured - measured.mean()) * window, 2**19).abs()
    assert int(spectrum.argmax()) * RATE_HZ / 2**19 == pytest.approx(hertz, rel=0.02)


def test_wow_and_flutter_are_heard_together() -> None:
    spec = "wow-flutter:wow_percent=1,wow_hz=2,flutter_percent=0.4,flutter_hz=30,irregular=0"
    measured = deviation(degrade(spec, tone(3150, 8)), 3150)
    assert 100 * swing(measured, 2) == pytest.approx(1, rel=0.02)
    assert 100 * swing(measured, 30) == pytest.approx(0.4, rel=0.02)
    rest = measured.square().mean() - (0.01**2 + 0.004**2) / 2
    assert abs(float(rest)) < 1e-6


@pytest.mark.parametrize("name", ["wow", "flutter"])
def test_the_irregular_share_lies_around_the_rate_and_within_the_percent(name: str) -> None:
    hertz, rate_hz = (1.0, 100) if name == "wow" else (20.0, 1000)
    other = "flutter" if name == "wow" else "wow"
    spec = f"wow-flutter:{name}_percent=2,{name}_hz={hertz},{other}_percent=0,irregular=1"
    measured = uneven_moments(drawn(spec, 5), 600 * rate_hz, rate_hz).diff() - 1
    assert 200 * float(measured.std()) == pytest.approx(2, rel=0.05)
    within = (measured.abs() < 0.02).double().mean()
    assert float(within) == pytest.approx(0.95, abs=0.02)  # of a normal distribution
    power = torch.fft.rfft(measured).abs().square()
    frequency = torch.fft.rfftfreq(len(measured), 1 / rate_hz)
    around = (frequency > 0.49 * hertz) & (frequency < 2.05 * hertz)
    assert float(power[around].sum() / power.sum()) > 0.99
    # no moment is repeated: what was is unlike what comes
    likeness = torch.fft.irfft(power)[int(20 / hertz * rate_hz) : len(measured) // 2]
    assert float(likeness.max()) < 0.6 * float(power.mean())


@given(seed=seeds(), irregular=st.floats(0, 1), samples=st.integers(1, 5000))
def test_moments_are_the_integral_of_the_speed(seed: int, irregular: float, samples: int) -> None:
    values = drawn(f"wow-flutter:wow_percent=3,flutter_hz=50,irregular={irregular}", seed)
    hertz, peak, phase = speed_lines(values)
    assert len(hertz) in {2, 2 * LINES, 2 * LINES + 2}
    time = torch.arange(samples, dtype=torch.float64)[:, None] / RATE_HZ
    late = (peak / (2 * math.pi * hertz) * torch.sin(2 * math.pi * hertz * time + phase)).sum(-1)
    moments = uneven_moments(values, samples, RATE_HZ)
    torch.testing.assert_close(moments, (time[:, 0] + late) * RATE_HZ, rtol=0, atol=1e-6)
    assert (moments.diff() > 0).all()


@given(seed=seeds(), percent=st.floats(0.01, 10), hertz=st.floats(0.1, 6))
def test_the_sound_is_early_as_much_as_late(seed: int, percent: float, hertz: float) -> None:
    spec = f"wow-flutter:wow_percent={percent},wow_hz={hertz},flutter_percent=0,irregular=0"
    rate_hz = 1000
    periods = math.ceil(hertz)
    samples = round(periods / hertz * rate_hz)
    late = uneven_moments(drawn(spec, seed), samples, rate_hz) - torch.arange(samples)
    most = percent / (200 * math.pi * hertz) * rate_hz
    assert late.abs().max() <= most * (1 + 1e-9)
    assert abs(float(late.mean())) < 0.01 * most + 1e-9


def test_an_even_speed_changes_nothing_and_channels_sway_together() -> None:
    wave = speech_like(5000)
    assert torch.equal(degrade("wow-flutter:wow_percent=0,flutter_percent=0", wave), wave)
    channels = part("wow-flutter").draw_channels(Generator().manual_seed(1), RATE_HZ, 2)
    assert channels[0] == channels[1]
    swaying = [degrade("wow-flutter", wave, seed) for seed in (1, 2)]
    assert not torch.equal(*swaying)


# speed


def pitch(wave: Tensor) -> float:
    """The frequency of a tone, from the mean advance of its phase, Hz."""
    inner = wave[0, 500:-500].numpy()
    turning = np.unwrap(np.angle(hilbert(inner)))[500:-500]
    return float(turning[-1] - turning[0]) / (len(turning) - 1) * RATE_HZ / (2 * math.pi)


@settings(max_examples=30)
@given(percent=st.floats(-60, 140), hertz=st.floats(300, 3000))
def test_pitch_goes_with_the_speed_from_the_beginning_on(percent: float, hertz: float) -> None:
    speed = 1 + percent / 100
    heard = degrade(f"speed:percent={percent}", tone(hertz, 0.8))
    sounding = min(heard.shape[-1], int(heard.shape[-1] / speed))
    assert pitch(heard[:, :sounding]) == pytest.approx(speed * hertz, rel=1e-3)
    wanted = tone(speed * hertz, 0.8)
    inner = slice(200, sounding - 200)
    assert (heard - wanted)[0, inner].abs().max() < 2e-3
    assert not heard[0, sounding + 200 :].any()


@pytest.mark.parametrize(("percent", "ratio"), [(-57.4, 33.33 / 78.26), (134.8, 78.26 / 33.33)])
def test_discs_of_78_play_at_33_and_the_other_way_round(percent: float, ratio: float) -> None:
    heard = degrade(f"speed:percent={percent}", tone(1000))
    assert pitch(heard[:, : int(44100 / max(1, ratio))]) == pytest.approx(1000 * ratio, rel=2e-3)


@pytest.mark.parametrize("percent", [20, 100, 300])
def test_what_rises_beyond_half_the_rate_is_lost(percent: float) -> None:
    edge_hz = RATE_HZ / 2 / (1 + percent / 100)
    lost, kept = (degrade(f"speed:percent={percent}", tone(part * edge_hz)) for part in (1.2, 0.8))
    assert decibels(rms(lost[:, 500:5000]) / rms(tone(1000))) < -60
    assert decibels(rms(kept[:, 500:5000]) / rms(tone(1000))) == pytest.approx(0, abs=0.1)


def test_too_slow_and_too_fast_undo_each_other() -> None:
    wave = speech_like(22050)
    back = degrade("speed:percent=25", degrade("speed:percent=-20", wave))
    heard = slice(100, 17000)  # a fifth was not reached
    assert rms((back - wave)[:, heard]) < 0.01 * rms(wave[:, heard])
    assert torch.equal(degrade("speed:percent=0", wave), wave)
