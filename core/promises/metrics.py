"""What metrics promise."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.levels import resample
from selfremaster.core.promises.inputs import noise
from selfremaster.core.promises.judging import demand, untouched

SPEECH_SECONDS = 2.4
QUIETER = 0.5
LATE_SECONDS = 0.04
# of the way from the clean wave's number to the damaged one's: less is no influence
GAIN_PART, LAG_PART = 0.02, 0.25
IDEAL_TOLERANCE = 1e-3
LEAST_MOVE = 1e-6
RATES_HZ = (8000, 48000)


def _damaged(clean: Tensor) -> Tensor:
    """Speech as bad as any: clipped hard, in noise at 0 dB, without its heights."""
    peak = clean.abs().max()
    loud = clean.clamp(-0.2 * peak, 0.2 * peak)
    rough = loud + noise(1, clean.shape[-1], seed=8, level=float(loud.square().mean().sqrt()))[0]
    return torch.nn.functional.avg_pool1d(rough[None, None], 9, 1, 4, count_include_pad=True)[0, 0]


def _both_nan(first: float, second: float) -> bool:
    return math.isnan(first) and math.isnan(second)


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
        same = number == second[name] or _both_nan(number, second[name])
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
        same = same or _both_nan(number, longer[name])
        demand(same, f"{name} is {number:.4g}, or {longer[name]:.4g} for a longer estimate")


def asks_for_its_reference(part: Metric, clean: Tensor, sample_rate: int) -> None:
    """Without a reference, gives numbers or raises `ComponentError`, as it says."""
    try:
        part.compute(clean, sample_rate)
    except ComponentError:
        demand(part.needs_reference, "raises without a reference; say needs_reference = True")
        return
    demand(not part.needs_reference, "says needs_reference = True, and takes none without a word")


def scores_its_ideal(part: Metric, clean: Tensor, sample_rate: int) -> None:
    """Gives a wave that is its own reference the numbers that ``ideal`` lists."""
    strangers = sorted(part.ideal.keys() - part.directions.keys())
    demand(not strangers, f"ideal lists {strangers}, which directions does not")
    if not part.ideal:
        return
    perfect = part.compute(clean.clone(), sample_rate, clean)
    for name, ideal in part.ideal.items():
        demand(
            math.isclose(perfect[name], ideal, rel_tol=IDEAL_TOLERANCE, abs_tol=IDEAL_TOLERANCE),
            f"{name} of a wave with itself is {perfect[name]:.4g}; ideal says {ideal:.4g}",
        )


def states_its_policy(part: Metric) -> None:
    """Says in ``policy`` what it does about rate, gain and lag, and who measures."""
    demand(
        isinstance(part.policy, Policy),
        f"policy is a {type(part.policy).__name__}; give a selfremaster.core.interfaces.Policy",
    )
    rate_hz, *answers = part.policy
    demand(rate_hz is None or rate_hz > 0, f"policy: rate_hz={rate_hz}; give a rate in Hz, or None")
    bad = sorted(set(map(str, answers)) - {"removed", "counts"})
    demand(not bad, f"policy says {bad}; gain and lag are 'removed' or 'counts'")
    wrong = [name for name in part.packages if not isinstance(name, str)]
    demand(not wrong and not isinstance(part.packages, str), "packages is no tuple of names")


def hears_gain_as_it_says(part: Metric, clean: Tensor, sample_rate: int) -> None:
    """Gives an estimate half as loud the same numbers, if ``policy`` says so, or else others."""
    wave = _damaged(clean)
    perfect, before, after = (
        part.compute(given, sample_rate, clean) for given in (clean.clone(), wave, QUIETER * wave)
    )
    moves = _moves(before, after, _spans(perfect, before), GAIN_PART)
    _judge(part.policy.gain, "gain", "half as loud", moves, _told(before, after))


def hears_lag_as_it_says(part: Metric, clean: Tensor, sample_rate: int) -> None:
    """Gives an estimate 40 ms late the same numbers, if ``policy`` says so, or else others.

    Without a reference nothing is late: such a metric says that lag is removed.
    """
    if not part.needs_reference:
        demand(part.policy.lag == "removed", "policy says that lag counts, without a reference")
        return
    late_samples = round(LATE_SECONDS * sample_rate)
    rest = clean.new_zeros(2 * late_samples)  # so that nothing said is cut off
    whole = torch.cat([clean, rest])
    late = torch.cat([rest[:late_samples], clean, rest[late_samples:]])
    before, damaged, after = (
        part.compute(wave, sample_rate, whole) for wave in (whole.clone(), _damaged(whole), late)
    )
    moves = _moves(before, after, _spans(before, damaged), LAG_PART)
    _judge(part.policy.lag, "lag", "40 ms late", moves, _told(before, after))


def _spans(clean: dict[str, float], damaged: dict[str, float]) -> dict[str, float]:
    """How far the numbers of the clean wave and of a damaged one are apart."""
    return {name: abs(number - damaged[name]) for name, number in clean.items()}


def _moves(
    before: dict[str, float], after: dict[str, float], spans: dict[str, float], part: float
) -> list[str]:
    """Which numbers are not the same; those that are none have nothing to say."""
    return [
        f"{name} goes from {number:.4g} to {after[name]:.4g}"
        for name, number in before.items()
        if math.isfinite(spans[name])
        and abs(number - after[name]) > max(part * spans[name], LEAST_MOVE)
    ]


def _told(before: dict[str, float], after: dict[str, float]) -> list[str]:
    return [
        f"{name} stays at {number:.4g}"
        for name, number in before.items()
        if math.isfinite(number) and math.isfinite(after[name])
    ]


def _judge(said: str, what: str, change: str, moves: list[str], told: list[str]) -> None:
    if said == "removed":
        demand(not moves, f"policy says that {what} is removed; {change}, {', '.join(moves)}")
    elif told:
        demand(moves, f"policy says that {what} counts; {change}, {', '.join(told)}")


def takes_any_rate(part: Metric, clean: Tensor, sample_rate: int) -> None:
    """Gives numbers at the rates of recordings, 8000 to 48000 Hz."""
    for rate_hz in RATES_HZ:
        wave = resample(clean, sample_rate, rate_hz)
        numbers = part.compute(_damaged(wave), rate_hz, wave)
        demand(numbers.keys() == part.directions.keys(), f"gives {sorted(numbers)} at {rate_hz} Hz")
        infinite = [name for name, number in numbers.items() if math.isinf(number)]
        demand(not infinite, f"gives infinite {', '.join(infinite)} at {rate_hz} Hz")


def cases(part: Metric, context: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Some seconds of speech: what is given, or the toolkit's own."""
    del part
    if context.speech is not None:
        yield "speech", {"clean": context.speech, "sample_rate": context.sample_rate}
        return
    from selfremaster.core.gallery import example_speech  # has pictures with it, which take time

    wave, sample_rate = example_speech()
    clean = wave[: round(SPEECH_SECONDS * sample_rate)]
    yield "the toolkit's own speech", {"clean": clean, "sample_rate": sample_rate}


PROMISES = (
    states_its_policy,
    names_its_numbers,
    counts_the_same_twice,
    prefers_the_better,
    scores_its_ideal,
    hears_gain_as_it_says,
    hears_lag_as_it_says,
    cuts_to_the_shorter,
    takes_any_rate,
    asks_for_its_reference,
)
