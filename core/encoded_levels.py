"""The level of a sound once it is encoded: packed samples and those of few bits change it."""

import math
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.errors import LevelError
from selfremaster.core.metering import PEAK_LIMIT, LevelMeter

NEAR_DB = 0.05
TOLD_DB = 0.1
TRIES = 3


class EncodedLevel:
    """What brings a sound that is encoded to the loudness that it had before, below full scale.

    It is called with each file that was written of it, and raises `LevelError` with the gain that
    is missing, until the file is right or three were made of it; `notes` tell what is wrong then.
    What no gain brings back is the noise of few bits beneath a soft sound.
    """

    def __init__(
        self, blocks: Iterable[Tensor], sample_rate: int, channels: int, speakers: int | None
    ) -> None:
        self._like = (sample_rate, channels, False, speakers)
        self._lufs = self._heard(blocks).whole_lufs
        self._left = TRIES
        self._off_db = self._beyond_db = 0.0

    def __call__(self, written: Path) -> None:
        """Hear what was written; raises `LevelError` where another gain makes it better."""
        made = self._heard(audio.blocks(written, strict=False))
        self._off_db = made.whole_lufs - self._lufs
        if not math.isfinite(self._off_db):  # too soft for any loudness
            self._off_db = 0.0
        self._beyond_db = 20 * math.log10(max(made.true_peak, 1.0))
        wanted = 10 ** (-self._off_db / 20)
        fitting = PEAK_LIMIT / made.true_peak if made.true_peak > 0 else wanted
        gain = min(wanted, fitting)
        is_near = abs(20 * math.log10(gain)) <= NEAR_DB
        self._left -= 1
        if self._left and (self._beyond_db or not is_near):
            raise LevelError("another gain is nearer", gain)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the file that was written last."""
        told = []
        if self._off_db < -TOLD_DB:
            told.append(f"{-self._off_db:.1f} dB softer than asked for, so that its peaks fit")
        elif self._off_db > TOLD_DB:
            told.append(
                f"{self._off_db:.1f} LU louder than asked for, by the noise of samples of few bits"
            )
        if self._beyond_db:
            told.append(f"its peaks go {self._beyond_db:.1f} dB beyond full scale once decoded")
        return tuple(told)

    def _heard(self, blocks: Iterable[Tensor]) -> LevelMeter:
        rate, channels, apart, speakers = self._like
        meter = LevelMeter(rate, channels, apart, speakers)
        for block in blocks:
            meter.add(block)
        return meter
