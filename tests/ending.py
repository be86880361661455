"""A degradation that ends its work, for tests of several processes, which import no more."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from selfremaster.core import audio, jobs
from selfremaster.core.degrading import Step
from selfremaster.core.interfaces import ComponentConfig, Degradation, Parameters

ODD_SAMPLES = 1003


class TwoWordsError(Exception):
    """What does not come back from a pickle: it is made of two words and keeps one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Ending(Degradation):
    """Raise an error, end the process or interrupt all, at the file of an odd length."""

    how: str = ""

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """Nothing."""
        return {}

    def apply_one(self, wave: Tensor, parameters: Parameters, sample_rate: int) -> Tensor:
        """The same wave, mostly."""
        if wave.shape[-1] == ODD_SAMPLES and self.how == "raise":
            raise TwoWordsError("out of", "order")
        if wave.shape[-1] == ODD_SAMPLES and self.how == "end":
            os._exit(3)
        if wave.shape[-1] == ODD_SAMPLES and self.how == "interrupt":
            os.killpg(os.getpgid(0), signal.SIGINT)
            threading.Event().wait()
        return wave.clone()


def ending(how: str) -> Step:
    """The degradation as a step."""
    part = Ending(ComponentConfig())
    part.how = how
    return Step("ending", part)


def write_files(folder: Path, count: int = 6) -> list[jobs.Job]:
    """Files of 1000, 1001, ... samples, and where their damaged versions go."""
    for number in range(count):
        audio.write(folder / "in" / f"{number}.wav", torch.full((1000 + number,), 0.1), 8000)
    return jobs.plan([folder / "in"], folder / "out", beside=(".json",))
