"""What came of a listening test, as Markdown, CSV and a chart."""

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

from selfremaster.benchmarks.listening.analysis import Analysis, Table
from selfremaster.benchmarks.listening.answers import Rating
from selfremaster.benchmarks.listening.designs import Key
from selfremaster.benchmarks.listening.screening import rules_in_words
from selfremaster.benchmarks.listening.statistics import Comparison, Opinion, Preference
from selfremaster.benchmarks.tables import markdown
from selfremaster.core.files import write_atomically

REPORT_NAME, TABLE_NAME, CHART_NAME = "report.md", "results.csv", "chart.png"
SIGNIFICANT = 0.05

NAMES = {
    "mos": "Mean opinion scores: naturalness, 1 (bad) to 5 (excellent)",
    "smos": "Similarity mean opinion scores, 1 (not at all) to 5 (extremely similar)",
    "preference": "Preferences, side by side",
    "mushra": "Ratings beside a reference, 0 (bad) to 100 (excellent)",
}
SOURCES = {
    "mos": (
        "Absolute category rating: ITU-T P.800; checks, screening and repeats after ITU-T P.808."
    ),
    "smos": "Category rating of pairs after ITU-T P.800; checks and screening after ITU-T P.808.",
    "preference": "Paired comparison after ITU-T P.800 (annex E) with three answers at most.",
    "mushra": "Multiple stimuli with hidden reference and anchor: ITU-R BS.1534-3.",
}


