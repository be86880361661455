"""Simulated listeners with known answers: means found, intervals that hold, careless ones out."""

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from selfremaster.benchmarks.listening.agreement import agreements
from selfremaster.benchmarks.listening.analysis import Analysis, analyse, as_json
from selfremaster.benchmarks.listening.answers import Rating, Session, ratings_of
from selfremaster.benchmarks.listening.designs import Key
from selfremaster.benchmarks.listening.report import report, results_csv, write_report
from selfremaster.benchmarks.listening.screening import Verdict, screen
from selfremaster.benchmarks.listening.statistics import opinion, preferences, signed_rank
from selfremaster.core.errors import ExperimentError
from tests.listening import answers, made_up, made_up_key, opinion_of, write

SYSTEMS = ("input", "ours", "theirs")
TRUTH = {"input": 2.2, "ours": 3.8, "theirs": 3.0, "reference": 4.6, "noise": 0.8}
POINTS = {"input": 30.0, "ours": 75, "theirs": 55, "reference": 99, "anchor 3500 Hz": 20}
PREFERRED = {**TRUTH, "reference": 6.0, "noise": -3.0}
TRUTHS = {
    "mos": TRUTH,
    "smos": {**TRUTH, "reference": 5.0},
    "preference": PREFERRED,
    "mushra": POINTS,
}
RATED_ONE = ("mos", "smos", "preference")


def key_of(test: str, **settings: Any) -> Key:
    settings = {"listeners": 12, **settings}
    return made_up_key(made_up(SYSTEMS, 24), test=test, **settings)


def listened(
    folder: Path, key: Key, truth: dict[str, float], *, noise: float, bias: float, seed: int = 0
) -> list[dict[str, Any]]:
    """Everybody listens as well as they can."""
    random = Random(seed)
    return [
        answers(key, f"good {number}", number, opinion_of(truth, random, noise, bias))
        for number in range(1, len(key.playlists) + 1)
    ]


def expected(truth: float, spread: float) -> float:
    """The mean of marks on a scale of 1 to 5, of thoughts spread about what is true."""
    edges = stats.norm.cdf(np.array([1.5, 2.5, 3.5, 4.5]), truth, spread)
    return float(1 + (1 - edges).sum())


def test_mean_opinion_scores_are_what_the_listeners_think(tmp_path: Path) -> None:
    key = key_of("mos")
    told = listened(tmp_path, key, TRUTH, noise=0.6, bias=0.3)
    found = analyse([tmp_path], write(tmp_path, key, *told))
    assert found.counted == {one["listener"] for one in told}
    rows = {row.label: row for row in found.tables[0].opinions}
    assert list(rows) == ["input", "ours", "theirs", "reference"]
    for name, row in rows.items():
        assert row.n == 12 * 24 / 4
        assert row.listeners == 12
        assert row.mean == pytest.approx(expected(TRUTH[name], math.hypot(0.6, 0.3)), abs=0.25)
        assert row.low is not None
        assert row.high is not None
        assert row.low < row.mean < row.high
        assert row.high - row.low < 1
    assert all(pair.adjusted < 0.05 for pair in found.tables[0].comparisons)
    assert [table.condition for table in found.tables] == ["", "disc", "tape"] or [
        table.condition for table in found.tables
    ] == ["", "tape", "disc"]
    assert sum(row.n for table in found.tables[1:] for row in table.opinions) == 12 * 24


@pytest.mark.parametrize(("bias", "text"), [(0.4, 0.3), (0.0, 0.0), (0.6, 0.0)])
def test_intervals_hold_what_is_true_in_about_95_of_100_tests(bias: float, text: float) -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        people, texts = random.normal(0, bias, 16), random.normal(0, text, 20)
        ratings = [
            Rating(str(p), 1, 0, "rated", None, "system", "a", "", str(s), "", "", value, 1, 1.0)
            for p in range(16)
            for s in range(p % 4, 20, 4)
            for value in [3 + people[p] + texts[s] + random.normal(0, 0.7)]
        ]
        row = opinion("a", ratings)
        assert row.low is not None
        assert row.high is not None
        held += row.low <= 3 <= row.high
    assert 0.92 <= held / 300 <= 0.99


