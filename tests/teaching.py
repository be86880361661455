"""What tests of objectives share: a batch of every stream, and a model set to learn."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from selfremaster.core.interfaces import StepContext, StepLosses
from selfremaster.core.signals import resample_hann
from tests import tiny

ALONE = {"name": "vocoder", "adversarial": None}
"""A vocoder's objective without discriminators."""


def context(step: int = 0, **settings: Any) -> StepContext:
    """A step of a run, with a source of chance that hangs on its number alone."""
    return StepContext(step, torch.Generator().manual_seed(step), **settings)


def speech(items: int, samples: int = 4096) -> dict[str, Tensor]:
    """A batch of every stream; the degraded waves are the clean ones muffled and clipped."""
    clean = torch.cat([tiny.speech_like(samples / tiny.RATE, seed) for seed in range(2 * items)])
    low = resample_hann(resample_hann(clean, tiny.RATE, 4410), 4410, tiny.RATE)[:, :samples]
    muffled = low.clamp(-0.1, 0.1)
    return {
        "degraded": muffled[items:],
        "clean": clean[:items],
        "paired_degraded": muffled[:items],
        "paired_clean": clean[:items],
        "degraded/label": torch.arange(items),
    }


def only(steps: Iterator[StepLosses]) -> StepLosses:
    """The one update of a step."""
    (step,) = steps
    return step


def reached(module: nn.Module | None) -> bool:
    """Whether a gradient that is not zero has reached a module."""
    assert module is not None
    return any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())
