"""`selfremaster doctor`: what is installed, what works, and what did not load and why."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import typer

from selfremaster.commands.check import missing_package
from selfremaster.commands.options import Json, Without
from selfremaster.commands.terminal import say, say_json, say_table

PACKAGES = (
    "selfremaster",
    "torch",
    "lightning",
    "numpy",
    "scipy",
    "soundfile",
    "soxr",
    "safetensors",
    "pydantic",
    "pluggy",
    "typer",
    "rich",
)
HUB_PACKAGE = "huggingface_hub"  # not from where it is used, which needs a torch that works
GIBIBYTE = 2**30


def doctor(without: Without = None, as_json: Json = False) -> None:
    """Tell what is installed and what is broken.

    Versions, devices, sound formats and plugins. The exit code is 1 if something is broken.
    """
    told = examine()
    if as_json:
        say_json(told)
    else:
        _show(told)
    if told["problems"]:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """Everything that the doctor reports, as plain values."""
    from selfremaster.registry.building import current
    from selfremaster.registry.loading import DISABLE_VARIABLE

    problems: list[dict[str, str]] = []
    devices = _devices(problems)
    sound = _sound(problems)
    loaded = current()
    entries = list(loaded.table.entries())
    problems += [{"about": item.plugin, "reason": item.reason} for item in loaded.problems]
    needs = [*(_try_parts(problems) if devices else []), *_hub()]
    return {
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "devices": devices,
        **sound,
        "plugins": [
            {
                "name": owner.name,
                "version": owner.version,
                "parts": sum(entry.owner == owner for entry in entries),
            }
            for owner in loaded.owners
        ],
        "left_out": loaded.blocked,
        "plugins_disabled": os.environ.get(DISABLE_VARIABLE, "0") not in {"", "0"},
        "missing_packages": needs,
        "problems": problems,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices(problems: list[dict[str, str]]) -> list[str]:
    try:
        import torch
    except Exception as error:  # a torch that does not fit its system raises all sorts
        problems.append({"about": "torch", "reason": f"does not import: {error}"})
        return []
    found = [f"cpu ({torch.get_num_threads()} threads)"]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory = properties.total_memory / GIBIBYTE
            found.append(f"cuda:{index} ({properties.name}, {memory:.0f} GiB)")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def _sound(problems: list[dict[str, str]]) -> dict[str, Any]:
    try:
        import soundfile

        from selfremaster.core.formats import FORMATS
    except Exception as error:  # a missing libsndfile raises OSError
        problems.append({"about": "soundfile", "reason": f"does not import: {error}"})
        return {"libsndfile": None, "formats": []}
    there = soundfile.available_formats()
    formats = [suffix for suffix, container in FORMATS.items() if container in there]
    return {"libsndfile": soundfile.__libsndfile_version__, "formats": formats}


def _try_parts(problems: list[dict[str, str]]) -> list[dict[str, str]]:
    """Import every part and build every metric; gives those that lack an optional package."""
    from selfremaster.core.errors import SelfRemasterError
    from selfremaster.registry.building import build, component_class, current

    needs = []
    table = current().table
    told_twice = {(declared[0].kind, declared[0].name) for declared in table.duplicates()}
    for entry in table.entries():
        if (entry.kind, entry.name) in told_twice:  # among the problems already
            continue
        about = f"{entry.kind} {entry.name}"
        try:
            component_class(entry.kind, entry.name)
        except SelfRemasterError as error:
            problems.append({"about": about, "reason": str(error)})
            continue
        if entry.kind != "metric":
            continue
        try:
            build(entry.kind, entry.name)
        except SelfRemasterError as error:
            package = missing_package(error)
            if package:
                needs.append({"about": about, "package": package, "reason": str(error)})
            else:
                problems.append({"about": about, "reason": str(error)})
    return needs


def _hub() -> list[dict[str, str]]:
    """What bundles of the Hub need, where it is not installed."""
    if find_spec(HUB_PACKAGE) is not None:
        return []
    reason = f"--model org/name: needs the package {HUB_PACKAGE}; pip install 'selfremaster[hub]'"
    return [{"about": "the Hugging Face Hub", "package": HUB_PACKAGE, "reason": reason}]


def _show(told: dict[str, Any]) -> None:
    rows = [["python", told["python"]], ["system", told["system"]]]
    rows += [[name, found or "not installed"] for name, found in told["packages"].items()]
    rows += [["device", device] for device in told["devices"]]
    rows += [
        ["libsndfile", told["libsndfile"] or "missing"],
        ["sound formats", " ".join(told["formats"])],
    ]
    for plugin in told["plugins"]:
        rows.append(["plugin", f"{plugin['name']} {plugin['version']}".strip() + _parts(plugin)])
    rows += [["plugin left out", name] for name in told["left_out"]]
    if told["plugins_disabled"]:
        rows.append(["plugins", "all but the toolkit's own are disabled"])
    rows += [["optional", item["reason"]] for item in told["missing_packages"]]
    say_table(["", ""], rows)
    say("")
    if told["problems"]:
        say_table(["problem", "why"], [list(item.values()) for item in told["problems"]])
    else:
        say("no problems")


def _parts(plugin: dict[str, Any]) -> str:
    count = plugin["parts"]
    return f", {count} part{'' if count == 1 else 's'}"