def test_an_interval_that_forgets_listeners_would_be_too_narrow() -> None:
    ratings = [
        Rating(str(p), 1, 0, "rated", None, "system", "a", "", str(s), "", "", float(p), 1, 1.0)
        for p in (2, 4)
        for s in range(50)
    ]
    row = opinion("a", ratings)
    assert (row.mean, row.n) == (3.0, 100)
    # all depends on two people, of whom Student's t (one degree of freedom, 12.7) knows little
    assert row.high == pytest.approx(3 + 12.706, abs=0.01)
    assert opinion("a", ratings[:50]).low is None


def test_similarity_counts_as_naturalness_does(tmp_path: Path) -> None:
    key = key_of("smos", aspect="channel")
    told = listened(tmp_path, key, {**TRUTH, "reference": 5.0}, noise=0.5, bias=0.2)
    found = analyse([tmp_path], write(tmp_path, key, *told))
    means = {row.label: row.mean for row in found.tables[0].opinions}
    assert list(means) == list(SYSTEMS)
    assert means == pytest.approx({name: TRUTH[name] for name in SYSTEMS}, abs=0.3)
    assert len(found.counted) == 12


def test_preferences_are_what_the_listeners_prefer(tmp_path: Path) -> None:
    key = key_of("preference")
    told = listened(tmp_path, key, PREFERRED, noise=0.7, bias=0.5)
    found = analyse([tmp_path], write(tmp_path, key, *told))
    assert len(found.counted) == 12
    pairs = {(row.first, row.second): row for row in found.tables[0].preferences}
    assert set(pairs) == {("input", "ours"), ("input", "theirs"), ("ours", "theirs")}
    for (first, second), row in pairs.items():
        assert row.n == 12 * 24 / 3
        apart, spread = TRUTH[first] - TRUTH[second], 0.7 * math.sqrt(2)
        sure = {
            "first": stats.norm.sf(0.3, apart, spread),
            "second": stats.norm.cdf(-0.3, apart, spread),
        }
        assert row.chose_first / row.n == pytest.approx(sure["first"], abs=0.12)
        assert row.chose_second / row.n == pytest.approx(sure["second"], abs=0.12)
        decided = row.chose_first + row.chose_second
        assert row.p == stats.binomtest(row.chose_first, decided).pvalue
        assert row.p <= row.adjusted < 0.05
        assert row.adjusted_listeners < 0.05


def test_no_preference_is_not_significant(tmp_path: Path) -> None:
    key = key_of("preference", ties=False)
    same = {**dict.fromkeys(SYSTEMS, 3.0), "reference": 9.0, "noise": -9.0}
    told = listened(tmp_path, key, same, noise=1, bias=0)
    found = analyse([tmp_path], write(tmp_path, key, *told))
    for row in found.tables[0].preferences:
        assert row.neither == 0
        assert row.adjusted > 0.05


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=40))
def test_the_sides_of_a_vote_add_up(values: list[float]) -> None:
    def rating(name: str, against: str, number: int, value: float) -> Rating:
        who = f"l{number % 5}"
        return Rating(
            who, 1, number, "rated", None, "system", name, against, "s", "", "", value, 1, 1.0
        )

    ratings = [
        one
        for number, value in enumerate(values)
        for one in (rating("a", "b", number, value), rating("b", "a", number, 1 - value))
    ]
    (ab,), (ba,) = preferences(ratings, ("a", "b")), preferences(ratings, ("b", "a"))
    assert ab.n == ba.n == len(values)
    assert (ab.chose_first, ab.neither) == (ba.chose_second, ba.neither)
    assert ab.p == pytest.approx(ba.p)
    assert ab.share.mean == pytest.approx(1 - ba.share.mean) == pytest.approx(np.mean(values))


@given(st.lists(st.integers(-30, 30).filter(bool), min_size=1, max_size=12, unique_by=abs))
def test_the_signed_rank_test_is_that_of_scipy(gains: list[int]) -> None:
    expected = stats.wilcoxon(gains, method="exact").pvalue
    assert signed_rank(np.array(gains, float)) == pytest.approx(expected)


def test_the_signed_rank_test_is_exact_with_ties() -> None:
    # of the 8 patterns of signs of three equal gains, two are as far out as all of one sign
    assert signed_rank(np.array([2.0, 2.0, 2.0, 0.0])) == pytest.approx(2 / 8)
    assert signed_rank(np.zeros(4)) == 1
    assert signed_rank(np.arange(1.0, 151)) < 1e-9


