"""A metric whose numbers, ideal or policy are not what it says is found out, and told how."""

# ruff: noqa: D102, RUF012  # the broken parts are written as a stranger would write them

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Metric, Policy
from selfremaster.core.promises import Context, run
from selfremaster.core.promises.inputs import speech_like

RATE = 16000


class Distance(Metric):
    """Mean magnitude of the difference: it keeps every promise."""

    directions = {"error": "lower"}
    ideal = {"error": 0.0}

    def measure(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> float:
        del sample_rate
        return float((estimate - reference).abs().mean())

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        if reference is None:
            raise ComponentError("compares with the clean original; give reference")
        samples = min(len(estimate), len(reference))
        return {"error": self.measure(estimate[:samples], reference[:samples], sample_rate)}


class Boastful(Distance):
    """Says that its numbers are better than they are, and lists one that it does not give."""

    ideal = {"error": -1.0}


class Dreaming(Distance):
    """Has an ideal for a number that it does not give."""

    ideal = {"error": 0.0, "beauty": 1.0}


class Deaf(Distance):
    """Says that gain and lag have no influence; they have."""

    policy = Policy(gain="removed", lag="removed")


class Careful(Distance):
    """Compares nothing but the shapes of the mean spectra, and says that gain and lag count."""

    def measure(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> float:
        del sample_rate
        shapes = []
        for wave in (estimate, reference):
            spectrum = torch.fft.rfft(wave.double()).abs()[:4000].reshape(40, -1).mean(dim=-1)
            shapes.append(spectrum / spectrum.mean())
        return float((shapes[0] - shapes[1]).abs().mean())


class Undecided(Distance):
    """Has a policy of words that mean nothing."""

    policy = Policy(rate_hz=0, gain="perhaps")  # type: ignore[arg-type]  # on purpose


class Talkative(Distance):
    """Has a sentence for a policy."""

    policy: Any = "takes out nothing"


class Narrow(Distance):
    """Knows no rate but its own."""

    def measure(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> float:
        return super().measure(estimate, reference, sample_rate) if sample_rate == RATE else 1 / 0


class Alone(Metric):
    """Says that lag counts, with nothing to be late for."""

    directions = {"level": "higher"}
    needs_reference = False

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        return {"level": float(estimate.square().mean())}


class Silent(Distance):
    """Has no number for anything: gain and lag have nothing to change."""

    ideal = {}

    def measure(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> float:
        return math.nan


def broken(part: Metric) -> dict[str, str]:
    context = Context(speech=speech_like(2 * RATE, sample_rate=RATE)[0], sample_rate=RATE)
    return {
        result.promise: result.reason for result in run("metric", part, context) if not result.kept
    }


def test_a_metric_that_does_what_it_says_breaks_nothing() -> None:
    assert broken(Distance(ComponentConfig())) == {}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Boastful, {"scores_its_ideal": "error of a wave with itself is 0; ideal says -1"}),
        (Dreaming, {"scores_its_ideal": "ideal lists ['beauty'], which directions does not"}),
        (
            Deaf,
            {
                "hears_gain_as_it_says": "policy says that gain is removed; half as loud, error "
                "goes from",
                "hears_lag_as_it_says": "policy says that lag is removed; 40 ms late, error goes",
            },
        ),
        (
            Careful,
            {
                "hears_gain_as_it_says": "policy says that gain counts; half as loud, error stays",
                "hears_lag_as_it_says": "policy says that lag counts; 40 ms late, error stays at 0",
            },
        ),
        (Narrow, {"takes_any_rate": "raises ZeroDivisionError"}),
        (Alone, {"hears_lag_as_it_says": "policy says that lag counts, without a reference"}),
        (Silent, {"prefers_the_better": "error of a perfect wave is not a number"}),
    ],
)
def test_a_metric_that_does_not_is_told_in_words(part: type[Metric], words: dict[str, str]) -> None:
    found = broken(part(ComponentConfig()))
    assert found.keys() == words.keys()
    for promise, said in words.items():
        assert said in found[promise]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Undecided, "policy: rate_hz=0; give a rate in Hz, or None"),
        (Talkative, "policy is a str; give a selfremaster.core.interfaces.Policy"),
    ],
)
def test_a_policy_that_is_none_is_told_first(part: type[Metric], words: str) -> None:
    found = broken(part(ComponentConfig()))
    assert found["states_its_policy"] == words


def test_a_policy_is_told_in_words() -> None:
    assert str(Policy()) == "at the rate of the waves; gain counts; lag counts"
