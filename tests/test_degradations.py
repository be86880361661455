"""The damage of the paper: published numbers, what each part means, and words of errors."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.damage import to_peak
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import speech_like
from selfremaster.plugins.degradations.quantize_resample import mu_law_codes, mu_law_wave
from tests.strategies import make_wave, seeds, waves

RATE_HZ = 22050
REFERENCE = np.load(Path(__file__).parent / "reference" / "degradations.npz")
PUBLISHED = [
    ("band-limit:peak_db=-3", "lowpass", 1e-5),
    ("clip:reference=signed,peak_db=-3", "clipping", 1e-5),
    ("overdrive:peak_db=-3", "overdrive", 1e-5),
    ("quantize-resample:peak_db=-3", "mulaw", 5e-5),
]
NAMES = [info.name for info in sr.list_components("degradation")]


def published_input() -> Tensor:
    return torch.from_numpy(REFERENCE["in/pcm16_22050"] / 32768).float()[None]


def degrade(spec: str, wave: Tensor, **parameters: Any) -> Tensor:
    part: Degradation = sr.build("degradation", spec)
    return part.apply(wave, parameters, RATE_HZ)


def tone(frequency_hz: float, samples: int = 22050, level: float = 0.5) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) / RATE_HZ
    return level * torch.sin(2 * math.pi * frequency_hz * time)[None]


def rms(wave: Tensor) -> float:
    return wave[:, 2000:-2000].square().mean().sqrt().item()


def decibels(ratio: float) -> float:
    return 20 * math.log10(ratio)


@pytest.mark.parametrize(("spec", "name", "tolerance"), PUBLISHED)
def test_the_published_numbers_are_met(spec: str, name: str, tolerance: float) -> None:
    damaged = degrade(spec, published_input())
    assert damaged.dtype == torch.float32
    np.testing.assert_allclose(damaged[0].numpy(), REFERENCE[name], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", [spec.partition(":")[0] for spec, *_ in PUBLISHED])
def test_the_level_afterwards_can_be_set(name: str) -> None:
    damaged = degrade(f"{name}:peak_db=-6", torch.cat([speech_like(4000), torch.zeros(1, 4000)]))
    assert damaged[0].abs().max().item() == pytest.approx(10 ** (-6 / 20), rel=1e-6)
    assert not damaged[1].any()


@pytest.mark.parametrize("name", NAMES)
def test_parameters_that_are_one_each_reach_their_own_wave(name: str) -> None:
    part: Degradation = sr.build("degradation", name)
    drawn = [part.draw(Generator().manual_seed(seed), RATE_HZ) for seed in (1, 2)]
    both = torch.cat([speech_like(3000), 0.3 * speech_like(3000, seed=9)])
    damaged = part.apply(both, drawn, RATE_HZ)
    for wave, parameters, found in zip(both, drawn, damaged, strict=True):
        alone = part.apply(wave[None], parameters, RATE_HZ)[0]
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept(name: str, dtype: torch.dtype) -> None:
    part: Degradation = sr.build("degradation", name)
    drawn = part.draw(Generator().manual_seed(1), RATE_HZ)
    damaged = part.apply(speech_like(2000).to(dtype), drawn, RATE_HZ)
    assert damaged.dtype == dtype
    assert damaged.isfinite().all()


# clip


@given(wave=waves(max_samples=3000), ratio=st.floats(0.01, 1))
def test_clip_never_exceeds_its_level(wave: Tensor, ratio: float) -> None:
    level = ratio * wave.abs().amax(dim=-1, keepdim=True)
    damaged = degrade("clip", wave, ratio=ratio)
    assert (damaged.abs() <= level * (1 + 1e-6)).all()
    inside = wave.abs() <= level
    assert torch.equal(damaged[inside], wave[inside])


def test_clip_at_its_whole_peak_changes_nothing() -> None:
    assert torch.equal(degrade("clip:ratio=1", speech_like(3000)), speech_like(3000))


def test_clip_at_the_signed_peak_hears_only_what_is_above_zero() -> None:
    wave = torch.tensor([[0.5, -1.0, 0.1]])
    assert degrade("clip:ratio=0.5,reference=signed", wave).tolist()[0] == [
        0.25,
        -0.25,
        pytest.approx(0.1),
    ]
    below = torch.tensor([[-0.5, -1.0]])
    assert degrade("clip:ratio=0.5,reference=signed", below).tolist() == [[-0.5, -0.5]]


def test_clipping_harder_loses_more() -> None:
    wave = speech_like(8000)
    lost = [
        (degrade("clip", wave, ratio=ratio) - wave).square().sum().item()
        for ratio in (0.9, 0.5, 0.25, 0.06)
    ]
    assert lost == sorted(lost)
    assert lost[0] > 0


# overdrive


def test_overdrive_adds_harmonics_and_colour_adds_even_ones() -> None:
    def harmonics(spec: str) -> list[float]:
        heard = torch.fft.rfft(degrade(spec, tone(441, samples=22050))[0]).abs() / 11025
        return [heard[441 * number].item() for number in (1, 2, 3)]

    plain = harmonics("overdrive:gain=20,colour=0")
    coloured = harmonics("overdrive:gain=20,colour=100")
    assert plain[2] > 0.05
    assert plain[1] < 1e-3 * plain[0]
    assert coloured[1] > 0.02


def test_overdrive_squeezes_loud_and_faint_together() -> None:
    loud, faint = tone(300, level=0.8), tone(300, level=0.05)
    before = decibels(rms(loud) / rms(faint))
    after = decibels(rms(degrade("overdrive", loud)) / rms(degrade("overdrive", faint)))
    assert after < before - 15


@given(wave=waves(max_samples=3000), gain=st.floats(0, 100), colour=st.floats(0, 100))
def test_overdrive_stays_within_full_scale(wave: Tensor, gain: float, colour: float) -> None:
    assert degrade("overdrive", wave, gain=gain, colour=colour).abs().max() <= 1


# quantize-resample


@given(seed=seeds(), levels=st.integers(2, 512).map(lambda half: 2 * half))
def test_mu_law_keeps_its_codes_and_is_nearly_undone(seed: int, levels: int) -> None:
    wave = make_wave("noise", 1, 500, 1.0, seed).double().clamp(-1, 1)
    codes = mu_law_codes(wave, levels)
    assert codes.min() >= 0
    assert codes.max() <= levels - 1
    assert torch.equal(mu_law_codes(mu_law_wave(codes, levels), levels), codes)
    # half a step of the companded wave, stretched by the law at the sample's level
    law = levels - 1
    slack = (
        (1 + law * wave.abs())
        * math.log1p(law)
        / law
        * 1.01
        / law
        * math.exp(math.log1p(law) / law)
    )
    assert ((mu_law_wave(codes, levels) - wave).abs() <= slack).all()


def test_mu_law_at_256_levels_is_that_of_telephones() -> None:
    wave = torch.tensor([-1.0, 0.0, 0.1, 0.5, 1.0], dtype=torch.float64)
    assert mu_law_codes(wave, 256).tolist() == [0, 128, 203, 239, 255]


def test_the_codec_is_far_closer_than_companded_codes() -> None:
    wave = published_input()

    def snr(mode: str) -> float:
        error = degrade(f"quantize-resample:mode={mode},rate_hz=22050", wave) - wave
        return decibels(rms(wave) / rms(error))

    assert snr("codec") == pytest.approx(32.8, abs=1)
    assert snr("companded") < 0


def test_the_lower_rate_takes_the_heights_away() -> None:
    spec = "quantize-resample:mode=codec,levels=65536,rate_hz=8000"
    assert decibels(rms(degrade(spec, tone(1000))) / rms(tone(1000))) == pytest.approx(0, abs=0.1)
    assert decibels(rms(degrade(spec, tone(6000))) / rms(tone(6000))) < -30


@given(wave=waves(max_samples=3000))
def test_quantize_resample_never_exceeds_the_peak(wave: Tensor) -> None:
    damaged = degrade("quantize-resample", wave)
    peaks = wave.abs().amax(-1)
    assert (damaged.abs().amax(-1) <= peaks * (1 + 1e-6)).all()


@given(wave=waves(max_samples=3000), level=st.sampled_from([0.25, 2.0, 64.0]))
def test_quantize_resample_sounds_alike_at_every_level(wave: Tensor, level: float) -> None:
    damaged = degrade("quantize-resample", wave)
    torch.testing.assert_close(degrade("quantize-resample", level * wave), level * damaged)


def test_levels_of_the_faintest_waves_do_not_overflow() -> None:
    faintest = torch.tensor([[torch.finfo(torch.float32).tiny, 0.0]])
    assert to_peak(faintest, 0).tolist() == [[1.0, 0.0]]
