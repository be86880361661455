"""How well listeners agree: each one's answers beside the means of all others."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from selfremaster.benchmarks.listening.answers import Rating

Cell: TypeAlias = tuple[str, str, str]  # system, the other side of a vote, condition


def agreements(ratings: Sequence[Rating]) -> dict[str, float]:
    """Pearson's correlation of each listener's answers with the means of all other listeners.

    Means are those of the same system in the same condition (and against the same other, for
    votes); checks and repeats do not count. It is 0 for one who always answers the same, and for
    one whose systems nobody else heard.

    >>> told = [Rating(who, 1, 0, "rated", None, "system", name, "", "s", "", "", value, 1, 1.0)
    ...         for who, a, b in (("anna", 1.0, 4.0), ("ben", 2.0, 3.0), ("carl", 5.0, 1.0))
    ...         for name, value in (("a", a), ("b", b))]
    >>> {who: round(found, 3) for who, found in agreements(told).items()}
    {'anna': -1.0, 'ben': -1.0, 'carl': -1.0}
    """
    rated = [one for one in ratings if one.role == "rated"]
    totals: dict[Cell, tuple[float, int]] = {}
    owns: dict[str, dict[Cell, tuple[float, int]]] = {}
    for one in rated:
        for sums in (totals, owns.setdefault(one.listener, {})):
            value, count = sums.get(_cell(one), (0.0, 0))
            sums[_cell(one)] = (value + one.value, count + 1)
    answers: dict[str, tuple[list[float], list[float]]] = {who: ([], []) for who in owns}
    for one in rated:
        (total, every), (own, count) = totals[_cell(one)], owns[one.listener][_cell(one)]
        if every > count:
            given, expected = answers[one.listener]
            given.append(one.value)
            expected.append((total - own) / (every - count))
    return {who: _correlation(*pair) for who, pair in answers.items()}


def _cell(rating: Rating) -> Cell:
    return rating.label, rating.against, rating.condition


def _correlation(given: Sequence[float], expected: Sequence[float]) -> float:
    if not given or np.ptp(given) == 0 or np.ptp(expected) == 0:
        return 0.0
    return float(np.corrcoef(given, expected)[0, 1])
