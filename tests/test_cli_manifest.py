"""`selfremaster manifest`: the table by split, and every bad folder in one line."""

import json
from pathlib import Path

import pytest

from selfremaster.core import manifests
from tests.cli import SPEECH, left_behind, run, write_tone


def test_the_table_is_that_of_the_file(tmp_path: Path) -> None:
    words = ("manifest", SPEECH, "--kind", "multi-unseen", "--val", "0", "--test", "0.5")
    told = run(*words, "--output", tmp_path / "corpus" / "m.csv")
    assert (told.code, told.err) == (0, "")
    summary, heading, *rows = told.out.splitlines()
    assert summary == f"6 files -> {tmp_path}/corpus/m.csv"
    assert heading.split() == ["split", "files", "speakers", "minutes"]
    made = manifests.read(tmp_path / "corpus" / "m.csv")
    assert [row.split()[:3] for row in rows] == [["train", "3", "1"], ["test", "3", "1"]]
    assert made.splits() == {"train": 3, "test": 3}
    again = json.loads(run(*words, "--output", tmp_path / "m.csv", "--json").out)
    assert again["splits"]["test"]["files"] == 3
    assert sum(split["minutes"] for split in again["splits"].values()) * 60 == pytest.approx(
        22.34, abs=0.1
    )


@pytest.mark.parametrize(
    ("folder", "words", "error"),
    [
        ("none", (), "none: not a folder; name the folder of the corpus"),
        ("empty", (), "no sound files in it"),
        ("text", (), "a.wav: not audio, or damaged"),
        (SPEECH, ("--kind", "several"), "no kind of corpus 'several'; known: single"),
        (SPEECH, ("--val", "0.5", "--test", "0.5"), "leave nothing to train on"),
        (SPEECH / "heart", ("--kind", "multi-seen"), "lies in no speaker's folder"),
    ],
)
def test_a_bad_corpus_is_one_line_and_leaves_nothing(
    tmp_path: Path, folder: str | Path, words: tuple[str, ...], error: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.wav").write_text("not a sound")
    before = left_behind(tmp_path)
    told = run("manifest", tmp_path / folder, "--output", tmp_path / "m.csv", *words)
    assert error in told.error
    assert left_behind(tmp_path) == before


def test_what_cannot_be_used_is_left_out_and_named(tmp_path: Path) -> None:
    for name in ("ann/a.wav", "bob/b.wav", "bob/c\nd.wav", "eve/e.wav"):
        write_tone(tmp_path / "speech" / name)
    whole = (tmp_path / "speech" / "ann" / "a.wav").read_bytes()
    (tmp_path / "speech" / "eve" / "e.wav").write_bytes(whole[:3000])
    words = ("--kind", "multi-unseen", "--val", "0", "--test", "0.5")
    told = run("manifest", tmp_path / "speech", "--output", tmp_path / "m.csv", *words)
    assert told.code == 1
    *failed, last = told.err.splitlines()
    assert last == "error: 2 of 4 files failed, the others are done"
    assert "its name is not plain UTF-8 text; rename it" in failed[0]
    assert "e.wav: truncated" in failed[1]
    made = manifests.read(tmp_path / "m.csv")
    assert made.speakers() == ["ann", "bob"]
    assert made.splits() == {"train": 1, "test": 1}


def test_a_manifest_is_overwritten_only_on_demand(tmp_path: Path) -> None:
    words = ("manifest", SPEECH / "heart", "--output")
    assert run(*words, tmp_path / "m.csv", "--quiet") == (0, "", "")
    assert "m.csv: exists already; add --overwrite" in run(*words, tmp_path / "m.csv").error
    assert run(*words, tmp_path / "m.csv", "--overwrite").code == 0
    assert (
        f"is a folder; name a file, such as {tmp_path}/manifest.csv" in run(*words, tmp_path).error
    )
