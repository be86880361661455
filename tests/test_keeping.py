"""Results as their recordings were kept, where these cannot be kept as they are."""

from pathlib import Path

import pytest
import soundfile
import torch

from selfremaster.core import audio
from selfremaster.core.errors import AudioError
from selfremaster.core.metering import PEAK_LIMIT
from selfremaster.core.promises.inputs import speech_like
from tests.cli import run, write_tiny_bundle

RATE = 44100


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


def loud(path: Path) -> Path:
    """A file that decodes to more than full scale, as those of loud recordings commonly do."""
    wave = (40 * speech_like(RATE)[0]).clamp(-1, 1)
    if path.suffix == ".wav":
        audio.write(path, 1.3 * wave, RATE, subtype="FLOAT")
    else:
        soundfile.write(path, wave.numpy(), RATE)
    assert float(audio.read(path)[0].abs().max()) > 1.02
    return path


@pytest.mark.parametrize("strength", ["1", "0"])
@pytest.mark.parametrize(
    ("suffix", "kept"), [(".mp3", ".mp3"), (".ogg", ".ogg"), (".wav", ".flac")]
)
def test_what_is_beyond_full_scale_is_made_softer_and_told(
    suffix: str, kept: str, strength: str, bundle: Path, tmp_path: Path
) -> None:
    source = loud(tmp_path / f"loud{suffix}")
    target = tmp_path / f"new{kept}"
    words = ("--model", bundle, "--strength", strength)
    done = run("restore", source, "--output", target, *words)
    assert done.code == 0, done.err
    new, old = audio.inspect(target), audio.inspect(source)
    assert (new.samples, new.sample_rate) == (old.samples, old.sample_rate)
    if strength == "0":
        assert "dB softer than asked for, so that its peaks fit" in done.err
        if kept == ".flac":
            assert float(audio.read(target)[0].abs().max()) == pytest.approx(PEAK_LIMIT, abs=1e-4)


def test_floating_point_keeps_what_is_beyond_full_scale(bundle: Path, tmp_path: Path) -> None:
    source, target = loud(tmp_path / "loud.wav"), tmp_path / "new.wav"
    words = ("--model", bundle, "--strength", "0")
    assert run("restore", source, "--output", target, *words).code == 0
    assert torch.equal(audio.read(target)[0], audio.read(source)[0])


def test_another_rate_of_a_clipped_recording_fits(bundle: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "clipped.wav", tmp_path / "new.wav"
    audio.write(source, (40 * speech_like(22050)).clamp(-1, 1), 22050, subtype="PCM_16")
    words = ("--model", bundle, "--strength", "0", "--rate", "48000")
    done = run("restore", source, "--output", target, *words)
    assert done.code == 0, done.err
    assert "softer than asked for" in done.err
    assert audio.inspect(target).sample_rate == 48000


def test_python_is_told_that_a_peak_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"the peak of 1\.5 is beyond full scale"):
        audio.write(tmp_path / "a.flac", torch.full((1, 100), 1.5), RATE)
    assert list(tmp_path.iterdir()) == []
