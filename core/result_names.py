"""The names of results: their own, whatever the recordings are called."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from selfremaster.core.formats import writable_suffix
from selfremaster.core.remotes import Place, Remote

Somewhere = TypeVar("Somewhere", Path, Remote, Place)


def renamed(places: Sequence[Path], suffix: str | None) -> list[Path]:
    """The places of results, with suffixes that can be written, no two of them the same.

    >>> [str(place) for place in renamed([Path("a.wav"), Path("a.mp3"), Path("b.mp3")], ".flac")]
    ['a.wav.flac', 'a.mp3.flac', 'b.flac']
    """
    suffixes = [suffix or writable_suffix(place) for place in places]
    named = [place.with_suffix(ending) for place, ending in zip(places, suffixes, strict=True)]
    tried = [0] * len(places)
    while True:
        sharing: dict[str, list[int]] = {}
        for number, new in enumerate(named):
            sharing.setdefault(_alike(new), []).append(number)
        changed = False
        for numbers in sharing.values():
            for number in _giving_way(numbers, places, named, tried):
                changed, tried[number] = True, tried[number] + 1
                more = f"-{tried[number]}" if tried[number] > 1 else ""
                name = f"{places[number].name}{more}{suffixes[number]}"
                named[number] = places[number].with_name(name)
        if not changed:
            return named


def _giving_way(
    numbers: Sequence[int], places: Sequence[Path], named: Sequence[Path], tried: Sequence[int]
) -> list[int]:
    """Which of those that share a name need another: none that has it from its input."""
    others = [number for number in numbers if named[number] != places[number]]
    if len(numbers) == 1 or not others:
        return []
    short = [number for number in others if not tried[number]]
    return short or others[len(others) == len(numbers) :]


def _alike(place: Place) -> str:
    """What is the same for names that some systems do not tell apart."""
    return unicodedata.normalize("NFC", str(place)).casefold()


def stems_of(targets: Sequence[Somewhere]) -> list[Somewhere]:
    """Targets without their suffixes, unless others would share what is left.

    >>> [str(stem) for stem in stems_of([Path("a.wav"), Path("b.wav"), Path("b.mp3")])]
    ['a', 'b.wav', 'b.mp3']
    """
    stems = [target.with_suffix("") for target in targets]
    while True:
        shared = Counter(map(_alike, stems))
        longer = [
            target if shared[_alike(stem)] > 1 else stem
            for target, stem in zip(targets, stems, strict=True)
        ]
        if longer == stems:  # a whole target may share what another has left
            return stems
        stems = longer
