"""Ours beside a straightforward reference, timed in turns, as rows of a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from selfremaster.benchmarks.tables import NOTHING, markdown
from selfremaster.benchmarks.timing import median_seconds
from selfremaster.core.gallery import SPEECH

HEADING = ("work", "ours", "reference", "times as fast")


class LongFile(NamedTuple):
    """A recording that the command is to restore."""

    minutes: float
    sample_rate: int = 22050
    channels: int = 1


@dataclass(frozen=True)
class Options:
    """How long and how often everything is measured."""

    lengths: tuple[float, ...] = (10, 60)  # of what is restored, seconds
    restored: float = 4.0  # seconds that sizes and precisions are compared on
    files: tuple[LongFile, ...] = (LongFile(10), LongFile(60), LongFile(180, 48000, 2))
    batch: tuple[int, float] = (16, 120.0)  # files restored by several processes, seconds of each
    seconds: float = 2.0  # of sound that vocoders speak
    repeats: int = 5
    least_seconds: float = 1.0  # that measuring one thing takes
    speech: Path = SPEECH  # a file or folder that slow features are taken of
    vocoders: tuple[str, ...] = ()  # none: all, in each preset
    features: str = ""  # that vocoders speak from; none: each its own


class Section(NamedTuple):
    """One table of the report."""

    title: str
    about: str  # what is compared with what
    table: str  # Markdown


class Comparison(NamedTuple):
    """The same work in two ways."""

    work: str
    ours: Callable[[], Any]
    reference: Callable[[], Any] | None = None


class Timed(NamedTuple):
    """What the two ways take, in seconds."""

    work: str
    ours: float
    reference: float | None = None


def in_turns(comparisons: Sequence[Comparison], options: Options) -> list[Timed]:
    """The median time of each way; both of a pair are done in turns, so that load hits both."""
    timed = []
    for one in comparisons:
        works = [one.ours] if one.reference is None else [one.ours, one.reference]
        found = median_seconds(works, options.repeats, options.least_seconds)
        timed.append(Timed(one.work, found[0], found[1] if one.reference else None))
    return timed


def ratio(ours: float, reference: float | None) -> str:
    """How often ours goes into the reference.

    >>> ratio(0.5, 2.0), ratio(0.5, None)
    ('4.0', '-')
    """
    return NOTHING if reference is None else f"{reference / max(ours, 1e-9):.1f}"


def table(timed: Sequence[Timed], unit: str, scale: float = 1.0) -> str:
    """Rows of a table, seconds multiplied by a scale, in a unit that the heading names.

    >>> print(table([Timed("one", 0.5, 2.0)], "ms", 1000).splitlines()[-1])
    | one | 500 | 2000 | 4.0 |
    """
    rows = [
        [one.work, _number(one.ours, scale), _number(one.reference, scale), _ratio(one)]
        for one in timed
    ]
    heading = [HEADING[0], f"{HEADING[1]}, {unit}", f"{HEADING[2]}, {unit}", HEADING[3]]
    return markdown(heading, rows)


def _number(seconds: float | None, scale: float) -> str:
    return NOTHING if seconds is None else f"{seconds * scale:.4g}"


def _ratio(one: Timed) -> str:
    return ratio(one.ours, one.reference)
