"""The report as one HTML page that needs nothing else: style, program and sounds are within."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from selfremaster.benchmarks.reporting import texts, words
from selfremaster.benchmarks.reporting.charts import forest
from selfremaster.benchmarks.reporting.numbers import Findings, Loss
from selfremaster.benchmarks.reporting.sounds import Player, Store, examples, worst_player
from selfremaster.benchmarks.reporting.tables import Column, System, Table
from selfremaster.benchmarks.statistics import Difference
from selfremaster.benchmarks.tables import ARROWS

TEMPLATES = Path(__file__).with_name("templates")
LARGEST_BYTES = 15_000_000
MOST_SLICES = 300  # rows of the breakdown
NOTES_BYTES = 20_000  # kept for what is said of sounds that are left out

WorstFiles = list[tuple[System, list[tuple[Loss, Player | None]]]]


def page(findings: Findings, largest_bytes: int = LARGEST_BYTES) -> str:
    """The report as HTML; sounds are left out, and named, where it would be larger."""
    unheard: WorstFiles = [
        (system, [(loss, None) for loss in losses])
        for system, losses in texts.worst_files(findings)
    ]
    silent = _render(findings, [], unheard, Store(0))
    store = Store(largest_bytes - len(silent.encode()) - NOTES_BYTES)
    players = examples(findings, store)
    return _render(findings, players, _worst(findings, store), store)


def _render(findings: Findings, players: list[Player], worst: WorstFiles, store: Store) -> str:
    template = _environment().get_template("page.html.j2")
    return template.render(
        findings=findings,
        arrows=ARROWS,
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "page.js").read_text(encoding="utf-8")),
        facts=texts.facts(findings),
        reading=texts.reading(findings),
        problems_note=texts.about_troubles(findings),
        problems=texts.problems(findings),
        provenance=texts.provenance(findings),
        grid_text=yaml.safe_dump(findings.outcome.grid, sort_keys=False, allow_unicode=True),
        forest=forest,
        players=players,
        worst=worst,
        worst_column=next((one for one in findings.headlines if one.direction), None),
        costs=texts.cost_rows(findings),
        costs_note=texts.COSTS,
        slices=findings.slices[:MOST_SLICES],
        slices_shown=MOST_SLICES,
        slices_left_out=len(findings.slices) > MOST_SLICES,
        sounds=store.sounds,
        left_out=store.left_out,
    )


def _worst(findings: Findings, store: Store) -> WorstFiles:
    """The worst files of each restorer, the very worst of all with their sounds first."""
    lists = texts.worst_files(findings)
    players: dict[tuple[int, int], Player | None] = {}
    longest = max((len(losses) for _, losses in lists), default=0)
    for rank in range(longest):
        for place, (_, losses) in enumerate(lists):
            if rank < len(losses):
                name = f"worst-{place + 1}-{rank + 1}"
                players[place, rank] = worst_player(findings, losses[rank], name, store)
    return [
        (system, [(loss, players[place, rank]) for rank, loss in enumerate(losses)])
        for place, (system, losses) in enumerate(lists)
    ]


def templates() -> Environment:
    """The templates of all pages; what is put into them is escaped."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _environment() -> Environment:
    environment = templates()
    environment.filters |= {
        "number": words.number,
        "p_value": words.p_value,
        "many": words.many,
        "memory": words.memory,
        "rich": words.rich,
        "inline": words.inline,
        "about": texts.about_table,
        "difference": _difference,
        "tested": _tested,
        "reasons": texts.reasons,
        "source": texts.source_of,
        "groupby_condition": _by_condition,
    }
    return environment


def _difference(found: Difference, column: Column, findings: Findings) -> str:
    gain = words.number(found.median, column.decimals, sign=True)
    p = words.p_value(found.adjusted)
    return (
        f"median gain over {findings.baseline.label} {gain}, better for "
        f"{100 * found.better:.0f} % of {found.n}; p after Holm: {p}"
    )


def _tested(table: Table, findings: Findings) -> list[tuple[System, Column, Difference]]:
    return [
        (system, column, found)
        for system in findings.systems
        for column in findings.columns
        if (found := table.cell(system, column).difference)
    ]


def _by_condition(players: Iterable[Player]) -> list[tuple[str, list[Player]]]:
    return [(name, list(found)) for name, found in groupby(players, lambda one: one.condition)]
