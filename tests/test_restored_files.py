"""Files through `restore` by a model that changes nothing: no sample more or less, none late.

20 lengths are tried; the variable SELFREMASTER_EXAMPLES asks for another number, such as 500.
"""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.effects import CHANNELS
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.restoring import Form, Restored, restore_files
from tests.test_lengths import Size, sizes
from tests.test_model_sound import repeating

EXAMPLES = int(os.environ.get("SELFREMASTER_EXAMPLES", "20"))
SECONDS = 2


def restored(source: Path, target: Path, form: Form) -> Restored:
    """What is told of one file."""
    job = Job(source, Path(source.name), target, target.with_suffix(""))
    (done,) = restore_files(repeating(), [job], form=form)
    assert not isinstance(done, Failure), done
    return done


def tones(size: Size) -> Tensor:
    """Two tones that any rate holds, each channel at its own level, (channels, samples)."""
    time = torch.arange(size.samples, dtype=torch.float64) / size.rate_hz
    tone = torch.sin(2 * math.pi * 300 * time + 0.5) + torch.sin(2 * math.pi * 1100 * time)
    levels = 0.3 / torch.arange(1, size.channels + 1)
    return (levels[:, None] * tone).float()


@pytest.mark.parametrize("size", sizes(EXAMPLES), ids=lambda size: "-".join(map(str, size)))
def test_every_sample_comes_back_at_its_place(size: Size, tmp_path: Path) -> None:
    channels = CHANNELS[size.samples % len(CHANNELS)]
    source, target = tmp_path / "old.wav", tmp_path / "new.wav"
    wave = tones(size)
    audio.write(source, wave, size.rate_hz, subtype="FLOAT")
    restored(source, target, Form(channels=channels))
    made, rate_hz = audio.read(target)
    kept = wave.mean(dim=0, keepdim=True) if channels == "mono" else wave
    assert (made.shape, rate_hz) == (kept.shape, size.rate_hz)
    away = round(0.05 * rate_hz)  # from the ends, where a tone that breaks off is no tone
    if size.samples > 4 * away:
        error = (made - kept)[:, away:-away].abs().max()
        assert float(error) < 0.02 * float(kept.abs().max())


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 11, 12, 25])
@pytest.mark.parametrize("strength", [1.0, 0.0])
def test_no_rate_leaves_nothing(samples: int, strength: float, tmp_path: Path) -> None:
    source, target = tmp_path / "old.wav", tmp_path / "new.wav"
    audio.write(source, torch.full((2, samples), 0.1), 192000, subtype="FLOAT")
    restored(source, target, Form(strength=strength, sample_rate=8000))
    made, rate_hz = audio.read(target)
    assert (made.shape[1], rate_hz) == (max(round(samples / 24), 1), 8000)
    assert made.all()


def voice_band(rate_hz: int) -> NDArray[np.float64]:
    """Noise that every rate holds, 200 to 3000 Hz, with silence at its ends."""
    samples = SECONDS * rate_hz
    spectrum = np.zeros(samples // 2 + 1, np.complex128)
    places = np.arange(200 * SECONDS, 3000 * SECONDS)
    spectrum[places] = np.exp(2j * np.pi * np.random.default_rng(1).random(len(places)))
    wave: NDArray[np.float64] = np.fft.irfft(spectrum, samples) * np.hanning(samples)
    return 0.3 * wave / np.abs(wave).max()


def lag_of(made: NDArray[Any], kept: NDArray[np.float64]) -> float:
    """By how many samples one is later, by the peak of their cross-correlation, finely."""
    fine = 16
    size = 2 * len(kept)
    cross = np.fft.rfft(made, size) * np.conj(np.fft.rfft(kept, size))
    found = np.fft.irfft(np.pad(cross, (0, (fine - 1) * size // 2)), fine * size)
    place = int(found.argmax())
    return (place if place < len(found) // 2 else place - len(found)) / fine


@pytest.mark.parametrize("new_hz", [None, 16000, 44100, 48000])
@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_nothing_is_late(rate_hz: int, new_hz: int | None, tmp_path: Path) -> None:
    """The model works at 22050 Hz; what it should be is worked out by a Fourier transform."""
    source, target = tmp_path / "old.wav", tmp_path / "new.flac"
    wave = voice_band(rate_hz)
    audio.write(source, wave, rate_hz, subtype="PCM_24")
    restored(source, target, Form(sample_rate=new_hz))
    made, made_hz = soundfile.read(target)
    assert made_hz == (new_hz or rate_hz)
    assert len(made) == SECONDS * made_hz
    kept = scipy.signal.resample(wave, len(made))
    assert abs(lag_of(made, kept)) <= 0.125
    assert np.abs(made - kept).max() < 0.02


def test_a_lag_is_found() -> None:
    wave = voice_band(8000)
    assert lag_of(np.roll(wave, 3), wave) == 3
    assert lag_of(np.roll(wave, -1), wave) == -1


@pytest.mark.parametrize("suffix", [".wav", ".caf", ".w64"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_strength_0_keeps_every_bit(suffix: str, subtype: str, tmp_path: Path) -> None:
    source, target = tmp_path / f"old{suffix}", tmp_path / f"new{suffix}"
    if not soundfile.check_format(audio.FORMATS[suffix], subtype):
        pytest.skip(f"{suffix} holds no {subtype}")
    steps = np.random.default_rng(0).integers(-(2**31), 2**31, (70_000, 2), np.int32)
    given: NDArray[Any] = steps / 2**31 / 3 if subtype in ("FLOAT", "DOUBLE") else steps
    soundfile.write(source, given, 48000, subtype=subtype)
    assert restored(source, target, Form(strength=0)).notes == ()
    old, new = (soundfile.read(path, dtype="float64")[0] for path in (source, target))
    assert soundfile.info(target).subtype == subtype
    assert np.array_equal(old, new)


def test_finer_samples_that_are_made_up_stay_finite(tmp_path: Path) -> None:
    source, target = tmp_path / "old.wav", tmp_path / "new.wav"
    given = np.random.default_rng(0).standard_normal(100_000) / 9
    damaged = given.copy()
    damaged[500:503] = np.nan
    soundfile.write(source, damaged, 48000, subtype="DOUBLE")
    restored(source, target, Form(strength=0, repair=True))
    made = soundfile.read(target)[0]
    assert np.isfinite(made).all()
    assert np.array_equal(made[-30_000:], given[-30_000:])
    assert np.abs(np.delete(made - given, range(500, 503))).max() < 1e-7
