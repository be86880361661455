"""The fast vocoder: what it is told it says, untrained; the pitch it hears; what it learns."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.errors import ComponentError
from selfremaster.core.levels import resample
from selfremaster.core.promises.inputs import noise
from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
from selfremaster.plugins.features.world import f0_track, highest_f0_hz
from selfremaster.plugins.vocoders.harmonic_noise import cycles, minimum_phase, swelling
from selfremaster.plugins.vocoders.istft import Istft, IstftConfig
from selfremaster.registry.building import build

RATE_HZ, HOP = 22050, 256
SPEECH = Path(__file__).parent.parent / "examples" / "speech" / "heart" / "heart-1.flac"
MEL = MelSpectrogram(MelConfig())


def istft(seed: int = 0, preset: str = "tiny", **settings: Any) -> Istft:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Istft(IstftConfig(**{"preset": preset, **settings}), MEL).eval()


def mel_at(rate_hz: int) -> MelSpectrogram:
    return MelSpectrogram(MelConfig(sample_rate=rate_hz))


def hearing(f0_hz: float, voiced: bool, vocoder: Istft) -> Istft:
    """The vocoder, made to hear one pitch whatever it is told."""
    octaves = vocoder.octaves[:, 0]
    place = int((octaves - math.log2(f0_hz)).abs().argmin())
    last = vocoder.hearing.last
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(-50.0)
        last.bias[0] = 20.0 if voiced else -20.0
        last.bias[1 + place] = 50.0
    return vocoder


def steady(level: float, frames: int) -> Tensor:
    """The log-mel of white noise of an RMS value, without its unrest."""
    mel = MEL(noise(1, 1, 2 * RATE_HZ)).mean(dim=-1, keepdim=True) + math.log(level)
    return mel.expand(1, 80, frames)


def speech(seconds: float = 1.5) -> Tensor:
    wave, rate_hz = audio.read(SPEECH)
    return resample(wave.float(), rate_hz, RATE_HZ)[:1, 5000 : 5000 + round(seconds * RATE_HZ)]


def sawtooth(f0_hz: float, seconds: float) -> Tensor:
    times = torch.arange(round(seconds * RATE_HZ), dtype=torch.float64) / RATE_HZ
    harmonics = range(1, int(4000 / f0_hz))
    return (
        sum(
            (torch.sin(2 * math.pi * number * f0_hz * times) / number for number in harmonics),
            torch.zeros_like(times),
        ).float()[None]
        * 0.3
    )


# the excitation and its filters


def test_noise_swells_once_a_period_and_keeps_its_power() -> None:
    f0_hz = torch.full((1, RATE_HZ), 100.0)
    swell = swelling(cycles(f0_hz, RATE_HZ))[0]
    assert float(swell.square().mean()) == pytest.approx(1.0, abs=1e-3)
    spectrum = torch.fft.rfft(swell - swell.mean()).abs()
    assert int(spectrum.argmax()) == 100
    pulse = cycles(f0_hz, RATE_HZ)[0].abs() < 1e-4
    assert float(swell[pulse].min()) > 0.99 * float(swell.max())


def test_a_minimum_phase_filter_answers_at_once_and_keeps_its_magnitudes() -> None:
    chance = torch.Generator().manual_seed(1)
    smooth = torch.nn.functional.interpolate(
        2 * torch.randn(1, 1, 9, generator=chance), size=513, mode="linear", align_corners=True
    )[0, 0, :, None].double()
    response = torch.polar(smooth.exp(), minimum_phase(smooth))[:, 0]
    answer = torch.fft.irfft(response)
    assert float(answer[:256].square().sum() / answer.square().sum()) > 0.99
    torch.testing.assert_close(torch.fft.rfft(answer).abs().log(), smooth[:, 0])


# untrained


@pytest.mark.parametrize("f0_hz", [90.0, 220.0])
def test_it_speaks_at_the_pitch_that_it_hears(f0_hz: float) -> None:
    vocoder = hearing(f0_hz, voiced=True, vocoder=istft())
    with torch.no_grad():
        told, voiced = vocoder.pitch_of(torch.zeros(1, 80, 5))
    assert float(voiced.min()) > 0.99
    assert float(told[0, 0]) == pytest.approx(f0_hz, rel=0.02)
    spoken = vocoder(steady(0.1, 100))[0, :RATE_HZ].detach()
    power = torch.fft.rfft(spoken * torch.hann_window(RATE_HZ)).abs().square()
    harmonics = [round(float(told[0, 0]) * number) for number in range(1, 6)]
    near = sum(float(power[place - 3 : place + 4].sum()) for place in harmonics)
    assert near > 0.9 * float(power[harmonics[0] - 20 : harmonics[-1] + 20].sum())


@pytest.mark.parametrize("voiced", [True, False])
@pytest.mark.parametrize("level", [0.01, 0.3])
def test_it_speaks_as_loud_as_it_is_told_in_every_band(level: float, voiced: bool) -> None:
    told = steady(level, 100)
    spoken = hearing(60.0, voiced, istft())(told).detach()
    heard = MEL(spoken)[:, :, 5:95].mean(dim=-1) - told[:, :, 0]
    assert float(heard.abs().max()) < 0.35  # 3 dB
    assert float(heard.mean().abs()) < 0.1


def test_speech_comes_back_near_before_any_training() -> None:
    mel = MEL(speech())
    spoken = istft(preset="base")(mel).detach()[:, : speech().shape[-1]]
    assert float((MEL(spoken) - mel).abs().mean()) < 0.6
    silence = MEL(torch.zeros(1, RATE_HZ))
    assert float(istft(preset="base")(silence).detach().abs().max()) < 1e-3


def test_the_default_has_three_million_parameters() -> None:
    assert sum(part.numel() for part in istft(preset="base").parameters()) == pytest.approx(
        3e6, rel=0.05
    )


def test_noise_is_the_same_in_use_and_drawn_in_training() -> None:
    vocoder = hearing(100.0, voiced=False, vocoder=istft())
    mel = MEL(speech())
    assert torch.equal(vocoder(mel), vocoder(mel))
    vocoder.train()
    drawn = []
    for seed in (1, 1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            drawn.append(vocoder(mel).detach())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.allclose(drawn[0], drawn[2], atol=1e-3)


# what it learns


def test_the_wave_teaches_the_filters_and_its_own_losses_the_pitch() -> None:
    vocoder = istft()
    mel, wave = MEL(speech()).requires_grad_(), speech()
    vocoder(mel).square().sum().backward()
    assert mel.grad is not None
    assert float(mel.grad.abs().sum()) > 0
    assert all(part.grad is None for part in vocoder.hearing.parameters())
    assert any(part.grad is not None for part in vocoder.shaping.parameters())
    vocoder.zero_grad()
    own = vocoder.own_losses(mel.detach(), wave)
    assert set(own) == {"pitch", "voicing"}
    sum(own.values(), torch.zeros(())).backward()
    assert all(part.grad is not None for part in vocoder.hearing.parameters())
    assert all(part.grad is None for part in vocoder.shaping.parameters())


def test_it_learns_to_hear_the_pitch_of_sawtooths() -> None:
    vocoder = istft(pitch_width=48, pitch_blocks=2).train()
    optimizer = torch.optim.Adam(vocoder.hearing.parameters(), 3e-3)
    pitches_hz = [85.0 * 1.13**step for step in range(12)]
    waves = torch.cat([sawtooth(f0_hz, 0.4) for f0_hz in pitches_hz])
    mel = MEL(waves)
    for _ in range(60):
        optimizer.zero_grad()
        losses = vocoder.own_losses(mel, waves)
        (losses["pitch"] + losses["voicing"]).backward()
        optimizer.step()
    heard, voiced = vocoder.eval().pitch_of(mel[:, :, 10:-10])
    wrong = (heard / torch.tensor(pitches_hz)[:, None]).log2().abs()
    assert float(wrong.detach().median()) < 1 / 24  # a quarter tone
    assert float(voiced.detach().mean()) > 0.9


def test_silence_teaches_that_there_is_no_voice() -> None:
    wave = torch.zeros(2, RATE_HZ // 2)
    quiet = hearing(100.0, voiced=False, vocoder=istft()).own_losses(MEL(wave), wave)
    loud = hearing(100.0, voiced=True, vocoder=istft()).own_losses(MEL(wave), wave)
    assert float(quiet["pitch"].detach()) == 0
    assert float(quiet["voicing"].detach()) < 1e-3
    assert float(loud["voicing"].detach()) > 10


# words of the errors


def test_features_without_a_mel_spectrogram_are_refused() -> None:
    with pytest.raises(
        ComponentError, match=r"the features are SourceFilter, .* use features: mel"
    ):
        build("vocoder", "istft", features=build("features", "source-filter"))


def test_other_channels_are_refused() -> None:
    with pytest.raises(ComponentError, match=r"shape \(1, 79, 4\); this vocoder takes \(batch, 80"):
        istft()(torch.zeros(1, 79, 4))


def test_a_range_upside_down_is_refused() -> None:
    with pytest.raises(ComponentError, match=r"f0_floor_hz=300\.0 must be below f0_ceil_hz=200\.0"):
        build("vocoder", "istft:f0_floor_hz=300,f0_ceil_hz=200")


@pytest.mark.parametrize("rate_hz", [16000, 22050])
def test_the_highest_f0_is_the_last_that_can_be_learned(rate_hz: int) -> None:
    highest = highest_f0_hz(rate_hz)
    build("vocoder", f"istft:preset=tiny,f0_ceil_hz={highest}", features=mel_at(rate_hz))
    words = rf"f0_ceil_hz={highest + 1} is above {highest:.1f} Hz, .* WORLD hears at {rate_hz} Hz"
    with pytest.raises(ComponentError, match=words):
        build("vocoder", f"istft:preset=tiny,f0_ceil_hz={highest + 1}", features=mel_at(rate_hz))
    times = np.arange(rate_hz // 2) / rate_hz
    heard = []
    for f0_hz in (0.97 * highest, 1.03 * highest):
        wave = 0.2 * np.sin(2 * np.pi * f0_hz * times) + 0.1 * np.sin(4 * np.pi * f0_hz * times)
        track = f0_track(wave, rate_hz, HOP, "dio", (60.0, rate_hz / 2))
        heard.append(float((track > 0).mean()))
    assert heard[0] > 0.9
    assert heard[1] < 0.1
