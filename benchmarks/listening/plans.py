"""Who hears what, and when: counterbalanced by Latin squares, in an order for each listener."""

import itertools
from collections.abc import Sequence
from random import Random
from typing import NamedTuple, TypeVar

from selfremaster.benchmarks.listening.designs import (
    MOST_ON_A_PAGE,
    NOISE,
    REFERENCE,
    TRIALS,
    Heard,
    ListeningSettings,
    Material,
    Role,
)
from selfremaster.core.components import hint
from selfremaster.core.errors import ExperimentError

MANY_TRIALS = 12
"""A playlist of so many has four checks and four repeats; a shorter one has fewer."""

Item = TypeVar("Item")


class Planned(NamedTuple):
    """A trial before there are sounds."""

    role: Role
    clips: tuple[Heard, ...]
    reference: Heard | None = None
    repeats: int | None = None


Playlist = tuple[Planned, ...]


def latin_square(
    sentences: int, treatments: int, listeners: int, trials: int
) -> list[list[tuple[int, int]]]:
    """Which sentence a listener hears in which treatment: pairs of numbers for each listener.

    A listener hears a sentence once, and every treatment equally often, to within one. As many
    listeners as there are treatments are a square: between them they hear the same sentences in
    each treatment once. The next square goes on where the sentences ended.

    >>> latin_square(sentences=3, treatments=2, listeners=2, trials=2)
    [[(0, 0), (1, 1)], [(0, 1), (1, 0)]]
    """
    playlists = []
    for listener in range(listeners):
        square, row = divmod(listener, treatments)
        playlists.append(
            [
                ((square * trials + number) % sentences, (number + row) % treatments)
                for number in range(trials)
            ]
        )
    return playlists


