"""Written results are as loud as their recordings, however soft these are, or as they are told."""

import math
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from selfremaster.core import audio
from selfremaster.core.effects import Channels
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.loudness import integrated_loudness
from selfremaster.core.metering import LevelMeter
from selfremaster.core.models import Model
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.core.restoring import Form, Restored, restore_files
from tests.test_model_sound import repeating

RATE = 22050
SECONDS = 6


def expanding() -> Model:
    """A model that makes soft stretches softer still, as one that takes noise away does."""
    model = repeating()

    def expand(wave: Tensor, linked: bool = False) -> Tensor:
        means = functional.avg_pool1d(wave.abs()[:, None], 2000, 500, 1000)
        around = functional.interpolate(means, wave.shape[-1], mode="linear")[:, 0]
        return wave * around / around.amax(dim=1, keepdim=True).clamp(min=1e-9)

    model.restore_segment = expand  # type: ignore[method-assign]  # in place of its parts
    return model


@cache
def tape() -> Tensor:
    """Syllables of all levels, and a noise beneath, (1, samples)."""
    samples = SECONDS * RATE
    fading = 10 ** (-1.2 * torch.sin(torch.linspace(0, 9, samples)).square())
    return 0.4 * speech_like(samples) * fading + 0.004 * noise(1, samples, level=1)


def restored(
    folder: Path, wave: Tensor, form: Form, subtype: str = "FLOAT", rate_hz: int = RATE
) -> tuple[Tensor, Restored]:
    """What is written of a file, and what is said of it."""
    source, target = folder / "old.wav", folder / "new.wav"
    audio.write(source, wave, rate_hz, subtype=subtype)
    (done,) = restore_files(
        expanding(), [Job(source, Path(source.name), target, target.with_suffix(""))], form=form
    )
    assert not isinstance(done, Failure), done
    return audio.read(target)[0], done


@pytest.mark.parametrize("lufs", [-26, -50, -60, -64, -66, -68, -69, -70])
@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_24"])
def test_the_loudness_of_soft_recordings_is_kept(lufs: float, subtype: str, tmp_path: Path) -> None:
    """Near -70 LUFS the gate lets other stretches through than before."""
    wave = tape() * 10 ** ((lufs - integrated_loudness(tape(), RATE)) / 20)
    old = integrated_loudness(wave, RATE)
    made, done = restored(tmp_path, wave, Form(), subtype)
    assert integrated_loudness(made, RATE) == pytest.approx(old, abs=0.05)
    assert not done.notes


