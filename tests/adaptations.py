"""Adapting a tiny model in no time, for tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from selfremaster.core import audio, pieces
from selfremaster.plugins.objectives.ssl_dual import SslDual
from selfremaster.registry import adaptation_plans, criteria
from tests import tiny
from tests.cli import Outcome, run

SECONDS = 75.0
QUICK = {
    "VALIDATE_EVERY": 2,
    "SEGMENT_SECONDS": 0.2,
    "BATCH_SIZE": 2,
    "HELD_OUT_SEGMENTS": 2,
}


def make_quick(patch: pytest.MonkeyPatch) -> None:
    """Small numbers, and no network that judges the sounds of a model that knows nothing."""
    patch.setattr(criteria, "QUALITY", ())
    patch.setattr(pieces, "HEARD_SECONDS", 1.0)
    for name, value in QUICK.items():
        patch.setattr(adaptation_plans, name, value)


def write_tape(folder: Path) -> Path:
    """A folder with one long recording of speech, quiet and in stereo at another rate."""
    wave = tiny.speech_like(SECONDS, 1)
    slow = audio.resample(0.1 * wave, tiny.RATE, 16000)
    audio.write(folder / "side-a.wav", torch.cat([slow, slow]), 16000)
    return folder


def adapt(tape: Path, output: Path, model: Path | str, *more: str | Path) -> Outcome:
    """Four steps, by the command."""
    given = ("adapt", tape, "--output", output, "--model", model, "--steps", "4", *more)
    return run(*given, "--device", "cpu", "--by-losses")


def broken_off(patch: pytest.MonkeyPatch, step: int) -> None:
    """Press Ctrl-C in the midst of a step."""
    learning = SslDual.losses

    def losses(self: SslDual, *given: Any) -> Iterator[Any]:
        for one in learning(self, *given):
            if torch.is_grad_enabled() and given[-1].step == step:
                raise KeyboardInterrupt
            yield one

    patch.setattr(SslDual, "losses", losses)
