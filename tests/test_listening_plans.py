"""Who hears what: every system equally often, in an order of one's own, reproducible."""

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfremaster.benchmarks.listening.designs import check_settings
from selfremaster.benchmarks.listening.plans import (
    Planned,
    anchor_label,
    arrange,
    latin_square,
    plan,
)
from selfremaster.core.errors import ExperimentError
from tests.listening import made_up

SYSTEMS = ("input", "ours", "theirs")


@st.composite
def squares(draw: st.DrawFn) -> tuple[int, int, int, int]:
    sentences = draw(st.integers(1, 12))
    trials = draw(st.integers(1, sentences))
    return sentences, draw(st.integers(1, 6)), draw(st.integers(1, 24)), trials


def even(counts: Counter[Any], among: int) -> bool:
    """Whether numbers of several things, some of them perhaps 0, are equal to within one."""
    numbers = [*counts.values(), *[0] * (among - len(counts))]
    return max(numbers) - min(numbers) <= 1


@given(squares())
def test_a_listener_hears_a_sentence_once_and_every_treatment_equally_often(
    square: tuple[int, int, int, int],
) -> None:
    sentences, treatments, listeners, trials = square
    playlists = latin_square(sentences, treatments, listeners, trials)
    assert len(playlists) == listeners
    for playlist in playlists:
        assert len({sentence for sentence, _ in playlist}) == len(playlist) == trials
        assert even(Counter(treatment for _, treatment in playlist), treatments)


@given(squares(), st.integers(1, 3))
def test_a_whole_square_has_every_sentence_in_every_treatment_once(
    square: tuple[int, int, int, int], squares: int
) -> None:
    sentences, treatments, _, trials = square
    playlists = latin_square(sentences, treatments, squares * treatments, trials)
    every = Counter(cell for playlist in playlists for cell in playlist)
    assert even(every, sentences * treatments)
    for start in range(0, len(playlists), treatments):
        own = Counter(
            cell for playlist in playlists[start : start + treatments] for cell in playlist
        )
        assert set(own.values()) == {1}


