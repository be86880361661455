"""Waves at 16000 Hz that the original packages were asked about, from the speech in examples."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.levels import resample
from selfremaster.core.promises.inputs import noise

SPEECH = Path(__file__).parents[1] / "examples" / "speech"
RATE_HZ = 16000
PIECE = int(2.4 * RATE_HZ)


def utterance(name: str) -> Tensor:
    """A file of examples/speech, such as ``heart-1``, (samples,) at 16000 Hz."""
    wave, rate_hz = audio.read(SPEECH / name.partition("-")[0] / f"{name}.flac")
    return resample(wave[0], rate_hz, RATE_HZ)


def _noisy() -> Tensor:
    return utterance("alder-1")[:PIECE] / 2 + noise(1, PIECE, seed=5, level=0.02)[0]


def _long() -> Tensor:
    names = ("heart-1", "alder-1", "heart-2", "alder-2")
    return torch.cat([utterance(name) for name in names])[: 12 * RATE_HZ]


WAVES: Mapping[str, Callable[[], Tensor]] = {
    "heart": lambda: utterance("heart-1")[:PIECE],
    "alder": lambda: utterance("alder-2")[:PIECE],
    "noisy-alder": _noisy,
    "quiet-heart": lambda: utterance("heart-2")[:PIECE] / 50,
    "long": _long,
}
"""By the names that ``tests/reference/network_scores.json`` has them under."""