def arrange(
    random: Random, rated: Sequence[Item], checks: Sequence[Item], repeats: int
) -> list[tuple[Item, Role, int | None]]:
    """Bring trials into an order, with repeats of early ones late and checks on both halves.

    Gives each trial with its role, and for a repeat the number of the trial that it repeats.
    """
    order = random.sample(list(rated), len(rated))
    again = random.sample(range(max(1, len(order) // 3)), repeats)
    half = (len(order) + 1) // 2
    first: list[tuple[Item, Role, int | None]] = [(item, "rated", None) for item in order[:half]]
    second: list[tuple[Item, Role, int | None]] = [(item, "rated", None) for item in order[half:]]
    second += [(order[number], "repeat", number) for number in again]
    random.shuffle(second)
    for number, check in enumerate(random.sample(list(checks), len(checks))):
        part = (first, second)[number % 2]
        part.insert(random.randint(0, len(part)), (check, "check", None))
    whole = first + second
    places = [place for place, (_, role, _) in enumerate(first) if role == "rated"]
    return [
        (item, role, None if number is None else places[number]) for item, role, number in whole
    ]


def plan(material: Material, settings: ListeningSettings) -> tuple[Playlist, ...]:
    """Every listener's playlist; raises `ExperimentError` for what cannot be planned."""
    trials = _trials(material, settings)
    repeats, checks = _extras(settings, trials)
    names = Random(f"sentences {settings.seed}").sample(
        sorted(material.sentences), len(material.sentences)
    )
    treatments = treatments_of(material, settings)
    square = latin_square(len(names), len(treatments), settings.listeners, trials)
    playlists = []
    for listener, cells in enumerate(square):
        random = Random(f"playlist {settings.seed} {listener}")
        rated = [
            _rated(material, settings, names[sentence], treatments[treatment], random)
            for sentence, treatment in cells
        ]
        if settings.test == "preference":
            rated = _sides(rated, listener, cells, len(treatments))
        known = _checks(material, settings, names, checks, random)
        practice = _practice(material, settings, names, random)
        arranged = [
            Planned(
                role,
                _again(item) if role == "repeat" else item.clips,
                item.reference,
                None if number is None else number + len(practice),
            )
            for item, role, number in arrange(random, rated, known, repeats)
        ]
        playlists.append((*practice, *arranged))
    return tuple(playlists)


def treatments_of(material: Material, settings: ListeningSettings) -> list[tuple[str, ...]]:
    """What a sentence can be heard in: one system, a pair of systems, or all of them at once."""
    systems = material.systems
    if settings.test == "mushra":
        return [systems]
    if settings.test == "preference":
        if settings.baseline is None:
            return list(itertools.combinations(systems, 2))
        if settings.baseline not in systems:
            raise ExperimentError(
                f"no system {settings.baseline!r} to be the baseline"
                f"{hint(settings.baseline, systems)}"
            )
        return [(settings.baseline, name) for name in systems if name != settings.baseline]
    rated: list[tuple[str, ...]] = [(name,) for name in systems]
    if settings.test == "mos" and material.has_references:
        rated.append((REFERENCE,))
    if settings.test == "mos":
        rated += [(anchor_label(hertz),) for hertz in settings.anchors_hz or ()]
    return rated


def rows_of(material: Material, settings: ListeningSettings) -> tuple[str, ...]:
    """Who has a row in the tables."""
    if settings.test == "mushra":
        return (*material.systems, REFERENCE, *map(anchor_label, anchors_of(settings)))
    return tuple(dict.fromkeys(itertools.chain.from_iterable(treatments_of(material, settings))))


def anchors_of(settings: ListeningSettings) -> tuple[int, ...]:
    """The anchors of a test: what was asked for, or for mushra the low one of BS.1534-3."""
    default = (3500,) if settings.test == "mushra" else ()
    return default if settings.anchors_hz is None else settings.anchors_hz


def anchor_label(hertz: int) -> str:
    """The name of an anchor in tables.

    >>> anchor_label(3500)
    'anchor 3500 Hz'
    """
    return f"anchor {hertz} Hz"


def _trials(material: Material, settings: ListeningSettings) -> int:
    there = len(material.sentences)
    trials = min(there, TRIALS[settings.test]) if settings.trials is None else settings.trials
    if trials > there:
        raise ExperimentError(
            f"--trials {trials}, but there are {there} sentences; a listener hears each of them "
            f"once, give at most {there} or more files"
        )
    if settings.test in {"smos", "mushra"} and not material.has_references:
        raise ExperimentError(
            f"{settings.test} compares sounds with a reference; give --reference FOLDER with the "
            f"same file names"
        )
    if anchors_of(settings) and settings.test not in {"mos", "mushra"}:
        raise ExperimentError(
            f"anchors are of mos and mushra; leave --anchor out of a {settings.test} test"
        )
    if anchors_of(settings) and not material.has_references:
        raise ExperimentError(
            "an anchor is made of the reference; give --reference, or no --anchor"
        )
    rows = len(rows_of(material, settings))
    if settings.test == "mushra" and rows > MOST_ON_A_PAGE:
        raise ExperimentError(
            f"{rows} sounds on a page; more than {MOST_ON_A_PAGE} tire listeners "
            f"(ITU-R BS.1534-3), choose fewer systems"
        )
    return trials


def _extras(settings: ListeningSettings, trials: int) -> tuple[int, int]:
    """How many repeats and checks a playlist has."""
    most = trials // 3
    if settings.test == "mushra":
        repeats = (1 if trials >= 4 else 0) if settings.repeats is None else settings.repeats
        if settings.checks:
            raise ExperimentError(
                "mushra has its check in every trial, the hidden reference; leave --checks out"
            )
        checks = 0
    else:
        repeats = (
            (4 if trials >= MANY_TRIALS else 0) if settings.repeats is None else settings.repeats
        )
        checks = (4 if trials >= MANY_TRIALS else 2) if settings.checks is None else settings.checks
    if repeats > most:
        raise ExperimentError(
            f"--repeats {repeats} of {trials} trials; at most a third of them ({most}) can come "
            f"again without lying beside each other"
        )
    return repeats, checks


def _rated(
    material: Material,
    settings: ListeningSettings,
    sentence: str,
    treatment: tuple[str, ...],
    random: Random,
) -> Planned:
    """A trial of one sentence, in the order in which a page shows the sounds."""
    shown = Heard("shown", REFERENCE, sentence)
    if settings.test == "mushra":
        clips = [Heard("system", name, sentence) for name in treatment]
        clips.append(Heard("reference", REFERENCE, sentence))
        clips += [Heard("anchor", anchor_label(hertz), sentence) for hertz in anchors_of(settings)]
        return Planned("rated", tuple(random.sample(clips, len(clips))), shown)
    clips = [_heard(material, name, sentence) for name in treatment]
    return Planned("rated", tuple(clips), shown if settings.test == "smos" else None)


def _heard(material: Material, name: str, sentence: str) -> Heard:
    if name in material.systems:
        return Heard("system", name, sentence)
    return Heard("reference" if name == REFERENCE else "anchor", name, sentence)


def _sides(
    rated: list[Planned], listener: int, cells: list[tuple[int, int]], pairs: int
) -> list[Planned]:
    """Turn every other pair round: for a listener, and between those who hear the same pairs."""
    turned = []
    for number, (trial, (_, pair)) in enumerate(zip(rated, cells, strict=True)):
        around = (number // pairs + pair + listener // pairs) % 2
        turned.append(trial._replace(clips=trial.clips[::-1]) if around else trial)
    return turned


def _again(trial: Planned) -> tuple[Heard, ...]:
    """The clips of a trial that comes again: the other way round, where there are several."""
    return trial.clips[::-1]


def _checks(
    material: Material,
    settings: ListeningSettings,
    names: Sequence[str],
    count: int,
    random: Random,
) -> list[Planned]:
    """Trials whose answer anybody knows who listens."""
    chosen = [names[number % len(names)] for number in range(count)]
    if count <= len(names):
        chosen = random.sample(list(names), count)
    return [
        _check(material, settings, sentence, number % 2 == 1, random)
        for number, sentence in enumerate(chosen)
    ]


def _check(
    material: Material, settings: ListeningSettings, sentence: str, good: bool, random: Random
) -> Planned:
    """Noise or the original, noise beside it (preference), or the original twice (smos)."""
    noise = Heard("noise", NOISE, sentence)
    copy = Heard("copy", REFERENCE, sentence)
    if settings.test == "smos":
        return Planned("check", (copy,), Heard("shown", REFERENCE, sentence))
    if settings.test == "preference":
        return Planned("check", tuple(random.sample([copy, noise], 2)))
    return Planned("check", (copy if good and material.has_references else noise,))


def _practice(
    material: Material, settings: ListeningSettings, names: Sequence[str], random: Random
) -> list[Planned]:
    """Trials that show what to expect: of any system, and of noise where there is no reference."""
    practice: list[Planned] = []
    default = 1 if settings.test == "mushra" else 2
    for number in range(default if settings.practice is None else settings.practice):
        sentence = random.choice(list(names))
        if number % 2 and settings.test == "mos":
            trial = _check(material, settings, sentence, False, random)
        else:
            treatment = random.choice(treatments_of(material, settings))
            trial = _rated(material, settings, sentence, treatment, random)
        practice.append(trial._replace(role="practice"))
    return practice
