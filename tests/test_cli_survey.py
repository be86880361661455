"""`selfremaster survey`: numbers of each file, one line for all, and what cannot be read."""

import json
from pathlib import Path

from tests.cli import SPEECH, run, write_tone


def test_a_folder_is_told_file_by_file_and_as_a_whole(tmp_path: Path) -> None:
    told = run("survey", SPEECH)
    assert told.code == 0
    *rows, words, problem = told.out.splitlines()
    assert len([row for row in rows if ".flac" in row]) == 6
    assert " seconds of speech in 6 files, cut-off about " in words
    assert "not clipped" in words
    assert "learning needs a minute of speech at least" in problem
    assert run("survey", SPEECH, "--quiet").out.splitlines() == [words, problem]


def test_json_holds_the_same_numbers_and_files_that_fail_are_named(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav")
    (tmp_path / "b.wav").write_text("no sound")
    told = run("survey", tmp_path, SPEECH / "heart", "--json")
    assert told.code == 1
    assert "b.wav: not audio, or damaged" in told.err
    assert "error: 1 of 5 files failed, the others are done" in told.err
    found = json.loads(told.out)
    assert found["total"]["files"] == len(found["files"]) == 4
    assert found["failed"][0]["input"].endswith("b.wav")
    tone = next(one for one in found["files"] if one["source"].endswith("a.wav"))
    assert (tone["speech_seconds"], tone["sample_rate"], tone["bits"]) == (0, 22050, 16)
    assert tone["snr_db"] is None
    total = sum(one["speech_seconds"] for one in found["files"])
    assert abs(found["total"]["speech_seconds"] - total) < 1e-9


def test_a_file_that_is_no_sound_and_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    assert "text.wav: not audio, or damaged" in run("survey", tmp_path / "text.wav").error
    assert "no such file or folder" in run("survey", tmp_path / "none").error
