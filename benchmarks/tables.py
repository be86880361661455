"""Tables of a report, as Markdown and CSV."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence

from selfremaster.benchmarks.measuring import Contestant, Cost, Score, mean, standard_error

ARROWS = {"higher": "↑", "lower": "↓"}
NOTHING = "-"
MEBIBYTE = 2**20
SHOWN = 0.0005  # numbers that differ by less look the same in a table


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the columns after the first are aligned to the right.

    >>> print(markdown(["part", "number"], [["one", "1"]]))
    | part | number |
    | --- | ---: |
    | one | 1 |
    """
    marks = ["---", *["---:"] * (len(heading) - 1)]
    lines = [heading, marks, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def with_error(numbers: Sequence[float], *, sign: bool = False) -> str:
    """Mean ± standard error.

    >>> with_error([1.0, 2.0, 3.0])
    '2.000 ± 0.577'
    """
    average, error = mean(numbers), standard_error(numbers)
    if math.isnan(average):
        return NOTHING
    text = f"{average:+.3f}" if sign else f"{average:.3f}"
    return text if math.isnan(error) else f"{text} ± {error:.3f}"


def quality(
    scores: Sequence[Score], contestants: Sequence[Contestant], directions: Mapping[str, str]
) -> str:
    """Each restorer's numbers; the best mean of those not told the original is in bold.

    Means that look the same are the same.
    """
    means = {
        (one.label, name): mean(_numbers(scores, one.label, name))
        for one in contestants
        for name in directions
    }
    rows = []
    for one in contestants:
        cells = [one.label]
        for name, direction in directions.items():
            numbers = _numbers(scores, one.label, name)
            rivals = [means[other.label, name] for other in contestants if not other.told]
            best = _best(rivals, direction)
            text = with_error(numbers) + _how_many(numbers)
            wins = not one.told and abs(means[one.label, name] - best) < SHOWN
            cells.append(f"**{text}**" if wins else text)
        rows.append([*cells, str(len({score.clip.name for score in scores}))])
    arrows = [f"{name} {ARROWS[direction]}" for name, direction in directions.items()]
    return markdown(["restorer", *arrows, "n"], rows)


def _best(numbers: Sequence[float], direction: str) -> float:
    found = [number for number in numbers if not math.isnan(number)]
    if not found:
        return math.nan
    return max(found) if direction == "higher" else min(found)


def _how_many(numbers: Sequence[float]) -> str:
    missing = sum(math.isnan(number) for number in numbers)
    return f" (n = {len(numbers) - missing})" if 0 < missing < len(numbers) else ""


def improvements(
    scores: Sequence[Score],
    contestants: Sequence[Contestant],
    directions: Mapping[str, str],
    against: str,
) -> str:
    """Differences to one of the restorers, file by file, and for how many files it is better."""
    rows = []
    for one in contestants:
        if one.label == against:
            continue
        cells = [one.label]
        for name, direction in directions.items():
            pairs = zip(
                _numbers(scores, one.label, name), _numbers(scores, against, name), strict=True
            )
            changes = [number - other for number, other in pairs]
            known = [change for change in changes if not math.isnan(change)]
            upwards = 1 if direction == "higher" else -1
            wins = sum(upwards * change > SHOWN for change in known)
            counted = f" ({wins} of {len(known)})" if known else ""
            cells.append(with_error(changes, sign=True) + counted)
        rows.append(cells)
    arrows = [f"{name} {ARROWS[direction]}" for name, direction in directions.items()]
    return markdown([f"change from {against}", *arrows], rows)


def costs(found: Mapping[str, Cost]) -> str:
    """Real-time factor and memory of each restorer."""
    rows = [
        [label, f"{cost.real_time_factor:.3f}", f"{cost.peak_bytes / MEBIBYTE:.0f}"]
        for label, cost in found.items()
    ]
    return markdown(["restorer", "real-time factor", "peak memory, MiB"], rows)


def per_file(scores: Sequence[Score], directions: Mapping[str, str]) -> str:
    """Every number as CSV: a line for each file and restorer; empty where there is none."""
    lines = io.StringIO(newline="")
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(["file", "seconds", "degradation", "restorer", *directions])
    for clip, label, numbers in scores:
        cells = ["" if math.isnan(number) else f"{number:.6g}" for number in numbers.values()]
        drawn = json.dumps([dict(drawn) for drawn in clip.drawn])
        table.writerow([clip.name, f"{clip.seconds:.3f}", drawn, label, *cells])
    return lines.getvalue()


def _numbers(scores: Sequence[Score], label: str, name: str) -> list[float]:
    return [score.numbers[name] for score in scores if score.label == label]
