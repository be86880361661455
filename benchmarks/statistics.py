"""How sure a mean is, and whether two restorers differ: bootstrap, paired test, correction."""

import math
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
SIGNIFICANT = 0.05
FEWEST = 5  # units: an interval from fewer says nothing
SPEAKERS = 5  # from so many speakers on, they are what is drawn anew, not files
EXACT = 14  # units: up to so many, every pattern of signs is tried
MANY = 400  # units: beyond them, the sum of random signs is as good as normal
DRAWN = 10_000  # resamples or patterns of signs, where not all are tried
DRAWN_TOGETHER = 4_000_000  # numbers drawn for one table of resamples, at most
FEWEST_DRAWN = 2_000
ROUNDING = 1e-9  # sums that differ by less are the same

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A mean, between what and what it would lie were other files (or speakers) drawn, and n."""

    mean: float
    low: float | None  # none where there are too few
    high: float | None
    n: int  # numbers
    units: int  # files or speakers that they are of


class Difference(NamedTuple):
    """How one restorer stands to the baseline, pair by pair; above 0 is better, whatever is told.

    ``adjusted`` is the p-value after Holm's correction for all that was tested with it.
    """

    mean: float
    median: float
    better: float  # share of the pairs, those that are alike counted half
    n: int  # pairs
    units: int
    p: float
    adjusted: float

    @property
    def verdict(self) -> Literal["better", "worse", ""]:
        """Whether the difference is more than chance, and which way."""
        if self.adjusted >= SIGNIFICANT or self.mean == 0:
            return ""
        return "better" if self.mean > 0 else "worse"


def interval(
    numbers: Sequence[float], units: Sequence[Hashable] | None = None, seed: int = 0
) -> Interval | None:
    """The mean with its 95 % interval by the bootstrap; none without numbers.

    ``units`` says what each number belongs to (a file, a speaker): those are drawn anew, with all
    their numbers. The quantiles of the percentile bootstrap are moved outwards as Student's t says,
    without which intervals of few units are too narrow (Hesterberg, What teachers should know about
    the bootstrap, 2015, equation 8). Fewer than 5 units give the mean alone.

    >>> interval([2.0, 3.0, 4.0])
    Interval(mean=3.0, low=None, high=None, n=3, units=3)
    """
    if not len(numbers):
        return None
    values = np.asarray(numbers, dtype=np.float64)
    sums, counts = _by_unit(values, range(len(values)) if units is None else units)
    mean = float(sums.sum() / counts.sum())
    if len(sums) < FEWEST:
        return Interval(mean, None, None, len(values), len(sums))
    weights = _resamples(len(sums), seed)
    means = (weights @ sums) / (weights @ counts)
    tail = tail_of(len(sums))
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(mean, float(low), float(high), len(values), len(sums))


def tail_of(units: int) -> float:
    """The share of resampled means that lies outside of each end of an interval.

    >>> round(tail_of(1000), 3), round(tail_of(10), 3)
    (0.025, 0.009)
    """
    spread = stats.t.ppf((1 + LEVEL) / 2, units - 1) * math.sqrt(units / (units - 1))
    return float(stats.norm.sf(spread))


def by_speaker(speakers: Sequence[str]) -> bool:
    """Whether speakers are to be drawn anew, not files: 5 or more, some with several numbers.

    >>> by_speaker(["a", "b", "c", "d", "e", "e"]), by_speaker(["a", "a", "b"])
    (True, False)
    """
    known = set(speakers)
    return "" not in known and SPEAKERS <= len(known) < len(speakers)


def difference(
    gains: Sequence[float], units: Sequence[Hashable] | None = None, seed: int = 0
) -> Difference | None:
    """Test whether gains (better minus, worse plus by the baseline's own score) are chance.

    The test is the paired permutation test of the mean: were there no difference, each unit's gain
    could as well have the other sign. All patterns of signs are tried for up to 14 units, 10,000
    drawn ones for more, and their normal limit is taken beyond 400. Ties and zeros need no special
    care. None without pairs; ``adjusted`` is p until `holm` says otherwise.

    >>> difference([1.0, 2.0, 3.0, 1.0, 2.0])
    Difference(mean=1.8, median=2.0, better=1.0, n=5, units=5, p=0.0625, adjusted=0.0625)
    """
    if not len(gains):
        return None
    values = np.asarray(gains, dtype=np.float64)
    sums, _ = _by_unit(values, range(len(values)) if units is None else units)
    p = sign_test(sums, seed)
    better = float((values > 0).mean() + (values == 0).mean() / 2)
    mean, median = float(values.mean()), float(np.median(values))
    return Difference(mean, median, better, len(values), len(sums), p, p)


def sign_test(sums: Floats, seed: int = 0) -> float:
    """The two-sided p-value of a sum, were all signs of its parts chance."""
    observed = abs(float(sums.sum()))
    if len(sums) > MANY:
        spread = float(np.sqrt((sums**2).sum()))
        return float(2 * stats.norm.sf(observed / spread)) if spread else 1.0
    signs = _signs(len(sums), seed)
    slack = ROUNDING * float(np.abs(sums).sum())
    extreme = int((np.abs(signs @ sums) >= observed - slack).sum())
    if len(sums) <= EXACT:
        return extreme / len(signs)
    return (extreme + 1) / (len(signs) + 1)


def smallest_p(units: int) -> float:
    """The smallest p-value that the test can give for so many units.

    >>> smallest_p(6)
    0.03125
    """
    if units > MANY:
        return 0.0
    return 2.0 ** (1 - units) if units <= EXACT else 1 / (DRAWN + 1)


def holm(found: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that hold for all of these tests together.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [1.0] * len(found)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(found)), key=lambda one: found[one])):
        largest = max(largest, min(1.0, found[place] * (len(found) - rank)))
        adjusted[place] = largest
    return adjusted


def _by_unit(values: Floats, units: Sequence[Hashable]) -> tuple[Floats, Floats]:
    """Sum and count of the numbers of each unit, in the order of their first."""
    places: dict[Hashable, int] = {}
    index = [places.setdefault(unit, len(places)) for unit in units]
    sums, counts = np.zeros(len(places)), np.zeros(len(places))
    np.add.at(sums, index, values)
    np.add.at(counts, index, 1)
    return sums, counts


@lru_cache(maxsize=4)
def _resamples(units: int, seed: int) -> Floats:
    """How often each unit is drawn, (resamples, units)."""
    count = max(FEWEST_DRAWN, min(DRAWN, DRAWN_TOGETHER // units))
    drawn = np.random.default_rng((seed, units)).multinomial(
        units, np.full(units, 1 / units), count
    )
    return drawn.astype(np.float64)


@lru_cache(maxsize=4)
def _signs(units: int, seed: int) -> Floats:
    """Patterns of signs, (patterns, units): all there are, or as many as are drawn."""
    if units <= EXACT:
        bits = np.arange(2**units)[:, None] >> np.arange(units) & 1
    else:
        bits = np.random.default_rng((seed, units)).integers(0, 2, (DRAWN, units), np.int8)
    return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)
