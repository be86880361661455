"""Comparing the moment that adaptation keeps with the truth: what is damaged, counted and said."""

from pathlib import Path

import pytest
import torch

from selfremaster.benchmarks import adaptation
from selfremaster.benchmarks.adaptation import Moments, damage, main, pairs_of, summary
from selfremaster.core import audio, manifests
from tests import tiny


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of three sentences of one speaker and one of another."""
    folder = tmp_path_factory.mktemp("speech")
    rows = ["path,split,speaker,seconds"]
    for number, speaker in enumerate(("anna", "anna", "anna", "bert")):
        audio.write(folder / f"{number}.wav", 0.1 * tiny.speech_like(2, number), tiny.RATE)
        rows.append(f"{number}.wav,test,{speaker},2")
    (folder / "speech.csv").write_text("\n".join(rows) + "\n")
    return folder / "speech.csv"


def moments(kept: int, *quality: float) -> Moments:
    course = tuple(
        {"step": float(step), "true distillmos": value, "true mel-l1": 1.0}
        for step, value in enumerate(quality)
    )
    return Moments(condition="clip", speaker="anna", minutes=1.0, kept=kept, course=course)


def test_all_recordings_of_a_speaker_go_through_one_channel(speech: Path, tmp_path: Path) -> None:
    manifest = manifests.read(speech)
    paths = damage(manifest, manifest.items[:3], "band-limit:cutoff_hz=[500, 4000]", tmp_path)
    gains = []
    for pair in pairs_of(manifest, manifest.items[:3], paths, tiny.RATE, -3.0):
        assert pair.damaged.shape == pair.clean.shape
        assert float(audio.peak_db(pair.clean)) == pytest.approx(-3, abs=0.01)
        spectra = [torch.fft.rfft(wave).abs() for wave in pair]
        high = slice(int(0.9 * len(spectra[0])), None)
        gains.append(float((spectra[0][high].norm() / spectra[1][high].norm()).log10()))
    assert max(gains) < -1
    again = damage(manifest, manifest.items[:1], "band-limit:cutoff_hz=[500, 4000]", tmp_path / "b")
    assert audio.read(again[0])[0].equal(audio.read(paths[0])[0])


def test_what_is_kept_is_counted_by_the_truth() -> None:
    found = [
        moments(1, 3.0, 3.5, 3.6, 2.0),
        moments(0, 3.0, 2.5, 2.4, 2.9),
        moments(2, 3.0, 3, 2.8),
    ]
    words = summary(found)
    assert "3 runs; something was kept in 2, of which 1 are better" in words
    assert "1 worse by DistillMOS (the worst by 0.20)" in words
    assert (
        "mean gain +0.100, short of the best moment by 0.100 on average and 0.20 at most" in words
    )
    assert "the last moment would have gained -0.433, -1.00 at worst" in words
    assert found[0].row()[3:8] == ["1 of 3", "3.00", "3.50", "3.60", "2.00"]


def test_a_run_that_stands_is_not_done_again(
    speech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "anna" / "clip" / adaptation.RESULTS
    place.parent.mkdir(parents=True)
    place.write_text(moments(1, 3.0, 3.5).model_dump_json())
    monkeypatch.setattr(adaptation, "prepare", None)
    given = ["--speech", str(speech), "--output", str(tmp_path), "--conditions", "clip"]
    assert main([*given, "--speakers", "anna"]) == 0
    assert "| clip | anna | 1.0 | 1 of 1 | 3.00 | 3.50 |" in capsys.readouterr().out


def test_speakers_that_are_not_there_are_named(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--speech", str(speech), "--output", str(tmp_path)]
    assert main([*given, "--speakers", "cleo"]) == 2
    assert "nobody called cleo in the split test" in capsys.readouterr().err
    assert main([*given, "--split", "train"]) == 2
    assert "nothing in the split train" in capsys.readouterr().err
