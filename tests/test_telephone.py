"""Pairs of a real telephone codec: found, laid over each other, turned up and written."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import selfremaster as sr
from selfremaster.benchmarks import telephone
from selfremaster.benchmarks.corpora import read_corpus
from selfremaster.benchmarks.grids import CorpusSettings
from selfremaster.core import audio, manifests
from selfremaster.core.levels import resample
from selfremaster.core.promises.inputs import noise, speech_like
from tests.cli import left_behind

LATE = 40  # samples at 8 kHz: 5 ms


def write_prompt(folder: Path, name: str, wave: Tensor, late: int = LATE, sign: int = -1) -> None:
    """A sound (samples,) at 16 kHz in both codecs, the telephone one late and upside down."""
    av = pytest.importorskip("av", reason="comes with the extra codecs")
    place = folder / "en" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    line = sign * resample(wave, 16000, 8000)
    line = torch.nn.functional.pad(line, (late, 0))
    soundfile.write(
        f"{place}.gsm", line.numpy(), 8000, format="RAW", subtype="GSM610", endian="FILE"
    )
    with av.open(f"{place}.g722", "w", format="g722") as opened:
        stream = opened.add_stream("g722", rate=16000, layout="mono")
        samples = (wave.clamp(-1, 1) * 32767).numpy().astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            opened.mux(packet)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asterisk")
    for number in range(4):
        wave = speech_like(24000, seed=number, sample_rate=16000)[0]
        write_prompt(folder, f"digits/{number}" if number > 2 else f"vm-{number}", wave)
    write_prompt(folder, "short", speech_like(8000, sample_rate=16000)[0])
    write_prompt(folder, "monkeys", speech_like(20000, seed=9, sample_rate=16000)[0], sign=1)
    write_prompt(folder, "astray", speech_like(20000, seed=8, sample_rate=16000)[0], late=100)
    return folder


@pytest.fixture(scope="module")
def pairs(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("pairs")
    assert telephone.main(["--sounds", str(sounds), "--output", str(output)]) == 0
    return output


def test_pairs_lie_over_each_other_the_same_way_up(pairs: Path) -> None:
    manifest = manifests.read(pairs / "manifest.csv")
    assert [item.path for item in manifest.items] == [
        "telephone/en/digits/3.flac",
        *(f"telephone/en/vm-{number}.flac" for number in range(3)),
    ]
    for item in manifest.items:
        line, rate = audio.read(manifest.file(item))
        clean, clean_rate = audio.read(pairs / item.others["clean"])
        assert rate == clean_rate == 16000
        assert line.shape == clean.shape
        assert len(line) == 1
        found = telephone.align(line[0], clean[0], 320)
        assert abs(found.lag_samples) <= 2
        assert found.likeness > 0.8


def test_pairs_are_a_corpus_with_originals_and_splits(pairs: Path) -> None:
    manifest = manifests.read(pairs / "manifest.csv")
    assert set(manifest.splits()) == {"train", "val", "test"}
    assert manifest.speakers() == ["en"]
    settings = CorpusSettings(manifest=pairs / "manifest.csv", clean="clean", split=None)
    corpus = read_corpus("prompts", settings)
    assert len(corpus.pieces) == 4
    assert corpus.exclusions == ()
    assert all(piece.clean is not None and piece.clean.is_file() for piece in corpus.pieces)
    known = {item.others["clean_sha256"] for item in manifest.items}
    assert {piece.clean_sha256 for piece in corpus.pieces} == known


def test_prompts_that_do_not_fit_are_named(sounds: Path) -> None:
    found = telephone.read_prompts(sounds)
    reasons = dict(line.split(": ") for line in found.left_out)
    assert set(reasons) == {"en/short", "en/monkeys", "en/astray"}
    assert reasons["en/short"].startswith("0.5")
    assert reasons["en/astray"] == "lies otherwise, 7.5 ms from the median"
    assert found.sign == -1
    # of its own, G.722 comes 22 samples late
    assert found.lag_samples == pytest.approx(2 * LATE - 22, abs=1)


def test_what_was_done_is_told(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert telephone.main(["--sounds", str(sounds), "--output", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("4 pairs, 0.1 minutes -> ")
    assert "upside down, which is undone" in told[2]
    assert sum(line.startswith("left out: ") for line in told) == 3


def test_a_folder_without_prompts_says_where_they_are_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--sounds", str(tmp_path), "--output", str(tmp_path / "out")]
    assert telephone.main(words) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "no prompts in both .g722 and .gsm; `apt-get install asterisk-core-sounds-en" in told
    assert left_behind(tmp_path) == []


def test_a_file_that_is_none_is_one_line(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in (".gsm", ".g722"):
        (tmp_path / f"a{suffix}").write_bytes(b"")
    assert telephone.main(["--sounds", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"error: {tmp_path}/a.g")


def test_a_high_pass_that_turns_phases_is_not_taken_for_a_lag() -> None:
    voice = speech_like(32000, sample_rate=16000) + noise(1, 32000, level=0.02)
    high_pass = sr.build("degradation", "filter:low_hz=350,order=4")
    thin, _ = high_pass(voice, torch.Generator().manual_seed(0), 16000)
    late = torch.nn.functional.pad(thin, (22, 0))
    found = telephone.align(late[0], voice[0], 320)
    assert found.lag_samples == pytest.approx(22, abs=2)
    assert found.likeness > 0.7


@given(lag=st.integers(-30, 30), sign=st.sampled_from([1, -1]), gain=st.floats(0.01, 10))
def test_lags_are_found_whatever_the_gain_and_the_way_up(lag: int, sign: int, gain: float) -> None:
    wave = noise(1, 2000)[0]
    late = sign * gain * torch.nn.functional.pad(wave, (max(lag, 0), 0))[max(-lag, 0) :]
    found = telephone.align(late, wave, 30)
    assert found.lag_samples == lag
    assert found.likeness * sign > 0.9


def test_silence_is_like_nothing() -> None:
    assert telephone.align(torch.zeros(9), torch.ones(9), 3).likeness == 0
