"""Intervals, tests and corrections: against scipy, by hand, and on data with known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy import stats

from selfremaster.benchmarks import statistics
from selfremaster.benchmarks.statistics import difference, holm, interval, sign_test

numbers = st.lists(st.floats(-100, 100), min_size=1, max_size=12)


@given(found=numbers)
def test_an_interval_holds_the_mean_and_lies_within_the_data(found: list[float]) -> None:
    told = interval(found)
    assert told is not None
    assert told.mean == pytest.approx(np.mean(found), abs=1e-9)
    assert told.n == told.units == len(found)
    if len(found) < 5:
        assert told.low is told.high is None
    else:
        assert told.low is not None
        assert told.high is not None
        assert min(found) - 1e-9 <= told.low <= told.mean + 1e-9
        assert told.mean - 1e-9 <= told.high <= max(found) + 1e-9


def test_an_interval_is_scipys_percentile_bootstrap_at_the_widened_level() -> None:
    found = default_rng(3).gamma(2.0, size=25)
    told = interval(list(found))
    level = 1 - 2 * statistics.tail_of(25)
    theirs = stats.bootstrap(
        (found,),
        np.mean,
        n_resamples=10_000,
        confidence_level=level,
        method="percentile",
        rng=default_rng(4),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert told is not None
    assert told.low == pytest.approx(theirs.low, abs=0.04 * width)
    assert told.high == pytest.approx(theirs.high, abs=0.04 * width)


def test_an_interval_is_the_same_every_time_and_hangs_on_the_seed_alone() -> None:
    found = list(default_rng(5).normal(size=30))
    assert interval(found) == interval(found)
    assert interval(found, seed=1) != interval(found, seed=2)


@pytest.mark.parametrize("units", [6, 20])
def test_intervals_hold_the_truth_95_times_of_100(units: int) -> None:
    chance = default_rng(1)
    held = 0
    for _ in range(1000):
        told = interval(chance.normal(7.0, 2.0, size=units))
        assert told is not None
        assert told.low is not None
        assert told.high is not None
        held += told.low <= 7.0 <= told.high
    assert 0.93 <= held / 1000 <= 0.97


def test_speakers_who_say_much_alike_are_drawn_as_a_whole() -> None:
    chance = default_rng(2)
    clustered = alone = 0
    names = [speaker for speaker in range(12) for _ in range(10)]
    for _ in range(300):
        voices = chance.normal(size=12)
        found = voices[names] + 0.2 * chance.normal(size=120)
        whole, single = interval(found, names), interval(found)
        assert whole is not None
        assert single is not None
        clustered += whole.low <= 0 <= whole.high  # type: ignore[operator]  # there are 12
        alone += single.low <= 0 <= single.high  # type: ignore[operator]  # there are 120
    assert clustered / 300 > 0.9
    assert alone / 300 < 0.6


def test_units_of_unequal_size_give_the_mean_of_all_numbers() -> None:
    told = interval([1.0, 1.0, 1.0, 5.0, 2.0, 2.0], ["a", "a", "a", "b", "c", "c"])
    assert told == (2.0, None, None, 6, 3)


def test_no_numbers_have_neither_interval_nor_difference() -> None:
    assert interval([]) is None
    assert difference([]) is None


@given(found=st.lists(st.floats(-10, 10), min_size=2, max_size=9))
def test_the_test_is_scipys_permutation_test_of_pairs(found: list[float]) -> None:
    gains = np.round(found, 3)  # as scipy's own tolerance is smaller
    theirs = stats.permutation_test(
        (gains, np.zeros_like(gains)),
        lambda one, other, axis: np.sum(one - other, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert sign_test(gains) == pytest.approx(theirs.pvalue)


def test_the_test_of_many_is_close_to_wilcoxons_where_both_hold() -> None:
    gains = default_rng(8).normal(0.35, 1.0, size=40)
    assert sign_test(gains) == pytest.approx(stats.wilcoxon(gains).pvalue, abs=0.02)


def test_the_normal_limit_goes_on_where_drawing_ends() -> None:
    chance = default_rng(9)
    gains = chance.normal(0.12, 1.0, size=statistics.MANY)
    drawn = sign_test(gains)
    limit = sign_test(np.append(gains, 0.0))  # one unit more, which says nothing
    assert drawn == pytest.approx(limit, abs=0.005)
    assert 0.001 < limit < 0.2
    assert sign_test(np.zeros(1000)) == 1.0


def test_exact_p_values_by_hand() -> None:
    assert sign_test(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert sign_test(np.array([1.0, -1.0])) == 1.0
    assert sign_test(np.zeros(6)) == 1.0
    assert sign_test(np.array([1.0, 1.0, 0.0])) == 4 / 8  # a zero says nothing, and costs nothing
    assert statistics.smallest_p(6) == sign_test(np.ones(6))
    assert statistics.smallest_p(30) == sign_test(np.ones(30))


@pytest.mark.parametrize("units", [9, 25])
def test_chance_alone_is_called_more_than_chance_5_times_of_100(units: int) -> None:
    chance = default_rng(1)
    wrong = sum(sign_test(chance.normal(size=units)) < 0.05 for _ in range(1000))
    assert 0.03 <= wrong / 1000 <= 0.07


def test_a_difference_says_which_way_how_far_and_how_often() -> None:
    told = difference([0.4, 0.3, 0.0, -0.1, 0.5, 0.4, 0.6, 0.2])
    assert told is not None
    assert told.median == pytest.approx(0.35)
    assert told.better == 6.5 / 8
    assert told.n == 8
    assert told.verdict == "better"
    worse = difference([-1.0] * 8)
    assert worse is not None
    assert worse.verdict == "worse"
    assert worse._replace(adjusted=0.2).verdict == ""
    alike = difference([0.0] * 8)
    assert alike is not None
    assert (alike.p, alike.better, alike.verdict) == (1.0, 0.5, "")


def test_seeds_of_one_file_count_as_one() -> None:
    told = difference([1.0] * 30, ["a", "b", "c"] * 10)
    assert told is not None
    assert (told.n, told.units, told.p) == (30, 3, 0.25)


def test_holm_by_hand_and_in_any_order() -> None:
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@given(found=st.lists(st.floats(0, 1), max_size=20))
def test_holm_keeps_the_order_and_never_helps(found: list[float]) -> None:
    adjusted = holm(found)
    assert all(before <= after <= 1 for before, after in zip(found, adjusted, strict=True))
    ranks = sorted(range(len(found)), key=lambda place: found[place])
    assert [adjusted[place] for place in ranks] == sorted(adjusted)


def test_speakers_are_drawn_where_there_are_five_with_several_numbers() -> None:
    assert statistics.by_speaker(["a", "b", "c", "d", "e", "a"])
    assert not statistics.by_speaker(["a", "b", "c", "d", "e"])
    assert not statistics.by_speaker(["a", "b", "c", "d", "a"])
    assert not statistics.by_speaker(["", "a", "b", "c", "d", "e", "e"])
