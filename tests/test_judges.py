"""A judge decides which weights of a run are kept, and when there is nothing more to hope for."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor

from selfremaster.core.bundles import read_bundle
from selfremaster.core.errors import ExperimentError
from selfremaster.core.interfaces import ComponentConfig, Metric
from selfremaster.core.judges import Judge
from selfremaster.core.models import Model
from selfremaster.registry import criteria
from selfremaster.registry.assembling import load
from selfremaster.registry.runs import train
from tests import tiny

KEEPING = {"keep": "best", "steps": 6, "validate_every": 1, "save_every": 1, "average": 0.5}


class Script(Judge):
    """Says what it is told to say, one number after another."""

    def __init__(self, *totals: float) -> None:
        self.totals = totals
        self.asked = 0
        self.seen: list[dict[str, Tensor]] = []

    def __call__(self, model: Model, losses: Mapping[str, float]) -> Mapping[str, float]:
        """The next number."""
        assert "reconstruction" in losses or not losses
        self.seen.append({name: value.clone() for name, value in model.state_dict().items()})
        self.asked += 1
        return {"total": self.totals[self.asked - 1]}

    def state(self) -> Mapping[str, Any]:
        """How often it was asked."""
        return {"asked": self.asked}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.asked = state["asked"]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_speech(tmp_path_factory.mktemp("speech"))


def differing(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> list[str]:
    """What is not in both the same; the vocoder is folded in a bundle, and never moves."""
    names = [name for name in first if not name.startswith("vocoder.")]
    return [name for name in names if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize(
    ("totals", "best"), [((3, 2, 1, 2, 3, 4, 5), 2), ((1, 2, 3, 4, 5, 6, 7), 0)]
)
def test_the_bundle_has_the_weights_that_the_judge_heard_at_its_lowest_total(
    speech: Path, tmp_path: Path, totals: tuple[float, ...], best: int
) -> None:
    judge = Script(*totals)
    result = train(tiny.experiment(speech, train=KEEPING), tmp_path, judge=judge)
    assert (result.best_step, result.stopped, judge.asked) == (best, "steps", 7)
    assert differing(read_bundle(tmp_path).tensors, judge.seen[best]) == []
    others = [seen for step, seen in enumerate(judge.seen) if step != best]
    assert all(differing(read_bundle(tmp_path).tensors, seen) for seen in others)


def test_patience_ends_the_run_after_so_many_judgements_without_improvement(
    speech: Path, tmp_path: Path
) -> None:
    experiment = tiny.experiment(speech, train={**KEEPING, "patience": 2})
    judge = Script(3, 2, 2, math.nan)
    result = train(experiment, tmp_path, judge=judge)
    assert (result.steps, result.stopped, result.best_step) == (3, "patience", 1)
    again = train(experiment, tmp_path, judge=Script(), resume=True)
    assert (again.steps, again.stopped, again.best_step) == (3, "patience", 1)


def test_a_resumed_run_equals_one_that_was_not_interrupted_and_so_does_its_judge(
    speech: Path, tmp_path: Path
) -> None:
    totals = (3, 2, 1, 2, 3, 0.5, 5)
    experiment = tiny.experiment(speech, train=KEEPING)
    short = tiny.experiment(speech, train={**KEEPING, "steps": 3})
    train(experiment, tmp_path / "whole", judge=Script(*totals))
    train(short, tmp_path / "parts", judge=Script(*totals))
    later = Script(*totals)
    result = train(experiment, tmp_path / "parts", judge=later, resume=True)
    assert (result.best_step, later.asked) == (5, 7)
    first, second = (read_bundle(tmp_path / name).tensors for name in ("whole", "parts"))
    assert first.keys() == second.keys()
    assert differing(first, second) == []


def test_patience_without_a_judge_needs_held_out_speech(speech: Path, tmp_path: Path) -> None:
    experiment = tiny.experiment(speech, train={"patience": 1})
    with pytest.raises(ExperimentError, match=r"train\.patience needs held-out speech to tell"):
        train(experiment, tmp_path)


# the criterion of adapt


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(tiny.write_model(tmp_path_factory.mktemp("model") / "model.safetensors", seed=1))


START = {"reconstruction": 2.0, "task": 1.0, "content": 0.9, "level_db": -20.0}


@pytest.mark.parametrize(
    ("changes", "better"),
    [
        ({"quality": 3.1}, True),
        ({"quality": 3.04}, False),
        ({"quality": math.nan}, False),
        ({"quality": 2.9, "reconstruction": 0.4, "task": 0.2}, False),
        ({"reconstruction": 0.4, "task": 0.2}, False),
        ({"quality": 3.1, "reconstruction": 4.0, "task": 2.0}, True),
        ({"quality": 3.5, "content": 0.5}, False),
        ({"quality": 3.5, "content": 0.86}, False),
        ({"quality": 3.5, "level_db": -27.0}, False),
        ({"quality": 3.5, "level_db": -40.0}, False),
    ],
)
def test_quality_decides_within_guard_rails(changes: dict[str, float], better: bool) -> None:
    start = {**START, "quality": 3.0}
    assert (criteria.total({**start, **changes}, start) < 1) == better


@pytest.mark.parametrize("name", ["quality", "content", "level_db"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_a_failure_before_and_after(name: str, number: float) -> None:
    start, later = {**START, "quality": 3.0}, {**START, "quality": 3.5}
    assert criteria.total({**later, name: number}, start) == math.inf
    assert criteria.total(later, {**start, name: number}) == math.inf
    assert criteria.total({**START, "task": number}, START) == math.inf
    assert criteria.total({**later, "task": number}, start) == pytest.approx(0.5)  # no loss counts


def test_a_metric_that_is_gone_is_no_improvement() -> None:
    assert not criteria.total({**START, "task": 0.1}, {**START, "quality": 3.0}) < 1


@pytest.mark.parametrize(
    ("changes", "better"),
    [
        ({"reconstruction": 1.9}, True),
        ({"task": 1.1}, False),
        ({"content": 0.86}, False),
        ({"content": 0.5, "reconstruction": 1.0}, False),
        ({"level_db": -40.0, "reconstruction": 1.0}, False),
    ],
)
def test_without_a_metric_the_losses_decide_within_guard_rails(
    changes: dict[str, float], better: bool
) -> None:
    assert (criteria.total({**START, **changes}, START) < 1) == better


def test_silence_and_broken_sound_are_never_the_best(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = criteria.Criterion([tiny.speech_like(1, 1)[0]])
    assert judge(model, {"reconstruction": 1.0})["total"] == 1
    for made, limit in ((0.0, 2.0), (math.nan, math.inf), (1e6, 10.0), (1e18, math.inf)):
        monkeypatch.setattr(model, "restore_segment", lambda wave, made=made: wave * made)
        assert judge(model, {"reconstruction": 0.5})["total"] >= limit


class Scripted(Metric):
    """Gives the numbers that it is told to give, one after another."""

    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"opinion": "higher"}

    def __init__(self, *opinions: float) -> None:
        super().__init__(ComponentConfig())
        self.opinions = iter(opinions)

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The next number."""
        return {"opinion": next(self.opinions)}


