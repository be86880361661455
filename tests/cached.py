"""Speech features that are kept, and say how often they were computed."""

import os
from pathlib import Path

import torch
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Features
from selfremaster.core.promises.stubs import StubFeatures

LOG_VARIABLE = "SELFREMASTER_TEST_CACHE_LOG"  # a file that each computation writes a line to


class CachedConfig(ComponentConfig):
    """One setting, so that there are several of it."""

    offset: float = 0.0


class CachedFeatures(StubFeatures):
    """The loudness of four bands as target rows, and the mean magnitude as the source row."""

    Config = CachedConfig
    config: CachedConfig
    cached = True
    channels = 5

    def forward(self, wave: Tensor) -> Tensor:
        """Source row and target rows."""
        return torch.cat([self.source(wave), self.target(wave)], dim=1)

    def source(self, wave: Tensor) -> Tensor:
        """The loudness of all bands, whatever the gain."""
        _note("source")
        bands = self.log_mel(wave)
        return (bands - bands.mean(dim=(1, 2), keepdim=True)).mean(dim=1, keepdim=True)

    def target(self, wave: Tensor) -> Tensor:
        """The loudness of each band, and the setting."""
        _note("target")
        return self.log_mel(wave) + self.config.offset

    def at_gain(self, target: Tensor, gain: Tensor) -> Tensor:
        """A gain adds its logarithm."""
        return target + gain.log()[:, None, None]


def make(offset: float = 0.0) -> Features:
    """Features with this setting."""
    return CachedFeatures(CachedConfig(offset=offset))


def _note(word: str) -> None:
    path = os.environ.get(LOG_VARIABLE)
    if path:
        with Path(path).open("a") as opened:
            opened.write(f"{word}\n")
