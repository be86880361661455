"""Tables of reports: whatever a name is made of, it ends neither its cell nor its line."""

from hypothesis import given
from hypothesis import strategies as st

from selfremaster.benchmarks.reporting.words import cell
from selfremaster.benchmarks.tables import markdown

NAMES = st.text(alphabet="ab |\\\n`*", max_size=8)


def cells_of(line: str) -> list[str]:
    """A line of a table in cells, as readers of Markdown do: at bars without a backslash."""
    found, word, escaped = [], "", False
    for mark in line:
        if mark == "|" and not escaped:
            found.append(word.strip())
            word = ""
        else:
            word += mark
        escaped = mark == "\\" and not escaped
    return found[1:]


@given(names=st.lists(st.lists(NAMES, min_size=3, max_size=3), min_size=1, max_size=3))
def test_a_name_stays_in_its_cell(names: list[list[str]]) -> None:
    lines = markdown(names[0], names).split("\n")
    assert [len(cells_of(line)) for line in lines] == [3] * (len(names) + 2)
    assert lines[1] == "| --- | ---: | ---: |"
    # what has been made ready for a cell is not made ready again
    ready = [cell(name) for name in names[0]]
    assert markdown(ready, []).split("\n")[0] == "| " + " | ".join(ready) + " |"


def test_a_bar_is_seen_as_a_bar() -> None:
    assert cells_of(markdown(["system", "MOS"], [["clean|dirty", "4"]]).split("\n")[2]) == [
        r"clean\|dirty",
        "4",
    ]
