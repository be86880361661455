"""Reading between samples: analytic tones, the ends, the cutoff, and gradients."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor
from torch.nn import functional

from selfremaster.core.warping import half_width, read_at, read_evenly
from tests.strategies import seeds, waves

CUTOFFS = (1.0, 0.7, 0.2)


def tone(moments: Tensor, part: float, phase: float = 0.3) -> Tensor:
    """A sinusoid at a part of half the rate, at any moments in samples."""
    return torch.sin(math.pi * part * moments + phase)


def chance(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=Generator().manual_seed(seed), dtype=torch.float64)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed), dtype=torch.float64)


def decibels(error: Tensor, sound: Tensor) -> float:
    return 10 * math.log10(float(error.square().mean() / sound.square().mean()) + 1e-30)


@given(part=st.floats(0.001, 0.8), phase=st.floats(0, 6.3), seed=seeds())
def test_tones_are_read_between_samples_to_within_60_db(
    part: float, phase: float, seed: int
) -> None:
    wave = tone(torch.arange(600, dtype=torch.float64), part, phase)[None]
    moments = 100 + 400 * chance(seed, 1, 1000)
    wanted = tone(moments, part, phase)
    assert (read_at(wave, moments) - wanted).abs().max() < 1e-3


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_a_cutoff_keeps_what_is_below_and_takes_what_is_above(cutoff: float) -> None:
    time = torch.arange(4000, dtype=torch.float64)
    moments = 500 + 3000 * chance(1, 1, 3000)
    for part in (0.01, 0.4, 0.8):
        wanted = tone(moments, part * cutoff)
        read = read_at(tone(time, part * cutoff)[None], moments, cutoff)
        assert decibels(read - wanted, wanted) < -60
    for part in (1.2, 1.5, 4.0):
        if part * cutoff < 1:
            read = read_at(tone(time, part * cutoff)[None], moments, cutoff)
            assert decibels(read, tone(moments, 0.1)) < -60


@given(wave=waves(max_samples=2000))
def test_what_is_read_at_samples_is_the_samples(wave: Tensor) -> None:
    moments = torch.arange(wave.shape[-1], dtype=torch.float64)[None]
    assert torch.equal(read_at(wave, moments), wave)
    assert torch.equal(read_at(wave, moments.flip(-1)), wave.flip(-1))


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_a_constant_stays_the_constant_that_it_is(cutoff: float) -> None:
    wave = torch.full((1, 1000), 0.7, dtype=torch.float64)
    read = read_at(wave, 200 + 600 * chance(2, 1, 500), cutoff)
    torch.testing.assert_close(read, torch.full_like(read, 0.7), rtol=0, atol=1e-12)


@given(
    samples=st.integers(1, 50), seed=seeds(), cutoff=st.sampled_from(CUTOFFS), far=st.floats(1, 1e9)
)
def test_before_and_after_the_wave_lies_silence(
    samples: int, seed: int, cutoff: float, far: float
) -> None:
    wave = noise(seed, 2, samples)
    reach = half_width(cutoff)
    moments = (samples + 2 * reach) * chance(seed, 1, 40) - reach
    padded = functional.pad(wave, (300, 300))
    torch.testing.assert_close(
        read_at(wave, moments, cutoff),
        read_at(padded, moments + 300, cutoff),
        rtol=0,
        atol=1e-9,
    )
    beyond = torch.tensor([[-reach - far, samples - 1 + reach + far]], dtype=torch.float64)
    assert not read_at(wave, beyond, cutoff).any()


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_each_wave_may_have_its_own_moments(count: int) -> None:
    wave = noise(3, 3, 700).float()
    moments = 800 * chance(4, 3, count) - 50
    read = read_at(wave, moments)
    assert read.shape == (3, count)
    assert read.dtype == torch.float32
    for row in range(3):
        alone = read_at(wave[row, None], moments[row, None])
        assert torch.equal(read[row, None], alone)
        assert torch.equal(read_at(wave, moments[row, None])[row, None], alone)


@pytest.mark.parametrize("cutoff", CUTOFFS)
@pytest.mark.parametrize("shared", [True, False])
def test_the_gradient_agrees_with_differences(cutoff: float, shared: bool) -> None:
    wave = noise(5, 2, 9).requires_grad_()
    moments = 14 * chance(6, 1 if shared else 2, 11) - 3

    def read(given: Tensor) -> Tensor:
        return read_at(given, moments, cutoff)

    assert torch.autograd.gradcheck(read, (wave,))
    assert torch.autograd.gradgradcheck(lambda given: read(given).square(), (wave,))


@given(seed=seeds(), cutoff=st.floats(0.15, 1), samples=st.integers(1, 6000))
def test_the_gradient_is_the_adjoint(seed: int, cutoff: float, samples: int) -> None:
    wave = noise(seed, 1, samples).requires_grad_()
    moments = (samples + 40) * chance(seed, 1, 300) - 20
    weights = noise(seed + 1, 1, 300)
    read = read_at(wave, moments, cutoff)
    (share,) = torch.autograd.grad(read, wave, weights)
    other = noise(seed + 2, 1, samples)
    left = float((read_at(other, moments, cutoff) * weights).sum())
    assert float((other * share).sum()) == pytest.approx(left, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [(22050, 8000), (44100, 11025), (48000, 8000), (8000, 22050), (8000, 7919)],
)
@pytest.mark.parametrize("samples", [1, 700, 5000])
def test_reading_evenly_is_reading_at_even_moments(from_hz: int, to_hz: int, samples: int) -> None:
    wave = noise(1, 2, samples)
    count = samples * to_hz // from_hz + 3
    moments = torch.arange(count, dtype=torch.float64)[None] * from_hz / to_hz
    found = read_evenly(wave, count, from_hz, to_hz)
    torch.testing.assert_close(found, read_at(wave, moments), rtol=0, atol=1e-5)
