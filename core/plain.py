"""Plain data out of text that nobody vouches for: YAML and JSON of bounded size and depth."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

MOST_YAML_BYTES = 1 << 20
MOST_YAML_VALUES = 100_000
"""With what anchors repeat: nine lines can stand for 10^9 values."""

MOST_JSON_BYTES = 1 << 24
MOST_DEPTH = 64
LONGEST_SHOWN = 60
MERGE = "<<"


class RefusedError(yaml.MarkedYAMLError):
    """YAML that could be read, and is not."""


class TooLongError(ValueError):
    """A text that is longer than it may be."""


def read_text(path: Path, most_bytes: int) -> str:
    """What a file holds as UTF-8, of which no more is read than it may hold.

    Raises `TooLongError`, and what opening and decoding raise.
    """
    with path.open("rb") as opened:
        content = opened.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise TooLongError(f"is longer than {size_in_words(most_bytes)}")
    return content.decode("utf-8").replace("\r\n", "\n")


def size_in_words(size_bytes: int) -> str:
    """A size as people write it.

    >>> size_in_words(1 << 20), size_in_words(4 << 30)
    ('1 MiB', '4 GiB')
    """
    return f"{size_bytes >> 30} GiB" if size_bytes >= 1 << 30 else f"{size_bytes >> 20} MiB"


def load_yaml(text: str) -> Any:
    """Plain values out of YAML; tags of Python are refused, as PyYAML's safe loader does.

    So is a key that comes twice, of which YAML would silently drop the first, and what is too deep,
    or too large with all that its anchors repeat. Raises `YAML_ERRORS` of `components`.

    >>> load_yaml("clip: {ratio: 0.5}")
    {'clip': {'ratio': 0.5}}
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _values_in(root, {}, 0)
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _values_in(node: Node, known: dict[int, int], depth: int) -> int:
    """How many values a node stands for; raises `RefusedError`."""
    if id(node) in known:
        if not known[id(node)]:
            raise RefusedError(problem="an anchor holds itself", problem_mark=node.start_mark)
        return known[id(node)]
    if not isinstance(node, CollectionNode):
        return 1
    if depth == MOST_DEPTH:
        raise RefusedError(
            problem=f"lies deeper than {MOST_DEPTH} levels", problem_mark=node.start_mark
        )
    known[id(node)] = 0
    count = 1
    if isinstance(node, MappingNode):
        _refuse_repeats(node)
        for key, value in node.value:
            count += _values_in(key, known, depth + 1) + _values_in(value, known, depth + 1)
    else:
        count += sum(_values_in(value, known, depth + 1) for value in node.value)
    if count > MOST_YAML_VALUES:
        raise RefusedError(
            problem=f"stands for more than {MOST_YAML_VALUES} values, most of them anchors'",
            problem_mark=node.start_mark,
        )
    known[id(node)] = count
    return count


def _refuse_repeats(node: MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, ScalarNode) or key.value == MERGE:
            continue
        if (key.tag, key.value) in seen:
            raise RefusedError(
                problem=f"{shown(key.value)} comes a second time; give it another name, or leave "
                "one out",
                problem_mark=key.start_mark,
            )
        seen.add((key.tag, key.value))


def load_json(text: str) -> Any:
    """Plain values out of JSON; raises ValueError for what is none, too deep, or has a key twice.

    >>> load_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: 'a' comes a second time
    """
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except RecursionError:
        raise ValueError("lies too deep") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counted = Counter(key for key, _ in pairs)
        raise ValueError(f"{shown(counted.most_common(1)[0][0])!r} comes a second time")
    return found


def shown(value: Any) -> str:
    """A value that a message repeats, on one line and no longer than one can read.

    >>> shown("tape" * 100)[-8:]
    'tape ...'
    """
    plain = value is None or isinstance(value, (str, float, bool))
    text = str(value) if plain else repr(value) if _is_short(value) else type(value).__name__
    text = " ".join("".join(mark if mark.isprintable() else " " for mark in text[:400]).split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."


def _is_short(value: Any) -> bool:
    """Whether it is a number that can be written out."""
    return isinstance(value, int) and abs(value) < 10**LONGEST_SHOWN
