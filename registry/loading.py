"""Load the built-in parts and the strangers' plugins; one that is broken takes nobody down.

Pluggy gives the hook, names and blocking. Discovery is ours, because pluggy's own loader stops at
the first plugin that does not import and drops a repeated name without a word.
"""

import importlib
import importlib.metadata
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import ModuleType
from typing import Any, NamedTuple

import pluggy

from selfremaster.core import hooks
from selfremaster.core.asides import prints_beside
from selfremaster.core.components import API_VERSION, hint
from selfremaster.core.diaries import at_work
from selfremaster.core.errors import STOPS, ComponentError, one_line
from selfremaster.registry.tables import BUILTIN, Owner, Table, duplicate_message

BUILTIN_MODULE = "selfremaster.plugins"  # by name, since imports point from plugins to core alone
DISABLE_VARIABLE = "SELFREMASTER_DISABLE_PLUGINS"


class Problem(NamedTuple):
    """A plugin that was not loaded, or only in part, and why."""

    plugin: str
    reason: str


@dataclass
class Loaded:
    """The table of parts, the plugins behind it, and what went wrong on the way.

    A plugin with a problem may still be an owner: those of its parts that could be declared stand.
    """

    table: Table = field(default_factory=Table)
    owners: list[Owner] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)

    def owner(self, name: str) -> Owner | None:
        """The loaded plugin of this name."""
        return next((owner for owner in self.owners if owner.name == name), None)


def load_plugins(without: Iterable[str] = ()) -> Loaded:
    """Every part that can be had now, leaving out the plugins named.

    Raises `ComponentError` when a name to leave out is not that of an installed plugin.
    """
    loaded = Loaded(blocked=sorted(set(without)))
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    for name in loaded.blocked:
        manager.set_blocked(name)
    points = _entry_points()
    known = {BUILTIN, *(point.name for point in points)}
    for name in loaded.blocked:
        if name not in known:
            raise ComponentError(f"no plugin named {name!r} to leave out{hint(name, known)}")
    _register(manager, loaded, BUILTIN, importlib.import_module(BUILTIN_MODULE), _version(BUILTIN))
    if os.environ.get(DISABLE_VARIABLE, "0") not in {"", "0"}:
        return loaded
    for point in points:
        if manager.is_blocked(point.name):
            continue
        version = point.dist.version if point.dist else ""
        try:
            with at_work(f"plugin {point.name!r}"), prints_beside():
                module = point.load()
        except STOPS:
            raise
        except BaseException as error:
            loaded.problems.append(Problem(point.name, f"does not import: {one_line(error)}"))
            continue
        _register(manager, loaded, point.name, module, version)
    for declared in loaded.table.duplicates():
        loaded.problems.append(Problem(declared[-1].owner.name, duplicate_message(declared)))
    return loaded


@lru_cache(maxsize=4)
def loaded_plugins(without: tuple[str, ...] = ()) -> Loaded:
    """The same as `load_plugins`, loaded once a process."""
    return load_plugins(without)


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    """Installed plugins by name; a second package of the same plugin name is kept and reported."""
    unique = {
        (point.name, point.value, point.dist.name if point.dist else ""): point
        for point in importlib.metadata.entry_points(group=hooks.PROJECT)
    }
    return [unique[key] for key in sorted(unique)]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # an uninstalled clone
        return ""


def _register(
    manager: pluggy.PluginManager, loaded: Loaded, name: str, module: ModuleType | Any, version: str
) -> None:
    wanted = getattr(module, "SELFREMASTER_API_VERSION", API_VERSION)
    if wanted != API_VERSION:
        reason = (
            f"is written for interface version {wanted}, this toolkit has {API_VERSION}; "
            "update the older one"
        )
        loaded.problems.append(Problem(name, reason))
        return
    owner = Owner(name, version)
    if loaded.owner(name):
        reason = f"has the name of {loaded.owner(name)}, which is used; uninstall one of the two"
        loaded.problems.append(Problem(name, reason))
        return
    try:
        if manager.register(module, name) is None:
            return
        implementation = _own_hook(manager, module)
    except STOPS:
        raise
    except BaseException as error:
        loaded.problems.append(Problem(name, f"cannot be registered: {one_line(error)}"))
        return
    if implementation is None:
        reason = "declares nothing: no @hookimpl register_components(add)"
        loaded.problems.append(Problem(name, reason))
        return
    loaded.owners.append(owner)
    try:
        with prints_beside():
            implementation(add=partial(_add, loaded, owner))
    except STOPS:
        raise
    except BaseException as error:
        loaded.problems.append(Problem(name, f"fails in register_components: {one_line(error)}"))


def _own_hook(manager: pluggy.PluginManager, module: Any) -> Callable[..., object] | None:
    """The hook implementation of one plugin, so that it can be called apart from the others."""
    callers = manager.get_hookcallers(module) or []
    own = [
        implementation.function
        for caller in callers
        if caller.name == "register_components"
        for implementation in caller.get_hookimpls()
        if implementation.plugin is module
    ]
    return own[0] if own else None


def _add(loaded: Loaded, owner: Owner, kind: str, name: str, target: str) -> None:
    """Declare one part; one that cannot be is reported, and the plugin's others stand."""
    try:
        loaded.table.add(kind, name, target, owner)
    except ComponentError as error:
        loaded.problems.append(Problem(owner.name, str(error)))
