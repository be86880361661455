"""`selfremaster restore`: keeping what a recording still has, speaking anew, and how far to go."""

from pathlib import Path

import pytest
import torch

from selfremaster.core import audio
from selfremaster.registry.assembling import load
from tests.cli import left_behind, run, write_tiny_bundle, write_tone


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny", output="input-phase")


def test_faithful_is_blend_and_resynthesised_the_vocoder_alone(
    bundle: Path, tmp_path: Path
) -> None:
    old = write_tone(tmp_path / "old.wav")
    spoken = {}
    for words in (
        "",
        "--vocoder input-phase",
        "--faithful",
        "--vocoder blend",
        "--resynthesise",
        "--vocoder griffin-lim",
    ):
        output = tmp_path / f"{len(spoken)}.wav"
        told = run("restore", old, "--output", output, "--model", bundle, *words.split())
        assert told.code == 0, told.err
        spoken[words] = output.read_bytes()
    assert spoken[""] == spoken["--vocoder input-phase"]  # as the bundle has it
    assert spoken["--faithful"] == spoken["--vocoder blend"]
    assert spoken["--resynthesise"] == spoken["--vocoder griffin-lim"]
    assert spoken["--resynthesise"] != spoken[""]


def test_strength_goes_from_the_recording_to_the_restored(bundle: Path, tmp_path: Path) -> None:
    old = write_tone(tmp_path / "old.wav")
    words = ("restore", old, "--model", bundle, "--resynthesise")
    for strength in ("0", "0.5", "1"):
        new = tmp_path / f"{strength}.wav"
        assert run(*words, "--output", new, "--strength", strength).code == 0
    assert run(*words, "--output", tmp_path / "default.wav").code == 0
    recording, sample_rate = audio.read(old)
    made = {name: audio.read(tmp_path / f"{name}.wav")[0] for name in ("0", "0.5", "1", "default")}
    assert torch.equal(made["0"], recording)
    assert torch.equal(made["1"], made["default"])
    model = load(bundle)
    model.output = None
    half = model.restore(recording, sample_rate, 0.5)
    assert torch.allclose(made["0.5"], half, atol=1e-3)
    assert not torch.allclose(half, recording, atol=1e-2)
    assert not torch.allclose(half, made["1"], atol=1e-2)


def test_a_model_that_cannot_be_faithful_is_told_by_the_option(tmp_path: Path) -> None:
    old = write_tone(tmp_path / "old.wav")
    words = ("restore", old, "--output", tmp_path / "o.wav", "--faithful")
    told = run(*words, "--model", "ddsp").error
    assert told.startswith(
        "error: --faithful does not suit this model, leave it out: vocoder blend: the features are "
        "SourceFilter, this vocoder speaks only from a mel spectrogram"
    )
    assert run(*words, "--device", "quda").error.startswith("error: no device named 'quda'")
    assert left_behind(tmp_path) == ["old.wav"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            "--faithful --resynthesise",
            "--faithful and --resynthesise each say what speaks; give one of them",
        ),
        (
            "--vocoder world --faithful",
            "--vocoder and --faithful each say what speaks; give one of them",
        ),
        (
            "--resynthesise --vocoder input-phase",
            "--vocoder and --resynthesise each say what speaks; give one of them",
        ),
        ("--strength 1.2", "strength 1.2: give 0 (the recording as it is) to 1 (restored alto"),
        ("--strength=-1", "strength -1: give 0 (the recording as it is) to 1 (restored alto"),
    ],
)
def test_what_contradicts_itself_is_one_line_and_leaves_nothing(
    words: str, error: str, bundle: Path, tmp_path: Path
) -> None:
    old = write_tone(tmp_path / "old.wav")
    told = run("restore", old, "--output", tmp_path / "o.wav", "--model", bundle, *words.split())
    assert told.code == 2
    assert error in told.error
    assert left_behind(tmp_path) == ["old.wav"]
