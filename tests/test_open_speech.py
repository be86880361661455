"""Open speech in one folder: voices of packages, other corpora with their splits, and no tests."""

from pathlib import Path

import pytest

from selfremaster.benchmarks import open_speech
from selfremaster.core import audio, manifests
from selfremaster.core.promises.inputs import speech_like
from tests.cli import left_behind
from tests.test_telephone import write_prompt


@pytest.fixture
def asterisk(tmp_path: Path) -> Path:
    """Two prompts of one voice, one too short, and one file of nothing."""
    voice = tmp_path / "sounds" / "en_US_f_Someone"
    for name, samples in (("vm-hello", 24000), ("digits/7", 20000), ("beep", 8000)):
        write_prompt(voice, name, speech_like(samples, sample_rate=16000)[0])
    folder = tmp_path / "sounds"
    (voice / "empty.g722").touch()
    (folder / "en").mkdir()  # a link on Debian, whose prompts would come twice
    return folder


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A corpus of three files, one of which is for tests."""
    folder = tmp_path / "other"
    rows = ["path,split,speaker"]
    for split in ("train", "val", "test"):
        audio.write(folder / f"a/{split}.wav", speech_like(30000), 22050)
        rows.append(f"a/{split}.wav,{split},anna")
    (folder / "speech.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "speech.csv"


def test_voices_and_corpora_are_gathered_with_their_splits(
    asterisk: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    festival = tmp_path / "voices"
    audio.write(festival / "russian" / "msu" / "wav" / "x1.wav", speech_like(20000), 16000)
    output = tmp_path / "speech"
    words = ["--output", str(output), "--sounds", str(asterisk), "--voices", str(festival)]
    assert open_speech.main([*words, "--corpus", str(other)]) == 0
    manifest = manifests.read(output / "manifest.csv")
    found = {item.path: (item.speaker, item.sample_rate) for item in manifest.items}
    assert found == {
        "anna/a-train.flac": ("anna", 22050),
        "anna/a-val.flac": ("anna", 22050),
        "en_US_f_Someone/en-digits-7.flac": ("en_US_f_Someone", 16000),
        "en_US_f_Someone/en-vm-hello.flac": ("en_US_f_Someone", 16000),
        "msu/x1.flac": ("msu", 16000),
    }
    splits = {item.path: item.split for item in manifest.items}
    assert (splits["anna/a-train.flac"], splits["anna/a-val.flac"]) == ("train", "val")
    wave, _ = audio.read(output / "anna" / "a-train.flac")
    assert float((wave - speech_like(30000)).abs().max()) < 1e-4
    said = capsys.readouterr().out
    assert "5 files, 0 minutes" in said
    assert "beep.g722: 0.50 s" in said
    assert "empty.g722" in said


def test_nothing_found_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, empty = tmp_path / "speech", tmp_path / "empty"
    empty.mkdir()
    words = ["--output", str(output), "--sounds", str(empty), "--voices"]
    assert open_speech.main([*words, str(empty)]) == 2
    assert "no speech was found; `apt-get install asterisk-core" in capsys.readouterr().err
    assert open_speech.main([*words, str(tmp_path / "typo")]) == 2
    assert "typo: no such folder" in capsys.readouterr().err
    assert left_behind(output) == []


def test_voices_lead_nowhere_else_and_files_never_replace_each_other(
    other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = other.read_text(encoding="utf-8").replace(",anna", ",../../anna")
    other.write_text(text, encoding="utf-8")
    empty, output = tmp_path / "empty", tmp_path / "deep" / "speech"
    empty.mkdir()
    words = ["--output", str(output), "--sounds", str(empty), "--voices", str(empty)]
    corpora = ["--corpus", str(other), "--corpus", str(other)]
    assert open_speech.main([*words, *corpora]) == 2
    assert "2 files would become anna/a-train.flac; give the voices" in capsys.readouterr().err
    assert left_behind(tmp_path / "deep") == []
    assert open_speech.main([*words, *corpora[:2]]) == 0
    assert {item.speaker for item in manifests.read(output / "manifest.csv").items} == {"anna"}
