"""Bad and odd files: what becomes of each is what is promised, in every command."""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from selfremaster.core import audio
from selfremaster.core.errors import AudioError
from tests.odd import OUTCOMES, REFUSED, RESTORED, WARNED, Odd
from tests.odd_containers import LIKELY_NAMES
from tests.odd_files import ODD_FILES, make, odd_files, outcome_of, run_commands, table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "examples" / "odd-files.md"
MOST_BYTES = 256 << 20  # beside what the libraries take: with torch's for CUDA, hundreds more
FOUND = odd_files()
REPAIRED = {
    "nan.wav",
    "first-nan.wav",
    "last-nan.wav",
    "infinite.wav",
    "negative.wav",
    "double.wav",
}
SOUND_ODD = {"opposed.wav", "loud.wav", "square.wav", "clipped.wav"}
"""Restored with a word on their channels or their level."""

STORED_OTHERWISE = re.compile(r"stored as PCM_16; \w+ is not written as \w+ here")

NOTHING_MISSING = {
    "trailer.wav",
    "bare.au",
    "languages.mov",
    "late.mkv",
    "plain.mp3",
    *LIKELY_NAMES,
}
"""Restored with a warning, with --strict, too."""

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("odd") / "files"
    make(place, FOUND)
    return place


@pytest.fixture(scope="module")
def told(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What all commands made of the folder, in one process of their own."""
    return run_commands(folder, tmp_path_factory.mktemp("work"))


def named(odd: Odd) -> str:
    return re.sub(r"[^\w.-]", "_", odd.name.encode("ascii", "replace").decode())[:40]


def test_there_are_many_and_all_have_names_of_their_own() -> None:
    assert len(ODD_FILES) >= 80
    assert len({odd.name for odd in ODD_FILES}) == len(ODD_FILES)
    assert {odd.outcome for odd in ODD_FILES} == set(OUTCOMES)


@pytest.mark.parametrize("odd", FOUND, ids=named)
def test_what_becomes_of_it(odd: Odd, folder: Path) -> None:
    outcome, words, info = outcome_of(folder / odd.name)
    assert outcome == odd.outcome
    assert odd.says in words
    assert "\n" not in words
    if odd.samples and info is not None:
        assert info.samples == odd.samples


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize("odd", FOUND, ids=named)
def test_reading_gives_what_inspecting_says_or_says_why_not(
    odd: Odd, repair: bool, strict: bool, folder: Path
) -> None:
    path = folder / odd.name
    try:
        info = audio.inspect(path, strict=strict, repair=repair)
        wave, rate = audio.read(path, strict=strict, repair=repair)
    except AudioError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message.replace(str(path), "")
    if message:
        return
    assert (wave.shape, rate) == ((info.channels, info.samples), info.sample_rate)
    assert bool(wave.isfinite().all())
    blocks = torch.cat(list(audio.blocks(path, strict=strict, repair=repair)), dim=1)
    assert torch.equal(blocks, wave)
    assert strict is False or info.missing_seconds == 0


def test_the_page_tells_what_becomes_of_them(folder: Path, told: Mapping[str, Any]) -> None:
    pytest.importorskip("av")
    # the encoders that made the files have their own ideas of lengths
    lines = [re.sub(r"\d[\d.]*", "#", line) for line in table(folder, FOUND, told["refused"])]
    page = [re.sub(r"\d[\d.]*", "#", line) for line in PAGE.read_text("utf-8").splitlines()]
    assert page == lines, "python -m tests.odd_files --table > examples/odd-files.md"


def results(told: Mapping[str, Any], command: str) -> Iterator[tuple[str, str, str, Path]]:
    """Of each file: its name, what became of it, words, and where the result is."""
    found = json.loads(told["commands"][command]["out"])
    for one in found["restored"]:
        words = "; ".join(one["notes"])
        yield Path(one["input"]).name, WARNED if words else RESTORED, words, Path(one["output"])
    for one in found["failed"]:
        yield Path(one["input"]).name, REFUSED, one["reason"], Path()


def test_restore_does_the_same_with_each(told: Mapping[str, Any], folder: Path) -> None:
    expected = {odd.name: odd for odd in FOUND if odd.name != "folder.wav"}
    seen = set()
    for command in ("restore", "restore by name"):
        for name, outcome, words, result in results(told, command):
            seen.add(name)
            otherwise = outcome == WARNED and STORED_OTHERWISE.fullmatch(words)
            wanted = WARNED if name in SOUND_ODD or otherwise else expected[name].outcome
            assert (name, outcome) == (name, wanted), words
            assert expected[name].says in words
            if outcome != REFUSED:
                source = audio.inspect(folder / name, strict=False)
                restored = audio.check(result)  # raises for NaN and infinity
                assert restored.samples == source.samples, name
                assert restored.sample_rate == source.sample_rate, name
                assert restored.channels == source.channels, name
    assert seen == set(expected)


def test_what_is_damaged_is_refused_if_strict_and_repaired_if_asked(
    told: Mapping[str, Any],
) -> None:
    strict = {name: outcome for name, outcome, _, _ in results(told, "strict")}
    repaired = {name: (outcome, words) for name, outcome, words, _ in results(told, "repair")}
    for odd in FOUND:
        if odd.outcome == WARNED:
            wanted = WARNED if odd.name in NOTHING_MISSING else REFUSED
            assert (odd.name, strict[odd.name]) == (odd.name, wanted)
        if odd.name in REPAIRED:
            outcome, words = repaired[odd.name]
            assert outcome == WARNED
            assert "samples are no finite numbers and are made up" in words
    assert "nothing to repair it from" in repaired["all-nan.wav"][1]


def test_recordings_are_taken_as_far_as_they_go_and_a_corpus_only_whole(
    told: Mapping[str, Any],
) -> None:
    wanted = {odd.name: odd.outcome for odd in FOUND if odd.is_found and odd.name != "folder.wav"}
    for command in ("survey", "profile", "adapt"):
        refused = {name for name, outcome in wanted.items() if outcome == REFUSED}
        assert (command, set(told["refused"][command])) == (command, refused)
    for command in ("manifest", "degrade", "benchmark"):
        for name, outcome in wanted.items():
            reason = told["refused"][command].get(name, "")
            whole = outcome == RESTORED or name in NOTHING_MISSING
            assert (command, name, bool(reason)) == (command, name, not whole) or is_odd(reason)
            assert "\n" not in reason


def is_odd(reason: str) -> bool:
    """Whether a sound that can be read whole is refused for another reason."""
    odd = ("its name is not plain UTF-8 text", "file name too long")  # of the log beside it
    return any(words in reason for words in odd)


def test_the_good_are_learned_from_and_measured_beside_the_bad(told: Mapping[str, Any]) -> None:
    adapted = json.loads(told["commands"]["adapt"]["out"])
    assert adapted["steps"] == 4
    assert all(math.isfinite(number) for number in adapted["after"].values())
    said = told["commands"]["benchmark"]["out"] + told["commands"]["benchmark"]["err"]
    for name in told["refused"]["benchmark"]:
        assert name in said or ascii(name)[1:-1] in said, name


def test_no_command_fails_otherwise_than_in_words(told: Mapping[str, Any]) -> None:
    codes = {name: outcome["code"] for name, outcome in told["commands"].items()}
    assert set(codes.values()) <= {0, 1, 2}
    assert codes["restore by name"] == 0
    for outcome in told["commands"].values():
        for words in ("Traceback", "internal error"):
            assert words not in outcome["out"] + outcome["err"]
    assert codes["adapt"] == 0
    assert codes["benchmark"] == codes["manifest"] == codes["survey"] == codes["profile"] == 1


def test_all_of_it_takes_little_memory(told: Mapping[str, Any]) -> None:
    assert told["more_bytes"] < MOST_BYTES
    assert told["more_bytes_learning"] < 4 * MOST_BYTES
