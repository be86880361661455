"""The promises that every part of a kind keeps, ours or a stranger's, as functions to call.

`check` runs all promises of a kind on a list of hard inputs and raises what is broken; `run` gives
the results one by one. Each promise is a function of the part and plain inputs, such as
``degradations.keeps_silence(part, wave, seed)``: tests can call it with inputs of their own.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from selfremaster.core.components import KINDS, hint
from selfremaster.core.diaries import at_work
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import BASES, Features
from selfremaster.core.promises import (
    common,
    degradations,
    features,
    losses,
    metrics,
    modules,
    objectives,
    restorers,
)
from selfremaster.core.promises.inputs import RATE_HZ
from selfremaster.core.promises.judging import Inputs, Promise, PromiseResult, judge

__all__ = ["PROMISES", "Context", "PromiseResult", "cases", "check", "promises_of", "run"]


@dataclass(frozen=True)
class Context:
    """What some kinds are tried with, where it is known.

    ``features`` is the object that a vocoder was built for; ``speech`` (samples,) at
    ``sample_rate`` Hz is real speech to try metrics on.
    """

    features: Features | None = None
    speech: Tensor | None = None
    sample_rate: int = RATE_HZ


PROMISES: Mapping[str, tuple[Promise, ...]] = {
    "features": features.PROMISES,
    "analyzer": modules.ANALYZER_PROMISES,
    "vocoder": modules.VOCODER_PROMISES,
    "channel": modules.CHANNEL_PROMISES,
    "degradation": degradations.PROMISES,
    "loss": losses.PROMISES,
    "objective": objectives.PROMISES,
    "metric": metrics.PROMISES,
    "restorer": restorers.PROMISES,
}
"""The promises of each kind; those in `common` come before them."""

_CASES: Mapping[str, Callable[[Any, Context], Iterator[tuple[str, dict[str, Any]]]]] = {
    "features": features.cases,
    "analyzer": modules.analyzer_cases,
    "vocoder": modules.vocoder_cases,
    "channel": modules.channel_cases,
    "degradation": degradations.cases,
    "loss": losses.cases,
    "objective": objectives.cases,
    "metric": metrics.cases,
    "restorer": restorers.cases,
}


def promises_of(kind: str) -> tuple[Promise, ...]:
    """Every promise of a kind; raises `ComponentError` when there is no such kind."""
    if kind not in KINDS:
        raise ComponentError(f"no kind of part named {kind!r}{hint(str(kind), KINDS)}")
    return (*common.PROMISES, *PROMISES[kind])


def cases(kind: str, part: Any, context: Context | None = None) -> list[tuple[str, Inputs]]:
    """The inputs on which `check` tries a part of this kind, by name."""
    promises_of(kind)
    return list(_CASES[kind](part, context or Context()))


def run(kind: str, part: Any, context: Context | None = None) -> list[PromiseResult]:
    """Try every promise of the kind; a broken one is told with the first input that broke it.

    Raises `ComponentError` when there is no such kind, or the part is not of it.
    """
    promises = promises_of(kind)
    if not isinstance(part, BASES[kind]):
        raise ComponentError(
            f"{type(part).__name__} is no {kind}; derive it from "
            f"selfremaster.core.interfaces.{BASES[kind].__name__}"
        )
    with torch.random.fork_rng(devices=[]):  # parts that use the global generator harm nobody else
        tried = cases(kind, part, context)
        results = []
        for promise in promises:
            with at_work(f"{kind} {type(part).__name__}"):
                results.append(judge(part, promise, tried))
        return results


def check(kind: str, part: Any, context: Context | None = None) -> None:
    """Raise `ComponentError` naming every promise that the part breaks, and on which input."""
    results = run(kind, part, context)
    broken = [result for result in results if not result.kept]
    if broken:
        told = "; ".join(
            f"{result.promise} on {result.input}: {result.reason}" for result in broken
        )
        raise ComponentError(
            f"{kind} {type(part).__name__} breaks {len(broken)} of {len(results)} promises: {told}"
        )