def test_mushra_has_means_and_medians(tmp_path: Path) -> None:
    key = key_of("mushra", trials=8)
    told = listened(tmp_path, key, POINTS, noise=3, bias=1)
    found = analyse([tmp_path], write(tmp_path, key, *told))
    assert len(found.counted) == 12
    for row in found.tables[0].opinions:
        assert row.n == 12 * 8
        assert row.mean == pytest.approx(POINTS[row.label], abs=3)
        assert row.lower_quartile <= row.median <= row.upper_quartile
        assert row.median == pytest.approx(POINTS[row.label], abs=3)
    assert "BS.1534-3" in report(found)


def careless(key: Key, kind: str, random: Random) -> dict[str, Any]:
    """Somebody who does not listen, each in their own way."""
    top = 100 if key.test == "mushra" else 5
    truth = TRUTHS[key.test]
    ways = {
        "constant": lambda clip: 3 * top / 5,
        "upside down": lambda clip: top - truth[clip.label],
    }
    opinion_now = ways.get(kind, opinion_of(truth, random, 0, 0))
    told = answers(key, kind, 1 + random.randrange(len(key.playlists)), opinion_now)
    if kind == "fast":
        for answer in told["answers"]:
            answer["shown"] = answer["ready"] = answer["answered"]
    if kind == "reflex":
        for answer in told["answers"]:
            answer["ready"] = answer["answered"]
    if kind == "deaf":
        told["sound_check"] = {"device": "speakers", "attempts": 3, "passed": False}
    return told


@pytest.mark.parametrize("test", ["mos", "smos", "preference", "mushra"])
def test_careless_listeners_are_screened_and_careful_ones_are_not(
    test: str, tmp_path: Path
) -> None:
    key = key_of(test, **({"trials": 8} if test == "mushra" else {}))
    noise, bias = (4, 2) if test == "mushra" else (0.6, 0.3)
    good = listened(tmp_path, key, TRUTHS[test], noise=noise, bias=bias)
    kinds = ["constant", "upside down", "fast", "reflex", "deaf"]
    bad = [careless(key, kind, Random(0)) for kind in kinds]
    key_file = write(tmp_path, key, *good, *bad)
    found = analyse([tmp_path], key_file)
    assert found.counted == {one["listener"] for one in good}
    reasons = {one.listener: one.reasons for one in found.verdicts}
    assert reasons["fast"][0].endswith("in less time than the sounds take")
    assert reasons["reflex"][0] == "answered within 0.00 seconds of hearing"
    assert reasons["deaf"] == ("failed the sound check",)
    kept = analyse([tmp_path], key_file, keep_all=True)
    assert kept.counted == set(reasons)
    assert "all are kept (`--keep-all`)" in report(kept)
    assert "failed the sound check" in report(found)


GROUPS, CAREFUL, RANDOM = 17, 12, 6
"""204 careful listeners and 102 who answer at random, in tests of 18 listeners each."""


@pytest.mark.parametrize(("test", "noise"), [*[(name, 0.6) for name in RATED_ONE], ("mushra", 4)])
def test_most_who_answer_at_random_are_found_and_few_careful_ones_are_lost(
    test: str, noise: float
) -> None:
    key = key_of(test, **({"trials": 8} if test == "mushra" else {}))
    top = 100.5 if test == "mushra" else 5.5
    lost = caught = 0
    for group in range(GROUPS):
        random = Random(group)
        told = [
            answers(key, f"careful {n}", n, opinion_of(TRUTHS[test], random, noise, noise / 2))
            for n in range(1, CAREFUL + 1)
        ]
        told += [
            answers(key, f"random {n}", n, lambda clip, random=random: random.uniform(0.5, top))
            for n in range(1, RANDOM + 1)
        ]
        out = [one.listener for one in judged(key, told) if not one.kept]
        lost += sum(name.startswith("careful") for name in out)
        caught += sum(name.startswith("random") for name in out)
    assert lost <= 0.05 * GROUPS * CAREFUL
    assert caught >= 0.9 * GROUPS * RANDOM


def judged(key: Key, told: list[dict[str, Any]]) -> list[Verdict]:
    sessions = [Session.model_validate_json(json.dumps(one)) for one in told]
    return screen(sessions, ratings_of(sessions, key), key)


