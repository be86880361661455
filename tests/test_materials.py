"""What adaptation learns from: windows and pieces of speech, clean files, parts of long tapes."""

from pathlib import Path

import pytest
import torch

from selfremaster.core import audio, manifests
from selfremaster.core.choices import evenly
from selfremaster.core.errors import AudioError, ExperimentError
from selfremaster.core.pieces import (
    HEARD,
    TRAIN,
    cut_pieces,
    draw_pieces,
    find_heard,
    find_pieces,
    held_out,
)
from selfremaster.core.surveys import Survey, look
from selfremaster.registry import materials
from selfremaster.registry.materials import find_clean
from tests import tiny
from tests.cli import write_tone


def surveyed(folder: Path, seconds: float) -> Survey:
    path = folder / "tape.wav"
    audio.write(path, tiny.speech_like(seconds, 1), tiny.RATE)
    return Survey((look(path),))


# pieces


def test_one_short_recording_is_one_piece_and_one_window(tmp_path: Path) -> None:
    survey = surveyed(tmp_path, 3)
    pieces, heard = find_pieces(survey), find_heard(survey)
    assert len(pieces) == len(heard) == 1
    assert (heard[0].start, heard[0].seconds) == (0.0, pytest.approx(3.0))
    manifest = cut_pieces(draw_pieces(pieces, 1.0), heard, tmp_path / "cut", tiny.RATE)
    assert [item.split for item in manifest.items] == [TRAIN, HEARD]
    assert manifests.read(tmp_path / "cut" / "manifest.csv").items == manifest.items


def test_windows_are_spread_over_all_speech(tmp_path: Path) -> None:
    windows = find_heard(surveyed(tmp_path, 60))
    assert [window.seconds for window in windows] == [8.0] * 6
    middles = [window.start + window.seconds / 2 for window in windows]
    assert middles == pytest.approx([5, 15, 25, 35, 45, 55], abs=1.5)


def test_of_one_thing_none_is_held_out_and_all_is_drawn() -> None:
    assert held_out(1) == set()
    assert held_out(2) == {1}
    assert evenly(["a"], 1) == evenly(["a"], 9) == ["a"]
    assert evenly(["a"], 0) == evenly([], 3) == []


def test_without_a_piece_there_is_nothing_to_draw() -> None:
    with pytest.raises(AudioError, match="no stretch of speech is as long as a second"):
        draw_pieces([], 60)


