"""A model's `restore`: nothing is delayed or made louder, types are kept, errors are in words."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core.errors import AudioError, BundleError
from selfremaster.core.interfaces import ComponentConfig, Vocoder
from selfremaster.core.models import Model, check_wave
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.core.promises.stubs import StubAnalyzer, StubFeatures
from tests.strategies import waves

CONFIG = ComponentConfig()


class Repeater(Vocoder):
    """Gives the source back, times a factor."""

    factor = 1.0

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The source, cut or padded to whole frames."""
        assert source is not None
        samples = features.shape[-1] * self.hop_samples
        return self.factor * torch.nn.functional.pad(source, (0, samples - source.shape[-1]))


def repeating(factor: float = 1.0) -> Model:
    """A model that hears everything, and says what it was given."""
    features = StubFeatures(CONFIG)
    vocoder = Repeater(CONFIG, features)
    vocoder.factor = factor
    return Model(features, vocoder, StubAnalyzer(CONFIG, features))


def rms(wave: Tensor) -> Tensor:
    return wave.square().mean(dim=-1).sqrt()


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("place", [4000, 9999])
def test_a_click_stays_where_it_was(rate_hz: int, place: int) -> None:
    wave = torch.zeros(20011)
    wave[place] = 0.5
    restored = repeating().restore(wave, rate_hz)
    assert restored.shape == wave.shape
    assert int(restored.abs().argmax()) == place
    before, after = restored[place - 50 : place].flip(0), restored[place + 1 : place + 51]
    torch.testing.assert_close(before, after, rtol=0, atol=1e-3)


@settings(max_examples=20)
@given(samples=st.integers(1, 30_000), rate_hz=st.sampled_from([8000, 22050, 32000, 44100]))
def test_any_length_is_kept_at_any_rate(samples: int, rate_hz: int) -> None:
    restored = repeating().restore(noise(1, samples), rate_hz)
    assert restored.shape == (1, samples)
    assert restored.isfinite().all()


@pytest.mark.parametrize("factor", [0.01, 1.0, -30.0])
def test_the_level_is_the_recordings_own_whatever_the_vocoder_gives(factor: float) -> None:
    wave = speech_like(22050, sample_rate=44100)
    restored = repeating(factor).restore(wave, 44100)
    torch.testing.assert_close(rms(restored), rms(wave), rtol=1e-3, atol=0)
    assert (restored * wave).sum() * factor > 0


@settings(max_examples=20)
@given(wave=waves(max_samples=3000))
def test_at_the_models_rate_the_wave_comes_back(wave: Tensor) -> None:
    if wave.abs().max() > 0.999 or wave.square().mean() < 1e-12:  # beyond full scale, or unheard
        return
    torch.testing.assert_close(repeating().restore(wave, 22050), wave, rtol=1e-4, atol=1e-6)


def test_what_is_beyond_full_scale_stays_as_loud() -> None:
    loud = 3 * speech_like(9000)
    restored = repeating().restore(loud, 22050)
    assert float(restored.abs().max()) == pytest.approx(float(loud.abs().max()), rel=1e-3)


def test_silence_stays_silent_in_each_channel() -> None:
    model = repeating()
    assert not model.restore(torch.zeros(2, 5000), 44100).any()
    stereo = torch.cat([speech_like(5000), torch.zeros(1, 5000)])
    restored = model.restore(stereo, 44100)
    assert restored[0].any()
    assert not restored[1].any()


def test_channels_keep_their_balance_and_their_places() -> None:
    stereo = torch.cat([speech_like(6000), 0.1 * noise(1, 6000)])
    restored = repeating().restore(stereo, 22050)
    assert restored.shape == (2, 6000)
    torch.testing.assert_close(restored, stereo, rtol=1e-4, atol=1e-6)
    flipped = repeating().restore(stereo.flip(0), 22050)
    torch.testing.assert_close(flipped.flip(0), restored, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["restore", "copy_synthesis"])