def test_where_systems_do_not_differ_nobody_is_out_for_disagreeing() -> None:
    key = key_of("mos")
    same = {**dict.fromkeys(TRUTH, 3.0), "noise": 0.5}
    told = [
        answers(key, f"l {n}", n, lambda clip, own=thought: 5 if clip.kind == "copy" else own(clip))
        for n in range(1, 13)
        for thought in [opinion_of(same, Random(n), 0.4, 0)]
    ]
    assert all(one.kept for one in judged(key, told))
    told[0] = failing(key, told[0], 1)
    assert judged(key, told)[0].reasons == ("failed 1 of 4 attention checks",)


def failing(key: Key, told: dict[str, Any], count: int) -> dict[str, Any]:
    """The same answers, but noise called good so many times."""
    trials = key.playlists[told["playlist"] - 1]
    noise = [
        n
        for n, trial in enumerate(trials)
        if trial.role == "check" and key.clips[trial.clips[0]].kind == "noise"
    ]
    changed = [dict(answer) for answer in told["answers"]]
    for number in noise[:count]:
        changed[number]["ratings"] = [5]
    return {**told, "answers": changed}


def test_one_failed_check_is_forgiven_who_agrees_with_the_others_and_two_are_not() -> None:
    key = key_of("mos")
    told = [answers(key, f"l {n}", n, opinion_of(TRUTH, Random(n), 0.3, 0)) for n in range(1, 13)]
    verdicts = judged(key, [failing(key, told[0], 1), failing(key, told[1], 2), *told[2:]])
    assert verdicts[0].reasons == ()
    assert verdicts[1].reasons == ("failed 2 of 4 attention checks",)
    alone = judged(key, [failing(key, told[0], 1)])
    assert alone[0].reasons == ("failed 1 of 4 attention checks",)


@given(st.floats(0.1, 3), st.floats(-5, 5), st.permutations(range(6)))
def test_agreement_is_about_order_and_not_about_how_the_scale_is_used(
    gain: float, offset: float, order: list[int]
) -> None:
    def heard(who: str, values: list[float]) -> list[Rating]:
        return [
            Rating(who, 1, n, "rated", None, "system", str(n), "", "s", "", "", value, 1, 1.0)
            for n, value in enumerate(values)
        ]

    plain = [float(number) for number in range(6)]
    moved = [gain * order[n] + offset for n in range(6)]
    found = agreements([*heard("a", plain), *heard("b", moved), *heard("same", [])])
    expected = np.corrcoef(plain, order)[0, 1]
    assert found == pytest.approx({"a": expected, "b": expected})
    assert agreements(heard("a", plain)) == {"a": 0.0}
    assert agreements([*heard("a", plain), *heard("b", [3.0] * 6)]) == {"a": 0.0, "b": 0.0}


@pytest.mark.parametrize(
    "listener", ["", "=1+1", "../up", "a|b", "<b>x", "a\nb", "-1", "x" * 81, "`id`"]
)
def test_a_listener_whose_name_could_do_harm_is_left_out(listener: str, tmp_path: Path) -> None:
    key = key_of("mos")
    key_file = write(tmp_path, key, answers(key, "Zoë B.-2 @x", 1, lambda clip: TRUTH[clip.label]))
    told = answers(key, listener, 2, lambda clip: TRUTH[clip.label])
    (tmp_path / "z.json").write_text(json.dumps(told), encoding="utf-8")
    found = analyse([tmp_path], key_file)
    assert found.counted == {"Zoë B.-2 @x"}
    assert found.skipped[0].reason.startswith("not a file of answers (listener")


def test_the_hidden_reference_may_be_missed_in_15_of_100_trials(tmp_path: Path) -> None:
    key = key_of("mushra", trials=20)
    told = []
    for missed in (3, 4):
        one = answers(key, f"missed {missed}", 1, lambda clip: POINTS[clip.label])
        rated = [n for n, trial in enumerate(key.playlists[0]) if trial.role == "rated"]
        for number in rated[:missed]:
            clips = one["answers"][number]["clips"]
            place = next(n for n, name in enumerate(clips) if key.clips[name].kind == "reference")
            one["answers"][number]["ratings"][place] = 89
        told.append(one)
    found = analyse([tmp_path], write(tmp_path, key, *told))
    assert found.counted == {"missed 3"}
    assert found.verdicts[1].reasons == ("rated the hidden reference below 90 in 4 of 20 trials",)


