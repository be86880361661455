"""The report as Markdown, for where no page can be opened."""

from collections.abc import Sequence

import yaml

from selfremaster.benchmarks.reporting import texts, words
from selfremaster.benchmarks.reporting.numbers import Findings
from selfremaster.benchmarks.reporting.tables import Cell, Column, System, Table
from selfremaster.benchmarks.tables import ARROWS, NOTHING, markdown

MARKS = {"better": " ▲", "worse": " ▼", "": ""}
MOST_SPEAKERS = 40  # rows of the breakdown by speaker; more are told by corpus


def text(findings: Findings, page_name: str = "") -> str:
    """The report as Markdown; ``page_name`` is the page with the sounds, beside it."""
    grid = findings.grid
    sections = [
        f"# {words.cell(grid.name)}",
        grid.about.strip(),
        " · ".join(f"{what}: {value}" for what, value in texts.facts(findings)),
        f"Sounds, charts and all p-values: [{page_name}]({page_name})." if page_name else "",
        *_caveats(findings),
        "## Results",
        words.no_html(texts.reading(findings)),
        *(part for table in findings.tables for part in _condition(findings, table)),
        *_breakdown(findings),
        *_worst(findings),
        *_costs(findings),
        "## Failures and gaps",
        *_problems(findings),
        "## Provenance",
        *_provenance(findings),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _caveats(findings: Findings) -> list[str]:
    found = [words.no_html(texts.about_troubles(findings)), findings.grid.caveats.strip()]
    return ["## What limits these numbers", *found] if any(found) else []


def _condition(findings: Findings, table: Table) -> list[str]:
    """What stands for each group side by side, then every number of each group."""
    heading = f"### {words.cell(table.condition)}"
    damage = f"`{table.degradation}`; " if table.degradation else ""
    if not table.n:
        return [heading, "Nothing was measured here."]
    about = damage + words.cell(texts.about_table(table))
    parts = [heading, about, _table(findings, table, findings.headlines)]
    more = [
        (name, columns)
        for name, columns in findings.groups
        if not set(columns) <= set(findings.headlines)
    ]
    if more:
        tables = [f"**{name}**\n\n{_table(findings, table, found)}" for name, found in more]
        parts.append(_folded(f"All numbers, {table.condition}", "\n\n".join(tables)))
    return parts


def _table(findings: Findings, table: Table, columns: Sequence[Column]) -> str:
    rows = [
        [
            _who(system, table),
            *(_shown(table, table.cell(system, one), one) for one in columns),
        ]
        for system in findings.systems
    ]
    return markdown(["restorer", *map(_heading, columns)], rows)


def _heading(column: Column) -> str:
    arrow = f" {ARROWS[column.direction]}" if column.direction else ""
    return words.cell(column.name) + arrow


def _who(system: System, table: Table) -> str:
    marks = {"floor": "floor", "ceiling": "ceiling, told", "absent": "not loaded", "": ""}[
        system.role
    ]
    failed = table.failed[system.label]
    notes = [marks, "baseline" if system.baseline else "", f"{failed} failed" if failed else ""]
    told = ", ".join(filter(None, notes))
    return words.cell(system.label) + (f" *({told})*" if told else "")


def _shown(table: Table, cell: Cell, column: Column) -> str:
    found = cell.interval
    if found is None:
        return NOTHING
    mean = words.number(found.mean, column.decimals)
    text = f"**{mean}**" if cell.best else mean
    if cell.difference:
        text += MARKS[cell.difference.verdict]
    if found.low is not None:
        low, high = (words.number(end, column.decimals) for end in (found.low, found.high))
        text += f" [{low}, {high}]"
    return text if found.n == table.n else f"{text} n = {found.n}"


def _folded(title: str, inner: str) -> str:
    """What GitHub shows when it is clicked."""
    return f"<details><summary>{words.cell(title)}</summary>\n\n{inner}\n\n</details>"


def _breakdown(findings: Findings) -> list[str]:
    if not findings.headlines:
        return []
    rows = findings.slices
    parts = ["## Breakdown"]
    if len(rows) > MOST_SPEAKERS:
        parts.append(f"The first {MOST_SPEAKERS} of {len(rows)} rows; `results.jsonl` has all.")
    for column in findings.headlines:
        lines = [
            [
                words.cell(row.condition),
                words.cell(row.corpus),
                words.cell(row.speaker) or NOTHING,
                str(row.n),
                *(
                    words.number(row.means.get((system.label, column.name)), column.decimals)
                    for system in findings.systems
                ),
            ]
            for row in rows[:MOST_SPEAKERS]
        ]
        labels = [words.cell(system.label) for system in findings.systems]
        inner = markdown(["condition", "corpus", "speaker", "n", *labels], lines)
        parts.append(_folded(f"{_heading(column)} by condition, corpus and speaker", inner))
    return parts


def _worst(findings: Findings) -> list[str]:
    lists = texts.worst_files(findings)
    if not lists:
        return []
    column = next(one for one in findings.headlines if one.direction)
    parts = [
        "## Worst files",
        "The files that each restorer lost the most on, or helped the least: "
        f"{words.cell(column.name)} against {words.cell(findings.floor.label)}.",
    ]
    for system, losses in lists:
        rows = [
            [
                words.cell(f"{loss.result.corpus}/{loss.result.file}"),
                words.cell(loss.result.condition),
                words.number(loss.gain, column.decimals, sign=True),
                words.number(loss.floor, column.decimals),
                words.number(loss.score, column.decimals),
                words.cell(texts.reasons(loss)),
            ]
            for loss in losses
        ]
        heading = ["file", "condition", "gain", "before", "after", "what else changed; the damage"]
        parts.append(_folded(system.label, markdown(heading, rows)))
    return parts


def _costs(findings: Findings) -> list[str]:
    rows = [
        [
            words.cell(row.system.label),
            words.number(row.real_time_factor, 4),
            words.memory(row.peak_memory_bytes),
            words.many(row.parameters),
            words.many(row.multiply_adds),
            words.number(row.training_minutes, 1),
            str(row.threads),
        ]
        for row in texts.cost_rows(findings)
    ]
    if not rows:
        return []
    heading = ["restorer", "real-time factor", "peak memory", "parameters", "multiply-adds"]
    return [
        "## Costs",
        texts.COSTS,
        markdown([*heading, "training, minutes", "threads"], rows),
    ]


def _problems(findings: Findings) -> list[str]:
    found = texts.problems(findings)
    if not found:
        return ["None: every cell finished, and every metric gave a number."]
    return [
        f"**{title}**\n\n"
        + "\n".join(
            f"- {words.cell(where)}: {words.cell(reason)}"
            + (f" ({words.cell(files)})" if files else "")
            for where, reason, files in rows
        )
        for title, rows in found
    ]


def _provenance(findings: Findings) -> list[str]:
    metrics = [
        [
            f"`{note.metric}`",
            ", ".join(f"{name} {ARROWS[way]}" for name, way in note.directions.items()) or NOTHING,
            words.cell(note.summary),
            words.cell(note.policy) or NOTHING,
            words.cell(texts.source_of(note)) or NOTHING,
        ]
        for note in findings.notes
    ]
    heading = ["metric", "numbers", "what it says", "policy", "source and version"]
    parts = [_left(markdown(heading, metrics))] if metrics else []
    for title, rows in texts.provenance(findings):
        lines = "\n".join(f"- {words.cell(name)}: {words.cell(told)}" for name, told in rows)
        parts.append(f"**{title}**\n\n{lines}")
    command = findings.outcome.provenance.command
    if command:
        parts.append(words.fenced(command, "sh"))
    grid = yaml.safe_dump(findings.outcome.grid, sort_keys=False, allow_unicode=True)
    return [*parts, _folded("The grid", words.fenced(grid, "yaml"))]


def _left(table: str) -> str:
    """The table with all columns aligned to the left."""
    heading, marks, *rows = table.splitlines()
    return "\n".join([heading, marks.replace("---:", "---"), *rows])
