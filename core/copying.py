"""Sounds as files hold them, to the last bit, where nothing is done to them."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import Tensor

from selfremaster.core.formats import FINER
from selfremaster.core.streaming import Filed


@dataclass(frozen=True)
class Unrounded:
    """A sound in a file, with samples of 64 bits where 32 would round them.

    Those blocks are of 32 bits, as `Filed` reads them, where that has mended what is in the file.
    """

    sound: Filed

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.sound.sample_rate

    @property
    def channels(self) -> int:
        """How many."""
        return self.sound.channels

    @property
    def samples(self) -> int:
        """Of each channel."""
        return self.sound.samples

    def blocks(self) -> Iterator[Tensor]:
        """The sound in pieces, (channels, samples), float64 or float32."""
        if self.sound.info.subtype not in FINER:
            yield from self.sound.blocks()
            return
        with ExitStack() as stack:
            file = _opened(self.sound, stack)
            for block in self.sound.blocks():
                finer = _read(file, block.shape[1])
                with np.errstate(over="ignore"):
                    is_same = np.array_equal(finer.astype(np.float32), block.numpy())
                yield torch.from_numpy(finer) if is_same else block


def _opened(sound: Filed, stack: ExitStack) -> soundfile.SoundFile | None:
    name: Any = os.fsencode(sound.path)
    try:
        return stack.enter_context(soundfile.SoundFile(name))
    except soundfile.SoundFileError:
        return None


def _read(file: soundfile.SoundFile | None, samples: int) -> npt.NDArray[np.float64]:
    """The next samples, (channels, samples); nothing where they cannot be read."""
    nothing = np.empty((0, 0))
    if file is None:
        return nothing
    try:
        rows = file.read(samples, dtype="float64", always_2d=True)
    except soundfile.SoundFileError:
        return nothing
    return np.ascontiguousarray(rows.T)
