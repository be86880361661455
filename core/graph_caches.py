"""Graphs that were made are kept among the user's files: named by what they are made of."""

import hashlib
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from selfremaster.core.bundles import versions
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.files import write_atomically
from selfremaster.core.graphs import PACKAGES, Part
from selfremaster.core.guards import name_of
from selfremaster.core.interfaces import Component
from selfremaster.core.tensorfiles import content_hash

FOLDER_VARIABLE = "SELFREMASTER_CACHE"
"""Names the folder of what may be made again, where it is not to be the user's own."""

FORMAT = 1  # of graphs; another number where `graph_of` makes others of the same
SUFFIX = ".graph"
MOST_KEPT = 16
SPARE_BYTES = 256 << 20  # that a graph may hold beside the weights
HASH_CHARACTERS = 64


def cache_folder() -> Path:
    """Where what may be made again is kept: by the variable, or as each system has it."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given)
    if sys.platform == "win32":
        own = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        own = Path.home() / "Library" / "Caches"
    else:
        own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return own / "selfremaster"


def place_of(part: Part, about: Component, features: Component) -> Path:
    """The file of a graph, named by a hash of the weights, the settings and what makes it."""
    tensors = {
        **dict(part.module.named_parameters()),
        **dict(part.module.named_buffers()),
    }
    described = {
        "format": FORMAT,
        "graph": part.name,
        "parts": [
            [name_of(one), type(one).__qualname__, one.config.model_dump_json()]
            for one in (about, features)
        ],
        "versions": {**versions(), **{name: _version(name) for name in PACKAGES}},
    }
    return cache_folder() / "graphs" / f"{content_hash(tensors, described)}{SUFFIX}"


def kept(path: Path, weight_bytes: int) -> bytes | None:
    """A graph that was kept; none where there is none, or where its hash is another one."""
    try:
        found = path.stat()
        most = weight_bytes + SPARE_BYTES
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            return None
        with path.open("rb") as opened:
            digest, graph = opened.read(HASH_CHARACTERS), opened.read(most)
    except OSError:
        return None
    return graph if digest == _hash(graph) else None


def keep(path: Path, graph: bytes) -> None:
    """Keep a graph where that can be done, and as many others as are kept at most."""
    try:
        with write_atomically(path) as temporary:
            temporary.write_bytes(_hash(graph) + graph)
    except (OSError, SelfRemasterError):  # it is made anew each time, then
        return
    with suppress(OSError):
        others = sorted(path.parent.glob(f"*{SUFFIX}"), key=_last_used, reverse=True)
        for old in others[MOST_KEPT:]:
            old.unlink(missing_ok=True)


def kept_or_made(
    path: Path, weight_bytes: int, usable: Callable[[bytes], bool], make: Callable[[], bytes]
) -> tuple[bytes, bool]:
    """A graph that was kept, if it is whole and usable, or a new one; and whether it is new."""
    graph = kept(path, weight_bytes)
    if graph is not None and usable(graph):
        with suppress(OSError):
            os.utime(path)  # of many, those that were used last are kept
        return graph, False
    graph = make()
    keep(path, graph)
    return graph, True


def _hash(graph: bytes) -> bytes:
    return hashlib.sha256(graph).hexdigest().encode()


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has removed it
        return 0.0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # onnxruntime-gpu is another package of the same module
        return ""
