"""What listeners' answers add up to: opinions with intervals, preferences with p-values."""

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from selfremaster.benchmarks.listening.answers import Rating
from selfremaster.benchmarks.statistics import LEVEL, holm

ROUNDED_TO = 9  # decimals, beyond which gains are the same
EXACT_TO = 100  # gains

Floats = NDArray[np.float64]


class Opinion(NamedTuple):
    """The mean of ratings, and where it would lie were other listeners and sentences drawn."""

    label: str
    mean: float
    low: float | None  # none from one listener
    high: float | None
    median: float
    lower_quartile: float
    upper_quartile: float
    n: int
    listeners: int
    sentences: int


class Comparison(NamedTuple):
    """Two systems, by how much listeners' own means differ."""

    first: str
    second: str
    difference: float  # first minus second
    listeners: int
    p: float
    adjusted: float  # by Holm, for all that was compared with it


class Preference(NamedTuple):
    """What was chosen between two systems."""

    first: str
    second: str
    chose_first: int
    neither: int
    chose_second: int
    listeners: int
    share: Opinion  # of the first, neither counted half
    p: float  # exact binomial (sign) test of those who chose
    adjusted: float
    p_listeners: float  # signed-rank test of listeners' own shares
    adjusted_listeners: float

    @property
    def n(self) -> int:
        """All answers."""
        return self.chose_first + self.neither + self.chose_second


def opinion(label: str, ratings: Sequence[Rating]) -> Opinion:
    """The mean of ratings with its 95 % interval.

    Ratings of one listener belong together, and so do ratings of one sentence: the variance is that
    of both clusterings together (Cameron, Gelbach and Miller, Robust inference with multiway
    clustering, 2011, section 2, never less than that of one of them), the quantile Student's t
    of the fewer clusters less one.

    >>> two = [Rating(name, 1, 0, "rated", None, "system", "a", "", "s", "", "", value, 1, 1.0)
    ...        for name, value in (("anna", 4.0), ("ben", 2.0))]
    >>> opinion("a", two)[:3]
    ('a', 3.0, -9.706204736174694)
    """
    values = np.array([rating.value for rating in ratings])
    listeners = [rating.listener for rating in ratings]
    sentences = [rating.sentence for rating in ratings]
    mean = float(values.mean())
    half = half_width(values, listeners, sentences)
    lower, middle, upper = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    return Opinion(
        label,
        mean,
        None if half is None else mean - half,
        None if half is None else mean + half,
        middle,
        lower,
        upper,
        len(values),
        len(set(listeners)),
        len(set(sentences)),
    )


def half_width(
    values: Floats, listeners: Sequence[Hashable], sentences: Sequence[Hashable]
) -> float | None:
    """Half the width of a mean's interval; none for one listener alone."""
    people, texts = len(set(listeners)), len(set(sentences))
    if people < 2:
        return None
    by_listener = _cluster_variance(values, listeners)
    if texts < 2:
        return float(stats.t.ppf((1 + LEVEL) / 2, people - 1)) * math.sqrt(by_listener)
    by_sentence = _cluster_variance(values, sentences)
    by_both = _cluster_variance(values, list(zip(listeners, sentences, strict=True)))
    variance = max(by_listener + by_sentence - by_both, by_listener, by_sentence)
    return float(stats.t.ppf((1 + LEVEL) / 2, min(people, texts) - 1)) * math.sqrt(variance)


def _cluster_variance(values: Floats, clusters: Sequence[Hashable]) -> float:
    """The variance of a mean whose numbers belong together by cluster."""
    places: dict[Hashable, int] = {}
    index = [places.setdefault(cluster, len(places)) for cluster in clusters]
    sums = np.bincount(index, weights=values - values.mean())
    return float((sums**2).sum() / len(values) ** 2 * len(sums) / (len(sums) - 1))


def opinions(ratings: Sequence[Rating], labels: Sequence[str]) -> list[Opinion]:
    """The opinion of each label that was rated, in their order."""
    found = {label: [one for one in ratings if one.label == label] for label in labels}
    return [opinion(label, own) for label, own in found.items() if own]


def comparisons(ratings: Sequence[Rating], labels: Sequence[str]) -> list[Comparison]:
    """Every pair of labels: listeners' own means, by Wilcoxon's signed-rank test, and Holm."""
    means = {label: _means_by_listener(ratings, label) for label in labels}
    found: list[Comparison] = []
    for first, second in itertools.combinations(labels, 2):
        both = [name for name in means[first] if name in means[second]]
        if both:
            gains = np.array([means[first][name] - means[second][name] for name in both])
            p = signed_rank(gains)
            found.append(Comparison(first, second, float(gains.mean()), len(both), p, p))
    adjusted = holm([one.p for one in found])
    return [one._replace(adjusted=p) for one, p in zip(found, adjusted, strict=True)]


def _means_by_listener(ratings: Sequence[Rating], label: str) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for rating in ratings:
        if rating.label == label:
            values.setdefault(rating.listener, []).append(rating.value)
    return {name: float(np.mean(own)) for name, own in values.items()}


def signed_rank(gains: Floats) -> float:
    """The two-sided p-value of Wilcoxon's signed-rank test; 1 where nothing differs.

    Zeros are left out and ties share their ranks. The distribution is exact, also with ties, for
    up to 100 gains, and the normal one beyond.

    >>> signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    0.0625
    """
    told = np.round(gains, ROUNDED_TO)
    told = told[told != 0]
    if not len(told):
        return 1.0
    if len(told) > EXACT_TO:
        return float(stats.wilcoxon(told, method="asymptotic").pvalue)
    doubled = np.round(2 * stats.rankdata(np.abs(told))).astype(int)  # whole also when shared
    chances = np.ones(1)  # of each sum of the doubled ranks of positive gains
    for rank in doubled:
        lengthened = np.zeros(len(chances) + rank)
        lengthened[: len(chances)] += chances / 2
        lengthened[rank:] += chances / 2
        chances = lengthened
    observed = int(doubled[told > 0].sum())
    lower, upper = chances[: observed + 1].sum(), chances[observed:].sum()
    return float(min(1.0, 2 * min(lower, upper)))


def preferences(ratings: Sequence[Rating], labels: Sequence[str]) -> list[Preference]:
    """What was chosen in each pair, with an exact sign test, and Holm over the pairs."""
    found = []
    for first, second in itertools.combinations(labels, 2):
        own = [one for one in ratings if (one.label, one.against) == (first, second)]
        if not own:
            continue
        wins, losses = (sum(one.value == share for one in own) for share in (1, 0))
        p = float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
        net = np.array(list(_means_by_listener(own, first).values())) - 0.5
        by_listener = signed_rank(net)
        found.append(
            Preference(
                first,
                second,
                wins,
                len(own) - wins - losses,
                losses,
                len(net),
                opinion(first, own),
                p,
                p,
                by_listener,
                by_listener,
            )
        )
    adjusted = holm([one.p for one in found])
    of_listeners = holm([one.p_listeners for one in found])
    return [
        one._replace(adjusted=p, adjusted_listeners=q)
        for one, p, q in zip(found, adjusted, of_listeners, strict=True)
    ]