@pytest.mark.parametrize("shape", [(3000,), (1, 3000), (2, 3000)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_types_and_shapes_come_back_as_they_were(
    method: str, shape: tuple[int, ...], dtype: str
) -> None:
    wave = noise(1, int(np.prod(shape))).reshape(shape)
    tensor, array = wave.to(getattr(torch, dtype)), wave.numpy().astype(dtype)
    kept = (tensor.clone(), array.copy())
    through = getattr(repeating(), method)
    from_tensor, from_array = through(tensor, 44100), through(array, 44100)
    assert isinstance(from_tensor, Tensor)
    assert isinstance(from_array, np.ndarray)
    assert (tuple(from_tensor.shape), from_tensor.dtype) == (shape, tensor.dtype)
    assert (from_array.shape, from_array.dtype) == (shape, array.dtype)
    np.testing.assert_array_equal(from_tensor.numpy(), from_array)
    assert torch.equal(tensor, kept[0])
    np.testing.assert_array_equal(array, kept[1])


def test_arrays_in_any_order_and_waves_that_learn_are_taken() -> None:
    stereo = noise(2, 3000)
    model = repeating()
    wanted = model.restore(stereo, 44100)
    backwards = np.asfortranarray(stereo.numpy()[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(model.restore(backwards, 44100), wanted.numpy())
    restored = model.restore(stereo.clone().requires_grad_(), 44100)
    assert not restored.requires_grad
    assert torch.equal(restored, wanted)


def test_modules_are_put_back_as_they_were() -> None:
    model = repeating()
    model.train()
    model.vocoder.eval()
    model.restore(noise(1, 2000), 22050)
    assert model.training
    assert not model.vocoder.training


BAD: list[tuple[Any, str]] = [
    (torch.zeros(1, 2, 3), r"a wave of shape \(1, 2, 3\); give \(samples,\) or \(channels, sam"),
    (torch.zeros(()), r"a wave of shape \(\); give"),
    (
        torch.zeros(900, 2),
        r"900 channels of 2 samples; give \(channels, samples\), for what soundfile reads",
    ),
    (torch.zeros(1, 0), "0 samples of audio; nothing to restore"),
    (np.zeros(0), "0 samples of audio"),
    (torch.tensor([[0.0, float("nan"), 1.0]]), "sample 1 is not a finite number; repair"),
    (np.array([0.0, 0.0, np.inf]), "sample 2 is not a finite number"),
    (torch.zeros(4, dtype=torch.int16), r"a wave of torch.int16; give floating point with full"),
    (np.zeros(4, np.int32), "a wave of int32; give float32 or float64 with full scale 1"),
]


@pytest.mark.parametrize(("wave", "words"), BAD)
@pytest.mark.parametrize("method", ["restore", "copy_synthesis"])
def test_waves_that_cannot_be_are_told(method: str, wave: Any, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        getattr(repeating(), method)(wave, 44100)
    with pytest.raises(AudioError, match=words):
        check_wave(wave)


@pytest.mark.parametrize("rate_hz", [0, -44100, 999, 10**6])
def test_rates_that_cannot_be_are_told(rate_hz: int) -> None:
    with pytest.raises(AudioError, match=f"cannot resample from {rate_hz} to 22050 Hz; whole ra"):
        repeating().restore(noise(1, 2000), rate_hz)


def test_a_vocoder_alone_speaks_and_says_that_it_cannot_restore() -> None:
    features = StubFeatures(CONFIG)
    model = Model(features, Repeater(CONFIG, features))
    wave = noise(1, 2000)
    torch.testing.assert_close(model.copy_synthesis(wave, 22050), wave, rtol=1e-4, atol=1e-6)
    with pytest.raises(BundleError, match="it has no analysis module to restore with"):
        model.restore(wave, 22050)
    with pytest.raises(BundleError, match="has no channel module to put the sound of a recording"):
        model.degrade(wave, torch.zeros(1, 3))


def test_another_output_vocoder_speaks_when_a_recording_is_restored() -> None:
    model = repeating()
    model.output = Repeater(CONFIG, model.features)
    model.output.factor = -1.0
    wave = noise(1, 2000)
    torch.testing.assert_close(model.restore(wave, 22050), -wave, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model.copy_synthesis(wave, 22050), wave, rtol=1e-4, atol=1e-6)
