"""Training: repeatable, resumable, on several processes, and it learns."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from selfremaster.core.bundles import read_bundle, write_bundle
from selfremaster.core.checkpoints import CHECKPOINT_NAME, checkpoint_step
from selfremaster.core.errors import BundleError, ExperimentError, TrainingError
from selfremaster.core.experiments import Experiment, TrainSettings
from selfremaster.core.interfaces import StepContext, StepLosses
from selfremaster.core.processes import Processes
from selfremaster.core.schedules import Schedule
from selfremaster.core.tensorfiles import read_tensors, write_tensors
from selfremaster.plugins.objectives.ssl_dual import SslDual
from selfremaster.registry.assembling import assemble, resolve
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
    before, after = assemble(experiment).state_dict(), weights(tmp_path)
    started = read_bundle(speech / tiny.BUNDLE).tensors
    for name, value in after.items():
        part = name.partition(".")[0]
        if part == "vocoder":
            assert torch.equal(value, started[name])
    moved = {
        name.partition(".")[0]
        for name, value in after.items()
        if not name.startswith("vocoder.") and not torch.equal(value, before[name])
    }
    assert moved == {"analyzer", "channel"}


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
    step = checkpoint_step(tmp_path / "killed")
    assert step is not None
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
    plateau = {"name": "plateau", "patience": 0}
    both: dict[str, Any] = {
        "steps": 3,
        "minutes": 10,
        "clip_gradient": None,
        "validate_every": 1,
        "schedule": plateau,
    }
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
    alone, together = (
        {tuple(row[:3]): float(row[3]) for row in _log(tmp_path / name)[1:]}
        for name in ("one", "two")
    )
    assert together == pytest.approx(alone, rel=2e-3)  # the log tells the mean of both


class _TwoProcesses:
    """Stands for a device of two processes, of which the other one has only zeros."""

    world_size = 2

    def all_reduce(self, value: Tensor, reduce_op: str) -> Tensor:
        assert reduce_op == "mean"
        return value.mul_(0.5)  # in place, as the real one


def test_several_processes_share_gradients_and_statistics_and_spoil_nothing(speech: Path) -> None:
    analyzer = {**tiny.ANALYZER, "norm": "batch"}
    model = assemble(resolve(tiny.experiment(speech, model={"analyzer": analyzer})))
    processes = Processes(cast("Any", _TwoProcesses()))
    loss = torch.ones(())
    assert processes.mean(loss) == 0.5
    assert loss == 1  # what is still needed on the way back stays as it was
    first, second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    first.grad = torch.full((2,), 4.0)
    processes.share_gradients([first, second])
    assert first.grad.tolist() == [2, 2]
    assert second.grad is not None
    assert second.grad.tolist() == [0, 0, 0]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    processes.share_statistics([model])
    for name, value in model.state_dict().items():
        share = 0.5 if name.endswith(("running_mean", "running_var")) else 1
        torch.testing.assert_close(value, share * before[name])


def test_a_run_is_not_overwritten_by_another(speech: Path, tmp_path: Path) -> None:
    train(tiny.experiment(speech), tmp_path)
    with pytest.raises(ExperimentError, match="holds a run already; go on with --resume"):
        train(tiny.experiment(speech), tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"analyzer": {**tiny.ANALYZER, "widths": [8, 8]}}}, "widths=.*4, 8.*8, 8"),
        ({"seed": 5}, "was written with seed=0, the experiment says 5; set it back"),
        ({"data": {"batch_size": 3}}, "batch_size=2"),
    ],
)
def test_a_checkpoint_of_another_experiment_is_refused_and_nothing_is_changed(
    changes: dict[str, Any], words: str, speech: Path, tmp_path: Path
) -> None:
    train(tiny.experiment(speech), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(ExperimentError, match=words):
        train(tiny.experiment(speech, **changes), tmp_path, resume=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_checkpoint_from_before_a_setting_was_there_says_so(speech: Path, tmp_path: Path) -> None:
    train(tiny.experiment(speech), tmp_path)
    tensors, header = read_tensors(tmp_path / CHECKPOINT_NAME)
    del header["experiment"]["objective"]["beta"]
    write_tensors(tmp_path / CHECKPOINT_NAME, tensors, header)
    with pytest.raises(
        ExperimentError, match=r"earlier version, which had no objective\.beta; begin"
    ):
        train(tiny.experiment(speech), tmp_path, resume=True)


def test_a_vocoder_that_lets_no_gradient_through_is_refused(speech: Path, tmp_path: Path) -> None:
    model = {"features": "source-filter", "vocoder": "world"}
    with pytest.raises(ExperimentError, match="learns through the vocoder, and world lets no grad"):
        train(tiny.experiment(speech, model=model, start={}), tmp_path)


def test_a_checkpoint_is_not_taken_further_with_another_vocoder(
    tmp_path: Path,
) -> None:
    speech = tiny.write_speech(tmp_path / "speech", files=2, seconds=0.3)
    train(tiny.experiment(speech), tmp_path / "run")
    other = resolve(tiny.experiment(speech, model={"analyzer": None, "channel": None}, seed=8))
    write_bundle(speech / tiny.BUNDLE, assemble(other), other)
    with pytest.raises(BundleError, match="the bundles that the run started from have changed"):
        train(tiny.experiment(speech), tmp_path / "run", resume=True)


class Failing(SslDual):
    """Gives a loss, or only a gradient, that is no number at step 3."""

    gradient_alone: ClassVar[bool] = False

    def losses(self, model: Any, batch: Any, context: StepContext) -> Any:
        """Those of dual learning, until then."""
        for step in super().losses(model, batch, context):
            total = step.total
            if context.step == 3:
                total = (
                    total + (total - total.detach()).sqrt() if self.gradient_alone else total / 0
                )
            yield StepLosses(total, step.parts)


@pytest.mark.parametrize("gradient_alone", [False, True])
def test_numbers_that_are_none_stop_the_run_and_keep_the_checkpoint(
    gradient_alone: bool, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfremaster.plugins.objectives.ssl_dual.SslDual", Failing)
    monkeypatch.setattr(Failing, "gradient_alone", gradient_alone)
    what = "gradient" if gradient_alone else "loss"
    words = rf"the {what} at step 3 is (inf|nan); lower train\.learning_rate .* --resume"
    with pytest.raises(TrainingError, match=words):
        train(tiny.experiment(speech), tmp_path)
    tensors, header = read_tensors(tmp_path / CHECKPOINT_NAME)
    assert header["step"] == 2
    assert all(bool(value.isfinite().all()) for value in tensors.values())
    assert not (tmp_path / "model.safetensors").exists()


ADVERSARIAL = {
    "name": "vocoder",
    "adversarial": {"name": "adversarial", "preset": "small", "periods": [2], "scales": 1},
    "adversarial_from": 2,
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"objective": ADVERSARIAL},
        {
            "model": {"analyzer": {**tiny.ANALYZER, "norm": "batch"}},
            "train": {
                "steps": 6,
                "keep": "best",
                "validate_every": 1,
                "schedule": {"name": "plateau", "patience": 0},
            },
        },
        {
            "model": {"analyzer": {**tiny.ANALYZER, "norm": "batch"}},
            "train": {"steps": 6, "average": 0.9},
        },
    ],
    ids=["dual", "adversarial", "best", "average"],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(
    changes: dict[str, Any], speech: Path, tmp_path: Path
) -> None:
    def interrupt(progress: Any) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    source = {"folder": str(speech)}
    held_out = {"held_out_degraded": source, "held_out_clean": source, "held_out_segments": 2}
    experiment = tiny.experiment(speech, data=held_out, **changes)
    with pytest.raises(KeyboardInterrupt):
        train(experiment, tmp_path / "broken", report=interrupt)
    assert checkpoint_step(tmp_path / "broken") == 3
    train(experiment, tmp_path / "broken", resume=True)
    train(experiment, tmp_path / "whole")
    assert_same(weights(tmp_path / "broken"), weights(tmp_path / "whole"))
    assert _log(tmp_path / "broken") == _log(tmp_path / "whole")


class Worsening(SslDual):
    """Says that held-out speech is learned best after two steps."""

    def validation_losses(self, model: Any, batch: Any, context: StepContext) -> dict[str, Tensor]:
        """The distance from step 2."""
        return {"total": torch.tensor(abs(context.step - 2.0))}


def test_the_best_weights_are_kept_and_the_rate_falls_when_nothing_improves(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"folder": str(speech)}
    held_out = {"held_out_degraded": source, "held_out_clean": source, "held_out_segments": 2}
    plateau = {"name": "plateau", "patience": 0}
    changes: dict[str, Any] = {"validate_every": 1, "schedule": plateau}
    monkeypatch.setattr("selfremaster.plugins.objectives.ssl_dual.SslDual", Worsening)
    best = tiny.experiment(speech, data=held_out, train={**changes, "keep": "best"})
    train(best, tmp_path / "best")
    train(tiny.experiment(speech, data=held_out, train=changes), tmp_path / "last")
    two = tiny.experiment(speech, data=held_out, train={**changes, "steps": 2})
    train(two, tmp_path / "two")
    assert_same(weights(tmp_path / "best"), weights(tmp_path / "two"))
    last = weights(tmp_path / "last")
    assert any(
        not torch.equal(value, last[name]) for name, value in weights(tmp_path / "two").items()
    )
    rates = [float(row[3]) for row in _log(tmp_path / "last") if row[2] == "learning_rate"]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4])


def test_the_bundle_gets_the_mean_of_the_weights_and_the_run_goes_its_way(
    speech: Path, tmp_path: Path
) -> None:
    """Two steps' weights, taken from runs that end there, mixed by hand; validation by the mean."""
    source = {"folder": str(speech)}
    held_out = {"held_out_degraded": source, "held_out_clean": source, "held_out_segments": 2}
    for steps in (1, 2):
        changes: dict[str, Any] = {"steps": steps, "validate_every": 2}
        experiment = tiny.experiment(speech, data=held_out, train=changes)
        train(experiment, tmp_path / str(steps))
    averaged = tiny.experiment(speech, data=held_out, train={**changes, "average": 0.5})
    result = train(averaged, tmp_path / "mean")
    begin = assemble(averaged).state_dict()
    first, second = weights(tmp_path / "1"), weights(tmp_path / "2")
    made, moved = weights(tmp_path / "mean"), 0
    for name, value in made.items():
        if value.is_floating_point() and not name.startswith("vocoder."):
            mean = begin[name].lerp(first[name], 1 - 2 / 11).lerp(second[name], 1 - 3 / 12)
            torch.testing.assert_close(value, mean)
            moved += not torch.equal(value, second[name])
    assert moved > 0
    own = train(experiment, tmp_path / "own")
    assert result.losses == own.losses
    assert result.held_out != own.held_out


