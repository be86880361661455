"""Tables of a report, as Markdown."""

from collections.abc import Sequence

ARROWS = {"higher": "↑", "lower": "↓"}
NOTHING = "-"
MEBIBYTE = 2**20


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