def small(tmp_path: Path) -> tuple[Key, Path, Analysis]:
    key = key_of("mos")
    told = listened(tmp_path, key, TRUTH, noise=0.5, bias=0.2)
    key_file = write(tmp_path, key, *told)
    return key, key_file, analyse([tmp_path], key_file)


def test_the_report_says_what_was_counted(tmp_path: Path) -> None:
    key, _, found = small(tmp_path / "answers")
    text = report(found)
    assert "288 ratings by 12 listeners, 24 sentences" in text
    assert "12 of 12 listeners are kept" in text
    for words in ("ITU-T P.800", "ITU-T P.808", "BS.1770", f"Test {key.id}, seed 0"):
        assert words in text
    row = found.tables[0].opinions[1]
    assert f"| ours | {row.mean:.2f} | {row.low:.2f} to {row.high:.2f} | 72 | 12 |" in text
    lines = results_csv(found).splitlines()
    assert len(lines) == 1 + 12 * (24 + 4 + 4)
    assert sum(line.endswith(",yes") for line in lines) == 288
    write_report(found, tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "chart.png",
        "report.md",
        "results.csv",
    ]
    assert (tmp_path / "report" / "chart.png").read_bytes().startswith(b"\x89PNG")
    described = json.loads(json.dumps(as_json(found), default=str))
    assert described["tables"][0]["opinions"][1]["mean"] == row.mean


def test_files_that_are_not_answers_are_named_with_the_reason(tmp_path: Path) -> None:
    key = key_of("mos")
    one = answers(key, "one", 1, lambda clip: TRUTH[clip.label])
    key_file = write(tmp_path, key, one)
    other_key = key_of("mos", seed=5)
    changes: dict[str, Any] = {
        "another": answers(other_key, "x", 1, lambda clip: 3),
        "half": {**one, "listener": "half", "answers": one["answers"][:3]},
        "twice": one,
        "far": {**one, "listener": "far", "playlist": 99},
        "loud": {**one, "listener": "loud", "answers": [dict(a) for a in one["answers"]]},
        "mixed": {**one, "listener": "mixed", "playlist": 2},
        "empty": {},
    }
    changes["loud"]["answers"][4] = {**one["answers"][4], "ratings": [6]}
    for name, told in changes.items():
        (tmp_path / f"z-{name}.json").write_text(json.dumps(told), encoding="utf-8")
    (tmp_path / "z-broken.json").write_text('{"format": ', encoding="utf-8")
    (tmp_path / "z-bytes.json").write_bytes(b"\xff\xfe\x00")
    found = analyse([tmp_path], key_file)
    assert found.counted == {"one"}
    reasons = {one.path.stem.removeprefix("z-"): one.reason for one in found.skipped}
    assert reasons["another"].startswith(f"answers to another test (mos {other_key.id}, the key")
    assert reasons["half"] == "3 of 34 trials are answered"
    assert reasons["twice"].startswith("listener one is in ")
    assert reasons["far"] == "playlist 99; there are 12"
    assert reasons["loud"] == "trial 5: a rating of 6 is not on the scale"
    assert reasons["mixed"] == "trial 1 is not that of the playlist"
    assert reasons["bytes"] == "not a file of answers (not text)"
    for name in ("empty", "broken"):
        assert reasons[name].startswith("not a file of answers (")
    assert "`z-half.json`: 3 of 34 trials are answered" in report(found)


def test_answers_to_another_test_alone_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a", key_of("mos"), answers(key_of("mos"), "one", 1, lambda clip: 3))
    other = write(tmp_path / "b", key_of("mushra", trials=4))
    with pytest.raises(
        ExperimentError, match=r"no answers to this test; .*answers to another test"
    ):
        analyse([tmp_path / "a" / "one.json"], other)


def test_none_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    key = key_of("mos")
    key_file = write(tmp_path, key, answers(key, "one", 1, lambda clip: 3))
    with pytest.raises(ExperimentError, match=r"none of 1 listeners .* one failed 2 of .*"):
        analyse([tmp_path], key_file)


def test_a_key_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ExperimentError, match="is not the key of a listening test"):
        analyse([tmp_path], tmp_path / "key.json")
    with pytest.raises(ExperimentError, match=r"none\.json: cannot be read"):
        analyse([tmp_path], tmp_path / "none.json")
