"""Adapting a model to recordings, by one command: what comes of it, and what is refused."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from selfremaster.core import audio, manifests
from selfremaster.core.bundles import read_bundle
from selfremaster.core.interfaces import StepContext, StepLosses
from selfremaster.core.models import Model
from selfremaster.plugins.objectives.ssl_dual import SslDual
from selfremaster.registry import adapting, criteria
from tests import tiny
from tests.adaptations import SECONDS, adapt, make_quick, write_tape
from tests.cli import Outcome, run


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tape(tmp_path_factory.mktemp("tape"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_model(tmp_path_factory.mktemp("model") / "model.safetensors", seed=3)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


@pytest.fixture(scope="module")
def adapted(
    tape: Path, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Outcome]]:
    output = tmp_path_factory.mktemp("adapted") / "out"
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        yield output, adapt(tape, output, model)


# what comes of it


def test_a_folder_becomes_a_model_a_report_and_the_next_command(
    adapted: tuple[Path, Outcome], tape: Path
) -> None:
    output, outcome = adapted
    assert outcome.code == 0, outcome.err
    assert "of speech in 1 file" in outcome.err
    assert "less than ten minutes of speech" in outcome.err
    assert "quality is not measured: the losses alone chose" in outcome.err
    lines = outcome.out.splitlines()
    assert f"model: {output / 'model.safetensors'}" in lines
    assert lines[-1] == f"next: selfremaster restore {tape} --model {output} --output restored"
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page.count('class="player"') == 6
    assert "<polyline" in page
    assert "--output restored" in (output / "report.md").read_text(encoding="utf-8")


def test_the_model_restores_the_recordings(
    adapted: tuple[Path, Outcome], tape: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short.wav"
    wave, rate = audio.read(tape / "side-a.wav", 0, 16000)
    audio.write(short, wave, rate)
    assert run("restore", short, "--output", tmp_path / "r.wav", "--model", adapted[0]).code == 0
    assert audio.read(tmp_path / "r.wav")[0].shape == wave.shape


def test_the_speech_is_cut_at_the_rate_and_level_of_the_model_and_a_part_held_out(
    adapted: tuple[Path, Outcome],
) -> None:
    manifest = manifests.read(adapted[0] / "speech" / "manifest.csv")
    lengths = [item.seconds or 0.0 for item in manifest.items]
    assert sum(lengths) > 0.9 * SECONDS
    assert max(lengths) <= 12.1
    assert manifest.splits()["val"] == 3
    for item in manifest.items:
        wave, rate = audio.read(manifest.file(item))
        assert (rate, wave.shape[0]) == (tiny.RATE, 1)
        assert float(audio.peak_db(wave)) == pytest.approx(-3, abs=0.1)


def test_json_tells_the_course_beginning_with_the_model_as_it_was(
    tape: Path, model: Path, tmp_path: Path
) -> None:
    told = json.loads(adapt(tape, tmp_path / "out", model, "--json", "--quiet").out)
    assert [one["step"] for one in told["course"]] == [0, 2, 4]
    assert told["course"][0]["total"] == 1
    totals = {one["step"]: one["total"] for one in told["course"]}
    assert totals[told["kept_step"]] == min(totals.values())
    assert told["improved"] == (told["kept_step"] > 0)


def test_many_short_files_do_as_one_long_one(model: Path, tmp_path: Path) -> None:
    for number in range(16):
        audio.write(tmp_path / "t" / f"{number}.flac", tiny.speech_like(5, number), tiny.RATE)
    (tmp_path / "t" / "broken.wav").write_bytes(b"RIFF nothing")
    outcome = adapt(tmp_path / "t", tmp_path / "out", model)
    assert outcome.code == 0, outcome.err
    assert "left out:" in outcome.err
    assert "broken.wav" in outcome.err
    manifest = manifests.read(tmp_path / "out" / "speech" / "manifest.csv")
    recordings = {item.others["recording"] for item in manifest.items}
    assert len(recordings) == 16


# drift


def drifting(
    self: SslDual, model: Model, batch: Mapping[str, Tensor], context: StepContext
) -> dict[str, Tensor]:
    """Held-out losses that rise with every step."""
    del self, model, batch
    return dict.fromkeys(("total", "reconstruction", "task"), torch.tensor(1.0 + context.step))


def test_what_only_drifts_leaves_the_model_as_it_was_and_says_so(
    tape: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SslDual, "validation_losses", drifting)
    outcome = adapt(tape, tmp_path / "out", model)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("nothing was better than the model as it was")
    before, after = read_bundle(model).tensors, read_bundle(tmp_path / "out").tensors
    assert before.keys() == after.keys()
    assert [name for name in before if not torch.equal(before[name].float(), after[name])] == []


def test_a_model_that_cannot_be_judged_is_left_as_it_was_and_that_is_said(
    tape: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(criteria, "restored", lambda model, wave: wave * math.nan)
    outcome = adapt(tape, tmp_path / "out", model)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("the model as it was could not be judged: what it makes of the")
    before, after = read_bundle(model).tensors, read_bundle(tmp_path / "out").tensors
    assert [name for name in before if not torch.equal(before[name].float(), after[name])] == []
    assert "could not be judged" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_losses_that_are_no_numbers_end_the_learning_and_the_best_is_kept(
    tape: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = SslDual.losses

    def breaking(self: SslDual, *given: Any) -> Iterator[StepLosses]:
        for losses in learning(self, *given):
            broken = torch.is_grad_enabled() and given[-1].step == 3
            yield replace(losses, total=losses.total * (math.nan if broken else 1))

    monkeypatch.setattr(SslDual, "losses", breaking)
    told = json.loads(adapt(tape, tmp_path / "out", model, "--json").out)
    assert (told["stopped"], told["steps"]) == ("diverged", 3)
    assert [one["step"] for one in told["course"]] == [0, 2]
    assert all(
        bool(value.isfinite().all()) for value in read_bundle(tmp_path / "out").tensors.values()
    )


# interrupted


def test_an_interrupted_run_goes_on_to_the_same_bits(
    adapted: tuple[Path, Outcome], tape: Path, model: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half"
    assert adapt(tape, half, model, "--steps", "2").code == 0
    assert adapt(tape, half, model, "--resume").code == 0
    whole, resumed = (read_bundle(place).tensors for place in (adapted[0], half))
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
    assert adapting.read_course(half) == adapting.read_course(adapted[0])


def test_a_run_does_not_go_on_with_other_recordings(
    adapted: tuple[Path, Outcome], tape: Path, model: Path, tmp_path: Path
) -> None:
    audio.write(tmp_path / "other" / "a.wav", tiny.speech_like(2, 5), tiny.RATE)
    error = adapt(tmp_path / "other", adapted[0], model, "--resume").error
    assert "was begun with other recordings; give the same, or begin anew with --overwrite" in error


def test_what_lies_in_the_folder_is_kept_unless_it_is_ours_and_not_wanted(
    tape: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    error = adapt(tape, tmp_path, model).error
    assert "model.safetensors is there, and no adaptation.json says" in error
    assert "--overwrite" not in error
    assert adapt(tape, tmp_path / "out", model).code == 0
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert "holds an adaptation already" in adapt(tape, tmp_path / "out", model).error
    assert adapt(tape, tmp_path / "out", model, "--overwrite").code == 0
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


# what is refused


def test_a_folder_without_speech_is_refused(model: Path, tmp_path: Path) -> None:
    noise = 0.1 * torch.randn(1, 20 * 16000, generator=torch.Generator().manual_seed(1))
    audio.write(tmp_path / "t" / "noise.wav", noise, 16000)
    error = adapt(tmp_path / "t", tmp_path / "out", model).error
    assert error == "error: no speech was found in 20 seconds of sound; learning needs speech"
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_too_little_speech_is_refused(model: Path, tmp_path: Path) -> None:
    audio.write(tmp_path / "t" / "a.wav", tiny.speech_like(20, 1), tiny.RATE)
    error = adapt(tmp_path / "t", tmp_path / "out", model).error
    assert "seconds of speech are too little: learning needs a minute" in error


def test_a_file_that_cannot_be_read_is_named(model: Path, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "broken.wav").write_bytes(b"RIFF nothing")
    assert (
        "broken.wav: not audio, or damaged" in adapt(tmp_path / "t", tmp_path / "out", model).error
    )


def test_without_a_metric_of_quality_nothing_begins(
    tape: Path, model: Path, tmp_path: Path
) -> None:
    outcome = run("adapt", tape, "--output", tmp_path / "o", "--model", model)
    assert "no metric of quality is installed, and nothing else tells when to stop" in outcome.error
    assert "pip install 'selfremaster[distillmos,metrics]'" in outcome.error
    assert outcome.code == 2
    assert not (tmp_path / "o").exists()


def test_a_vocoder_alone_cannot_be_adapted(tape: Path, tmp_path: Path) -> None:
    outcome = run("adapt", tape, "--output", tmp_path / "o", "--model", "ddsp")
    assert outcome.error == (
        "error: ddsp: is a vocoder alone; give a model that restores, such as default"
    )


def test_results_among_the_recordings_are_no_recordings(
    tape: Path, model: Path, tmp_path: Path
) -> None:
    tapes = tmp_path / "tapes"
    tapes.mkdir()
    (tapes / "a.wav").write_bytes((tape / "side-a.wav").read_bytes())
    assert "holds the recordings themselves" in adapt(tapes, tapes, model).error
    assert adapt(tapes, tapes / "out", model).code == 0
    assert adapt(tapes, tapes / "out", model, "--overwrite").code == 0
    manifest = manifests.read(tapes / "out" / "speech" / "manifest.csv")
    assert {item.others["recording"] for item in manifest.items} == {str(tapes / "a.wav")}


def test_one_clean_file_is_too_few(tape: Path, model: Path, tmp_path: Path) -> None:
    audio.write(tmp_path / "clean" / "a.wav", tiny.speech_like(2, 1), tiny.RATE)
    error = adapt(tape, tmp_path / "out", model, "--clean", tmp_path / "clean").error
    assert "one file of clean speech; give a folder of two or more" in error