@pytest.mark.parametrize("wanted", [None, -30.0, -55.0, -69.0])
@pytest.mark.parametrize("channels", ["linked", "independent", "mono"])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_the_loudness_of_all_channels_is_what_is_asked_for(
    wanted: float | None, channels: Channels, strength: float, tmp_path: Path
) -> None:
    one = tape()
    other = 0.3 * one.roll(SECONDS * RATE // 2, 1) + 0.001 * noise(1, SECONDS * RATE, seed=4)
    other[:, : SECONDS * RATE // 2] *= 0.1
    wave = 0.1 * torch.cat([one, other])
    made, done = restored(tmp_path, wave, Form(strength, channels, wanted))
    kept = wave.mean(dim=0, keepdim=True) if channels == "mono" else wave
    expected = integrated_loudness(kept, RATE) if wanted is None else wanted
    assert integrated_loudness(made, RATE) == pytest.approx(expected, abs=0.05)
    assert not done.notes


def test_too_soft_a_recording_keeps_its_own_level_and_this_is_said(tmp_path: Path) -> None:
    wave = 1e-3 * tape()
    assert integrated_loudness(wave, RATE) == -math.inf
    made, done = restored(tmp_path, wave, Form(wanted_lufs=-23))
    assert float(made.std()) == pytest.approx(float(wave.std()), rel=0.01)
    assert done.notes == (
        "it is softer than -70 LUFS, which counts as silence, and keeps its own level instead of "
        "-23 LUFS",
    )


def test_mono_is_as_loud_as_the_mean_of_the_channels(tmp_path: Path) -> None:
    """Two equal channels are 3 LU louder than one of them, as two loudspeakers are."""
    voice = 0.3 * speech_like(3 * RATE)
    pair = torch.cat([voice, voice])
    made, _ = restored(tmp_path, pair, Form(channels="mono"))
    loud = integrated_loudness(made, RATE)
    assert loud == pytest.approx(integrated_loudness(voice, RATE), abs=0.05)
    assert loud == pytest.approx(integrated_loudness(pair, RATE) - 3.01, abs=0.05)


@pytest.mark.parametrize("wanted", [None, -30.0])
@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_another_rate_is_as_loud(wanted: float | None, rate_hz: int, tmp_path: Path) -> None:
    """Half of the noise lies above 4 kHz, and counts for more than half."""
    wave = 0.1 * tape() + 0.01 * noise(1, SECONDS * RATE, level=1)
    made, done = restored(tmp_path, wave, Form(wanted_lufs=wanted, sample_rate=rate_hz))
    expected = integrated_loudness(wave, RATE) if wanted is None else wanted
    assert integrated_loudness(made, rate_hz) == pytest.approx(expected, abs=0.05)
    assert not done.notes


def test_what_another_rate_leaves_nothing_of_is_not_blown_up(tmp_path: Path) -> None:
    time = torch.arange(4 * RATE) / RATE
    wave = 0.2 * torch.sin(2 * math.pi * 9000 * time)[None]
    made, done = restored(tmp_path, wave, Form(sample_rate=8000))
    assert float(made[:, 2000:-2000].abs().max()) < 0.01
    (told,) = done.notes
    assert told.endswith("dB softer than asked for, so much is lost at 8000 Hz")


@pytest.mark.parametrize("level", [1.0, 0.0])
def test_anti_phase_is_told_before_it_is_mixed_and_the_voice_stays(
    level: float, tmp_path: Path
) -> None:
    """Hum that is the same in both channels has no say in it."""
    voice = 0.2 * speech_like(3 * RATE)
    hum = level * 0.5 * torch.sin(torch.arange(3 * RATE) * (2 * math.pi * 50 / RATE))
    pair = torch.cat([voice + hum, -0.8 * voice + hum])
    made, done = restored(tmp_path, pair, Form(channels="mono", wanted_lufs=-30.0))
    (told,) = done.notes
    assert "anti-phase (correlation -" in told
    assert "one was turned over before they were mixed" in told
    alike = (made[0] * voice[0]).sum() / (made.norm() * voice.norm())
    assert float(alike) > 0.8


def test_a_stretch_in_anti_phase_is_told(tmp_path: Path) -> None:
    voice = 0.2 * speech_like(6 * RATE)
    other = voice.clone()
    other[:, 4 * RATE :] *= -1
    pair = torch.cat([voice, other])
    _, done = restored(tmp_path, pair, Form())
    assert "in anti-phase for 2 of 6 seconds of its sound" in done.notes[0]
    _, done = restored(tmp_path, pair, Form(channels="mono"))
    assert "cancel each other for 2 of 6 seconds of its sound" in done.notes[0]


@pytest.mark.parametrize(
    "stored", ["mp3", "ogg", "opus", "wav PCM_U8", "wav ULAW", "wav IMA_ADPCM"]
)
@pytest.mark.parametrize("lufs", [-23, -38])
def test_what_is_heard_of_an_encoded_result_is_as_loud(
    stored: str, lufs: float, tmp_path: Path
) -> None:
    suffix, _, subtype = stored.partition(" ")
    rate_hz = 24000 if suffix == "opus" else RATE
    wave = tape() * 10 ** ((lufs - integrated_loudness(tape(), RATE)) / 20)
    old = integrated_loudness(wave, rate_hz)
    source, target = tmp_path / "old.wav", tmp_path / f"new.{suffix}"
    audio.write(source, wave, rate_hz, subtype="FLOAT")
    job = Job(source, Path(source.name), target, target.with_suffix(""))
    (done,) = restore_files(expanding(), [job], form=Form(subtype=subtype or None))
    assert not isinstance(done, Failure), done
    made = audio.read(target)[0]
    assert audio.inspect(target).samples >= wave.shape[1]
    assert integrated_loudness(made, rate_hz) == pytest.approx(old, abs=0.1) or (
        any("louder than asked for" in note for note in done.notes) and subtype == "PCM_U8"
    )


@pytest.mark.parametrize("suffix", ["mp3", "ogg"])
def test_what_is_heard_of_an_encoded_result_stays_below_full_scale(
    suffix: str, tmp_path: Path
) -> None:
    wave = (20 * tape()).tanh() * 0.99
    source, target = tmp_path / "old.wav", tmp_path / f"new.{suffix}"
    audio.write(source, wave, RATE)
    job = Job(source, Path(source.name), target, target.with_suffix(""))
    (done,) = restore_files(repeating(), [job])
    assert not isinstance(done, Failure), done
    meter = LevelMeter(RATE, 1)
    meter.add(audio.read(target)[0])
    assert meter.true_peak <= 1
    assert any("softer than asked for, so that its peaks fit" in note for note in done.notes)
