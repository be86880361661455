"""The one hook by which a package, ours or a stranger's, declares its parts."""

from typing import Protocol

import pluggy

PROJECT = "selfremaster"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Add(Protocol):
    """Declares a part: its kind, its name, and ``package.module:Class``, imported on first use."""

    def __call__(self, kind: str, name: str, target: str) -> None:
        """Declare a part."""


@hookspec
def register_components(add: Add) -> None:
    """Declare the parts of a plugin by calling ``add(kind, name, target)`` for each.

    A plugin written for one version of the interfaces says so with a module-level
    ``SELFREMASTER_API_VERSION = 1``; without it the current version is assumed.
    """
