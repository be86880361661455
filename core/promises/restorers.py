"""What restorers promise."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
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


def restores_the_same_twice(part: Restorer, voice: Tensor, sample_rate: int) -> None:
    """Gives the same wave for the same wave."""
    reference = voice.clone() if part.needs_reference else None
    with torch.no_grad():
        first, second = (part.restore(voice, sample_rate, reference) for _ in range(2))
    demand_close(second, first, "the second restored wave", 1e-5)


def leaves_chance_alone(part: Restorer, voice: Tensor, sample_rate: int) -> None:
    """Draws nothing from the random numbers that the whole process shares."""
    before = _shared_chance()
    with torch.no_grad():
        part.restore(voice, sample_rate, voice.clone() if part.needs_reference else None)
    for name, state in _shared_chance().items():
        demand(state == before[name], f"draws from the generator of {name}; make one of its own")


def _shared_chance() -> dict[str, Any]:
    kind, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": (kind, np.asarray(keys).tolist(), rest),
        "random": random.getstate(),
    }


def asks_for_its_original(part: Restorer) -> None:
    """Without the clean original, restores or raises `ComponentError`, as it says."""
    same = part.needs_reference == type(part).needs_reference
    demand(same, "needs_reference is one thing for the class, another for the part; say it once")
    try:
        with torch.no_grad():
            part.restore(speech_like(RATE_HZ // 4), RATE_HZ)
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
    voice = speech_like(8000, sample_rate=16000)
    yield "a voice", {"voice": voice, "sample_rate": 16000}


PROMISES = (
    keeps_shape_and_stays_finite,
    restores_the_same_twice,
    leaves_chance_alone,
    asks_for_its_original,
)
