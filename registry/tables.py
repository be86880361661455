"""The table of parts: who declares which name, and the class behind it, imported on first use."""

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from selfremaster.core.asides import prints_beside
from selfremaster.core.components import KINDS, NAME_PATTERN, ComponentInfo, hint
from selfremaster.core.errors import STOPS, ComponentError, one_line

BUILTIN = "selfremaster"
"""The name under which the toolkit owns its own parts."""


class Owner(NamedTuple):
    """The plugin that declares a part."""

    name: str
    version: str

    def __str__(self) -> str:
        """Name and version, as messages show them; the toolkit itself goes by its name alone."""
        return self.name if self.name == BUILTIN else f"{self.name} {self.version}".strip()


class Entry(NamedTuple):
    """One declaration: a name of a kind, where its class is, and who says so."""

    kind: str
    name: str
    target: str
    owner: Owner


class Table:
    """All declared parts. A name that two plugins declare is kept, and refused when it is used."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], list[Entry]] = {}

    def add(self, kind: str, name: str, target: str, owner: Owner) -> None:
        """Declare a part; raises `ComponentError` for a kind, name or target that cannot be."""
        check_kind(kind)
        if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
            raise ComponentError(f"{name!r} is not a name for a {kind}; use lower-case-with-dashes")
        module, colon, attribute = str(target).partition(":")
        if not (module and colon and attribute.isidentifier()):
            raise ComponentError(f"{kind} {name!r}: {target!r} is not package.module:Class")
        declared = self._entries.setdefault((kind, name), [])
        if any(entry.owner == owner for entry in declared):
            raise ComponentError(f"{kind} {name!r} is declared twice by {owner}; declare it once")
        declared.append(Entry(kind, name, target, owner))

    def names(self, kind: str) -> list[str]:
        """The names of a kind, sorted."""
        check_kind(kind)
        return sorted(name for found, name in self._entries if found == kind)

    def entries(self, kind: str | None = None) -> Iterator[Entry]:
        """Every declaration, by kind in their documented order and then by name."""
        for known in KINDS if kind is None else [kind]:
            for name in self.names(known):
                yield from self._entries[known, name]

    def find(self, kind: str, name: str) -> Entry:
        """The one declaration of a name.

        Raises `ComponentError` with the near miss, or with the owners when there are several.
        """
        declared = self._entries.get((check_kind(kind), name))
        if not declared:
            raise ComponentError(f"no {kind} named {name!r}{hint(name, self.names(kind))}")
        if len(declared) > 1:
            raise ComponentError(duplicate_message(declared))
        return declared[0]

    def duplicates(self) -> list[list[Entry]]:
        """The names that more than one plugin declares."""
        return [declared for declared in self._entries.values() if len(declared) > 1]


def check_kind(kind: str) -> str:
    """The kind itself; raises `ComponentError` with the near miss when there is no such kind."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise ComponentError(f"no kind of part named {kind!r}{hint(str(kind), KINDS)}")
    return kind


def duplicate_message(declared: list[Entry]) -> str:
    """Who declares a name, and how to choose."""
    first, *others = declared
    owners = " and by ".join(str(entry.owner) for entry in declared)
    stranger = next((entry for entry in others if entry.owner.name != BUILTIN), first)
    return (
        f"{first.kind} {first.name!r} is declared by {owners}; "
        f"leave one out with --without {stranger.owner.name}"
    )


def load_class(entry: Entry) -> type[Any]:
    """Import the class of a part; raises `ComponentError` naming the plugin when that fails."""
    module_name, _, attribute = entry.target.partition(":")
    try:
        with prints_beside():
            found = getattr(importlib.import_module(module_name), attribute)
    except STOPS:
        raise
    except BaseException as error:
        raise ComponentError(
            f"{entry.kind} {entry.name!r} of {entry.owner} cannot be imported: {one_line(error)}"
        ) from error
    if not isinstance(found, type):
        raise ComponentError(
            f"{entry.kind} {entry.name!r} of {entry.owner}: {entry.target} is not a class"
        )
    return found


def info(entry: Entry) -> ComponentInfo:
    """What `list` shows of a part; reads its docstring without importing its module."""
    return ComponentInfo(entry.kind, entry.name, _summary(entry.target), *entry.owner)


@lru_cache(maxsize=512)
def _summary(target: str) -> str:
    module_name, _, attribute = target.partition(":")
    try:
        with prints_beside():
            spec = importlib.util.find_spec(module_name)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        body = ast.parse(source).body
    except STOPS:
        raise
    except BaseException:  # the packages around a module are imported to find it
        return ""
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name == attribute:
            return (ast.get_docstring(node) or "").partition("\n")[0].rstrip(".")
    return ""