@given(st.integers(1, 30), st.integers(0, 6), st.integers(0, 10), st.integers(0, 999))
def test_repeats_come_late_and_name_what_they_repeat(
    trials: int, checks: int, repeats: int, seed: int
) -> None:
    repeats = min(repeats, trials // 3)
    rated, known = [f"rated {n}" for n in range(trials)], [f"check {n}" for n in range(checks)]
    whole = arrange(Random(seed), rated, known, repeats)
    items = [item for item, _, _ in whole]
    assert Counter(role for _, role, _ in whole) == Counter(
        {"rated": trials, "check": checks, "repeat": repeats}
    )
    assert set(items) == {*rated, *known}
    for place, (item, role, original) in enumerate(whole):
        if role == "repeat":
            assert original is not None
            assert items[original] == item
            assert place - original >= 1 + (trials + 1) // 2 - max(1, trials // 3)
        else:
            assert original is None
    if checks > 1:
        half = sum(role == "rated" for _, role, _ in whole) // 2
        places = [
            sum(r == "rated" for _, r, _ in whole[:n])
            for n, (_, role, _) in enumerate(whole)
            if role == "check"
        ]
        assert min(places) <= half + 1


def playlists(test: str, sentences: int = 12, **settings: Any) -> tuple[tuple[Planned, ...], ...]:
    return plan(made_up(SYSTEMS, sentences), check_settings({"test": test, **settings}))


@pytest.mark.parametrize("test", ["mos", "smos", "preference", "mushra"])
def test_the_seed_makes_the_plan(test: str) -> None:
    one, same, other = (playlists(test, seed=seed) for seed in (1, 1, 2))
    assert one == same != other
    orders = {tuple(trial.clips[0].sentence for trial in playlist) for playlist in one}
    assert len(orders) == len(one)


def test_mos_has_the_reference_as_a_system_and_checks_that_tell_nothing() -> None:
    for playlist in playlists("mos", anchors_hz=(3500,), listeners=10, trials=10):
        rated = [trial for trial in playlist if trial.role == "rated"]
        heard = Counter(trial.clips[0].label for trial in rated)
        assert heard == {name: 2 for name in (*SYSTEMS, "reference", anchor_label(3500))}
        assert all(trial.reference is None and len(trial.clips) == 1 for trial in playlist)
        checks = Counter(trial.clips[0].kind for trial in playlist if trial.role == "check")
        assert checks == {"noise": 1, "copy": 1}
        assert [trial.role for trial in playlist[:2]] == ["practice", "practice"]


def test_long_tests_have_four_checks_and_four_repeats() -> None:
    for playlist in playlists("mos", sentences=12):
        roles = Counter(trial.role for trial in playlist)
        assert roles == {"practice": 2, "rated": 12, "check": 4, "repeat": 4}
        for trial in playlist:
            if trial.repeats is not None:
                assert playlist[trial.repeats].clips == trial.clips
                assert playlist[trial.repeats].role == "rated"


def test_smos_shows_the_reference_of_the_same_sentence() -> None:
    for playlist in playlists("smos"):
        for trial in playlist:
            assert trial.reference is not None
            assert trial.reference.sentence == trial.clips[0].sentence
            assert trial.role != "check" or trial.clips[0].kind == "copy"


def test_preference_turns_every_other_pair_round() -> None:
    made = playlists("preference", sentences=12, listeners=12)
    sides: Counter[tuple[str, ...]] = Counter()
    for playlist in made:
        own = Counter(
            tuple(clip.label for clip in trial.clips) for trial in playlist if trial.role == "rated"
        )
        for first, second in own:
            assert abs(own[first, second] - own[second, first]) <= 1
        sides += own
    assert len(sides) == 6
    assert set(sides.values()) == {12 * 12 / 6}


def test_preference_against_a_baseline_has_its_pairs_alone() -> None:
    for playlist in playlists("preference", baseline="ours"):
        for trial in playlist:
            if trial.role == "rated":
                assert "ours" in {clip.label for clip in trial.clips}


def test_mushra_has_all_systems_the_hidden_reference_and_the_anchor_on_a_page() -> None:
    first_places = Counter[str]()
    for playlist in playlists("mushra", listeners=40, trials=8):
        for trial in playlist:
            labels = sorted(clip.label for clip in trial.clips)
            assert labels == sorted([*SYSTEMS, "reference", anchor_label(3500)])
            assert trial.reference is not None
            assert trial.reference.kind == "shown"
            first_places[trial.clips[0].label] += 1
    assert min(first_places.values()) > 0.6 * max(first_places.values())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"test": "mos", "trials": 13}, "--trials 13, but there are 12 sentences"),
        ({"test": "mos", "repeats": 5}, "at most a third of them .4."),
        ({"test": "mushra", "checks": 2}, "the hidden reference; leave --checks out"),
        ({"test": "smos", "anchors_hz": (3500,)}, "anchors are of mos and mushra"),
        ({"test": "preference", "baseline": "our"}, "did you mean 'ours'"),
        ({"test": "mos", "seed": -1}, "seed=-1: Input should be greater"),
        ({"test": "mus"}, "no listening test 'mus'; did you mean 'mushra'"),
    ],
)
def test_what_cannot_be_planned(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        playlists(**settings)


@pytest.mark.parametrize("test", ["smos", "mushra"])
def test_comparing_with_a_reference_needs_one(test: str) -> None:
    material = made_up(SYSTEMS, 4, reference=False)
    with pytest.raises(ExperimentError, match="give --reference FOLDER"):
        plan(material, check_settings({"test": test}))


def test_without_references_all_mos_checks_are_noise() -> None:
    material = made_up(SYSTEMS, 12, reference=False)
    for playlist in plan(material, check_settings({"test": "mos"})):
        assert {trial.clips[0].kind for trial in playlist if trial.role == "check"} == {"noise"}


def test_so_many_systems_on_a_page_are_too_many() -> None:
    material = made_up(tuple(f"system {n}" for n in range(11)), 4)
    with pytest.raises(ExperimentError, match="13 sounds on a page; more than 12"):
        plan(material, check_settings({"test": "mushra"}))
