"""Recursive filters, convolutions and kernels, against scipy and against finite differences."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from torch import Generator, Tensor

from selfremaster.core import filtering
from selfremaster.core.filtering import (
    Sections,
    convolve,
    impulse_response,
    minimum_phase_kernel,
    recursive_filter,
    zero_phase_kernel,
)
from tests.strategies import seeds

SECTIONS = np.array([[0.2, 0.3, 0.1, 1.0, -0.5, 0.25], [1.0, 0.4, 0.0, 1.0, 0.3, 0.0]])


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waves of a test are worked on in several blocks, as long ones are."""
    monkeypatch.setattr(filtering, "BLOCK_SAMPLES", 64)


@st.composite
def sections(draw: st.DrawFn) -> Sections:
    """Up to four stable sections that ring for a while, with any zeros."""
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        radius, angle = draw(st.floats(0, 0.97)), draw(st.floats(0, np.pi))
        zeros = [draw(st.floats(-1, 1)) for _ in range(2)]
        rows.append([1, *zeros, 1, -2 * radius * np.cos(angle), radius**2])
    return np.array(rows, dtype=np.float64)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=Generator().manual_seed(seed))


@given(rows=sections(), samples=st.integers(1, 400), batch=st.integers(1, 3), seed=seeds())
def test_a_recursive_filter_is_that_of_scipy(
    rows: Sections, samples: int, batch: int, seed: int
) -> None:
    wave = noise(batch, samples, seed=seed)
    wanted = torch.from_numpy(signal.sosfilt(rows, wave.numpy()))
    torch.testing.assert_close(recursive_filter(wave, rows), wanted, rtol=1e-12, atol=1e-12)
    single = recursive_filter(wave.float(), rows)
    assert single.dtype == torch.float32
    torch.testing.assert_close(
        single.double(), wanted, rtol=0, atol=1e-6 * float(wanted.abs().max() + 1)
    )


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("samples", [1, 63, 64, 65, 128, 300])
def test_blocks_of_a_long_wave_follow_without_a_seam(samples: int) -> None:
    wave = noise(2, samples)
    wanted = torch.from_numpy(signal.sosfilt(SECTIONS, wave.numpy()))
    torch.testing.assert_close(recursive_filter(wave, SECTIONS), wanted)
    for taps in (3, 100):
        kernels = noise(2, taps, seed=1)
        wanted = torch.from_numpy(
            np.stack([np.convolve(*pair)[:samples] for pair in zip(wave, kernels, strict=True)])
        )
        torch.testing.assert_close(convolve(wave, kernels), wanted)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("samples", [1, 9, 70])
def test_gradients_agree_with_differences(samples: int) -> None:
    wave = noise(2, samples).requires_grad_()
    kernels = noise(2, 5, seed=1)
    for run in (
        partial(recursive_filter, sections=SECTIONS),
        partial(convolve, kernels=kernels),
        partial(convolve, kernels=kernels, origin=2),
    ):
        assert torch.autograd.gradcheck(run, (wave,))
    assert torch.autograd.gradgradcheck(
        lambda given: recursive_filter(given, SECTIONS).square(), (wave,)
    )
    assert torch.autograd.gradcheck(
        lambda given: convolve(wave, given), (kernels.requires_grad_(),)
    )


@given(rows=sections(), samples=st.integers(1, 3000), seed=seeds())
def test_what_other_devices_do_is_what_the_processor_does(
    rows: Sections, samples: int, seed: int
) -> None:
    """There the response to a click is convolved."""
    wave = noise(2, samples, seed=seed)
    exact = recursive_filter(wave, rows)
    scale = float(exact.abs().max())
    response = impulse_response(rows, samples)[None]
    torch.testing.assert_close(convolve(wave, response), exact, rtol=0, atol=1e-7 * scale)
    single = convolve(wave.float(), response.float())
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("radius", [0.5, 0.99, 0.9999])
def test_the_answer_to_a_click_ends_where_it_is_no_longer_heard(radius: float) -> None:
    dying = np.array([[1, 0, 0, 1, -radius, 0]])
    answer = impulse_response(dying, 10**7)
    assert len(answer) == pytest.approx(np.log(1e-9) / np.log(radius), abs=2)
    assert float(answer[-1]) == pytest.approx(1e-9, rel=1)
    assert len(impulse_response(dying, 20)) == 20
    assert impulse_response(np.array([[0.0, 0, 0, 1, 0, 0]]), 100).tolist() == [0]


def test_an_answer_that_comes_late_is_waited_for() -> None:
    """A steep filter far below the rate has hardly begun when most have long ended."""
    rows = signal.butter(12, 5, "lowpass", fs=22050, output="sos")
    answer = impulse_response(rows, 10**6)
    assert int(answer.abs().argmax()) > 4000
    assert float(answer.sum()) == pytest.approx(1, abs=1e-6)


@given(
    samples=st.integers(1, 500),
    taps=st.integers(1, 300),
    origin=st.floats(0, 1),
    shared=st.booleans(),
    seed=seeds(),
)
def test_a_convolution_is_that_of_numpy(
    samples: int, taps: int, origin: float, shared: bool, seed: int
) -> None:
    wave, kernels = noise(3, samples, seed=seed), noise(1 if shared else 3, taps, seed=seed + 1)
    first = int(origin * (taps - 1))
    wanted = [
        np.convolve(row, own)[first : first + samples]
        for row, own in zip(wave.numpy(), kernels.expand(3, -1).numpy(), strict=True)
    ]
    found = convolve(wave, kernels, first)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10)


@st.composite
def smooth_gains(draw: st.DrawFn) -> Tensor:
    """Gains of a batch from 0 Hz to half the rate, within 20 dB, that change slowly."""
    waves = noise(draw(st.integers(1, 3)), 4, seed=draw(seeds()))
    place = torch.linspace(0, torch.pi, 513, dtype=torch.float64)
    swings = torch.cos(place * torch.arange(1, 5)[:, None])
    return 10 ** (10 * torch.tanh(waves @ swings) / 20)


@given(gain=smooth_gains())
def test_kernels_have_the_gain_that_they_are_made_of(gain: Tensor) -> None:
    zero, origin = zero_phase_kernel(gain)
    torch.testing.assert_close(zero, zero.flip(-1))  # no frequency lags
    assert origin == zero.shape[-1] // 2
    minimum = minimum_phase_kernel(gain)
    for kernel in (zero, minimum):
        found = torch.fft.rfft(kernel, 1024).abs()
        torch.testing.assert_close(20 * found.log10(), 20 * gain.log10(), rtol=0, atol=0.1)


@given(rows=sections(), radius=st.floats(0, 0.9))
def test_a_minimum_phase_kernel_answers_as_soon_as_its_gain_allows(
    rows: Sections, radius: float
) -> None:
    """Zeros within the circle make a filter of minimum phase: its answer is the one found."""
    rows[:, 1:3] = [-2 * radius * np.cos(1.0), radius**2]
    _, response = signal.sosfreqz(rows, np.linspace(0, np.pi, 4097))
    kernel = minimum_phase_kernel(torch.from_numpy(np.abs(response))[None])[0]
    wanted = impulse_response(rows, 2000)
    torch.testing.assert_close(
        kernel[: len(wanted)], wanted, rtol=0, atol=1e-6 * float(wanted.abs().max())
    )


def test_a_kernel_of_silence_is_silent() -> None:
    nothing = torch.zeros(2, 65, dtype=torch.float64)
    assert not zero_phase_kernel(nothing)[0].any()
    assert minimum_phase_kernel(nothing).abs().max() < 1e-20
