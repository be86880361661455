"""Bundles: a trained model as one file, its weights with the experiment that made them."""

import copy
import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from selfremaster.core.errors import BundleError, ExperimentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.models import Model
from selfremaster.core.plain import shown
from selfremaster.core.tensorfiles import read_header, read_shapes, read_tensors, write_tensors

ANOTHER = "; take a bundle of such a model"
LONGEST_SHOWN = 300  # characters of a fault

BUNDLE_NAME = "model.safetensors"
"""The bundle inside a run's folder."""


class Bundle(NamedTuple):
    """What a bundle file holds."""

    experiment: Experiment
    tensors: dict[str, Tensor]
    header: Mapping[str, Any]


def write_bundle(
    path: Path, model: Model, experiment: Experiment, *, half: bool = False, **notes: Any
) -> None:
    """Write the model with its resolved experiment, versions and hash; ``half`` stores float16.

    Vocoders whose layers keep a separate norm of their weights (weight normalisation) are folded.
    """
    released = copy.deepcopy(model).cpu()
    fold(released)
    tensors = {
        name: tensor.half() if half and tensor.dtype == torch.float32 else tensor
        for name, tensor in released.state_dict().items()
    }
    header = {
        "kind": "bundle",
        "experiment": experiment.model_dump(mode="json"),
        "versions": versions(),
        **notes,
    }
    write_tensors(path, tensors, header)


def read_bundle(path: Path) -> Bundle:
    """Read and check a bundle, or the one in a run's folder; raises `BundleError`."""
    location = bundle_path(path)
    tensors, header = read_tensors(location)
    if header.get("kind") != "bundle":
        raise BundleError(
            f"{location}: is a {shown(header.get('kind'))}, not a bundle; give {BUNDLE_NAME}"
        )
    return Bundle(_experiment(header, location), tensors, header)


def describe_bundle(path: Path) -> dict[str, Any]:
    """The header of a bundle, without reading its weights; raises `BundleError`."""
    return read_header(bundle_path(path))


def count_weights(path: Path) -> dict[str, int]:
    """How many numbers a bundle holds for each module, without reading them."""
    counts: dict[str, int] = {}
    for name, shape in read_shapes(bundle_path(path)).items():
        module = name.partition(".")[0]
        counts[module] = counts.get(module, 0) + math.prod(shape)
    return counts


def bundle_path(path: Path) -> Path:
    """The bundle itself, given its file or the folder of the run that made it."""
    if not path.is_dir():
        return path
    if not (path / BUNDLE_NAME).is_file():
        raise BundleError(f"{path}: a folder without {BUNDLE_NAME}; has its training ended?")
    return path / BUNDLE_NAME


def _experiment(header: Mapping[str, Any], path: Path) -> Experiment:
    try:
        return Experiment.from_mapping(header["experiment"], str(path))
    except (KeyError, ExperimentError) as error:
        raise BundleError(f"{path}: its experiment cannot be read: {error}") from None


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load weights strictly; raises `BundleError` with what is missing, foreign or misshapen."""
    restored = {
        name: tensor.float() if tensor.dtype == torch.float16 else tensor
        for name, tensor in tensors.items()
    }
    odd = [name for name, tensor in restored.items() if not tensor.isfinite().all()]
    if odd:
        raise BundleError(
            f"{what}: holds numbers that are not finite: {_shortened(odd)}; fetch it again, or ask "
            "whoever made it"
        )
    try:
        outcome = module.load_state_dict(restored, strict=False)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "size mismatch" in line]
        raise BundleError(f"{what}: {_shortened(lines or [str(error)])}{ANOTHER}") from None
    problems = [f"missing {name}" for name in outcome.missing_keys]
    problems += [f"unknown {name}" for name in outcome.unexpected_keys]
    if problems:
        raise BundleError(f"{what}: the weights do not fit: {_shortened(problems)}{ANOTHER}")


def _shortened(items: list[str], most: int = 4) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(_in_brief(item) for item in items[:most]) + more


def _in_brief(text: str) -> str:
    """A line of what torch says, or a name that may be anything."""
    words = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return words if len(words) <= LONGEST_SHOWN else f"{words[:LONGEST_SHOWN]} ..."


def fold(module: nn.Module) -> None:
    """Let every part that can be made simpler for use (its own ``fold``) do so, in place."""
    for part in module.modules():
        simplify = getattr(part, "fold", None)
        if callable(simplify):
            simplify()


def versions() -> dict[str, str]:
    """What made a bundle: the toolkit, torch and Python."""
    try:
        own = version("selfremaster")
    except PackageNotFoundError:
        own = "uninstalled"
    return {
        "selfremaster": own,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
