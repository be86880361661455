"""The report of the paper's comparison, as Markdown and CSV."""

import argparse
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfremaster.benchmarks import descriptions, method_transfer
from selfremaster.benchmarks.measuring import mean
from selfremaster.benchmarks.method_runs import CONDITIONS, Plan
from selfremaster.benchmarks.tables import ARROWS, NOTHING, markdown, with_error
from selfremaster.core.bundles import BUNDLE_NAME, Bundle
from selfremaster.registry.assembling import find_bundle

Row = Mapping[str, Any]


def report(
    plan: Plan, rows: Sequence[Row], directions: Mapping[str, str], given: argparse.Namespace
) -> str:
    """The report as Markdown."""
    bundles = _bundles(plan)
    sections = [
        "# The published method, compared",
        _what(plan, rows),
        *_caveats(given.caveats),
        "## Restoring",
        *_restoring(rows, directions),
        f"The first seconds of a test file of the reader ({given.conditions[0]}):",
        f"![Spectrograms: clean, damaged, restored]({given.output.with_suffix('.png').name})",
        "## Audio effect transfer",
        _transfer(plan),
        "## Training",
        _training(bundles),
        "## How it was measured",
        descriptions.settings_of("degradation", CONDITIONS),
        descriptions.made_by(bundles[0]) if bundles else "",
        f"On {descriptions.processor()}. The command (paths are names alone):",
        f"```sh\n{_command(given)}\n```",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def table(rows: Sequence[Row]) -> str:
    """Every number as CSV, a line for each file, condition and system."""
    lines = io.StringIO(newline="")
    if rows:
        written = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
        written.writeheader()
        written.writerows(rows)
    return lines.getvalue()


def _what(plan: Plan, rows: Sequence[Row]) -> str:
    counts = {row["set"]: 0 for row in rows}
    for name in counts:
        counts[name] = len({row["file"] for row in rows if row["set"] == name})
    sets = " and ".join(f"{count} of `{name}`" for name, count in counts.items())
    return f"""\
Both feature variants of the paper (MelSpec: `mel`, spoken by `hifigan`; SourceFilter:
`source-filter`, spoken by `ddsp`), trained in three ways, on the paper's four sorts of damage.
`supervised` and `pretrain` learn from clean speech of {plan.clean} with drawn damage (preset v2 of
`pretrain`) and know no condition. `ssl-dual` learns from {plan.recordings}'s recordings, damaged in
one way, with clean speech of {plan.clean}; so does `pretrain + ssl-dual`, from the weights of
`pretrain`. Nobody was trained on a test file, or on a pair of any condition.

Test files: {sets}. The reader is the speaker of the recordings, saying other sentences; the
strangers are ten speakers of which nothing was ever heard, the vocoders included. Copy synthesis is
told the clean original: the most that the vocoder can give."""


def _caveats(path: Path | None) -> list[str]:
    return [] if path is None else ["## Caveats", path.read_text(encoding="utf-8").strip()]


def _restoring(rows: Sequence[Row], directions: Mapping[str, str]) -> list[str]:
    parts = ["Mean ± standard error over files; bold is the best system of those not told."]
    for name in dict.fromkeys(row["set"] for row in rows):
        chosen = [row for row in rows if row["set"] == name]
        parts.append(f"### {str(name).capitalize()}")
        parts += [_by_condition(chosen, metric, way) for metric, way in directions.items()]
    return parts


def _by_condition(rows: Sequence[Row], metric: str, direction: str) -> str:
    systems = list(dict.fromkeys(row["system"] for row in rows))
    conditions = [one for one in CONDITIONS if any(row["condition"] == one for row in rows)]
    numbers = {
        (system, condition): [
            float(row[metric])
            for row in rows
            if (row["system"], row["condition"]) == (system, condition)
        ]
        for system in systems
        for condition in conditions
    }
    lines = []
    for system in systems:
        cells = []
        for condition in conditions:
            rivals = [mean(numbers[one, condition]) for one in systems if "copy" not in one]
            best = max(rivals) if direction == "higher" else min(rivals)
            text = with_error(numbers[system, condition])
            cells.append(f"**{text}**" if mean(numbers[system, condition]) == best else text)
        lines.append([system, *cells])
    return markdown([f"{metric} {ARROWS[direction]}", *conditions], lines)


def _transfer(plan: Plan) -> str:
    rows = method_transfer.read(plan)
    ways = list(dict.fromkeys(row["way"] for row in rows))
    conditions = [one for one in CONDITIONS if any(row["condition"] == one for row in rows)]
    found = {(row["way"], row["condition"]): row["ltas_db"] for row in rows}
    best = {
        condition: min(value for (_, one), value in found.items() if one == condition)
        for condition in conditions
    }
    lines = []
    for way in ways:
        values = [found.get((way, condition)) for condition in conditions]
        cells = [NOTHING if value is None else f"{value:.2f}" for value in values]
        pairs = zip(cells, values, conditions, strict=True)
        lines.append([way, *(f"**{c}**" if v == best[one] else c for c, v, one in pairs)])
    return f"""\
The channel, known from {method_transfer.RECORDINGS} damaged recordings of {plan.recordings}, is put
onto {method_transfer.FILES} clean test files of {plan.clean}. Log-spectral distance of long-term
average spectra, in dB, to those files damaged by the condition itself; `source` is left as it is.
`mean-spectrum` is the robust form, from unrelated clean speech of {plan.clean}; the published form
needs the clean originals of the recordings and has them.

{markdown(["dB ↓", *conditions], lines)}"""


def _bundles(plan: Plan) -> list[Bundle]:
    folders = [plan.folder(run) for run in plan.runs()]
    trained = [find_bundle(one) for one in folders if (one / BUNDLE_NAME).is_file()]
    vocoders = [find_bundle(variant.bundle) for variant in plan.vocoders.values()]
    return [*trained, *vocoders]


def _training(bundles: Sequence[Bundle]) -> str:
    total = sum(float((one.header.get("training") or {}).get("minutes", 0)) for one in bundles)
    return f"{descriptions.training(bundles)}\n\nTogether {total:.0f} minutes."


def _command(given: argparse.Namespace) -> str:
    told = {
        name: getattr(given, name) for name in ("manifest", "work", "output", "hifigan", "ddsp")
    }
    options = " ".join(f"--{name} {Path(str(value)).name}" for name, value in told.items())
    return f"python -m selfremaster.benchmarks.published_method {options}"
