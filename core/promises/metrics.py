"""What metrics promise."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Metric
from selfremaster.core.promises.inputs import RATE_HZ, noise, speech_like
from selfremaster.core.promises.judging import demand, untouched


def _damaged(clean: Tensor) -> Tensor:
    """Speech as bad as any: clipped hard, in noise at 0 dB, without its heights."""
    peak = clean.abs().max()
    loud = clean.clamp(-0.2 * peak, 0.2 * peak)
    rough = loud + noise(1, clean.shape[-1], seed=8, level=float(loud.square().mean().sqrt()))[0]
    return torch.nn.functional.avg_pool1d(rough[None, None], 9, 1, 4, count_include_pad=True)[0, 0]


def names_its_numbers(part: Metric, clean: Tensor, sample_rate: int) -> None:
    """Gives exactly the numbers that ``directions`` lists, and leaves the waves alone."""
    damaged = _damaged(clean)
    with untouched(clean, damaged):
        numbers = part.compute(damaged, sample_rate, clean)
    demand(part.directions, "directions is empty: say which numbers there are")
    bad = sorted(set(part.directions.values()) - {"higher", "lower"})
    demand(not bad, f"directions {bad} are neither 'higher' nor 'lower'")
    demand(
        numbers.keys() == part.directions.keys(),
        f"gives {sorted(numbers)}, while directions lists {sorted(part.directions)}",
    )
    for name, number in numbers.items():
        demand(isinstance(number, float), f"{name} is a {type(number).__name__}, not a float")


def counts_the_same_twice(part: Metric, clean: Tensor, sample_rate: int) -> None:
    """Gives the same numbers for the same waves."""
    damaged = _damaged(clean)
    first, second = (part.compute(damaged, sample_rate, clean) for _ in range(2))
    for name, number in first.items():
        same = number == second[name] or (math.isnan(number) and math.isnan(second[name]))
        demand(same, f"{name} is {number}, then {second[name]}")


def prefers_the_better(part: Metric, clean: Tensor, sample_rate: int) -> None:
    """Finds the clean wave better than a damaged one, if it is told the clean one."""
    if not part.needs_reference:
        return
    perfect = part.compute(clean.clone(), sample_rate, clean)
    worse = part.compute(_damaged(clean), sample_rate, clean)
    for name, direction in part.directions.items():
        demand(not math.isnan(perfect[name]), f"{name} of a perfect wave is not a number")
        better = (
            perfect[name] > worse[name] if direction == "higher" else perfect[name] < worse[name]
        )
        demand(
            better or math.isnan(worse[name]),
            f"{name} ({direction} is better) is {perfect[name]:.4g} for the clean wave, "
            f"{worse[name]:.4g} for a damaged one",
        )


def cuts_to_the_shorter(part: Metric, clean: Tensor, sample_rate: int) -> None:
    """Hears nothing of an estimate beyond the end of its reference."""
    if not part.needs_reference:
        return
    damaged = _damaged(clean)
    exact = part.compute(damaged, sample_rate, clean)
    longer = part.compute(torch.cat([damaged, damaged[:5000]]), sample_rate, clean)
    for name, number in exact.items():
        same = math.isclose(number, longer[name], rel_tol=1e-4, abs_tol=1e-6)
        demand(same, f"{name} is {number:.4g}, or {longer[name]:.4g} for a longer estimate")


def asks_for_its_reference(part: Metric, clean: Tensor, sample_rate: int) -> None:
    """Without a reference, gives numbers or raises `ComponentError`, as it says."""
    try:
        part.compute(clean, sample_rate)
    except ComponentError:
        demand(part.needs_reference, "raises without a reference; say needs_reference = True")
        return
    demand(not part.needs_reference, "says needs_reference = True, and takes none without a word")


def cases(part: Metric, context: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Two seconds of speech, or of something like it."""
    del part
    if context.speech is not None:
        yield "speech", {"clean": context.speech, "sample_rate": context.sample_rate}
        return
    clean = speech_like(2 * RATE_HZ)[0]
    yield "something like speech", {"clean": clean, "sample_rate": RATE_HZ}


PROMISES = (
    names_its_numbers,
    counts_the_same_twice,
    prefers_the_better,
    cuts_to_the_shorter,
    asks_for_its_reference,
)
