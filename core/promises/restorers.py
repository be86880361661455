"""What restorers promise."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Restorer
from selfremaster.core.promises.inputs import RATE_HZ, speech_like, waves
from selfremaster.core.promises.judging import (
    demand,
    demand_close,
    demand_finite,
    demand_shape,
    untouched,
)


def keeps_shape_and_stays_finite(part: Restorer, wave: Tensor, sample_rate: int) -> None:
    """Gives as many channels and samples as it is given, in float32, all of them finite."""
    with torch.no_grad(), untouched(wave):
        restored = part.restore(wave, sample_rate, wave.clone() if part.needs_reference else None)
    demand_shape(restored, tuple(wave.shape), "the restored wave")
    demand(restored.dtype == torch.float32, f"the restored wave is {restored.dtype}, not float32")
    demand_finite(restored, "the restored wave")


def restores_the_same_twice(part: Restorer, wave: Tensor, sample_rate: int) -> None:
    """Gives the same wave for the same wave."""
    reference = wave.clone() if part.needs_reference else None
    with torch.no_grad():
        first, second = (part.restore(wave, sample_rate, reference) for _ in range(2))
    demand_close(second, first, "the second restored wave", 1e-5)


def asks_for_its_original(part: Restorer, wave: Tensor, sample_rate: int) -> None:
    """Without the clean original, restores or raises `ComponentError`, as it says."""
    try:
        with torch.no_grad():
            part.restore(wave, sample_rate)
    except ComponentError:
        demand(part.needs_reference, "raises without a reference; say needs_reference = True")
        return
    demand(not part.needs_reference, "says needs_reference = True, and takes none without a word")


def cases(part: Restorer, context: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Waves of one and more channels at several rates."""
    del part, context
    for label, wave in waves(6000):
        yield label, {"wave": wave, "sample_rate": RATE_HZ}
    for rate_hz in (8000, 44100):
        wave = speech_like(rate_hz // 4, sample_rate=rate_hz)
        yield f"a wave at {rate_hz} Hz", {"wave": wave, "sample_rate": rate_hz}


PROMISES = (
    keeps_shape_and_stays_finite,
    restores_the_same_twice,
    asks_for_its_original,
)
