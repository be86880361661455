"""Going on with a run: from its first step, from another place, and after half a step."""

import csv
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from selfremaster.core.bundles import read_bundle
from selfremaster.core.checkpoints import checkpoint_step
from selfremaster.core.errors import ExperimentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.interfaces import StepContext, StepLosses
from selfremaster.core.models import Model
from selfremaster.core.runlogs import CSV_NAME, RunLog
from selfremaster.core.tensorfiles import read_tensors
from selfremaster.plugins.objectives.ssl_dual import SslDual
from selfremaster.registry.runs import train
from tests import tiny
from tests.test_judges import KEEPING, Script, differing


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_speech(tmp_path_factory.mktemp("speech"))


def judged(folder: Path) -> dict[int, float]:
    """What the judge said at each step, by the log."""
    with (folder / CSV_NAME).open(newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if row["phase"] == "judged"]
    assert len({row["step"] for row in rows}) == len(rows)
    return {int(row["step"]): float(row["value"]) for row in rows}


def test_a_run_that_ended_before_its_first_step_keeps_what_was_said_of_the_start(
    speech: Path, tmp_path: Path
) -> None:
    short = tiny.experiment(speech, train={**KEEPING, "minutes": 1e-6})
    result = train(short, tmp_path, judge=Script(3))
    assert (result.steps, result.stopped, result.best_step) == (0, "minutes", 0)
    judge = Script(math.nan, 4, 5, 6, 7, 8, 9)
    result = train(tiny.experiment(speech, train=KEEPING), tmp_path, judge=judge, resume=True)
    assert (result.steps, result.best_step) == (6, 0)
    assert judged(tmp_path) == dict(enumerate((3.0, 4, 5, 6, 7, 8, 9)))


class Stopped(Script):
    """Is interrupted while it judges for the first time."""

    def __call__(self, model: Model, losses: Mapping[str, float]) -> Mapping[str, float]:
        """Never ends."""
        raise KeyboardInterrupt


def test_a_judgement_of_the_start_that_was_cut_off_is_made_anew(
    speech: Path, tmp_path: Path
) -> None:
    experiment = tiny.experiment(speech, train=KEEPING)
    with pytest.raises(KeyboardInterrupt):
        train(experiment, tmp_path, judge=Stopped())
    assert checkpoint_step(tmp_path) == 0
    train(experiment, tmp_path, judge=Script(*range(7)), resume=True)
    assert judged(tmp_path) == dict(enumerate(map(float, range(7))))


@pytest.mark.parametrize("later", [math.nan, math.inf])
def test_a_start_without_a_number_is_kept(speech: Path, tmp_path: Path, later: float) -> None:
    judge = Script(math.nan, *[later] * 6)
    result = train(tiny.experiment(speech, train=KEEPING), tmp_path, judge=judge)
    assert result.best_step == 0
    assert differing(read_bundle(tmp_path).tensors, judge.seen[0]) == []
    assert differing(read_bundle(tmp_path).tensors, judge.seen[6])


class Breaking(SslDual):
    """Breaks down at step 3, between its two updates."""

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        """Those of dual learning; the second is no number."""
        for number, losses in enumerate(super().losses(model, batch, context)):
            broken = number == 1 and context.step == 3 and torch.is_grad_enabled()
            yield replace(losses, total=losses.total * math.nan) if broken else losses


def test_half_a_step_is_not_saved(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart: dict[str, Any] = {"name": "ssl-dual", "forward": "channel"}
    steps = {**KEEPING, "steps": 3}
    train(
        tiny.experiment(speech, objective=apart, train=steps),
        tmp_path / "whole",
        judge=Script(*range(9)),
    )
    monkeypatch.setattr("selfremaster.plugins.objectives.ssl_dual.SslDual", Breaking)
    experiment = tiny.experiment(speech, objective=apart, train=KEEPING)
    result = train(experiment, tmp_path / "broken", judge=Script(*range(9)))
    assert (result.stopped, result.steps) == ("diverged", 3)
    whole, broken = (
        read_tensors(tmp_path / name / "checkpoint.safetensors")[0] for name in ("whole", "broken")
    )
    assert whole.keys() == broken.keys()
    assert [name for name in whole if not torch.equal(whole[name], broken[name])] == []


def unpaired(folder: Path, steps: int) -> Experiment:
    """Dual learning that names no speech it does not need."""
    data = {"paired_degraded": None, "paired_clean": None}
    return tiny.experiment(folder, data=data, train={"steps": steps})


def test_speech_and_bundles_may_have_moved(speech: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(unpaired(speech, 2), run)
    shutil.copytree(speech, tmp_path / "moved")
    result = train(unpaired(tmp_path / "moved", 4), run, resume=True)
    train(unpaired(speech, 4), tmp_path / "whole")
    assert result.steps == 4
    first, second = (read_bundle(place).tensors for place in (run, tmp_path / "whole"))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_other_speech_in_another_place_is_refused(speech: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(unpaired(speech, 2), run)
    tiny.write_speech(tmp_path / "other", files=2)
    shutil.copy(speech / tiny.BUNDLE, tmp_path / "other" / tiny.BUNDLE)
    with pytest.raises(ExperimentError, match=r"was written with data\.clean\.folder=.*speech"):
        train(unpaired(tmp_path / "other", 4), run, resume=True)


def test_what_a_machine_left_behind_that_stopped_is_no_row(tmp_path: Path) -> None:
    whole = "step,phase,name,value\n1,train,total,2\n2,train,total,1\n"
    (tmp_path / CSV_NAME).write_bytes(whole.encode() + b"\0\0\0\xff,a,b,c\n3,tr")
    RunLog(tmp_path, 1).close()
    assert (tmp_path / CSV_NAME).read_text().splitlines() == whole.splitlines()[:2]
