"""Tables of a report, as Markdown."""

import re
from collections.abc import Sequence

ARROWS = {"higher": "↑", "lower": "↓"}
NOTHING = "-"
BAR = re.compile(r"(?<!\\)((?:\\\\)*)\|")  # after an even number of backslashes, which are text
MEBIBYTE = 2**20


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""A Markdown table; the columns after the first are aligned to the right.

    Whatever stands in a cell ends neither that nor its line.

    >>> print(markdown(["part", "number"], [["one|two", "1"], [r"three\|four", "2"]]))
    | part | number |
    | --- | ---: |
    | one\|two | 1 |
    | three\|four | 2 |
    """
    marks = ["---", *["---:"] * (len(heading) - 1)]
    lines = [[_whole(cell) for cell in line] for line in (heading, *rows)]
    lines.insert(1, marks)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _whole(cell: str) -> str:
    """A cell on one line, in which every bar has a backslash before it, if it had none."""
    return BAR.sub(r"\1\|", " ".join(cell.split("\n")))
