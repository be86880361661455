"""Comparing the moment that adaptation keeps with the truth: what is damaged, counted and said."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch
from hypothesis import given as given_words
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.benchmarks import adaptation
from selfremaster.benchmarks import moments as found_moments
from selfremaster.benchmarks.adaptation import damage, main, pairs_of, place_of
from selfremaster.benchmarks.moments import Moments, read_moments, summary
from selfremaster.core import audio, manifests
from selfremaster.core.errors import ExperimentError
from selfremaster.core.interfaces import ComponentConfig, Metric
from tests import tiny
from tests.adaptations import broken_off, make_quick


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


class Stub(Metric):
    """Stands for a network that judges: the mean of what it hears."""

    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"distillmos": "higher"}

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The same for both names."""
        return dict.fromkeys(found_moments.TRUTH, float(estimate.abs().mean()))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)
    monkeypatch.setattr(found_moments, "build", lambda kind, name: Stub(ComponentConfig()))


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command on a minute of a speaker whose name leads out of every folder."""
    folder = tmp_path_factory.mktemp("much")
    rows = ["path,split,speaker,seconds"]
    for number in range(10):
        name = f"{number % 2}/{number // 2}.wav" if number else "0-1.wav"
        audio.write(folder / name, 0.1 * tiny.speech_like(8, number), tiny.RATE)
        rows.append(f"{name},test,../anna,8")
    (folder / "speech.csv").write_text("\n".join(rows) + "\n")
    model = tiny.write_model(folder / "model.safetensors", seed=3)
    words = ["--speech", str(folder / "speech.csv"), "--model", str(model), "--device", "cpu"]
    return [*words, "--conditions", "clip", "--steps", "4", "--by-losses"]


@pytest.mark.usefixtures("quick")
def test_a_run_goes_on_after_ctrl_c_and_is_not_done_again(
    given: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        broken_off(patch, 3)
        assert main([*given, "--output", str(tmp_path / "a")]) == 130
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == "interrupted; 0 of 1 runs are done, the same command goes on"
    assert main([*given, "--output", str(tmp_path / "a")]) == 0
    first = capsys.readouterr().out
    assert "| clip | ../anna | 1.3 |" in first
    assert "1 runs; something was kept in" in first
    assert main([*given, "--output", str(tmp_path / "b")]) == 0
    assert capsys.readouterr().out == first
    place = place_of(tmp_path / "a", "../anna", "clip")
    assert place.parent.parent == tmp_path / "a"
    assert len(list((place / "recordings").iterdir())) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    monkeypatch.setattr(adaptation, "prepare", None)  # what stands is not done again
    assert main([*given, "--output", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out == first
    for more, what in ((["--steps", "5"], "steps"), (["--set", "train.average=0.5"], "set")):
        assert main([*given, *more, "--output", str(tmp_path / "a")]) == 2
        error = capsys.readouterr().err
        assert f"was begun with other {what}; give the same, or name another --output" in error
    (place / adaptation.ASKED).unlink()
    assert main([*given, "--output", str(tmp_path / "a")]) == 2
    assert "moments.json: does not say what it is the result of" in capsys.readouterr().err


def test_moments_without_a_number_are_read_back(tmp_path: Path) -> None:
    place = tmp_path / "moments.json"
    place.write_text(moments(1, 3.0, math.nan, math.inf).model_dump_json())
    values = [moment["true distillmos"] for moment in read_moments(place).course]
    assert str(values) == "[3.0, nan, inf]"
    place.write_text("{}")
    with pytest.raises(ExperimentError, match=r"moments\.json: is damaged; remove it to"):
        read_moments(place)


@given_words(speaker=st.text(), condition=st.text())
def test_no_name_leads_out_of_the_output(speaker: str, condition: str) -> None:
    place = place_of(Path("runs"), speaker, condition)
    assert len(place.parts) == 3
    assert place.parts[0] == "runs"
    assert not {"..", ".", ""} & set(place.parts)


def test_names_that_look_alike_have_folders_of_their_own() -> None:
    names = ["a/b", "a-b", "a:b", "a b", "", ".", "..", "a" * 61, "a" * 62, "anna"]
    folders = [place_of(Path("runs"), name, "clip") for name in names]
    assert len(set(folders)) == len(names)
    assert folders[-1] == Path("runs/anna/clip")


def test_speakers_that_are_not_there_are_named(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--speech", str(speech), "--output", str(tmp_path)]
    assert main([*given, "--speakers", "cleo"]) == 2
    assert "nobody called cleo in the split test" in capsys.readouterr().err
    assert main([*given, "--split", "train"]) == 2
    assert "nothing in the split train" in capsys.readouterr().err
