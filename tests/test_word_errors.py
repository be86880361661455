"""Word error rate: counting by hand, a recogniser that is told what to hear, and a real one."""

# ruff: noqa: D102  # what the stand-ins do is what they stand for

import importlib.util
import math
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Metric
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.plugins.metrics.recognisers import FasterWhisper
from selfremaster.plugins.metrics.wer import (
    WordErrors,
    WordErrorsConfig,
    changes,
    error_rate,
    plain,
)
from tests.network_waves import RATE_HZ, utterance

needs_pocketsphinx = pytest.mark.skipif(
    importlib.util.find_spec("pocketsphinx") is None, reason="not installed: pocketsphinx"
)


class Dictated:
    """A recogniser that was told what to hear, by the number of samples."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts
        self.heard: list[Tensor] = []

    def transcribe(self, wave: Tensor) -> str:
        self.heard.append(wave)
        return self.texts["loud" if wave.abs().max() > 3 * wave.square().mean().sqrt() else "soft"]


def _errors(soft: str, loud: str) -> tuple[WordErrors, Dictated, dict[str, float]]:
    """What two recordings score of which one is heard as a text, the reference as the other."""
    recogniser = Dictated(soft=soft, loud=loud)
    part = WordErrors(WordErrorsConfig(), recogniser)
    numbers = part.compute(torch.ones(800), RATE_HZ, speech_like(800)[0])
    return part, recogniser, numbers


def test_word_and_letter_errors_are_counted_by_hand() -> None:
    _, _, numbers = _errors(soft="The cold reel, again", loud="the OLD real.")
    # two words changed and one added, to three; two letters changed or added, then "again"
    assert numbers["wer"] == pytest.approx(100 * 3 / 3)
    assert numbers["cer"] == pytest.approx(100 * (1 + 1 + 5) / 10)


def test_a_reference_without_words_gives_no_number() -> None:
    _, _, numbers = _errors(soft="words", loud=" ... ")
    assert all(math.isnan(number) for number in numbers.values())


def test_silence_is_not_listened_to() -> None:
    recogniser = Dictated(soft="a", loud="b c")
    part = WordErrors(WordErrorsConfig(), recogniser)
    found = part.compute(torch.zeros(800), RATE_HZ, speech_like(800)[0])
    assert found == {"wer": 100.0, "cer": 100.0}
    assert len(recogniser.heard) == 1


def test_the_recogniser_hears_one_level_and_each_wave_once() -> None:
    part, recogniser, _ = _errors(soft="one", loud="two")
    part.compute(torch.ones(800) / 64, RATE_HZ, speech_like(800)[0] / 4)
    assert len(recogniser.heard) == 2
    for wave in recogniser.heard:
        assert float(wave.square().mean().sqrt()) == pytest.approx(10 ** (-26 / 20))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("“Don't — STOP!”", "don't stop"),
        ("Straße, ﬁne: 3½", "strasse fine 31 2"),
        ("'quoted' words", "quoted words"),
        ("残した 声。", "残した 声"),
        ("...", ""),
    ],
)
def test_text_is_made_plain(text: str, words: str) -> None:
    assert plain(text) == words


texts = st.text("abc", max_size=7)


@given(one=texts, other=texts, third=texts)
def test_changes_are_a_distance(one: str, other: str, third: str) -> None:
    assert changes(one, one) == 0
    assert changes(one, other) == changes(other, one) == _by_recursion(one, other)
    assert changes(one, third) <= changes(one, other) + changes(other, third)


@cache
def _by_recursion(one: str, other: str) -> int:
    if not one or not other:
        return len(one) + len(other)
    return min(
        _by_recursion(one[1:], other) + 1,
        _by_recursion(one, other[1:]) + 1,
        _by_recursion(one[1:], other[1:]) + (one[0] != other[0]),
    )


def test_more_words_than_were_said_are_more_than_all() -> None:
    assert error_rate(["a"], ["b", "c", "d"]) == 300


@needs_pocketsphinx
def test_the_words_of_clear_speech_are_found() -> None:
    part: Any = sr.build("metric", "wer")
    written = plain("The archive keeps a thousand voices on shelves of brown tape.").split()
    found = plain(part.recogniser.transcribe(utterance("heart-1") / 2)).split()
    assert error_rate(written, found) <= 10


@needs_pocketsphinx
def test_noise_costs_words_and_what_was_heard_before_does_not_count() -> None:
    clean = utterance("heart-1")
    noisy = clean + noise(1, len(clean), seed=3, level=0.05)[0]
    used: Metric = sr.build("metric", "wer")
    used.compute(utterance("alder-1")[:20000], RATE_HZ, utterance("alder-2")[:20000])
    first = used.compute(noisy, RATE_HZ, clean)
    assert first["wer"] > 30
    assert first["cer"] > 15
    fresh: Metric = sr.build("metric", "wer")
    assert fresh.compute(noisy, RATE_HZ, clean) == first


def _folder(path: Path) -> Path:
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (path / name).touch()
    return path


class Whisper:
    """What stands for faster_whisper.WhisperModel: it writes down how it was asked."""

    def __init__(self, path: str, **settings: Any) -> None:
        if "broken" in path:
            raise RuntimeError("Unable to open\nfile")
        self.path, self.settings = path, settings

    def transcribe(self, wave: Any, **settings: Any) -> tuple[Any, None]:
        assert wave.dtype == np.float32
        self.settings |= settings
        return (SimpleNamespace(text=text) for text in (" Hello,", " world.")), None


def test_whisper_is_asked_for_no_download_no_chance_and_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=Whisper))
    folder = _folder(tmp_path)
    spec = {"name": "wer", "recogniser": "faster-whisper", "model": str(folder), "language": "ja"}
    part: WordErrors = sr.build("metric", spec)
    assert isinstance(part.recogniser, FasterWhisper)
    assert part.recogniser.transcribe(torch.zeros(800)) == "Hello, world."
    asked = part.recogniser.network
    assert asked.path == str(folder)
    assert asked.settings["local_files_only"] is True
    assert asked.settings["temperature"] == 0
    assert asked.settings["cpu_threads"] == 1
    assert asked.settings["language"] == "ja"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            "recogniser=faster-whisper",
            "faster-whisper has no model of its own; give the folder .*; nothing is downloaded",
        ),
        (
            "recogniser=faster-whisper,model=nowhere",
            "model=nowhere: holds no model.bin, config.json, tokenizer.json; give the folder of",
        ),
        ("model=here", "model=here: pocketsphinx has its own; take recogniser: faster-whisper"),
        ("language=ja", "language=ja: pocketsphinx hears English; take recogniser: faster-wh"),
        ("recogniser=whisper", "Input should be 'pocketsphinx' or 'faster-whisper'"),
    ],
)
def test_a_recogniser_that_cannot_be_had_is_told_in_words(settings: str, words: str) -> None:
    with pytest.raises(ComponentError, match=f"^metric wer: .*{words}"):
        sr.build("metric", f"wer:{settings}")


def test_a_model_that_is_broken_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=Whisper))
    (tmp_path / "broken").mkdir()
    folder = _folder(tmp_path / "broken")
    with pytest.raises(ComponentError, match=r"cannot be loaded \(RuntimeError: Unable to open f"):
        FasterWhisper(str(folder))
