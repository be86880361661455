"""The vocoders that learn nothing: Griffin-Lim, and the source's own phase."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core import promises
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Features, Vocoder
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.core.signals import stft
from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
from selfremaster.plugins.vocoders.griffin_lim import GriffinLim, GriffinLimConfig
from selfremaster.plugins.vocoders.input_phase import InputPhase, InputPhaseConfig
from selfremaster.plugins.vocoders.mel_bands import band_interpolation
from selfremaster.registry.building import build

MEL = MelSpectrogram(MelConfig())
SMALL = MelSpectrogram(MelConfig(size=256, hop_samples=64, bands=24))
RATE_HZ = 22050


class SomethingElse(Features):
    """Features that are no mel spectrogram."""

    def __init__(self) -> None:
        super().__init__(ComponentConfig())
        self.channels, self.hop_samples, self.sample_rate = 42, 256, RATE_HZ


def tone(frequency_hz: float, samples: int, level: float = 0.5) -> Tensor:
    return level * torch.sin(2 * math.pi * frequency_hz * torch.arange(samples) / RATE_HZ)[None]


def griffin_lim(mel: MelSpectrogram = MEL, **settings: Any) -> GriffinLim:
    return GriffinLim(GriffinLimConfig(**settings), mel)


def input_phase(mel: MelSpectrogram = MEL, **settings: Any) -> InputPhase:
    return InputPhase(InputPhaseConfig(**settings), mel)


def mel_distance(wave: Tensor, wanted: Tensor, mel: MelSpectrogram = MEL) -> float:
    return (mel(wave)[..., : wanted.shape[-1]] - wanted).abs().mean().item()


# promises


@pytest.mark.parametrize("mel", [MEL, SMALL, MelSpectrogram(MelConfig(bands=300, fmax_hz=11025))])
@pytest.mark.parametrize("kind", [griffin_lim, input_phase])
def test_keeps_the_promises(kind: Any, mel: MelSpectrogram) -> None:
    promises.check("vocoder", kind(mel), promises.Context(features=mel))


# from bands to bins


@pytest.mark.parametrize("mel", [MEL, SMALL, MelSpectrogram(MelConfig(bands=2, fmin_hz=300))])
def test_a_straight_line_through_the_bands_is_one_through_the_bins(mel: MelSpectrogram) -> None:
    weights = band_interpolation(mel)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(weights)))
    bins_hz = torch.linspace(0, RATE_HZ / 2, len(weights))
    # an evenly weighted triangle has its mean at the mean of its corners, near its centre
    highest = bins_hz[mel.filterbank.argmax(dim=1)]
    between = (bins_hz >= highest[0]) & (bins_hz <= highest[-1])
    width_hz = RATE_HZ / mel.config.size
    assert ((weights @ highest - bins_hz)[between].abs() <= width_hz).all()
    assert torch.equal(weights[-1], torch.eye(mel.channels)[-1])


def test_bands_without_a_bin_get_no_weight() -> None:
    mel = MelSpectrogram(MelConfig(bands=300))
    empty = mel.filterbank.sum(dim=1) == 0
    assert empty.any()
    assert not band_interpolation(mel)[:, empty].any()


# Griffin-Lim


@settings(max_examples=8, deadline=None)
@given(frequency_hz=st.floats(200, 7000))
def test_a_tone_comes_back_at_its_pitch(frequency_hz: float) -> None:
    wave = griffin_lim(iterations=20)(MEL(tone(frequency_hz, 8192)))
    spectrum = torch.fft.rfft(wave[0, :8192] * torch.hann_window(8192)).abs()
    found_hz = spectrum.argmax().item() * RATE_HZ / 8192
    band_hz = max(45.0, 0.05 * frequency_hz)  # as fine as the mel bands can tell
    assert abs(found_hz - frequency_hz) < band_hz


def test_griffin_lim_gives_the_mel_spectrogram_back() -> None:
    wanted = MEL(speech_like(22050))
    wave = griffin_lim()(wanted)
    assert wave.shape == (1, wanted.shape[-1] * 256)
    assert mel_distance(wave, wanted) < 0.3
    assert mel_distance(wave, wanted) < 0.5 * mel_distance(
        griffin_lim(iterations=0)(wanted), wanted
    )


def test_its_magnitudes_have_the_mel_spectrogram_and_end_with_the_last_band() -> None:
    wanted = MEL(speech_like(11025))
    magnitude = griffin_lim(mel_iterations=50).magnitude(wanted)
    torch.testing.assert_close((MEL.filterbank @ magnitude).log(), wanted, rtol=0, atol=0.05)
    above = torch.linspace(0, RATE_HZ / 2, 513) > 8000
    assert magnitude.min() >= 0
    assert not magnitude[:, above].any()


def test_griffin_lim_repeats_itself_and_uses_no_chance() -> None:
    wanted, state = MEL(speech_like(6000)), torch.random.get_rng_state()
    assert torch.equal(griffin_lim()(wanted), griffin_lim()(wanted))
    assert torch.equal(torch.random.get_rng_state(), state)


@settings(max_examples=8, deadline=None)
@given(gain=st.floats(0.1, 10))
def test_louder_features_make_a_louder_wave(gain: float) -> None:
    wanted, vocoder = SMALL(speech_like(4000)), griffin_lim(SMALL, iterations=5)
    louder = vocoder(wanted + math.log(gain))
    torch.testing.assert_close(louder, gain * vocoder(wanted), rtol=1e-2, atol=1e-3 * gain)


def test_silence_stays_silent() -> None:
    wave = griffin_lim()(MEL(torch.zeros(1, 8192)))
    assert wave.abs().max() < 1e-4


# the source's own phase


@settings(max_examples=20, deadline=None)
@given(
    samples=st.integers(1, 6000),
    seed=st.integers(0, 99),
    level=st.sampled_from([0, 1e-6, 1e-3, 0.3]),
)
def test_the_own_features_give_the_source_back(samples: int, seed: int, level: float) -> None:
    source = noise(2, samples, seed=seed, level=level)
    wave = input_phase()(MEL(source), source)
    assert wave.shape == (2, (1 + samples // 256) * 256)
    torch.testing.assert_close(wave[:, :samples], source, rtol=0, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(gain_db=st.floats(-80, 80), limit_db=st.floats(0, 60))
def test_all_bands_louder_is_a_louder_source_up_to_the_limit(
    gain_db: float, limit_db: float
) -> None:
    source = noise(1, 4000)
    louder = MEL(source) + gain_db * math.log(10) / 20
    wave = input_phase(max_gain_db=limit_db, refinements=0)(louder, source)
    reached_db = max(-limit_db, min(limit_db, gain_db))
    scale = 10 ** (reached_db / 20)
    torch.testing.assert_close(wave[:, :4000], scale * source, rtol=1e-3, atol=1e-3 * scale)


def test_it_undoes_a_low_pass_nearly() -> None:
    clean = speech_like(22050)
    spectrum = torch.fft.rfft(clean)
    frequency_hz = torch.linspace(0, RATE_HZ / 2, spectrum.shape[-1])
    source = torch.fft.irfft(spectrum / (1 + (frequency_hz / 1000) ** 2), n=22050)
    wanted = MEL(clean)
    rough, fine = (input_phase(refinements=times)(wanted, source) for times in (0, 2))
    assert mel_distance(source, wanted) > 1
    assert mel_distance(rough, wanted) < 0.1
    assert mel_distance(fine, wanted) < 0.95 * mel_distance(rough, wanted)
    wave = fine[:, :22050]
    similarity = (wave * clean).sum() / wave.norm() / clean.norm()
    assert similarity > 0.99  # the samples themselves come back, since the phase was kept


def test_the_gain_is_held_above_the_last_band() -> None:
    source = noise(1, 22050)
    shelf = MEL(source)
    shelf[:, 60:] += math.log(10)  # 20 dB
    ratio = (stft(input_phase()(shelf, source), 1024, 256).abs() + 1e-6).mean(dim=-1)[0]
    ratio = ratio / stft(source, 1024, 256).abs().mean(dim=-1)[0]
    above = torch.linspace(0, RATE_HZ / 2, 513) > 8200
    assert ratio[above].log10().mean() == pytest.approx(1, abs=0.05)
    assert ratio[:150].log10().abs().mean() < 0.05


@pytest.mark.parametrize("samples", [1000, 4000, 9000])
def test_a_source_of_another_length_is_fitted(samples: int) -> None:
    source = tone(440, 9000)
    wave = input_phase()(MEL(source[:, :4000]), source[:, :samples])
    assert wave.shape == (1, 16 * 256)
    inner = slice(100, min(samples, 4000) - 600)
    torch.testing.assert_close(wave[:, inner], source[:, inner], rtol=0, atol=1e-2)


def test_its_gradient_says_which_way_is_louder() -> None:
    source = noise(1, 4000)
    wanted = MEL(source).requires_grad_()
    input_phase()(wanted, source).square().sum().backward()
    assert (wanted.grad > 0).float().mean() > 0.95


# errors, by their words


@pytest.mark.parametrize("name", ["griffin-lim", "input-phase"])
def test_other_features_are_refused(name: str) -> None:
    words = f"vocoder {name}: the features are SomethingElse, .*use features: mel"
    with pytest.raises(ComponentError, match=words):
        build("vocoder", name, features=SomethingElse())
    gaps = MelSpectrogram(MelConfig(size=256, hop_samples=200))
    with pytest.raises(ComponentError, match=r"hop_samples=200 .*leaves gaps; use .*most 128"):
        build("vocoder", name, features=gaps)


def test_a_mel_spectrogram_between_two_bins_is_refused() -> None:
    between = MelSpectrogram(MelConfig(size=64, hop_samples=32, bands=1, fmin_hz=10, fmax_hz=20))
    with pytest.raises(ComponentError, match=r"no mel band between 10.0 and 20.0 Hz holds an STFT"):
        build("vocoder", "griffin-lim", features=between)


@pytest.mark.parametrize("vocoder", [griffin_lim(), input_phase()])
def test_other_channels_are_refused(vocoder: Vocoder) -> None:
    with pytest.raises(ComponentError, match=r"shape \(1, 3, 4\); .*takes \(batch, 80, frames\)"):
        vocoder(torch.zeros(1, 3, 4), torch.zeros(1, 800))


def test_a_missing_or_unfit_source_is_told() -> None:
    wanted = MEL(noise(2, 1000))
    with pytest.raises(ComponentError, match=r"was given none; pass it as source, .*hifigan"):
        input_phase()(wanted)
    with pytest.raises(ComponentError, match=r"\(3, 1000\) for features of 2 items; give one wave"):
        input_phase()(wanted, noise(3, 1000))


def test_a_gain_below_zero_is_refused() -> None:
    with pytest.raises(ComponentError, match=r"input-phase: max_gain_db=-3: .*equal to 0"):
        build("vocoder", "input-phase:max_gain_db=-3")
