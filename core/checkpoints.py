"""Checkpoints: everything that the rest of a run depends on, without pickles."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfremaster.core.errors import BundleError, ExperimentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.plain import shown
from selfremaster.core.tensorfiles import (
    flatten,
    read_header,
    read_tensors,
    unflatten,
    write_tensors,
)

CHECKPOINT_NAME = "checkpoint.safetensors"

MAY_CHANGE = frozenset(
    f"train.{name}"
    for name in (
        "steps",
        "minutes",
        "log_every",
        "validate_every",
        "save_every",
        "patience",
        "half",
        "device",
        "devices",
        "precision",  # weights are float32 in all of them, and devices are fast at different ones
        "strategy",
    )
) | {"name", "data.workers"}
"""Settings that a resumed run may have otherwise than the interrupted one."""

PLACES = (".manifest", ".folder")
"""Ends of settings of ``data`` that say where speech lies."""


def write_checkpoint(
    folder: Path,
    state: Mapping[str, Any],
    experiment: Experiment,
    contents: Mapping[str, str] | None = None,
) -> None:
    """Write nested tensors and plain values, with the experiment that they belong to; atomic.

    ``contents`` are hashes of what the experiment names by its place: ``start.vocoder`` for a
    bundle, ``data.clean`` for speech.
    """
    tensors, plain = flatten(state)
    header = {
        "kind": "checkpoint",
        "state": plain,
        "experiment": experiment.model_dump(mode="json"),
        "contents": dict(contents or {}),
    }
    header |= {name: state[name] for name in ("step", "validated", "seconds")}
    write_tensors(folder / CHECKPOINT_NAME, tensors, header)


def read_checkpoint(
    folder: Path, experiment: Experiment, contents: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    """The state in a run's folder.

    Bundles and speech may have another place by now, or the same in other words, where their
    ``contents`` are as they were.

    Raises `BundleError` for a file that is damaged or no checkpoint, and `ExperimentError` where
    the experiment has changed in a way that the checkpoint cannot follow.
    """
    path = folder / CHECKPOINT_NAME
    tensors, header = read_tensors(path)
    if header.get("kind") != "checkpoint":
        raise BundleError(f"{path}: is a {shown(header.get('kind'))}, not a checkpoint")
    before = _flat(header.get("experiment", {}))
    now = _flat(experiment.model_dump(mode="json"))
    for name in sorted(before.keys() | now.keys()):
        if name in MAY_CHANGE or before.get(name) == now.get(name):
            continue
        if _is_the_same_elsewhere(name, header.get("contents"), contents or {}):
            continue
        if _is_new(name, before, now):
            raise ExperimentError(
                f"{path}: was written by an earlier version, which had no {name}; begin in another "
                "folder"
            )
        raise ExperimentError(
            f"{path}: was written with {name}={before.get(name)}, the experiment says "
            f"{now.get(name)}; set it back, or begin in another folder"
        )
    try:
        state = unflatten(tensors, header.get("state"))
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    if not isinstance(state, Mapping):
        raise BundleError(f"{path}: holds no state of a run; begin in another folder")
    return state


def _is_the_same_elsewhere(name: str, before: Any, now: Mapping[str, str]) -> bool:
    """Whether a setting names a place, with the same content then and now."""
    if name.startswith("data.") and name.endswith(PLACES):
        name = name.rpartition(".")[0]
    return isinstance(before, Mapping) and name in now and before.get(name) == now[name]


def _is_new(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a setting has come to a part or section that was there before, and is the same."""
    parent = name.rpartition(".")[0] + "."
    same = before.get(f"{parent}name") == now.get(f"{parent}name")
    return name not in before and same and any(known.startswith(parent) for known in before)


def checkpoint_step(folder: Path) -> int | None:
    """How many steps the checkpoint of a run holds; none where there is no checkpoint."""
    path = folder / CHECKPOINT_NAME
    if not path.is_file():
        return None
    step = read_header(path).get("step")
    if not isinstance(step, int):
        raise BundleError(f"{path}: does not say how many steps it has; begin in another folder")
    return step


def has_validated(folder: Path) -> bool:
    """Whether the run had validated, and so judged its start, before its checkpoint was written."""
    step = checkpoint_step(folder)
    if step is None:
        return False
    validated = read_header(folder / CHECKPOINT_NAME).get("validated")
    return validated >= 0 if isinstance(validated, int) else step > 0


def spent_seconds(folder: Path) -> float:
    """How long a run has learned until its checkpoint; 0 where nothing says so."""
    path = folder / CHECKPOINT_NAME
    seconds = read_header(path).get("seconds") if path.is_file() else None
    return float(seconds) if isinstance(seconds, (int, float)) else 0.0


def _flat(given: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(given, Mapping):
        return {prefix: given}
    flat: dict[str, Any] = {}
    for name, value in given.items():
        flat |= _flat(value, f"{prefix}.{name}" if prefix else str(name))
    return flat
