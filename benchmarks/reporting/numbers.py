"""What a report tells: means and tests by condition, breakdowns, worst files, costs, gaps."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from pydantic import ValidationError

from selfremaster.benchmarks.grids import Grid
from selfremaster.benchmarks.records import MetricNote, Outcome, Result
from selfremaster.benchmarks.reporting.tables import (
    GROUPS,
    Column,
    Direction,
    Key,
    Results,
    Role,
    System,
    Table,
    begins,
    condition_table,
    group_of,
)
from selfremaster.benchmarks.reporting.words import decimals_for
from selfremaster.core.components import describe
from selfremaster.core.errors import ExperimentError

WORST = 10


class Slice(NamedTuple):
    """The mean of each system on one speaker of a corpus in one condition."""

    condition: str
    corpus: str
    speaker: str
    n: int
    means: Mapping[tuple[str, str], float]  # by system and number


class Loss(NamedTuple):
    """A file that a restorer made worse, or helped the least."""

    result: Result
    score: float
    floor: float
    gain: float  # below 0: worse than the floor
    others: tuple[tuple[Column, float], ...]  # gains by the other headline numbers


class CostRow(NamedTuple):
    """What a system takes, over all its cells."""

    system: System
    real_time_factor: float | None
    peak_memory_bytes: int | None
    parameters: int | None
    multiply_adds: float | None
    training_minutes: float | None  # the mean over cells
    threads: int


class Trouble(NamedTuple):
    """What went wrong alike for several files."""

    where: str
    reason: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """All that is to be told about a benchmark."""

    outcome: Outcome
    grid: Grid
    systems: tuple[System, ...]
    columns: tuple[Column, ...]
    scores: Mapping[tuple[str, str], Results] = field(repr=False)

    @property
    def order(self) -> Sequence[str]:
        """The groups, those first that tell the most of the task."""
        return sorted(GROUPS, key=lambda name: (name != "channel") * (self.grid.task == "transfer"))

    @cached_property
    def headlines(self) -> tuple[Column, ...]:
        """The number that stands for each group, where any of it was measured."""
        return tuple(min(group, key=_rank) for name in self.order if (group := self.group(name)))

    @cached_property
    def baseline(self) -> System:
        """Whom the others are tested against."""
        return next(system for system in self.systems if system.baseline)

    @cached_property
    def floor(self) -> System:
        """Who does nothing; where nobody does, the baseline."""
        return next((one for one in self.systems if one.role == "floor"), self.baseline)

    @property
    def contestants(self) -> list[System]:
        """Those that restore: neither floor nor told the original, and there at all."""
        return [system for system in self.systems if not system.role]

    def group(self, name: str) -> list[Column]:
        """The numbers of a group."""
        return [column for column in self.columns if column.group == name]

    @cached_property
    def groups(self) -> list[tuple[str, list[Column]]]:
        """Every group of which something was measured, with its numbers."""
        return [(name, found) for name in self.order if (found := self.group(name))]

    @cached_property
    def tables(self) -> list[Table]:
        """One table for each condition."""
        return [
            condition_table(
                condition,
                str(settings.degradation or ""),
                self.systems,
                self.columns,
                {
                    system.label: self.scores.get((condition, system.label), {})
                    for system in self.systems
                },
            )
            for condition, settings in self.grid.conditions.items()
        ]

    @cached_property
    def slices(self) -> list[Slice]:
        """The breakdown by condition, corpus and speaker."""
        return list(_slices(self))

    def worst(self, system: System) -> list[Loss]:
        """The ten files that a restorer lost the most on by the first headline number."""
        return _worst(self, system)

    @cached_property
    def costs(self) -> list[CostRow]:
        """What the systems take."""
        return [_cost(self, system) for system in self.systems]

    @cached_property
    def failures(self) -> list[Trouble]:
        """What failed, with its reason."""
        failed = [result for result in self.outcome.results if result.status == "failed"]
        return _troubles((one.restorer, one.reason or "no reason given", one) for one in failed)

    @cached_property
    def gaps(self) -> list[Trouble]:
        """Metrics that gave nothing, with the reason."""
        missing = {
            note.metric: note.missing for note in self.outcome.provenance.metrics if note.missing
        }
        found = _troubles(
            (metric, reason, result)
            for result in self.outcome.results
            for metric, reason in result.gaps.items()
            if metric not in missing
        )
        return [*(Trouble(metric, reason, ()) for metric, reason in missing.items()), *found]

    @cached_property
    def unfinished(self) -> list[str]:
        """Cells of the grid that have no result yet."""
        done = {(one.condition, one.corpus, one.seed, one.restorer) for one in self.outcome.results}
        return [" / ".join(map(str, cell)) for cell in self.grid.cells() if cell not in done]

    @property
    def files(self) -> int:
        """How many files there are, over all corpora."""
        return len({(one.corpus, one.file) for one in self.outcome.results})

    @property
    def speakers(self) -> int:
        """How many speakers are known."""
        return len({(one.corpus, one.speaker) for one in self.outcome.results if one.speaker})

    @property
    def notes(self) -> list[MetricNote]:
        """What is said about the metrics."""
        return self.outcome.provenance.metrics


def find(outcome: Outcome) -> Findings:
    """Put in order what a benchmark's folder holds; raises `ExperimentError` for a strange grid."""
    try:
        grid = Grid.model_validate(outcome.grid)
    except ValidationError as error:
        raise ExperimentError(f"{outcome.folder}: {describe(error, Grid)}") from None
    scores: dict[tuple[str, str], dict[Key, Result]] = defaultdict(dict)
    for result in outcome.results:
        scores[result.condition, result.restorer][result.corpus, result.seed, result.file] = result
    columns = _columns(outcome)
    systems = tuple(_system(label, grid, outcome) for label in grid.restorers)
    found = Findings(outcome, grid, systems, tuple(columns), scores)
    ordered = [column for name in found.order for column in found.group(name)]
    return replace(found, columns=tuple(ordered))


