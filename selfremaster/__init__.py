"""Restore old recordings by learning from the recordings alone."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from selfremaster.core.errors import (
    AudioError,
    BundleError,
    ComponentError,
    ExperimentError,
    SelfRemasterError,
    TrainingError,
)
from selfremaster.core.hooks import hookimpl

if TYPE_CHECKING:
    from selfremaster.core import promises
    from selfremaster.core.experiments import Experiment
    from selfremaster.core.models import Model
    from selfremaster.core.profiles import ChannelProfile
    from selfremaster.registry.assembling import load
    from selfremaster.registry.building import build, list_components
    from selfremaster.registry.runs import train

__all__ = [
    "AudioError",
    "BundleError",
    "ChannelProfile",
    "ComponentError",
    "Experiment",
    "ExperimentError",
    "Model",
    "SelfRemasterError",
    "TrainingError",
    "build",
    "hookimpl",
    "list_components",
    "load",
    "promises",
    "train",
]

_LAZY = {
    "ChannelProfile": "selfremaster.core.profiles:ChannelProfile",
    "Experiment": "selfremaster.core.experiments:Experiment",
    "Model": "selfremaster.core.models:Model",
    "build": "selfremaster.registry.building:build",
    "list_components": "selfremaster.registry.building:list_components",
    "load": "selfremaster.registry.assembling:load",
    "promises": "selfremaster.core.promises:",
    "train": "selfremaster.registry.runs:train",
}
"""Public names that need more than the standard library; each is imported when first asked for."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("selfremaster")
        except PackageNotFoundError:  # an uninstalled clone has no metadata
            return "0.0.0"
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module_name, _, attribute = _LAZY[name].partition(":")
    module = import_module(module_name)
    return getattr(module, attribute) if attribute else module


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
