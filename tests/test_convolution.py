"""Convolution by blocks that are transformed together."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator

from selfremaster.core import filtering
from selfremaster.core.filtering import convolve
from tests.strategies import seeds


@settings(max_examples=60)
@given(
    batch=st.integers(1, 5),
    samples=st.integers(1, 700),
    taps=st.integers(1, 60),
    own=st.booleans(),
    at_once=st.integers(1, 2000),
    seed=seeds(),
    data=st.data(),
)
def test_convolution_by_blocks_is_convolution(
    batch: int, samples: int, taps: int, own: bool, at_once: int, seed: int, data: st.DataObject
) -> None:
    origin = data.draw(st.integers(0, taps - 1))
    generator = Generator().manual_seed(seed)
    wave = torch.randn(batch, samples, dtype=torch.float64, generator=generator)
    kernels = torch.randn(batch if own else 1, taps, dtype=torch.float64, generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filtering, "BLOCK_SAMPLES", 64)  # many blocks of few samples
        patch.setattr(filtering, "LEAST_TRANSFORMED", 64)
        patch.setattr(filtering, "AT_ONCE_SAMPLES", at_once)
        found = convolve(wave, kernels, origin)
    for row, sound in enumerate(wave):
        whole = np.convolve(sound, kernels[row if own else 0])[origin : origin + samples]
        np.testing.assert_allclose(found[row], whole, atol=1e-12 * taps)


def test_the_gradient_of_convolution_agrees_with_differences() -> None:
    generator = Generator().manual_seed(0)
    wave = torch.randn(2, 40, dtype=torch.float64, generator=generator, requires_grad=True)
    kernels = torch.randn(2, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filtering, "LEAST_TRANSFORMED", 16)
        assert torch.autograd.gradcheck(lambda *given: convolve(*given, 2), (wave, kernels))


@pytest.mark.parametrize("taps", [50, 3000, 20_000])
def test_a_wave_that_learns_sounds_as_one_that_does_not(taps: int) -> None:
    generator = Generator().manual_seed(2)
    wave = torch.randn(2, 90_001, dtype=torch.float64, generator=generator)
    kernels = torch.randn(2, taps, dtype=torch.float64, generator=generator)
    learned = convolve(wave.clone().requires_grad_(), kernels, 7).detach()
    torch.testing.assert_close(convolve(wave, kernels, 7), learned, rtol=0, atol=1e-10)
