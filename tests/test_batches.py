"""A wave becomes the same alone, in a batch, in another order, and with more threads."""

from collections.abc import Iterator

import pytest
import torch
from torch import Generator

import selfremaster as sr
from selfremaster.core.filtering import convolve
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import speech_like
from selfremaster.core.signals import resample_hann

RATE_HZ = 22050
SEEDS = 20
WAVES = 4
SAMPLES = 6000


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def speech() -> torch.Tensor:
    rows = [speech_like(SAMPLES, seed=seed) * 10 ** (-seed / 10) for seed in range(WAVES)]
    return torch.cat(rows)


@pytest.mark.parametrize(
    "spec",
    [
        "random-recording",
        "reverb:kind=[decay,room],rt60_seconds=[0.06,1]",
        "noise:kind=[white,pink,brown],snr_db=[0,20]",
        "gain:gain_db=[-9,0]",
        "azimuth:minutes=[1,60]",
    ],
)
def test_a_wave_becomes_the_same_in_any_company(spec: str) -> None:
    wave = speech()
    part: Degradation = sr.build("degradation", spec)
    eras = set()
    for seed in range(SEEDS):
        generator = Generator().manual_seed(seed)
        drawn = [part.draw(generator, RATE_HZ) for _ in wave]
        eras.update(own.get("era") for own in drawn)
        torch.set_num_threads(1)
        rows = [part.apply(row[None], own, RATE_HZ) for row, own in zip(wave, drawn, strict=True)]
        alone = torch.cat(rows)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            together = part.apply(wave, drawn, RATE_HZ)
            torch.testing.assert_close(together, alone, rtol=0, atol=1e-5, msg=str(drawn))
            turned = part.apply(wave.flip(0), drawn[::-1], RATE_HZ).flip(0)
            torch.testing.assert_close(turned, alone, rtol=0, atol=1e-5, msg=str(drawn))
    assert spec != "random-recording" or len(eras) > 4


def test_convolution_and_resampling_are_exact_but_for_the_last_rounding() -> None:
    wave = speech()
    kernels = torch.randn(WAVES, 3000, generator=Generator().manual_seed(1)) / 50
    for found, exact in (
        (convolve(wave, kernels), convolve(wave.double(), kernels.double())),
        (resample_hann(wave, 22050, 8000), resample_hann(wave.double(), 22050, 8000)),
    ):
        assert found.dtype == torch.float32
        assert torch.equal(found, exact.float())
