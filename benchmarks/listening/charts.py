"""The chart of a listening test: opinions with intervals, or shares of preference."""

from pathlib import Path
from typing import Any

import numpy as np

from selfremaster.benchmarks.listening.analysis import Analysis, Table
from selfremaster.benchmarks.listening.designs import Key
from selfremaster.benchmarks.listening.report import counts_of
from selfremaster.core.files import write_atomically

INK, SOFT, LINE, ACCENT, OTHER, PALE = (
    "#17211f",
    "#52605d",
    "#d5dcda",
    "#0b6b63",
    "#b45f06",
    "#e3e8e6",
)
ROW_INCHES, EDGE_INCHES, WIDTH_INCHES, DPI = 0.42, 0.75, 8.0, 144
SCALES = {"mos": (1, 5), "smos": (1, 5), "mushra": (0, 100)}
TITLES = {"mos": "MOS", "smos": "SMOS", "mushra": "rating"}


def write_chart(analysis: Analysis, path: Path) -> None:
    """Draw the tables below each other, a panel a condition, into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    key = analysis.key
    tables = analysis.tables
    rows = [len(table.preferences or table.opinions) for table in tables]
    height = sum(EDGE_INCHES + ROW_INCHES * count for count in rows) + 0.2
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(tables), 1, squeeze=False, height_ratios=[n + 1 for n in rows])
    for panel, table in zip(panels[:, 0], tables, strict=True):
        if key.test == "preference":
            _draw_preferences(panel, table)
        else:
            _draw_opinions(panel, table, key, _own_means(analysis, table))
        if table is not tables[-1]:
            panel.set_xlabel("")
        if len(tables) > 1:
            title = table.condition or "All conditions"
            panel.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold")
        _tidy(panel)
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def _own_means(analysis: Analysis, table: Table) -> dict[str, list[float]]:
    """Each listener's own mean of each system."""
    means: dict[str, list[float]] = {}
    counted = analysis.counted
    for one in table.opinions:
        own: dict[str, list[float]] = {}
        for rating in analysis.ratings:
            here = not table.condition or rating.condition == table.condition
            if rating.role == "rated" and rating.label == one.label and here:
                own.setdefault(rating.listener, []).append(rating.value)
        means[one.label] = [
            float(np.mean(values)) for name, values in own.items() if name in counted
        ]
    return means


def _draw_opinions(panel: Any, table: Table, key: Key, means: dict[str, list[float]]) -> None:
    lowest, highest = SCALES[key.test]
    for place, one in enumerate(table.opinions):
        is_system = key.kind_of(one.label) == "system"
        colour = ACCENT if is_system else SOFT
        own = means[one.label]
        spread = np.linspace(-0.16, 0.16, len(own)) if len(own) > 1 else np.zeros(len(own))
        panel.scatter(own, place + spread, s=9, color=colour, alpha=0.35, linewidths=0, zorder=2)
        if one.low is not None and one.high is not None:
            ends = [max(one.low, lowest), min(one.high, highest)]
            panel.plot(ends, [place, place], color=colour, linewidth=3, solid_capstyle="round")
        panel.scatter([one.mean], [place], s=62, color=colour, edgecolor="white", zorder=4)
        number = f"{one.mean:.1f}" if key.test == "mushra" else f"{one.mean:.2f}"
        panel.annotate(
            number,
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=10,
            color=colour,
            fontweight="bold",
        )
    panel.set_yticks(range(len(table.opinions)), [one.label for one in table.opinions])
    panel.set_ylim(len(table.opinions) - 0.4, -0.6)
    margin = 0.02 * (highest - lowest)
    panel.set_xlim(lowest - margin, highest + margin)
    panel.set_xticks(range(1, 6) if highest == 5 else range(0, 101, 20))
    panel.grid(axis="x", color=LINE, linewidth=0.8)
    panel.set_xlabel(
        f"{TITLES[key.test]}: mean with 95 % interval; dots are listeners", fontsize=9, color=SOFT
    )


def _draw_preferences(panel: Any, table: Table) -> None:
    colours = ((ACCENT, "white"), (PALE, INK), (OTHER, "white"))
    for place, one in enumerate(table.preferences):
        start = 0.0
        for count, (colour, ink) in zip(counts_of(one), colours, strict=True):
            share = 100 * count / one.n
            panel.barh(place, share, left=start, height=0.62, color=colour, zorder=2)
            if share >= 6:
                middle = start + share / 2
                panel.text(
                    middle, place, f"{share:.0f} %", ha="center", va="center", color=ink, fontsize=9
                )
            start += share
    names = [one.first for one in table.preferences]
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.set_xlim(0, 100)
    panel.set_xticks([0, 25, 50, 75, 100])
    panel.axvline(50, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=3)
    right = panel.twinx()
    right.set_ylim(panel.get_ylim())
    marks = [f"{one.second}{' *' if one.adjusted < 0.05 else ''}" for one in table.preferences]
    right.set_yticks(range(len(marks)), marks)
    _tidy(right)
    panel.set_xlabel(
        "% of answers: the left one, no preference, the right one; * p < 0.05 (sign test, Holm)",
        fontsize=9,
        color=SOFT,
    )


def _tidy(panel: Any) -> None:
    for spine in panel.spines.values():
        spine.set_visible(False)
    panel.tick_params(length=0, labelsize=10, labelcolor=INK)
    panel.set_axisbelow(True)
