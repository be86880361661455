"""What both reports say in words: how to read them, what went wrong, where numbers are from."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfremaster.benchmarks import statistics
from selfremaster.benchmarks.records import (
    GRID_NAME,
    PROVENANCE_NAME,
    RESULTS_NAME,
    MetricNote,
)
from selfremaster.benchmarks.reporting import words
from selfremaster.benchmarks.reporting.numbers import CostRow, Findings, Loss, Trouble
from selfremaster.benchmarks.reporting.tables import System, Table
from selfremaster.core.components import ComponentSpec

SHORT_HASH = 12  # digits of a hash in a table
HASHES = ("sha256", "model", "experiment", "bundle", "hash")
COSTS = (
    "Real-time factor: seconds of work for each second of sound, after a warm-up. Memory is that "
    "of the process that restored, at its peak; multiply-adds are for a second of sound; training "
    "is the mean over cells."
)
MOST_CELLS = 12  # cells without a result that are named
MOST_ROWS = 200  # of failures, gaps and files left out; a page of thousands is read by nobody
Row = tuple[str, str, str]


def facts(findings: Findings) -> list[tuple[str, str]]:
    """What was compared on what, in figures."""
    grid, results = findings.grid, findings.outcome.results
    sounds = {(one.corpus, one.file): one.seconds for one in results}
    found = [
        ("Conditions", str(len(grid.conditions))),
        ("Restorers", str(len(grid.restorers))),
        ("Files", f"{findings.files:,}"),
        ("Speech", words.duration(sum(sounds.values()))),
    ]
    if findings.speakers:
        found.append(("Speakers", f"{findings.speakers:,}"))
    if len(grid.seeds) > 1:
        found.append(("Seeds", str(len(grid.seeds))))
    failed = sum(one.status == "failed" for one in results)
    if failed:
        found.append(("Failed", f"{failed} of {len(results):,}"))
    found.append(("Date", findings.outcome.provenance.started[:10]))
    return found


def reading(findings: Findings) -> str:
    """How the tables are to be read, Markdown."""
    tables = [table for table in findings.tables if table.n]
    if not tables:
        return "No number was measured: see failures and gaps."
    drawn = {table.by_speaker for table in tables}
    whom = "speakers" if drawn == {True} else "files" if drawn == {False} else "files or speakers"
    told = any(system.role == "ceiling" for system in findings.systems)
    task = (
        "Clean speech was given the sound of recordings, and is measured against its damaged twin."
        if findings.grid.task == "transfer"
        else "Restored speech is measured; where a metric needs one, against the clean original."
    )
    bold = (
        "**Bold** is the best of those that are not told the original"
        if told
        else "**Bold** is best"
    )
    lines = [
        f"{task} No number tells all: quality, intelligibility and identity stand side by side.",
        "",
        f"- Means, with 95 % intervals by the bootstrap over {whom}; none from fewer than 5.",
        f"- Arrows say which way is better. {bold}.",
        f"- ▲ better, ▼ worse than **{findings.baseline.label}** beyond chance: paired permutation "
        "test, Holm's correction over all restorers and numbers of a condition, 5 %.",
        *_powerless(tables, findings, whom),
    ]
    return "\n".join(lines)


def _powerless(tables: Sequence[Table], findings: Findings, whom: str) -> list[str]:
    """Whether there is so little that no difference could ever be told from chance."""
    found = []
    for table in tables:
        tested = sum(cell.difference is not None for cell in table.cells.values())
        if tested and statistics.smallest_p(table.units) * tested >= statistics.SIGNIFICANT:
            found.append(table.condition)
    if not found:
        return []
    where = "" if len(found) == len(findings.tables) else f" in {words.listed(found)}"
    return [f"- **So few {whom}{where} cannot give a mark, however large the difference is.**"]


def about_table(table: Table) -> str:
    """What a condition's table stands on."""
    unit = "speaker" if table.by_speaker else "file"
    drawn = f"intervals over {words.counted(table.units, unit)}"
    if table.units < statistics.FEWEST:
        drawn = f"too few {unit}s for intervals"
    corpora = words.listed([*table.corpora])
    return f"{words.counted(table.files, 'file')} of {corpora}; n = {table.n}; {drawn}"


