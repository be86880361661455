"""What the content meter told, as a file."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from selfremaster.core.content import Second
from selfremaster.core.files import write_atomically

CONTENT_SUFFIX = ".content.csv"


def write_content(path: Path, told: Sequence[Second]) -> None:
    """Write a row for each second into a CSV file; atomic. What cannot be told is empty."""
    names = list(told[0].metrics) if told else []
    columns = [
        "start_seconds",
        "heard_percent",
        "agreement",
        "invented_dbfs",
        "invented_percent",
        "voicing_flips_percent",
        "pitch_differs_percent",
        *(name.replace("-", "_") for name in names),
        "suspicious",
        "why",
    ]
    with (
        write_atomically(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for one in told:
            numbers = (
                100 * one.heard_share,
                one.agreement,
                one.invented_dbfs,
                100 * one.invented_share,
                100 * one.voicing_flips_share,
                100 * one.pitch_differs_share,
                *one.metrics.values(),
            )
            cells = [f"{number:.3f}" if math.isfinite(number) else "" for number in numbers]
            whole = f"{one.start_seconds:.0f}"
            writer.writerow([whole, *cells, int(bool(one.why)), "; ".join(one.why)])
