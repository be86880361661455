"""What is no sound is counted and told; patterns make no difference between capitals."""

import json
import unicodedata
from pathlib import Path

import pytest

from selfremaster.core import audio, jobs
from selfremaster.core.errors import AudioError
from tests.cli import SPEECH, run, write_tiny_bundle, write_tone
from tests.odd_bytes import wav


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav() if path.suffix.lower() == ".wav" else b"other")
    return folder


OTHERS = ("b.txt", "1931/c.TXT", "1931/d.jpg", "LIESMICH", ".hidden.txt", ".git/e.txt")


def test_they_are_told_at_the_end(tmp_path: Path, bundle: Path) -> None:
    tapes = make(tmp_path / "tapes", "a.wav", *OTHERS)
    words = ("restore", tapes, "--output", tapes / "new", "--model", bundle, "--overwrite")
    told = "4 other files were left alone (.txt 2, .jpg 1, no suffix 1)\n"
    assert run(*words).err == told
    make(tapes, "new/notes.md")  # among the results
    assert run(*words).err == told
    assert run(*words, "--quiet").err == ""
    found = json.loads(run(*words, "--json").out)
    assert found["left_alone"] == {".txt": 2, ".jpg": 1, "no suffix": 1}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("survey", ()),
        ("degrade", ("--output", "new", "--degradation", "clip")),
        ("transfer", ("--output", "new", "--profile", "sound.json")),
    ],
)
def test_other_commands_tell_them_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    tapes = make(tmp_path / "tapes", "a.wav", "1931/a.wav", *OTHERS)
    for name in ("a.wav", "1931/a.wav"):
        write_tone(tapes / name)
    clean = ("--clean", SPEECH, "--method", "mean-spectrum")
    assert run("profile", tapes / "a.wav", "--output", "sound.json", *clean).code == 0
    done = run(command, tapes, *words, "--json")
    assert (done.code, json.loads(done.out)["left_alone"]) == (
        0,
        {".txt": 2, ".jpg": 1, "no suffix": 1},
    )
    assert done.err.endswith("4 other files were left alone (.txt 2, .jpg 1, no suffix 1)\n")


def test_patterns_choose_among_them_too(tmp_path: Path, bundle: Path) -> None:
    tapes = make(tmp_path / "tapes", "a.wav", "1931/b.wav", *OTHERS)
    words = ("restore", tapes, "--output", tmp_path / "new", "--model", bundle, "--overwrite")
    assert run(*words, "--include", "*.wav").err == ""
    assert run(*words, "--include", "1931/*").err == (
        "2 other files were left alone (.jpg 1, .txt 1)\n"
    )
    assert run(*words, "--exclude", "*.txt", "--exclude", "LIES*").err == (
        "1 other file was left alone (.jpg 1)\n"
    )


def test_a_file_that_is_named_leaves_nothing_alone(tmp_path: Path, bundle: Path) -> None:
    tapes = make(tmp_path / "tapes", "a.wav", *OTHERS)
    words = ("--output", tmp_path / "new.wav", "--model", bundle, "--json")
    done = run("restore", tapes / "a.wav", *words)
    assert (done.err, json.loads(done.out)["left_alone"]) == ("", {})


def test_many_kinds_are_not_all_named(tmp_path: Path) -> None:
    tapes = make(tmp_path, "a.wav", *(f"b.x{number}" for number in range(12)))
    assert sum(jobs.left_alone([tapes], tmp_path / "new").values()) == 12
    (tapes / "a.wav").unlink()
    with pytest.raises(AudioError, match=r"no sound files in it but others \(\.x0 1, .*, \.\.\.\)"):
        audio.find_audio(tapes)


def test_a_link_to_a_folder_above_is_gone_through_once(tmp_path: Path) -> None:
    tapes = make(tmp_path / "tapes", "a.wav", "b.txt")
    (tapes / "again").symlink_to(tapes)
    assert jobs.left_alone([tapes], tmp_path / "new") == {".txt": 1}


PLACES = ("a.wav", "B.WAV", "1931/C.Wav", "1931/Über.wav", "d.flac")


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["*.WAV"], [], {"a.wav", "B.WAV", "1931/C.Wav", "1931/Über.wav"}),
        (["*.wav"], ["b*"], {"a.wav", "1931/C.Wav", "1931/Über.wav"}),
        (["1931/ÜBER.*"], [], {"1931/Über.wav"}),
        (["1931/[C-D].wav"], [], {"1931/C.Wav"}),
        ([], ["*.Wav"], {"d.flac"}),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_capitals_and_accents_make_no_difference(
    tmp_path: Path, include: list[str], exclude: list[str], expected: set[str], form: str
) -> None:
    spelt = [unicodedata.normalize(form, place) for place in PLACES]  # type: ignore[arg-type]  # one of two words
    tapes = make(tmp_path / "tapes", *spelt)
    planned = jobs.plan([tapes], tmp_path / "new", include=include, exclude=exclude)
    found = {unicodedata.normalize("NFC", job.place.as_posix()) for job in planned}
    assert found == expected
