"""How a report writes numbers, sizes and a little Markdown."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from selfremaster.benchmarks.tables import MEBIBYTE, NOTHING

MINUS = "\N{MINUS SIGN}"
LONGEST_DRAWN = 160  # characters of the damage drawn that are shown
DIGITS = 4  # of a number that was drawn
LINK = re.compile(r"\[([^\]]+)\]\((https?://[^\s)]+)\)")
SPANS = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![*\w])\*([^*\s][^*]*)\*(?!\w)"), r"<em>\1</em>"),
)


def decimals_for(numbers: Iterable[float]) -> int:
    """How many decimals a column needs, by the size of what stands in it.

    >>> decimals_for([3.2, 2.9]), decimals_for([0.91]), decimals_for([-11.0]), decimals_for([])
    (2, 3, 1, 2)
    """
    sizes = sorted(abs(number) for number in numbers)
    if not sizes:
        return 2
    middle = sizes[len(sizes) // 2]
    limits = ((1000, 0), (10, 1), (1, 2), (0.01, 3))
    return next((decimals for limit, decimals in limits if middle >= limit), 4)


def number(value: float | None, decimals: int = 2, *, sign: bool = False) -> str:
    """A number with a real minus; nothing for none; zero has no sign.

    >>> number(-1.234) == MINUS + "1.23", number(0.5, 1, sign=True), number(None), number(-0.001)
    (True, '+0.5', '-', '0.00')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def p_value(p: float) -> str:
    """A p-value.

    >>> p_value(0.0312), p_value(0.0001), p_value(1.0)
    ('0.031', '< 0.001', '1')
    """
    if p < 0.001:
        return "< 0.001"
    return "1" if p >= 0.9995 else f"{p:.3f}"


def many(count: float | None) -> str:
    """A large count in thousands, millions or billions.

    >>> many(1_463_000), many(812), many(None)
    ('1.46 M', '812', '-')
    """
    if count is None:
        return NOTHING
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.3g} {letter}"
    return f"{count:.3g}"


def memory(size: int | None) -> str:
    """Bytes as MiB.

    >>> memory(3 * 2**20), memory(None)
    ('3 MiB', '-')
    """
    return NOTHING if size is None else f"{size / MEBIBYTE:,.0f} MiB"


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(4.2), duration(125), duration(7260)
    ('4.2 s', '2 min 5 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def counted(count: int, singular: str, plural: str = "") -> str:
    """A count with its noun.

    >>> counted(1, "file"), counted(3, "corpus", "corpora")
    ('1 file', '3 corpora')
    """
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def listed(words: Sequence[str], most: int = 5) -> str:
    """Some words and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


def drawn(steps: Sequence[Any]) -> str:
    """The damage drawn for a file, short.

    >>> drawn([{"degradation": "clip", "settings": {}, "parameters": {"ratio": 0.25134}}])
    'clip: ratio 0.2513'
    """
    found = []
    for step in steps:
        if not isinstance(step, Mapping):
            continue
        given = step.get("parameters")
        if isinstance(given, list):  # a set for each channel
            given = given[0] if given else {}
        pairs = given.items() if isinstance(given, Mapping) else ()
        values = ", ".join(
            f"{name} {_short(value)}" for name, value in pairs if _telling(name, value)
        )
        name = str(step.get("degradation", ""))
        found.append(f"{name}: {values}" if values else name)
    return cut("; ".join(found), LONGEST_DRAWN)


def _telling(name: str, value: Any) -> bool:
    return value is not None and name != "seed"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    if isinstance(value, list | dict):
        return cut(json.dumps(value), LONGEST_DRAWN // 4)
    return str(value)


def cut(text: str, most: int) -> str:
    """Text on one line of so many characters at most.

    >>> cut("a long story", 7)
    'a long…'
    """
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def cell(text: str) -> str:
    r"""Text for a cell of a Markdown table: it ends neither the cell nor the line.

    It is neither HTML nor a link.

    >>> print(cell("a|b <i> [c](d)"))
    a\|b &lt;i> [c]\(d)
    """
    line = " ".join(text.split()).replace("\\", "\\\\")
    return no_html(line.replace("|", "\\|").replace("](", "]\\("))


def no_html(text: str) -> str:
    """Markdown in which no HTML begins.

    >>> no_html("**a** <i>")
    '**a** &lt;i>'
    """
    return text.replace("<", "&lt;")


def fenced(text: str, language: str) -> str:
    """Text as a block of code in Markdown that nothing within it ends.

    >>> fenced("a ``` b", "sh").splitlines()
    ['````sh', 'a ``` b', '````']
    """
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def rich(text: str) -> Markup:
    """A little Markdown as HTML: paragraphs, lists, emphasis, code and links; all else is text.

    >>> print(rich("It is **so**, says `x<y`."))
    <p>It is <strong>so</strong>, says <code>x&lt;y</code>.</p>
    """
    blocks = re.split(r"\n\s*\n", text.strip())
    return Markup("\n").join(_block(block) for block in blocks if block.strip())


def _block(block: str) -> Markup:
    lines = block.strip().splitlines()
    heading = re.fullmatch(r"#{1,6}\s+(.*)", lines[0])
    if heading and len(lines) == 1:
        return Markup("<p><strong>{}</strong></p>").format(inline(heading[1]))
    if re.match(r"[-*]\s", lines[0]):
        items = re.split(r"(?:^|\n)[-*]\s+", block.strip())[1:]
        inner = Markup("").join(Markup("<li>{}</li>").format(inline(item)) for item in items)
        return Markup("<ul>{}</ul>").format(inner)
    return Markup("<p>{}</p>").format(inline(" ".join(lines)))


def inline(text: str) -> Markup:
    """Emphasis, code and links within one line as HTML; all else is text."""
    html = str(escape(" ".join(text.split())))
    for pattern, put in SPANS:
        html = pattern.sub(put, html)
    return Markup(LINK.sub(r'<a href="\2">\1</a>', html))