# clean speech


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Five files, of which the second and third are no sound."""
    folder = tmp_path / "clean"
    for number in range(5):
        write_tone(folder / f"{number}.wav")
    for number in (1, 2):
        (folder / f"{number}.wav").write_bytes(b"RIFF nothing")
    return folder


def listed(folder: Path, *splits: str) -> Path:
    rows = [f"{number}.wav,{split}" for number, split in enumerate(splits)]
    (folder / "list.csv").write_text("\n".join(["path,split", *rows]))
    return folder / "list.csv"


def by_split(source: Path, output: Path) -> dict[str, list[str]]:
    found, _ = find_clean(source, output)
    splits = sorted({one.split for one in found})
    return {split: [one.path.name for one in found if one.split == split] for split in splits}


def test_clean_files_that_cannot_be_read_are_left_out_with_a_note(
    clean: Path, tmp_path: Path
) -> None:
    found, notes = find_clean(clean, tmp_path / "out")
    assert [one.path.name for one in found] == ["0.wav", "3.wav", "4.wav"]
    assert [one.split for one in found].count("val") == 1
    (note,) = notes
    assert note.startswith(f"left out: {clean / '1.wav'}: not audio, or damaged")
    assert note.endswith("(and 1 more of the clean speech)")


def test_where_no_clean_file_can_be_read_that_is_said(clean: Path, tmp_path: Path) -> None:
    for number in (0, 3, 4):
        (clean / f"{number}.wav").unlink()
    with pytest.raises(ExperimentError, match=r"1\.wav: not audio.*\(and 1 more\); give other"):
        find_clean(clean, tmp_path / "out")
    write_tone(clean / "1.wav")
    with pytest.raises(ExperimentError, match=r"1\.wav: one file of clean speech; give a folder"):
        find_clean(clean, tmp_path / "out")


def test_a_manifest_keeps_its_own_splits(clean: Path, tmp_path: Path) -> None:
    source = listed(clean, "train", "train", "test", "val", "train")
    assert by_split(source, tmp_path) == {"train": ["0.wav", "4.wav"], "val": ["3.wav"]}


@pytest.mark.parametrize(
    "splits",
    [("all", "all", "all", "all", "all"), ("train", "val", "val", "train", "train")],
    ids=["without such splits", "of which one cannot be read"],
)
def test_other_manifests_are_parted(clean: Path, tmp_path: Path, splits: tuple[str, ...]) -> None:
    found = by_split(listed(clean, *splits), tmp_path)
    assert {split: len(names) for split, names in found.items()} == {"train": 2, "val": 1}


def test_a_file_that_a_manifest_names_and_that_is_gone_is_left_out(
    clean: Path, tmp_path: Path
) -> None:
    source = listed(clean, "a", "a", "a", "a", "a")
    (clean / "1.wav").unlink()
    _, (note,) = find_clean(source, tmp_path)
    assert "1.wav: cannot be read: no such file" in note


def test_results_among_the_clean_files_are_not_clean(clean: Path) -> None:
    write_tone(clean / "out" / "speech" / "0001.flac")
    found, _ = find_clean(clean, clean / "out")
    assert "0001.flac" not in [one.path.name for one in found]


# long tapes


def test_a_part_of_a_tape_tells_as_much_speech_and_where_it_lies(tmp_path: Path) -> None:
    silence = torch.zeros(1, 160 * 8000)
    speech = audio.resample(tiny.speech_like(160, 1), tiny.RATE, 8000)
    audio.write(tmp_path / "tape.wav", torch.cat([silence, speech], dim=-1), 8000)
    whole, part = look(tmp_path / "tape.wav"), look(tmp_path / "tape.wav", 0.4)
    assert part.seconds == whole.seconds == 320
    assert part.speech_seconds == pytest.approx(0.4 * whole.speech_seconds, rel=0.3)
    assert part.speech_seconds < 0.6 * whole.speech_seconds
    for start, end in part.stretches:
        inside = [low - 0.1 <= start and end <= high + 0.1 for low, high in whole.stretches]
        assert any(inside), (start, end)
    assert part.cutoff_hz == pytest.approx(whole.cutoff_hz, rel=0.05)


def test_the_smallest_part_is_a_piece(tmp_path: Path) -> None:
    audio.write(tmp_path / "tape.wav", tiny.speech_like(95, 1), tiny.RATE)
    assert 5 < look(tmp_path / "tape.wav", 0.001).speech_seconds < 45


def test_no_more_is_looked_at_than_the_hours_there_are_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = audio.resample(tiny.speech_like(240, 1), tiny.RATE, 8000)
    for number in range(2):
        audio.write(tmp_path / f"{number}.wav", long, 8000)
    files = sorted(tmp_path.glob("*.wav"))
    monkeypatch.setattr(materials, "MOST_HOURS_SURVEYED", 0.05)
    found = materials.find_material(files, tmp_path / "out", None, lambda *_: None)
    assert "0.1 of their 0.1 hours were looked at, half a minute here and there" in found.notes
    seconds = sum(piece.seconds for piece in found.pieces)
    assert 120 < seconds < 240
    assert {piece.recording for piece in found.pieces} == set(files)


def test_of_many_short_recordings_some_are_looked_at_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        audio.write(tmp_path / f"{number:02d}.wav", tiny.speech_like(8, number), tiny.RATE)
    files = sorted(tmp_path.glob("*.wav"))
    monkeypatch.setattr(materials, "MOST_HOURS_SURVEYED", 80 / 3600)
    found = materials.find_material(files, tmp_path / "out", None, lambda *_: None)
    assert "10 of 20 files were looked at, drawn evenly" in found.notes
    assert not [note for note in found.notes if "half a minute" in note]
