"""What metrics share: two waves made comparable, and packages that may be missing."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfremaster.core import packages
from selfremaster.core.errors import ComponentError

NOT_A_NUMBER = float("nan")


def pair(estimate: Tensor, reference: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both waves in float64 on the processor, the longer one cut to the shorter.

    Shape: (samples,) both -> (samples,) both.
    Raises `ComponentError` without a reference, for another shape, an empty wave, and samples that
    are not finite.

    >>> pair(torch.ones(3), torch.zeros(2))
    (tensor([1., 1.], dtype=torch.float64), tensor([0., 0.], dtype=torch.float64))
    """
    if reference is None:
        raise ComponentError("compares with the clean original; give reference")
    first, second = single(estimate), single(reference, "reference")
    samples = min(len(first), len(second))
    return first[:samples], second[:samples]


def single(wave: Tensor, name: str = "estimate") -> Tensor:
    """One wave in float64 on the processor.

    Shape: (samples,) -> (samples,).
    Raises `ComponentError` for another shape, an empty wave, and samples that are not finite.

    >>> single(torch.ones(2))
    tensor([1., 1.], dtype=torch.float64)
    """
    if wave.ndim != 1:
        raise ComponentError(
            f"{name} of shape {tuple(wave.shape)}; give (samples,), one channel at a time"
        )
    if wave.numel() == 0:
        raise ComponentError(f"0 samples of {name}; nothing to measure")
    if not torch.isfinite(wave).all():
        raise ComponentError(f"{name} holds samples that are not finite numbers; repair it")
    return wave.detach().cpu().double()


def match_level(estimate: Tensor, reference: Tensor) -> Tensor:
    """The estimate with the root-mean-square level of the reference; silence stays silence.

    Shape: (samples,) both -> (samples,).

    >>> match_level(torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.5])).tolist()
    [0.5, -0.5]
    """
    own, wanted = (wave.square().mean().sqrt() for wave in (estimate, reference))
    return estimate * (wanted / own) if own > 0 else estimate


def require(package: str, extra: str = "metrics") -> Any:
    """Import a package that comes with an extra; raises `ComponentError`."""
    return packages.require(package, extra)


def folder_of(package: str, remedy: str) -> Path:
    """Where a package lies that carries weights, without importing it and what it needs.

    Raises `ComponentError` with the remedy where it is not installed.
    """
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        absent = ModuleNotFoundError(f"No module named {package!r}", name=package)
        raise ComponentError(f"needs the weights in the package {package}; {remedy}") from absent
    return Path(found.submodule_search_locations[0])
