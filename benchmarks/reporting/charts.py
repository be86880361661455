"""Charts of a report: means with their intervals as inline SVG that needs no program."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from selfremaster.benchmarks.reporting.numbers import Findings
from selfremaster.benchmarks.reporting.tables import Column, System, Table
from selfremaster.benchmarks.reporting.words import number
from selfremaster.benchmarks.statistics import Interval

LEFT, RIGHT = 36.0, 98.0  # per cent of the width: where the scale begins and ends
ROW, TOP, BOTTOM = 28, 6, 30  # pixels
TICKS = 5  # about so many
MARGIN = 0.06  # of the range, to either side


class Row(NamedTuple):
    """One line of a chart."""

    label: str
    kind: str  # "floor", "ceiling", "best" or ""
    interval: Interval | None


def forest(findings: Findings, table: Table, column: Column) -> Markup:
    """One number of every system in a condition: a dot for the mean, a line for its interval.

    The scale is the same in all conditions.
    """
    rows = [
        Row(system.label, _kind(table, column, system), cell.interval)
        for system in findings.systems
        if (cell := table.cell(system, column)).interval
    ]
    title = f"{column.name}, {table.condition}"
    return draw(rows, column, title, limits(findings, column))


def _kind(table: Table, column: Column, system: System) -> str:
    return system.role or ("best" if table.cell(system, column).best else "")


def limits(findings: Findings, column: Column) -> tuple[float, float]:
    """From where to where the scale of a number goes, over all conditions."""
    ends = [
        end
        for table in findings.tables
        for system in findings.systems
        if (found := table.cell(system, column).interval)
        for end in (found.mean, found.low, found.high)
        if end is not None
    ]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    spread = (high - low) * MARGIN or abs(high) * MARGIN or 1.0
    return low - spread, high + spread


def ticks(low: float, high: float) -> list[float]:
    """Round numbers within limits.

    >>> ticks(1.2, 4.7)
    [2.0, 3.0, 4.0]
    """
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)
    first = math.ceil(low / step)
    count = math.floor(high / step) - first + 1
    return [round((first + place) * step, 12) for place in range(count)]


def draw(rows: Sequence[Row], column: Column, title: str, scale: tuple[float, float]) -> Markup:
    """The chart as SVG; its text keeps its size, whatever the width."""
    low, high = scale
    base = TOP + ROW * len(rows)
    told = "; ".join(f"{row.label}: {_said(row.interval, column)}" for row in rows)
    parts = [
        _text("<title>{}</title>", title),
        _text("<desc>{}</desc>", told),
        *_axis(low, high, base),
        *_reference(rows, low, high, base),
    ]
    for place, row in enumerate(rows):
        parts += _row(row, TOP + ROW * place + ROW / 2, low, high)
    return _text(
        '<svg class="forest" role="img" width="100%" height="{}" aria-label="{}">{}</svg>',
        base + BOTTOM,
        f"{title}. {told}",
        Markup("").join(parts),
    )


def _said(found: Interval | None, column: Column) -> str:
    if found is None:
        return "nothing"
    mean = number(found.mean, column.decimals)
    if found.low is None:
        return mean
    return f"{mean}, {number(found.low, column.decimals)} to {number(found.high, column.decimals)}"


def _axis(low: float, high: float, base: float) -> list[Markup]:
    marks = ticks(low, high)
    decimals = max((_decimals(mark) for mark in marks), default=0)
    found = []
    for mark in marks:
        where = _percent(mark, low, high)
        found.append(
            _text('<line class="tick" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', where, TOP, base)
        )
        found.append(
            _text('<text x="{}" y="{}">{}</text>', where, base + 17, number(mark, decimals))
        )
    return found


def _decimals(mark: float) -> int:
    return len(f"{mark:.10f}".rstrip("0").partition(".")[2])


def _reference(rows: Sequence[Row], low: float, high: float, base: float) -> list[Markup]:
    """A line through the floor, which the others are to leave behind."""
    floors = [row.interval.mean for row in rows if row.kind == "floor" and row.interval]
    return [
        _text(
            '<line class="through" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>',
            _percent(mean, low, high),
            TOP,
            base,
        )
        for mean in floors
    ]


def _row(row: Row, middle: float, low: float, high: float) -> list[Markup]:
    label = _text(
        '<foreignObject x="0" y="{}" width="{}%" height="{}">'
        '<div class="label {}">{}</div></foreignObject>',
        middle - ROW / 2,
        LEFT - 3,
        ROW,
        row.kind,
        row.label,
    )
    found = row.interval
    if found is None:
        return [label]
    parts = [label]
    if found.low is not None and found.high is not None:
        ends = _percent(found.low, low, high), _percent(found.high, low, high)
        parts.append(
            _text(
                '<line class="range {}" x1="{}" x2="{}" y1="{}" y2="{}"/>',
                row.kind,
                *ends,
                middle,
                middle,
            )
        )
    where = _percent(found.mean, low, high)
    parts.append(
        _text('<circle class="mean {}" cx="{}" cy="{}" r="4.5"/>', row.kind, where, middle)
    )
    return parts


def _percent(value: float, low: float, high: float) -> str:
    return f"{LEFT + (RIGHT - LEFT) * (value - low) / (high - low):.2f}%"


def _text(pattern: str, *values: object) -> Markup:
    return Markup(pattern).format(*(escape(value) for value in values))
