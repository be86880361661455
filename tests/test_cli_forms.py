"""`restore` keeps what a recording is like, and changes what it is told to."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from selfremaster.core import audio
from selfremaster.core.loudness import integrated_loudness
from selfremaster.core.promises.inputs import speech_like
from tests.cli import run
from tests.tiny import RATE


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    """A second of a voice that is nearer to the left."""
    voice = 0.3 * speech_like(RATE, sample_rate=RATE)
    path = tmp_path / "old.wav"
    audio.write(path, torch.cat([voice, 0.5 * voice]), RATE, subtype="PCM_24")
    return path


def test_all_is_kept_unless_something_else_is_asked_for(stereo: Path, tmp_path: Path) -> None:
    assert run("restore", stereo, "--output", tmp_path / "new.wav").code == 0
    assert audio.inspect(tmp_path / "new.wav") == audio.inspect(stereo)
    levels = [
        integrated_loudness(audio.read(path)[0], RATE) for path in (stereo, tmp_path / "new.wav")
    ]
    assert levels[1] == pytest.approx(levels[0], abs=0.1)


def test_rate_kind_channels_and_level_are_changed(stereo: Path, tmp_path: Path) -> None:
    changes = ("--rate", "48000", "--subtype", "pcm_16", "--channels", "mono", "--level", "-30")
    told = run("restore", stereo, "--output", f"{tmp_path}/new/", "--format", "flac", *changes)
    assert told.code == 0
    info = audio.inspect(tmp_path / "new" / "old.flac")
    assert (info.sample_rate, info.channels, info.subtype, info.format) == (
        48000,
        1,
        "PCM_16",
        "FLAC",
    )
    assert info.seconds == pytest.approx(1, abs=1e-4)
    wave, rate = audio.read(tmp_path / "new" / "old.flac")
    assert integrated_loudness(wave, rate) == pytest.approx(-30, abs=0.1)


def test_results_of_one_name_keep_their_own_suffixes(stereo: Path, tmp_path: Path) -> None:
    wave, rate = audio.read(stereo)
    folder = tmp_path / "tapes"
    for name in ("a.wav", "a.flac", "b.wav"):
        audio.write(folder / name, wave, rate)
    told = run("restore", folder, "--output", tmp_path / "new", "--format", ".FLAC", "--quiet")
    assert told.code == 0
    names = sorted(path.name for path in (tmp_path / "new").iterdir() if path.suffix == ".flac")
    assert names == ["a.flac", "a.wav.flac", "b.flac"]


def test_anti_phase_and_a_missing_end_are_noted(stereo: Path, tmp_path: Path) -> None:
    wave, rate = audio.read(stereo)
    turned = tmp_path / "turned.wav"
    audio.write(turned, torch.cat([wave[:1], -wave[1:]]), rate)
    told = run("restore", turned, "--output", tmp_path / "new.wav")
    assert told.code == 0
    assert "anti-phase (correlation -1.00)" in told.err
    cut = tmp_path / "cut.wav"
    cut.write_bytes(stereo.read_bytes()[: stereo.stat().st_size // 2])
    told = run("restore", cut, "--output", tmp_path / "half.wav")
    assert told.code == 0
    assert "truncated: 0.5" in told.err
    assert audio.inspect(tmp_path / "half.wav").seconds == pytest.approx(0.5, abs=0.01)
    assert "truncated" in run("restore", cut, "--output", tmp_path / "no.wav", "--strict").error
    assert not (tmp_path / "no.wav").exists()


def test_samples_that_are_no_numbers_are_refused_or_repaired(tmp_path: Path) -> None:
    wave = speech_like(RATE, sample_rate=RATE)[0].numpy().copy()
    wave[500:503] = np.nan
    path = tmp_path / "old.wav"
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    words = ("restore", path, "--output", tmp_path / "new.wav")
    assert "sample 500" in run(*words).error
    told = run(*words, "--repair-samples")
    assert told.code == 0
    assert "3 of 22050 samples" in told.err
    assert audio.read(tmp_path / "new.wav")[0].isfinite().all()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--channels", "both"), "--channels both: give one of linked, independent, mono"),
        (("--level", "loud"), "--level loud: give keep, or a loudness in LUFS from -70 to 0"),
        (("--level", "3"), "--level 3: give keep, or a loudness in LUFS from -70 to 0"),
        (("--rate", "12"), "--rate 12: give 1000 to 768000 Hz"),
        (("--format", "doc"), "--format doc: no sound is written so; known: "),
        (("--format", "flac"), "new.wav: is no .flac file; name one that ends so, or a folder"),
        (("--subtype", "PCM_99"), "WAV holds no 'PCM_99'; known: "),
        (("--strength", "2"), "strength 2: give 0"),
    ],
)
def test_what_cannot_be_is_told(
    stereo: Path, tmp_path: Path, words: tuple[str, str], error: str
) -> None:
    told = run("restore", stereo, "--output", tmp_path / "new.wav", *words)
    assert told.code == 2
    assert error in told.error
    assert not (tmp_path / "new.wav").exists()
