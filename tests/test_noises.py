"""What added sounds are made of: noise, moments of chance, rings, and the levels of all that."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core.damage import rms
from selfremaster.core.noises import (
    add_rings,
    coloured,
    level_beneath,
    moments_of_chance,
    scatter_db,
    shaped_noise,
    streams,
    white_noise,
)
from tests.strategies import make_wave, seeds

LIKE = torch.zeros(1, dtype=torch.float64)


def ring(hz: float, decay_seconds: float, moment: float = 0.0, peak: float = 1.0) -> Tensor:
    """A second at 8 kHz in which something is struck once."""
    sound = torch.zeros(8000, dtype=torch.float64)
    values = [LIKE + value for value in (moment, hz, decay_seconds, peak)]
    add_rings(sound, *values, sample_rate=8000)
    return sound


@given(seed=seeds(), shorter=st.integers(1, 3000), longer=st.integers(1, 3000))
def test_the_beginning_of_white_noise_does_not_hang_on_its_length(
    seed: int, shorter: int, longer: int
) -> None:
    length = min(shorter, longer)
    first, second = (white_noise([seed], samples, LIKE) for samples in (shorter, longer))
    assert first.shape == (1, shorter)
    assert torch.equal(first[:, :length], second[:, :length])


def test_white_noise_is_normal_and_each_seed_has_its_own() -> None:
    noise = white_noise([1, 2, 1], 50_000, LIKE)
    assert noise.dtype == torch.float64
    assert rms(noise)[:, 0].tolist() == pytest.approx([1, 1, 1], abs=0.01)
    assert noise.mean(-1).tolist() == pytest.approx([0, 0, 0], abs=0.02)
    assert float((noise[0].abs() < 1).double().mean()) == pytest.approx(0.6827, abs=0.01)
    assert float((noise[0] * noise[1]).mean()) == pytest.approx(0, abs=0.02)
    assert torch.equal(noise[0], noise[2])


def test_white_noise_is_the_same_in_every_dtype() -> None:
    single, double = (
        white_noise([5], 100, LIKE.to(dtype)) for dtype in (torch.float32, LIKE.dtype)
    )
    assert torch.equal(single.double(), double)


def test_shaped_noise_has_its_gain_and_each_row_its_own() -> None:
    step = torch.ones(2, 513, dtype=torch.float64)
    step[0, 256:] = 0.1
    step[1, :256] = 0.1
    noise = shaped_noise([1, 2], 1 << 16, step, LIKE)
    power = torch.fft.rfft(noise).abs().square()
    low, high = power[:, 1000:15000].mean(-1).log10(), power[:, 18000:32000].mean(-1).log10()
    assert (10 * (low - high)).tolist() == pytest.approx([20, -20], abs=0.3)
    assert rms(noise)[:, 0].tolist() == pytest.approx([1, 1], abs=0.02)


def test_shaped_noise_has_no_edges() -> None:
    many = shaped_noise(range(400), 600, coloured(-1, 8000), LIKE)
    level = many.square().mean(0).unflatten(0, (6, 100)).mean(-1)
    assert float(level.max() / level.min()) < 1.2


@pytest.mark.parametrize("bins", [2, 65])
def test_shaping_by_nothing_gives_silence(bins: int) -> None:
    assert not shaped_noise([1], 50, torch.zeros(1, bins), LIKE).any()


@given(
    sort=st.sampled_from(["noise", "tone", "constant"]),
    samples=st.integers(1, 5000),
    level=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=seeds(),
)
def test_rms_is_exact(sort: str, samples: int, level: float, seed: int) -> None:
    wave = make_wave(sort, 2, samples, level, seed)
    expected = wave.double().square().mean(-1, keepdim=True).sqrt()
    torch.testing.assert_close(rms(wave).double(), expected, rtol=1e-5, atol=1e-30)


def test_rms_of_long_waves_does_not_drift() -> None:
    # one running float32 sum stays at 2^24
    assert float(rms(torch.ones(1, 2**25 + 7))) == pytest.approx(1, rel=1e-6)


def test_the_level_beneath_is_that_of_speech_without_pauses_and_never_below_the_floor() -> None:
    speech = white_noise([1, 1, 1], 8000, LIKE) * (torch.arange(8000) < 2400)
    speech = speech / rms(speech[:, :2400]) * torch.tensor([[0.5], [0.05], [1e-9]])
    asked = [
        {"level_db": -20, "floor_db": -60},
        {"level_db": 0, "floor_db": -60},
        {"level_db": 6, "floor_db": -40},
    ]
    found = level_beneath(speech, asked, 8000)[:, 0].tolist()
    assert found == pytest.approx([0.05, 0.05, 0.01 * 10 ** (6 / 20)], rel=1e-6)


def test_streams_of_a_seed_are_all_different() -> None:
    drawn = [float(torch.rand((), generator=own)) for own in [*streams(3, 3), *streams(4, 3)]]
    drawn.append(float(torch.rand((), generator=torch.Generator().manual_seed(3))))
    assert len(set(drawn)) == 7
    assert float(torch.rand((), generator=streams(3, 1)[0])) == drawn[0]


def test_moments_of_chance_are_a_poisson_process() -> None:
    moments = moments_of_chance(1, 20, 1000)
    gaps = moments.diff()
    assert (gaps > 0).all()
    assert len(moments) == pytest.approx(20_000, rel=0.03)
    assert float(gaps.mean()) == pytest.approx(0.05, rel=0.03)
    assert float(gaps.std()) == pytest.approx(0.05, rel=0.03)  # as exponential gaps have it
    counts = torch.histc(moments, 1000, 0, 1000)
    assert float(counts.var()) == pytest.approx(20, rel=0.15)


@given(seed=seeds(), per_second=st.floats(0.01, 500), seconds=st.floats(1e-3, 10))
def test_moments_do_not_hang_on_how_long_it_goes_on(
    seed: int, per_second: float, seconds: float
) -> None:
    short, long = (moments_of_chance(seed, per_second, time) for time in (seconds, 2 * seconds))
    assert torch.equal(short, long[: len(short)])
    assert ((0 <= short) & (short < seconds)).all()
    assert (long[len(short) :] >= seconds).all()


def test_moments_go_on_however_many_there_are() -> None:
    moments = moments_of_chance(1, 5000, 300)
    assert len(moments) == pytest.approx(1_500_000, rel=0.01)
    assert float(moments[-1]) > 299.9


@pytest.mark.parametrize(("per_second", "seconds"), [(0, 10), (10, 0)])
def test_nothing_happens_at_no_rate_and_in_no_time(per_second: float, seconds: float) -> None:
    assert len(moments_of_chance(1, per_second, seconds)) == 0


def test_scatter_is_log_normal_with_a_median_of_one() -> None:
    chance = torch.rand(20_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    decibels = 20 * scatter_db(chance, 8).log10()
    assert float(decibels.median()) == pytest.approx(0, abs=0.2)
    assert float(decibels.std()) == pytest.approx(8, rel=0.03)
    assert scatter_db(torch.tensor([0.0, 1.0], dtype=torch.float64), 0).tolist() == [1, 1]


def test_a_ring_is_a_damped_sinusoid_that_falls_by_60_db_in_its_decay() -> None:
    time = torch.arange(8000, dtype=torch.float64) / 8000 - 0.01003
    expected = torch.exp(-time * math.log(1000) / 0.5) * torch.sin(2 * math.pi * 440 * time)
    expected = torch.where(time < 0, 0, expected)
    expected *= 0.3 / expected.abs().max()
    heard = ring(440, 0.5, moment=0.01003, peak=0.3)
    until = 80 + 5333  # -80 dB
    torch.testing.assert_close(heard[:until], expected[:until], rtol=0, atol=1e-9)
    assert float(heard[until:].abs().max()) <= 0.3e-4
    assert float(heard[80:100].abs().max() / heard[4080:4100].abs().max()) == pytest.approx(
        1000, rel=0.1
    )


@given(
    hz=st.floats(20, 40_000),
    decay_seconds=st.floats(1e-4, 0.1),
    moment=st.floats(0, 0.9),
    peak=st.floats(-2, 2),
)
def test_the_peak_of_a_ring_is_exact_and_nothing_comes_before_it(
    hz: float, decay_seconds: float, moment: float, peak: float
) -> None:
    heard = ring(hz, decay_seconds, moment, peak)
    assert float(heard.abs().max()) == pytest.approx(abs(peak), rel=1e-9, abs=1e-30)
    assert not heard[: math.ceil(moment * 8000)].any()


def test_rings_add_up_and_end_with_the_sound() -> None:
    sound = torch.zeros(1000)
    moments = torch.tensor([0.05, 0.1249, 0.05], dtype=torch.float64)
    same = torch.ones_like(moments)
    add_rings(sound, moments, 500 * same, 0.5 * same, same, 8000)
    alone = ring(500, 0.5, 0.05).float()
    late = ring(500, 0.5, 0.1249).float()
    torch.testing.assert_close(sound, (2 * alone + late)[:1000], rtol=0, atol=1e-6)
    add_rings(sound, *[moments[:0]] * 4, sample_rate=8000)
    assert sound.isfinite().all()


def test_many_rings_are_those_of_each_one() -> None:
    moments = moments_of_chance(1, 200, 1)
    hz = 300 + 10 * torch.arange(len(moments), dtype=torch.float64)
    decay = 0.02 + 1e-4 * torch.arange(len(moments), dtype=torch.float64)
    together, alone = (torch.zeros(44100, dtype=torch.float64) for _ in range(2))
    add_rings(together, moments, hz, decay, torch.ones_like(hz), 44100)
    for one in range(len(moments)):
        part = slice(one, one + 1)
        add_rings(alone, moments[part], hz[part], decay[part], torch.ones(1).double(), 44100)
    torch.testing.assert_close(together, alone, rtol=0, atol=2e-3)  # each is cut at -80 dB
