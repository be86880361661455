"""Tables of a report: every system by every number in one condition, with tests and the best."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from selfremaster.benchmarks import statistics
from selfremaster.benchmarks.records import Result
from selfremaster.benchmarks.statistics import Difference, Interval

Direction = Literal["higher", "lower"]
Role = Literal["floor", "ceiling", "absent", ""]  # absent: its part cannot be loaded
Key = tuple[str, int, str]  # corpus, seed, file
Results = Mapping[Key, Result]

GROUPS: Mapping[str, tuple[str, ...]] = {
    "quality": ("distillmos", "dnsmos", "pesq", "nisqa", "utmos", "visqol", "quality", "mos"),
    "intelligibility": ("wer", "estoi", "stoi", "cer"),
    "identity": ("speaker-similarity", "f0-rmse", "f0", "vuv", "voicing"),
    "signal": ("lsd", "mcd", "mel-l1", "si-sdr"),
    "channel": ("channel-similarity", "ltas"),
}
"""Names that numbers of each group begin with, those that stand for it first; others are signal."""
UNRANKED: tuple[Role, ...] = ("ceiling", "absent")  # neither tested nor best
SAME = 0.5  # of the last decimal shown: means that differ by less look the same


class Column(NamedTuple):
    """One number that was measured."""

    name: str
    group: str
    direction: Direction | None
    decimals: int

    @property
    def upwards(self) -> int:
        """1 where more is better, -1 where less is, 0 where nobody says."""
        return {"higher": 1, "lower": -1, None: 0}[self.direction]


class System(NamedTuple):
    """One of those that are compared."""

    label: str
    part: str  # as text
    role: Role
    baseline: bool


class Cell(NamedTuple):
    """What a table says about one system by one number."""

    interval: Interval | None
    difference: Difference | None = None
    best: bool = False


class Table(NamedTuple):
    """One condition: every system by every number."""

    condition: str
    degradation: str
    corpora: tuple[str, ...]
    files: int
    n: int  # the most numbers that a cell stands on
    units: int
    by_speaker: bool  # whether speakers are what is drawn anew
    cells: Mapping[tuple[str, str], Cell]
    failed: Mapping[str, int]

    def cell(self, system: System, column: Column) -> Cell:
        """The cell of a system and a number; an empty one where nothing was measured."""
        return self.cells.get((system.label, column.name), Cell(None))


def group_of(name: str) -> str:
    """The group that a number belongs to, by its name.

    >>> group_of("dnsmos-sig"), group_of("f0-rmse"), group_of("bandwidth")
    ('quality', 'identity', 'signal')
    """
    for group, starts in GROUPS.items():
        if any(begins(name, start) for start in starts):
            return group
    return "signal"


def begins(name: str, start: str) -> bool:
    """Whether a number's name is one of GROUPS, or begins with it as with a word.

    A number that two metrics give is told with its metric behind it.

    >>> [begins(name, "wer") for name in ("wer", "wer (wer:language=ja)", "werewolf")]
    [True, True, False]
    """
    return name == start or name.startswith((f"{start}-", f"{start} ("))


def condition_table(
    condition: str,
    degradation: str,
    systems: Sequence[System],
    columns: Sequence[Column],
    scores: Mapping[str, Results],
) -> Table:
    """The table of a condition, from the results of each system by its label."""
    everything = [result for system in systems for result in scores[system.label].values()]
    units, by_speaker = _units(everything)
    base = next(scores[system.label] for system in systems if system.baseline)
    cells = {
        (system.label, column.name): _cell(scores[system.label], base, column, system, units)
        for column in columns
        for system in systems
    }
    cells = _best(_corrected(cells), systems, columns)
    intervals = [cell.interval for cell in cells.values() if cell.interval]
    return Table(
        condition,
        degradation,
        tuple(dict.fromkeys(one.corpus for one in everything)),
        len({(one.corpus, one.file) for one in everything}),
        max((one.n for one in intervals), default=0),
        max((one.units for one in intervals), default=0),
        by_speaker,
        cells,
        {
            label: sum(one.status == "failed" for one in own.values())
            for label, own in scores.items()
        },
    )


def _units(results: Sequence[Result]) -> tuple[dict[Key, tuple[str, str]], bool]:
    """The speaker or else the file of each place of a condition, and whether it is speakers."""
    speakers = {(one.corpus, one.seed, one.file): one.speaker for one in results}
    named = [f"{key[0]}/{speaker}" if speaker else "" for key, speaker in speakers.items()]
    if statistics.by_speaker(named):
        return {key: (key[0], speaker) for key, speaker in speakers.items()}, True
    return {key: (key[0], key[2]) for key in speakers}, False


def _cell(
    own: Results,
    base: Results,
    column: Column,
    system: System,
    units: Mapping[Key, tuple[str, str]],
) -> Cell:
    numbers = _numbers(own, column)
    found = statistics.interval(list(numbers.values()), [units[key] for key in numbers])
    if system.baseline or system.role in UNRANKED or not column.direction:
        return Cell(found)
    others = _numbers(base, column)
    both = [key for key in numbers if key in others]
    gains = [column.upwards * (numbers[key] - others[key]) for key in both]
    return Cell(found, statistics.difference(gains, [units[key] for key in both]))


def _numbers(results: Results, column: Column) -> dict[Key, float]:
    return {
        key: value
        for key, result in results.items()
        if (value := result.scores.get(column.name)) is not None
    }


def _corrected(cells: Mapping[tuple[str, str], Cell]) -> dict[tuple[str, str], Cell]:
    """The cells with p-values that hold for all of them together."""
    tested = {place: cell.difference for place, cell in cells.items() if cell.difference}
    adjusted = dict(zip(tested, statistics.holm([one.p for one in tested.values()]), strict=True))
    changed = {
        place: cells[place]._replace(difference=found._replace(adjusted=adjusted[place]))
        for place, found in tested.items()
    }
    return {**cells, **changed}


def _best(
    cells: Mapping[tuple[str, str], Cell], systems: Sequence[System], columns: Sequence[Column]
) -> dict[tuple[str, str], Cell]:
    """The cells with the best mean of each number marked, of those not told the original."""
    marked = dict(cells)
    for column in columns:
        heights = {
            (system.label, column.name): column.upwards * found.mean
            for system in systems
            if system.role not in UNRANKED and (found := cells[system.label, column.name].interval)
        }
        if not column.direction or len(heights) < 2:
            continue
        limit = max(heights.values()) - SAME * 10.0**-column.decimals
        for place, height in heights.items():
            if height > limit:
                marked[place] = cells[place]._replace(best=True)
    return marked