@pytest.mark.parametrize(
    ("start", "later", "wanted"),
    [
        ((3.0, 2.0), (3.5, 2.5), 0.5),
        ((3.0, math.nan), (3.5, math.nan), 0.5),
        ((3.0, math.nan), (3.5, 1.0), 0.5),  # what did not count does not count later
        ((3.0, 2.0), (4.0, math.nan), math.inf),  # what counted does
        ((3.0, 2.0), (math.nan, math.nan), math.inf),
        ((math.nan, math.nan), (4.0, 4.0), math.inf),
    ],
)
def test_windows_without_a_number_do_not_make_a_moment_better(
    model: Model, start: tuple[float, ...], later: tuple[float, ...], wanted: float
) -> None:
    waves = [tiny.speech_like(0.5, seed)[0] for seed in (1, 2)]
    judge = criteria.Criterion(waves, [(Scripted(*start, *later), "opinion")])
    first = judge(model, {})["total"]
    assert first == (1 if math.isfinite(start[0]) else math.inf)
    again = criteria.Criterion(waves, judge.quality)  # as after an interruption
    again.load(judge.state())
    assert again(model, {})["total"] == pytest.approx(wanted)


def test_a_model_that_begins_with_broken_sound_is_not_compared(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = criteria.Criterion([tiny.speech_like(1, 1)[0]])
    with monkeypatch.context() as patch:
        patch.setattr(model, "restore_segment", lambda wave: wave * math.nan)
        assert judge(model, {"task": 1.0})["total"] == math.inf
    assert judge(model, {"task": 0.5})["total"] == math.inf


def test_envelopes_agree_with_themselves_filtered_and_not_with_other_speech(model: Model) -> None:
    wave, other = (tiny.speech_like(2, seed)[0] for seed in (1, 2))
    filtered = torch.nn.functional.conv1d(wave[None, None], torch.ones(1, 1, 3) / 3)[0, 0]
    own = criteria.envelope_agreement(model, wave, filtered)
    assert criteria.envelope_agreement(model, wave, wave) == pytest.approx(1, abs=1e-5)
    assert own > 0.95
    assert criteria.envelope_agreement(model, wave, other.roll(3000)) < own - 0.1