def _system(label: str, grid: Grid, outcome: Outcome) -> System:
    part = grid.restorers[label]
    # none where nobody knows, because the part cannot be loaded
    told = outcome.provenance.restorers.get(label, {}).get("told", False)
    known: Role = "absent" if told is None else "ceiling" if told else ""
    role: Role = "floor" if part.name == "input" else known
    return System(label, str(part), role, label == grid.reference)


def _columns(outcome: Outcome) -> Iterable[Column]:
    directions: dict[str, Direction | None] = {}
    for note in outcome.provenance.metrics:
        directions |= note.directions
    values: dict[str, list[float]] = defaultdict(list)
    for result in outcome.results:
        for name, value in result.scores.items():
            directions.setdefault(name, None)
            if value is not None:
                values[name].append(value)
    return [
        Column(name, group_of(name), direction, decimals_for(values[name]))
        for name, direction in directions.items()
        if values[name]
    ]


def _rank(column: Column) -> int:
    """How well a number stands for its group: the place of what its name begins with."""
    starts = GROUPS[column.group]
    found = [
        place * 2 + (column.name not in (start, f"{start}-ovrl"))
        for place, start in enumerate(starts)
        if begins(column.name, start)
    ]
    return min(found, default=2 * len(starts))


def _slices(findings: Findings) -> Iterable[Slice]:
    for condition in findings.grid.conditions:
        rows: dict[tuple[str, str], list[Result]] = defaultdict(list)
        for system in findings.systems:
            for result in findings.scores.get((condition, system.label), {}).values():
                rows[result.corpus, result.speaker].append(result)
        for (corpus, speaker), results in rows.items():
            values: dict[tuple[str, str], list[float]] = defaultdict(list)
            for result in results:
                for name, value in result.scores.items():
                    if value is not None:
                        values[result.restorer, name].append(value)
            means = {place: sum(found) / len(found) for place, found in values.items()}
            n = len({(one.seed, one.file) for one in results})
            yield Slice(condition, corpus, speaker, n, means)


def _worst(findings: Findings, system: System) -> list[Loss]:
    judging = [column for column in findings.headlines if column.direction]
    if not judging or system == findings.floor:
        return []
    main, *others = judging
    losses = []
    for condition in findings.grid.conditions:
        floors = findings.scores.get((condition, findings.floor.label), {})
        for key, result in findings.scores.get((condition, system.label), {}).items():
            own = result.scores.get(main.name)
            floor = floors[key].scores.get(main.name) if key in floors else None
            if own is None or floor is None:
                continue
            gains = tuple(
                (column, column.upwards * (theirs - before))
                for column in others
                if (theirs := result.scores.get(column.name)) is not None
                and (before := floors[key].scores.get(column.name)) is not None
            )
            losses.append(Loss(result, own, floor, main.upwards * (own - floor), gains))
    return sorted(losses, key=lambda loss: loss.gain)[:WORST]


def _cost(findings: Findings, system: System) -> CostRow:
    rows = [one for one in findings.outcome.costs if one.restorer == system.label]
    audio = sum(one.audio_seconds for one in rows)
    minutes = _known(one.training_minutes for one in rows)
    return CostRow(
        system,
        sum(one.wall_seconds for one in rows) / audio if audio else None,
        max(_known(one.peak_memory_bytes for one in rows), default=None),
        max(_known(one.parameters for one in rows), default=None),
        max(_known(one.multiply_adds for one in rows), default=None),
        sum(minutes) / len(minutes) if minutes else None,
        max((one.threads for one in rows), default=1),
    )


def _known(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _troubles(found: Iterable[tuple[str, str, Result]]) -> list[Trouble]:
    files: dict[tuple[str, str], list[str]] = defaultdict(list)
    for where, reason, result in found:
        name = f"{result.corpus}/{result.file} ({result.condition})"
        if name not in files[where, reason]:
            files[where, reason].append(name)
    return [Trouble(where, reason, tuple(names)) for (where, reason), names in files.items()]
