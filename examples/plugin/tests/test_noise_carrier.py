"""What the noise-excited vocoder says, and does not."""

import pytest
import torch
from torch import Tensor

import selfremaster as sr
from selfremaster.core.interfaces import Features

BURST_FRAMES = slice(20, 40)


@pytest.fixture
def mel() -> Features:
    return sr.build("features", "mel")


def speak(mel: Features, features: Tensor, text: str = "noise-carrier") -> Tensor:
    return sr.build("vocoder", text, features=mel)(features)


def test_a_flat_spectrum_comes_back_at_its_level(mel: Features) -> None:
    features = torch.full((1, mel.channels, 200), -2.0)
    heard = mel(speak(mel, features))[..., :200]
    # the mean of the logarithm lies below the logarithm of the mean: single bins are random
    assert heard.mean().item() == pytest.approx(-2.0, abs=0.15)


def test_sound_is_where_the_features_have_it(mel: Features) -> None:
    features = torch.full((1, mel.channels, 60), mel.silence)
    features[:, 30:40, BURST_FRAMES] = 0.0
    heard = mel(speak(mel, features))[..., :60]
    inside = heard[:, 32:38, 22:38].mean()
    assert heard[:, 32:38, :10].mean() < inside - 6
    assert heard[:, 60:, 22:38].mean() < inside - 3


def test_silence_is_silent(mel: Features) -> None:
    features = torch.full((1, mel.channels, 20), mel.silence)
    assert speak(mel, features).abs().max() < 1e-3


def test_it_has_no_pitch(mel: Features) -> None:
    time = torch.arange(22050) / 22050
    voice = sum(torch.sin(2 * torch.pi * 150 * k * time) for k in range(1, 20))[None] / 20
    whisper = speak(mel, mel(voice))[0, 4096:12288]
    likeness = torch.fft.irfft(torch.fft.rfft(whisper, 16384).abs().square())
    period = 22050 // 150
    assert likeness[period - 3 : period + 4].max() < 0.5 * likeness[0]


def test_a_seed_is_a_noise(mel: Features) -> None:
    features = torch.zeros(1, mel.channels, 8)
    first, again = (speak(mel, features, "noise-carrier:seed=1") for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, speak(mel, features, "noise-carrier:seed=2"))


def test_features_without_mel_bands_are_refused(mel: Features) -> None:
    mel.filterbank = None
    with pytest.raises(
        sr.ComponentError, match="is not a mel spectrogram; use it with features mel"
    ):
        sr.build("vocoder", "noise-carrier", features=mel)
