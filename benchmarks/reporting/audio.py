"""What a report does to sounds: as loud as each other, small, and as pictures."""

import base64
import io
import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import soundfile
from numpy.typing import NDArray
from torch import Tensor

from selfremaster.core.loudness import integrated_loudness
from selfremaster.core.pictures import FLOOR_DB, compare_levels
from selfremaster.core.signals import fit_length

STEP_SECONDS = 0.25  # from one stretch that may be chosen to the next
PEAK = 0.98  # full scale = 1: the loudest sample that is ever played
COLUMNS, ROWS, SHADES = 420, 84, 32  # of a spectrogram


def liveliest(wave: Tensor, sample_rate: int, samples: int) -> int:
    """Where the stretch of so many samples begins that has the fewest pauses.

    >>> import torch
    >>> liveliest(torch.cat([torch.zeros(4000), torch.ones(4000)]), 8000, 4000)
    4000
    """
    frame = max(1, round(STEP_SECONDS * sample_rate))
    frames = fit_length(wave, math.ceil(len(wave) / frame) * frame).reshape(-1, frame)
    level = frames.square().mean(-1).sqrt()
    wide = max(1, samples // frame)
    if len(level) <= wide:
        return 0
    sums = level.clamp(max=float(level.quantile(0.7))).unfold(0, wide, 1).sum(-1)
    return min(int(sums.argmax()) * frame, len(wave) - samples)


def matching_gains(waves: Mapping[str, Tensor], sample_rate: int) -> dict[str, float]:
    """The factors that make sounds equally loud (ITU-R BS.1770), none of them beyond full scale.

    They are as loud as the quietest of them can be made. Silence keeps its level.
    """
    loudness = {label: integrated_loudness(wave, sample_rate) for label, wave in waves.items()}
    heard = {label: level for label, level in loudness.items() if math.isfinite(level)}
    if not heard:
        return dict.fromkeys(waves, 1.0)
    room = {
        label: level + 20 * math.log10(PEAK / float(waves[label].abs().max()))
        for label, level in heard.items()
    }
    target = min(min(room.values()), max(heard.values()))
    return {
        label: 10 ** ((target - heard[label]) / 20) * over(wave) if label in heard else 1.0
        for label, wave in waves.items()
    }


def over(wave: Tensor) -> float:
    """By how much a sound must be made quieter to be stored, 1 where it need not be."""
    return max(1.0, float(wave.abs().max()) / PEAK)


def flac(wave: Tensor, sample_rate: int) -> str:
    """A sound as FLAC of 16 bits in base64; one beyond full scale is made quieter."""
    buffer = io.BytesIO()
    sound = (wave / over(wave)).numpy()
    soundfile.write(buffer, sound, sample_rate, format="FLAC", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def spectrograms(waves: Mapping[str, Tensor], sample_rate: int) -> dict[str, str]:
    """Spectrograms as data URIs, in the same colours: mel upwards, dB below the loudest of all."""
    levels = compare_levels(waves, sample_rate, COLUMNS, ROWS)
    return {label: _png(level) for label, level in levels.items()}


def _png(level: NDArray[np.float32]) -> str:
    from PIL import Image  # comes with matplotlib, and is as slow to import

    shades = np.rint((level[::-1] / -FLOOR_DB + 1) * (SHADES - 1)).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(shades), mode="P")
    picture.putpalette(_palette())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


@lru_cache(maxsize=1)
def _palette() -> bytes:
    from matplotlib import colormaps  # slow to import

    colours = colormaps["magma"](np.linspace(0, 1, SHADES))[:, :3]
    return bytes(np.rint(colours * 255).astype(np.uint8).tobytes())
