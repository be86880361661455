"""The moments of an adaptation, by its criterion and by the truth that the criterion never sees."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from selfremaster.core.errors import ExperimentError
from selfremaster.core.interfaces import Metric
from selfremaster.core.judges import Judge
from selfremaster.core.models import Model
from selfremaster.registry.building import build
from selfremaster.registry.criteria import restored

TRUTH = {"distillmos": "DistillMOS", "mel-l1": "mel-l1"}
"""Metrics that are taken with the truth at hand, each with one number of its own name; in words."""
RISING = frozenset({"distillmos"})
MOMENTS = ("before", "kept", "best", "last")


class Pair(NamedTuple):
    """A damaged recording and its original, (samples,), at one rate."""

    damaged: Tensor
    clean: Tensor


class Witness(Judge):
    """Lets a criterion judge, and writes down beside it what only the originals can tell."""

    def __init__(self, judge: Judge, pairs: Sequence[Pair]) -> None:
        self.judge = judge
        self.pairs = pairs
        self.metrics: dict[str, Metric] = {name: build("metric", name) for name in TRUTH}

    def __call__(self, model: Model, losses: Mapping[str, float]) -> Mapping[str, float]:
        """The numbers of the criterion, and the truth."""
        numbers = dict(self.judge(model, losses))
        heard = [(restored(model, pair.damaged), pair.clean) for pair in self.pairs]
        for name, metric in self.metrics.items():
            numbers[f"true {name}"] = statistics.fmean(
                metric.compute(wave, model.sample_rate, clean)[name] for wave, clean in heard
            )
        return numbers

    def state(self) -> Mapping[str, Any]:
        """That of the criterion."""
        return self.judge.state()

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.judge.load(state)


class Moments(BaseModel):
    """One adaptation: what the criterion and the truth said, at each moment."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="constants"
    )

    condition: str
    speaker: str
    minutes: float  # of speech
    kept: int  # step
    course: tuple[dict[str, float], ...]  # with ``step``

    def numbers(self, name: str) -> list[float]:
        """The true number before, at the moment that was kept, at the best of all, and at last.

        >>> course = [{"step": step, "true mel-l1": step / 10} for step in (3, 1, 2)]
        >>> told = Moments(condition="clip", speaker="a", minutes=1, kept=2, course=course)
        >>> told.numbers("mel-l1")
        [0.3, 0.2, 0.1, 0.2]
        """
        by_step = {int(moment["step"]): moment[f"true {name}"] for moment in self.course}
        values = list(by_step.values())
        best = max(values) if name in RISING else min(values)
        return [values[0], by_step[self.kept], best, values[-1]]

    def row(self) -> list[str]:
        """The run as a row of the table."""
        last = int(self.course[-1]["step"])
        cells = [self.condition, self.speaker, f"{self.minutes:.1f}", f"{self.kept} of {last}"]
        for name in TRUTH:
            digits = 2 if name in RISING else 3
            cells += [f"{number:.{digits}f}" for number in self.numbers(name)]
        return cells


HEADING = (
    "condition",
    "speaker",
    "minutes",
    "kept step",
    *(f"{words} {moment}" for words in TRUTH.values() for moment in MOMENTS),
)


def summary(found: Sequence[Moments]) -> str:
    """How often what was kept is better or worse than the model as it was, by the truth."""
    gains = [kept - before for before, kept, _, _ in (one.numbers("distillmos") for one in found)]
    missed = [best - kept for _, kept, best, _ in (one.numbers("distillmos") for one in found)]
    fell = [last - before for before, _, _, last in (one.numbers("distillmos") for one in found)]
    changed = [gain for gain, one in zip(gains, found, strict=True) if one.kept]
    return (
        f"{len(found)} runs; something was kept in {len(changed)}, of which "
        f"{sum(gain > 0 for gain in changed)} are better than the model as it was and "
        f"{sum(gain < 0 for gain in changed)} worse by DistillMOS (the worst by "
        f"{max(0.0, -min(gains)):.2f}); mean gain {statistics.fmean(gains):+.3f}, short of the "
        f"best moment by {statistics.fmean(missed):.3f} on average and {max(missed):.2f} at most; "
        f"the last moment would have gained {statistics.fmean(fell):+.3f}, {min(fell):+.2f} at "
        "worst."
    )


def read_moments(place: Path) -> Moments:
    """What came of a run; raises `ExperimentError` for what is none of that."""
    try:
        return Moments.model_validate_json(place.read_bytes())
    except ValidationError:
        raise ExperimentError(f"{place}: is damaged; remove it to do the run again") from None