def write_report(analysis: Analysis, folder: Path) -> None:
    """Write report.md, results.csv and chart.png into a folder."""
    from selfremaster.benchmarks.listening.charts import write_chart

    write_chart(analysis, folder / CHART_NAME)
    for name, text in ((TABLE_NAME, results_csv(analysis)), (REPORT_NAME, report(analysis))):
        with write_atomically(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def report(analysis: Analysis) -> str:
    """The whole report as Markdown."""
    key = analysis.key
    counted = analysis.counted
    kept = [one for one in analysis.ratings if one.listener in counted]
    rated = [one for one in kept if one.role == "rated"]
    of_votes = len(rated) // 2 if key.test == "preference" else len(rated)
    answers = "answers" if key.test == "preference" else "ratings"
    parts = [
        f"# {key.title}",
        f"{NAMES[key.test]}. {of_votes} {answers} by {len(counted)} listeners, "
        f"{len({one.sentence for one in rated})} sentences.",
        f"![Results]({CHART_NAME})",
    ]
    for table in analysis.tables:
        parts += tables_in_words(table, key, headings=len(analysis.tables) > 1)
    parts += [*_screening(analysis), *_files(analysis), *_method(analysis)]
    return "\n\n".join(parts) + "\n"


def tables_in_words(table: Table, key: Key, *, headings: bool) -> list[str]:
    """The tables of one condition, with the comparisons below them."""
    parts = [f"## {table.condition or 'All conditions'}"] if headings else []
    if key.test == "preference":
        return [*parts, preference_table(table.preferences)]
    parts.append(opinion_table(table.opinions, key))
    if table.comparisons:
        parts += ["Differences between listeners' own means:", comparison_table(table.comparisons)]
    return parts


def opinion_table(found: list[Opinion], key: Key) -> str:
    """MOS, SMOS or MUSHRA: the mean with its interval, a row a system."""
    digits = 1 if key.test == "mushra" else 2
    heading = ["", key.test.upper(), "95 % interval", "n", "listeners"]
    if key.test == "mushra":
        heading[1:1] = ["median", "quartiles"]
        heading[3] = "mean"
    rows = []
    for one in found:
        row = [
            one.label,
            f"{one.mean:.{digits}f}",
            interval_in_words(one, digits),
            str(one.n),
            str(one.listeners),
        ]
        if key.test == "mushra":
            quartiles = f"{one.lower_quartile:.0f} to {one.upper_quartile:.0f}"
            row[1:1] = [f"{one.median:.1f}", quartiles]
        rows.append(row)
    return markdown(heading, rows)


def interval_in_words(one: Opinion, digits: int) -> str:
    """The interval, or a dash where one listener gives none."""
    if one.low is None or one.high is None:
        return "-"
    return f"{one.low:.{digits}f} to {one.high:.{digits}f}"


def comparison_table(found: list[Comparison]) -> str:
    """Who differs from whom."""
    rows = [
        [
            f"{one.first} \N{MINUS SIGN} {one.second}",
            f"{one.difference:+.2f}",
            str(one.listeners),
            p_in_words(one.p),
            p_in_words(one.adjusted) + (" *" if one.adjusted < SIGNIFICANT else ""),
        ]
        for one in found
    ]
    return markdown(["", "difference", "listeners", "p", "p (Holm)"], rows)


def preference_table(found: list[Preference]) -> str:
    """What was preferred, a row a pair."""
    rows = []
    for one in found:
        shares = [f"{count / one.n:.0%}" for count in counts_of(one)]
        rows.append(
            [
                f"{one.first} : {one.second}",
                *shares,
                str(one.n),
                str(one.listeners),
                p_in_words(one.p),
                p_in_words(one.adjusted),
                p_in_words(one.adjusted_listeners)
                + (" *" if one.adjusted_listeners < SIGNIFICANT else ""),
            ]
        )
    heading = ["", "first", "neither", "second", "n", "listeners"]
    return markdown([*heading, "p (sign test)", "p (Holm)", "p (listeners, Holm)"], rows)


def counts_of(one: Preference) -> tuple[int, int, int]:
    """How often the first, neither and the second were chosen."""
    return one.chose_first, one.neither, one.chose_second


def p_in_words(p: float) -> str:
    """A p-value, as it is written.

    >>> p_in_words(0.0421), p_in_words(0.00001)
    ('0.042', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _screening(analysis: Analysis) -> list[str]:
    out = [one for one in analysis.verdicts if not one.kept]
    everyone = len(analysis.verdicts)
    done = (
        f"{len(out)} of {everyone} listeners break a rule, but all are kept (`--keep-all`)"
        if analysis.kept_all
        else f"{everyone - len(out)} of {everyone} listeners are kept"
    )
    parts = ["## Listeners", f"{done}. A listener is left out who"]
    parts.append("\n".join(f"- {rule}" for rule in rules_in_words(analysis.key)))
    if out:
        rows = [[one.listener, str(one.playlist), "; ".join(one.reasons)] for one in out]
        table = markdown(["listener", "playlist", "why"], rows)
        parts += [
            "Who breaks them:",
            table.replace("| --- | ---: | ---: |", "| --- | ---: | --- |"),
        ]
    apart = analysis.consistency
    if apart is not None and analysis.key.test != "preference":
        parts.append(f"Sounds that came twice were rated {apart:.2f} apart on average.")
    if apart is not None and analysis.key.test == "preference":
        parts.append(f"Of pairs that came twice, {1 - apart:.0%} got the same answer.")
    devices = Counter(one.device for one in analysis.verdicts if one.listener in analysis.counted)
    minutes = sorted(one.minutes for one in analysis.verdicts)
    heard = ", ".join(f"{device} ({count})" for device, count in devices.most_common())
    parts.append(f"Heard by {heard}, in {minutes[len(minutes) // 2]:.0f} minutes (median).")
    return parts


def _files(analysis: Analysis) -> list[str]:
    parts = []
    if analysis.skipped:
        lines = [f"- `{one.path.name}`: {one.reason}" for one in analysis.skipped]
        parts += ["## Files left out", "\n".join(lines)]
    given = Counter(one.playlist for one in analysis.verdicts if one.listener in analysis.counted)
    missing = [str(n) for n in range(1, len(analysis.key.playlists) + 1) if not given[n]]
    if missing:
        parts.append(
            f"Playlists without an answer that counts: {', '.join(missing)}. Systems and sentences "
            f"are balanced over all playlists together, so that some are heard less than others."
        )
    return parts


def _method(analysis: Analysis) -> list[str]:
    key = analysis.key
    told = [SOURCES[key.test]]
    told.append(
        "Each listener heard each sentence once, every system equally often (Latin square), in an "
        "order of their own; practice, checks and repeats do not count in the tables."
        if key.test != "mushra"
        else "Each listener rated all versions of a sentence on one page, in an order of their "
        "own; practice and repeats do not count in the tables."
    )
    told.append("All versions of a sentence were equally loud (ITU-R BS.1770-5).")
    if key.test == "preference":
        told.append(
            "p is that of an exact two-sided binomial (sign) test, answers without a preference "
            "left out, as if all answers were independent; for listeners it is Wilcoxon's "
            "signed-rank test of each listener's own share. Both are corrected by Holm. "
            "A * marks p < 0.05."
        )
    else:
        told.append(
            "Intervals take account of listeners and sentences both, by two-way clustering "
            "(Cameron, Gelbach and Miller, 2011) and Student's t. Differences are tested by "
            "Wilcoxon's signed-rank test of listeners' own means, corrected by Holm. "
            "A * marks p < 0.05."
        )
    told.append(f"Test {key.id}, seed {key.settings['seed']}.")
    return ["## Method", " ".join(told)]


def results_csv(analysis: Analysis) -> str:
    """A row for every rating, those that do not count too."""
    text = io.StringIO()
    table: Any = csv.writer(text, lineterminator="\n")
    named = [name for name in Rating._fields if name != "repeats"]
    table.writerow([*named, "repeats_trial", "counted"])
    listeners = analysis.counted
    for one in analysis.ratings:
        counts = one.listener in listeners and one.role == "rated"
        values = one._asdict()
        again = values.pop("repeats")
        again = "" if again is None else again
        table.writerow([*values.values(), again, "yes" if counts else "no"])
    return text.getvalue()
