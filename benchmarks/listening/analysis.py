"""A listening test from answers to tables: read, screened, counted."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from selfremaster.benchmarks.listening.answers import (
    Rating,
    Skipped,
    find_files,
    ratings_of,
    read_sessions,
)
from selfremaster.benchmarks.listening.designs import Key
from selfremaster.benchmarks.listening.screening import (
    Rules,
    Verdict,
    differences_of_repeats,
    screen,
)
from selfremaster.benchmarks.listening.statistics import (
    Comparison,
    Opinion,
    Preference,
    comparisons,
    opinions,
    preferences,
)
from selfremaster.core.errors import ExperimentError


class Table(NamedTuple):
    """The numbers of one condition, or of all together."""

    condition: str  # empty: all
    opinions: list[Opinion]
    comparisons: list[Comparison]
    preferences: list[Preference]


class Analysis(NamedTuple):
    """All that a report says."""

    key: Key
    verdicts: list[Verdict]
    skipped: list[Skipped]
    ratings: list[Rating]  # of all listeners, checks and repeats too
    kept_all: bool
    tables: list[Table]

    @property
    def counted(self) -> set[str]:
        """The listeners whose answers count."""
        return {one.listener for one in self.verdicts if self.kept_all or one.kept}

    @property
    def consistency(self) -> float | None:
        """How far apart ratings of the same sound are, mean of all who count."""
        apart: list[float] = []
        counted = self.counted
        for name in dict.fromkeys(one.listener for one in self.ratings if one.listener in counted):
            apart += differences_of_repeats([one for one in self.ratings if one.listener == name])
        return fmean(apart) if apart else None


def analyse(
    paths: Sequence[Path], key_file: Path, *, keep_all: bool = False, rules: Rules | None = None
) -> Analysis:
    """Read answers, screen listeners, and count; raises `ExperimentError` where nothing is left."""
    key = Key.from_file(key_file)
    sessions, skipped = read_sessions(find_files(paths), key, key_file)
    ratings = ratings_of(sessions, key)
    verdicts = screen(sessions, ratings, key, rules)
    if not keep_all and not any(one.kept for one in verdicts):
        first = verdicts[0]
        raise ExperimentError(
            f"none of {len(verdicts)} listeners is left after screening; {first.listener} "
            f"{'; '.join(first.reasons)}; see all with --keep-all"
        )
    kept = {one.listener for one in verdicts if keep_all or one.kept}
    counted = [one for one in ratings if one.role == "rated" and one.listener in kept]
    return Analysis(key, verdicts, skipped, ratings, keep_all, _tables(counted, key))


def _tables(ratings: Sequence[Rating], key: Key) -> list[Table]:
    conditions = list(dict.fromkeys(about.condition for about in key.sentences.values()))
    tables = [_table("", ratings, key)]
    if len(conditions) > 1:
        tables += [
            _table(name, [one for one in ratings if one.condition == name], key)
            for name in conditions
            if any(one.condition == name for one in ratings)
        ]
    return tables


def _table(condition: str, ratings: Sequence[Rating], key: Key) -> Table:
    if key.test == "preference":
        return Table(condition, [], [], preferences(ratings, key.systems))
    return Table(condition, opinions(ratings, key.systems), comparisons(ratings, key.systems), [])


def as_json(analysis: Analysis) -> dict[str, Any]:
    """The analysis for machines."""
    key = analysis.key
    return {
        "test": key.test,
        "id": key.id,
        "title": key.title,
        "listeners": len(analysis.counted),
        "screened_out": [
            {"listener": one.listener, "reasons": one.reasons}
            for one in analysis.verdicts
            if not one.kept
        ],
        "screening_applied": not analysis.kept_all,
        "consistency": analysis.consistency,
        "tables": [
            {
                "condition": table.condition or None,
                "opinions": [one._asdict() for one in table.opinions],
                "comparisons": [one._asdict() for one in table.comparisons],
                "preferences": [
                    {**one._asdict(), "n": one.n, "share": one.share._asdict()}
                    for one in table.preferences
                ],
            }
            for table in analysis.tables
        ],
        "skipped": [{"file": one.path, "reason": one.reason} for one in analysis.skipped],
    }