def test_a_tight_limit_of_the_gradient_slows_learning(speech: Path, tmp_path: Path) -> None:
    moved = {}
    for name, limit in (("free", None), ("tight", 1e-12)):
        experiment = tiny.experiment(speech, train={"clip_gradient": limit, "steps": 1})
        before = assemble(experiment).state_dict()
        train(experiment, tmp_path / name)
        after = weights(tmp_path / name)
        moved[name] = max(
            float((after[key] - before[key]).abs().max())
            for key in after
            if key.startswith("analyzer.")
        )
    assert moved["tight"] < 0.1 * moved["free"]


def test_sounds_and_spectrograms_are_logged_without_held_out_speech(
    speech: Path, tmp_path: Path
) -> None:
    train(tiny.experiment(speech, train={"steps": 2}), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    wanted = {"degraded", "clean", "copy-synthesis", "restored"}
    assert set(events.Tags()["audio"]) == wanted
    assert set(events.Tags()["images"]) == wanted
    assert "train/reconstruction" in events.Tags()["scalars"]


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


def test_minutes_end_a_run_after_a_validation(speech: Path, tmp_path: Path) -> None:
    source = {"folder": str(speech)}
    held_out = {"held_out_degraded": source, "held_out_clean": source, "held_out_segments": 2}
    experiment = tiny.experiment(
        speech, data=held_out, train={"minutes": 1e-6, "steps": 50, "validate_every": 20}
    )
    result = train(experiment, tmp_path)
    assert (result.stopped, result.steps) == ("minutes", 1)
    assert result.held_out["total"] > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": {}}, r"vocoder hifigan is used as it is, and nobody has trained its weights"),
        ({"model": {"output": "hifigan:preset=v3"}}, r"model.output: nobody has trained"),
        ({"train": {"keep": "best"}}, r"train.keep=best needs held-out speech to tell; set"),
        (
            {"data": {"held_out_clean": {"folder": "examples/speech"}}},
            r"needs held-out degraded speech beside clean; set data.held_out_degraded",
        ),
    ],
)
def test_settings_that_would_be_ignored_are_refused(
    changes: dict[str, Any], words: str, speech: Path, tmp_path: Path
) -> None:
    with pytest.raises(ExperimentError, match=words):
        train(tiny.experiment(speech, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


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
    assert cosine.rate(20, elapsed=0.5) == pytest.approx((1e-3 + 1e-5) / 2)  # minutes run out first


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


def test_init_starts_every_module_from_a_bundle_but_for_those_named_otherwise(
    speech: Path, tmp_path: Path
) -> None:
    """The weights of a bundle after no step are those that it had: the rate is next to nothing."""
    train(tiny.experiment(speech, seed=3), tmp_path / "first")
    still = {"steps": 1, "learning_rate": 1e-12}
    train(tiny.experiment(speech, train=still), tmp_path / "second", init=str(tmp_path / "first"))
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    for name in first:
        torch.testing.assert_close(second[name], first[name], atol=1e-9, rtol=0)
    assert set(read_bundle(tmp_path / "second").experiment.start) == {
        "analyzer",
        "channel",
        "vocoder",
    }
    assert read_bundle(tmp_path / "second").experiment.start["vocoder"] == str(speech / tiny.BUNDLE)


def test_init_tells_all_that_does_not_fit(speech: Path, tmp_path: Path) -> None:
    train(tiny.experiment(speech), tmp_path / "first")
    other = tiny.experiment(
        speech,
        model={
            "analyzer": {**tiny.ANALYZER, "widths": [4, 16]},
            "channel": {**tiny.CHANNEL, "kernel": 3},
        },
    )
    with pytest.raises(BundleError, match=r"start\.analyzer: .*; start\.channel: .*kernel=3"):
        train(other, tmp_path / "second", init=str(tmp_path / "first"))
    alone = tiny.experiment(
        speech, model={"analyzer": None, "channel": None}, objective={"name": "vocoder"}, start={}
    )
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BundleError, match=r"a folder without model\.safetensors"):
        train(alone, tmp_path / "third", init=str(tmp_path / "nothing"))


def test_the_resolved_experiment_is_saved_and_read_back(speech: Path, tmp_path: Path) -> None:
    train(tiny.experiment(speech), tmp_path)
    saved = Experiment.from_file(tmp_path / "experiment.yaml")
    assert saved.model.features.settings["hop_samples"] == 256
    assert saved == read_bundle(tmp_path).experiment


def test_a_bundle_can_be_stored_in_half_the_bytes(speech: Path, tmp_path: Path) -> None:
    for name, half in (("whole", False), ("half", True)):
        train(tiny.experiment(speech, train={"steps": 1, "half": half}), tmp_path / name)
    whole, half_weights = weights(tmp_path / "whole"), weights(tmp_path / "half")
    assert {value.dtype for value in half_weights.values()} == {torch.float16}
    for name, value in whole.items():
        torch.testing.assert_close(half_weights[name].float(), value, atol=1e-3, rtol=1e-3)