def about_troubles(findings: Findings) -> str:
    """One sentence on failures, gaps and cells without a result."""
    found = []
    failed = sum(one.status == "failed" for one in findings.outcome.results)
    if failed:
        found.append(f"{words.counted(failed, 'restoration')} failed")
    missing = [note.metric for note in findings.notes if note.missing]
    if missing:
        found.append(f"nothing was measured by {words.listed(missing)}")
    if findings.unfinished:
        found.append(f"{words.counted(len(findings.unfinished), 'cell')} have no result yet")
    text = "; ".join(found)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def problems(findings: Findings) -> list[tuple[str, list[Row]]]:
    """Failures, gaps, exclusions and what is unfinished, each a table of three columns."""
    unfinished = [(cell, "no result yet", "") for cell in findings.unfinished]
    excluded = [line.partition(": ") for line in findings.outcome.provenance.exclusions]
    found = [
        ("Failures", _first([_trouble(one) for one in findings.failures], RESULTS_NAME)),
        ("Gaps", _first([_trouble(one) for one in findings.gaps], RESULTS_NAME)),
        (
            "Left out",
            _first([(file, reason, "") for file, _, reason in excluded], PROVENANCE_NAME),
        ),
        ("Unfinished", _first(unfinished, GRID_NAME, MOST_CELLS)),
    ]
    return [(title, rows) for title, rows in found if rows]


def _first(rows: list[Row], name: str, most: int = MOST_ROWS) -> list[Row]:
    """So many rows, and how many more a file of the benchmark's folder tells of."""
    if len(rows) <= most:
        return rows
    return [*rows[:most], (f"{len(rows) - most} more", f"{name} has all", "")]


def _trouble(one: Trouble) -> Row:
    if not one.files:
        return one.where, one.reason, "every file"
    return (
        one.where,
        one.reason,
        f"{words.counted(len(one.files), 'file')}: {words.listed(one.files, 3)}",
    )


def worst_files(findings: Findings) -> list[tuple[System, list[Loss]]]:
    """The worst files of everyone who restores, where there are any."""
    lists = [(system, findings.worst(system)) for system in findings.contestants]
    return [(system, losses) for system, losses in lists if losses]


def reasons(loss: Loss) -> str:
    """What else changed for a file, and what had been done to it."""
    changes = ", ".join(
        f"{column.name} {words.number(gain * column.upwards, column.decimals, sign=True)}"
        for column, gain in loss.others
    )
    return "; ".join(filter(None, (changes, words.drawn(loss.result.degradation))))


def cost_rows(findings: Findings) -> list[CostRow]:
    """The costs, where any were taken down."""
    return findings.costs if findings.outcome.costs else []


def source_of(note: MetricNote) -> str:
    """Where a metric is from, with the versions of the packages that measure."""
    packages = ", ".join(
        f"{name} {version or 'not installed'}" for name, version in note.packages.items()
    )
    missing = f"missing: {note.missing}" if note.missing else ""
    return "; ".join(filter(None, (note.source.rstrip("."), packages, missing)))


def provenance(findings: Findings) -> list[tuple[str, list[tuple[str, str]]]]:
    """Tables of what made the numbers: name and what is said of it."""
    from_where = findings.outcome.provenance
    versions = {"selfremaster": from_where.selfremaster, "Python": from_where.python}
    made = [
        ("versions", _listed(versions | from_where.packages)),
        ("plugins of others", _listed(from_where.plugins)),
        ("machine", from_where.machine),
        ("started", from_where.started),
        ("seeds", ", ".join(map(str, findings.grid.seeds))),
        ("grid, SHA-256", from_where.grid_sha256),
    ]
    tables = [
        ("Made by", made),
        ("Corpora", [(name, _told(told)) for name, told in from_where.corpora.items()]),
        ("Conditions", [(table.condition, table.degradation or "-") for table in findings.tables]),
        ("Restorers", [(label, _restorer(findings, label)) for label in findings.grid.restorers]),
        ("Training runs", [(name, _told(told)) for name, told in from_where.runs.items()]),
    ]
    kept = [(title, [(name, text) for name, text in rows if text]) for title, rows in tables]
    return [(title, rows) for title, rows in kept if rows]


def _restorer(findings: Findings, label: str) -> str:
    told = dict(findings.outcome.provenance.restorers.get(label, {}))
    part: ComponentSpec = findings.grid.restorers[label]
    told.setdefault("part", str(part))
    return _told(told)


def _told(told: Mapping[str, Any]) -> str:
    """What is said of a thing, hashes short."""
    found = []
    for name, value in told.items():
        if value is None or value in ("", False):
            continue
        text = words.cut(str(value), 200)
        if name in HASHES or name.endswith("sha256"):
            text = text[:SHORT_HASH]
        found.append(name if value is True else f"{name} {text}")
    return ", ".join(found)


def _listed(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())
