"""Content addresses: the same work has the same name, and is never done twice."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from selfremaster.benchmarks.corpora import known_sha256
from selfremaster.core.bundles import BUNDLE_NAME
from selfremaster.core.components import ComponentSpec, nested_parts
from selfremaster.core.errors import ComponentError
from selfremaster.core.manifests import HASH_SUFFIX, Item, Manifest
from selfremaster.registry import hub
from selfremaster.registry.assembling import builtin_bundles
from selfremaster.registry.building import component_class, configure, current

DIGITS = 16
Origins = Mapping[str, str]
"""What stands for a path that depends on where the benchmark is kept: path -> its content."""


def address_of(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of canonical JSON.

    >>> address_of({"b": 1, "a": [2]}) == address_of({"a": [2], "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:DIGITS]


def described(kind: str, spec: ComponentSpec, origins: Origins | None = None) -> dict[str, Any]:
    """A part with every setting, who owns it, and the contents of the files that it names.

    Raises `ComponentError` for a name or a setting that there is not.
    """
    config = configure(kind, spec)
    entry = current().table.find(kind, spec.name)
    nested = nested_parts(type(config))
    settings: dict[str, Any] = {}
    for name, value in config.model_dump(mode="json").items():
        if name not in nested:
            settings[name] = content(value, origins or {})
        elif nested[name] == "model":
            settings[name] = model_content(value, origins or {})
        else:
            settings[name] = _nested(nested[name], getattr(config, name), origins)
    return {"part": spec.name, "owner": list(entry.owner), "settings": settings}


def _nested(kind: str, value: Any, origins: Origins | None) -> Any:
    if isinstance(value, ComponentSpec):
        return described(kind, value, origins)
    if isinstance(value, Mapping):
        return {key: _nested(kind, item, origins) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_nested(kind, item, origins) for item in value]
    return value


def content(value: Any, origins: Origins) -> Any:
    """Plain settings, with what a file or folder holds in the place of its path."""
    if isinstance(value, Mapping):
        return {key: content(item, origins) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [content(item, origins) for item in value]
    if not isinstance(value, str) or not value:
        return value
    if value in origins:
        return origins[value]
    return path_content(Path(value)) or value


def model_content(value: Any, origins: Origins) -> Any:
    """The content of a bundle, by its path, built-in name or id on the Hub.

    One that cannot be had stands for itself, and so does one that is not downloaded yet where
    nothing may be.
    """
    if isinstance(value, str) and value not in origins and not Path(value).exists():
        named = builtin_bundles()
        if value in named:
            return path_content(named[value])
        if hub.is_reference(value):
            return hub.content_of(value) or value
    return content(value, origins)


def speech_address(manifest: Manifest) -> str:
    """All that a manifest lists: its columns, and the files that it gives no hash of."""
    rows = [
        [
            [item.path, item.speaker, item.split],
            item.sha256 or path_content(manifest.file(item)),
            {name: _of_column(manifest, item, name) for name in item.others},
        ]
        for item in manifest.items
    ]
    return address_of(rows)


def _of_column(manifest: Manifest, item: Item, name: str) -> Any:
    """What stands in a column of one's own: words, or another file."""
    given = item.others[name]
    if not given or item.others.get(name + HASH_SUFFIX):
        return given
    try:
        is_file = (manifest.folder / given).is_file()
    except (OSError, ValueError):  # words that are no path
        is_file = False
    return [given, path_content(manifest.folder / given)] if is_file else given


def path_content(path: Path) -> str | None:
    """A hash of the file, or of all files in the folder; none where there is nothing."""
    try:
        if path.is_file():
            return known_sha256(path)
        if not path.is_dir():
            return None
        if (path / BUNDLE_NAME).is_file():  # a run, of which only this is read
            return known_sha256(path / BUNDLE_NAME)
        return address_of([[name, known_sha256(path / name)] for name in _files(path)])
    except (OSError, ValueError):  # what is no path
        return None


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.parts[-2:]):
            yield path.relative_to(folder).as_posix()


def owners_of(value: Any) -> dict[str, str]:
    """The strangers' plugins that a described part is from, with their versions."""
    found: dict[str, str] = {}
    if isinstance(value, Mapping):
        if isinstance(value.get("owner"), list) and "part" in value:
            name, number = value["owner"]
            found[name] = number
        for item in value.values():
            found |= owners_of(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            found |= owners_of(item)
    return found


def is_loadable(kind: str, spec: ComponentSpec) -> bool:
    """Whether the class of a part can be had; raises `ComponentError` for a name there is not."""
    current().table.find(kind, spec.name)
    try:
        component_class(kind, spec.name)
    except ComponentError:
        return False
    return True


def versions_of(kind: str, name: str) -> dict[str, str]:
    """The versions of the packages that a part works by, empty for those not installed."""
    found: Any = component_class(kind, name)
    return {package: package_version(package) for package in found.packages}


def package_version(name: str) -> str:
    """The version of an installed package; empty where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
