"""Training: repeatable, resumable, on several processes, and it learns."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from selfremaster.core.bundles import read_bundle
from selfremaster.core.checkpoints import CHECKPOINT_NAME
from selfremaster.core.errors import BundleError, ExperimentError, TrainingError
from selfremaster.core.experiments import Experiment, TrainSettings
from selfremaster.core.interfaces import StepContext, StepLosses
from selfremaster.core.schedules import Schedule
from selfremaster.core.tensorfiles import read_tensors
from selfremaster.plugins.objectives.ssl_dual import SslDual
from selfremaster.registry.assembling import assemble, load
from selfremaster.registry.runs import train
from tests import tiny

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_speech(tmp_path_factory.mktemp("speech"))


def weights(folder: Path) -> dict[str, Tensor]:
    return read_bundle(folder).tensors


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == []


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    speech: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny.experiment(speech, seed=seed), tmp_path / name)
    assert_same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    first, other = weights(tmp_path / "a"), weights(tmp_path / "c")
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_only_the_modules_of_the_objective_move(speech: Path, tmp_path: Path) -> None:
    experiment = tiny.experiment(speech)
    train(experiment, tmp_path)
    before, after = assemble(experiment), load(tmp_path)
    moved = {
        name.partition(".")[0]
        for name, value in after.analyzer.state_dict(prefix="analyzer.").items()  # type: ignore[union-attr]  # a module
        if not torch.equal(value, before.state_dict()[name])
    }
    assert moved == {"analyzer"}
    wave = tiny.speech_like(0.2, 9)
    mel = before.features(wave)
    torch.testing.assert_close(before.vocoder.eval()(mel), after.vocoder(mel))


def _start(experiment: Path, output: Path, *more: str) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-m",
        "selfremaster",
        "train",
        str(experiment),
        "--output",
        str(output),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*command, *more], cwd=ROOT, env=environment, stderr=subprocess.PIPE)


def test_a_killed_run_resumes_to_the_same_bits(speech: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"steps": 400, "save_every": 3, "validate_every": 7}
    experiment = tiny.experiment(speech, train=changes)
    path = tmp_path / "experiment.yaml"
    path.write_text(experiment.to_yaml())
    process = _start(path, tmp_path / "killed")
    try:
        while not (tmp_path / "killed" / CHECKPOINT_NAME).exists():
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    _, header = read_tensors(tmp_path / "killed" / CHECKPOINT_NAME)
    step = dict(zip(header["state"]["keys"], header["state"]["values"], strict=True))["step"][
        "value"
    ]
    assert 0 < step < 400
    whole = tiny.experiment(speech, train={**changes, "steps": step + 5})
    train(whole, tmp_path / "killed", resume=True)
    train(whole, tmp_path / "whole")
    assert_same(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    killed, uninterrupted = (_log(tmp_path / name) for name in ("killed", "whole"))
    assert killed == uninterrupted


def _log(folder: Path) -> list[list[str]]:
    with (folder / "log.csv").open(newline="") as opened:
        return [row for row in csv.reader(opened) if "gradient" not in row[2]]


def test_two_processes_learn_as_one_with_the_batch_of_both(speech: Path, tmp_path: Path) -> None:
    both: dict[str, Any] = {"steps": 3, "clip_gradient": None}
    one = tiny.experiment(speech, train=both, data={"batch_size": 4})
    two = tiny.experiment(speech, train={**both, "devices": 2, "strategy": "ddp"})
    path = tmp_path / "two.yaml"
    path.write_text(two.to_yaml())
    process = _start(path, tmp_path / "two")
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 0, messages.decode()
    train(one, tmp_path / "one")
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], atol=2e-4, rtol=1e-3)


def test_a_run_is_not_overwritten_by_another(speech: Path, tmp_path: Path) -> None:
    train(tiny.experiment(speech), tmp_path)
    with pytest.raises(ExperimentError, match="holds a run already; go on with --resume"):
        train(tiny.experiment(speech), tmp_path)


def test_a_checkpoint_of_another_model_is_refused(speech: Path, tmp_path: Path) -> None:
    train(tiny.experiment(speech), tmp_path)
    wider = {"analyzer": {**tiny.ANALYZER, "widths": [8, 8]}}
    with pytest.raises(BundleError, match="size mismatch"):
        train(tiny.experiment(speech, model=wider), tmp_path, resume=True)


class Failing(SslDual):
    """Gives a loss that is no number at step 3."""

    def losses(self, model: Any, batch: Any, context: StepContext) -> Any:
        """Those of dual learning, until then."""
        for step in super().losses(model, batch, context):
            bad = step.total * (float("nan") if context.step == 3 else 1.0)
            yield StepLosses(bad, step.parts)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfremaster.plugins.objectives.ssl_dual.SslDual", Failing)
    with pytest.raises(
        TrainingError, match=r"the loss at step 3 is nan; lower train\.learning_rate"
    ):
        train(tiny.experiment(speech), tmp_path)
    assert read_tensors(tmp_path / CHECKPOINT_NAME)[1]["kind"] == "checkpoint"


def test_an_interrupt_saves_a_checkpoint(speech: Path, tmp_path: Path) -> None:
    def interrupt(progress: Any) -> None:
        if progress.step == 1:
            raise KeyboardInterrupt

    experiment = tiny.experiment(speech)
    with pytest.raises(KeyboardInterrupt):
        train(experiment, tmp_path / "broken", report=interrupt)
    train(experiment, tmp_path / "broken", resume=True)
    train(experiment, tmp_path / "whole")
    assert_same(weights(tmp_path / "broken"), weights(tmp_path / "whole"))


def test_held_out_loss_is_logged_and_the_best_weights_are_kept(
    speech: Path, tmp_path: Path
) -> None:
    source = {"folder": str(speech)}
    experiment = tiny.experiment(
        speech,
        data={"held_out_degraded": source, "held_out_clean": source, "held_out_segments": 3},
        train={"keep": "best"},
    )
    result = train(experiment, tmp_path)
    rows = [row for row in _log(tmp_path) if row[1] == "held_out" and row[2] == "total"]
    assert [int(row[0]) for row in rows] == [2, 4]
    assert float(rows[-1][3]) == pytest.approx(result.held_out["total"], rel=1e-5)


@pytest.mark.parametrize("objective", ["pretrain", "vocoder"])
def test_objectives_learn_a_second_of_speech(objective: str, speech: Path, tmp_path: Path) -> None:
    named: dict[str, Any] = {"name": objective}
    if objective == "vocoder":
        named["adversarial"] = {
            "name": "adversarial",
            "preset": "small",
            "periods": [2],
            "scales": 0,
        }
    experiment = tiny.experiment(
        speech, objective=named, train={"steps": 60, "learning_rate": 3e-3, "clip_gradient": 100}
    )
    train(experiment, tmp_path)
    wanted = {"pretrain": "feature", "vocoder": "reconstruction"}[objective]
    values = [float(row[3]) for row in _log(tmp_path) if row[1:3] == ["train", wanted]]
    assert sum(values[-5:]) < 0.8 * sum(values[:5])


def test_minutes_end_a_run(speech: Path, tmp_path: Path) -> None:
    result = train(tiny.experiment(speech, train={"minutes": 1e-6, "steps": 50}), tmp_path)
    assert (result.stopped, result.steps) == ("minutes", 1)


def schedule(name: str, **settings: Any) -> Schedule:
    given = {"steps": 100, "learning_rate": 1e-3, "schedule": {"name": name, **settings}}
    return Schedule(TrainSettings.model_validate(given))


def test_plateau_lowers_the_rate_when_nothing_improves_and_not_below_the_minimum() -> None:
    plateau = schedule("plateau", patience=1, minimum=3e-4)
    for loss in (1.0, 0.9, 0.9, 0.9):
        plateau.observe(loss)
    assert plateau.rate(0) == pytest.approx(5e-4)
    for _ in range(10):
        plateau.observe(0.9)
    assert plateau.rate(0) == pytest.approx(3e-4)


def test_cosine_rises_first_and_ends_at_the_minimum() -> None:
    cosine = schedule("cosine", warmup_steps=10, minimum=1e-5)
    assert cosine.rate(0) == pytest.approx(1e-4)
    assert cosine.rate(10) == pytest.approx(1e-3)
    assert cosine.rate(55) == pytest.approx((1e-3 + 1e-5) / 2)
    assert cosine.rate(100) == pytest.approx(1e-5)


def test_a_missing_stream_says_which_setting_to_give(speech: Path, tmp_path: Path) -> None:
    experiment = tiny.experiment(speech, data={"clean": None})
    with pytest.raises(ExperimentError, match=r"learns from clean speech; set data.clean.folder"):
        train(experiment, tmp_path)


def test_a_model_without_a_module_that_is_to_be_trained_is_refused(
    speech: Path, tmp_path: Path
) -> None:
    experiment = tiny.experiment(speech, model={"channel": None})
    with pytest.raises(ExperimentError, match="trains 'channel', which the model does not have"):
        train(experiment, tmp_path)


def test_modules_start_from_a_bundle_and_only_from_one_that_fits(
    speech: Path, tmp_path: Path
) -> None:
    train(tiny.experiment(speech, seed=3), tmp_path / "first")
    started = tiny.experiment(speech, start={"vocoder": str(tmp_path / "first")})
    train(started, tmp_path / "second")
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    for name in first:
        if name.startswith("vocoder."):
            torch.testing.assert_close(first[name], second[name])
    other = tiny.experiment(
        speech,
        model={"vocoder": {**tiny.VOCODER, "initial_channels": 8}},
        start={"vocoder": str(tmp_path / "first")},
    )
    with pytest.raises(
        BundleError, match=r"asks for hifigan:.*initial_channels=8.*; set model.vocoder"
    ):
        train(other, tmp_path / "third")


def test_the_resolved_experiment_is_saved_and_read_back(speech: Path, tmp_path: Path) -> None:
    train(tiny.experiment(speech), tmp_path)
    saved = Experiment.from_file(tmp_path / "experiment.yaml")
    assert saved.model.features.settings["hop_samples"] == 256
    assert saved == read_bundle(tmp_path).experiment
