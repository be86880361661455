"""What spectral distances share: magnitudes of long waves in blocks, and bins that are compared."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from selfremaster.core.bandwidths import bandwidth_hz
from selfremaster.core.signals import hann_window

VALUES_AT_ONCE = 2**21  # in a block of frames

BandwidthSetting = Annotated[
    Literal["full", "reference"],
    Field(
        description="reference: compare only where the reference has sound, as 16 kHz speech "
        "stored at 22.05 kHz has below 8 kHz"
    ),
]


def limit_hz(
    choice: Literal["full", "reference"], reference: Tensor, sample_rate: int
) -> float | None:
    """The frequency (Hz) up to which is compared; none: half the rate.

    >>> limit_hz("full", torch.ones(8), 8000)
    """
    if choice == "full":
        return None
    found = bandwidth_hz(reference, sample_rate)
    return None if math.isnan(found) else found


def bins_up_to(highest_hz: float | None, size: int, sample_rate: int) -> int:
    """How many bins of an FFT lie not above a frequency (Hz).

    >>> bins_up_to(2000, 16, 8000), bins_up_to(None, 16, 8000)
    (5, 9)
    """
    every = size // 2 + 1
    return every if highest_hz is None else min(every, int(highest_hz * size / sample_rate) + 1)


def magnitudes(
    wave: Tensor, size: int, hop_samples: int, window: Tensor | None = None
) -> Iterator[Tensor]:
    """The magnitudes of `selfremaster.core.signals.stft`, in blocks that fit into memory.

    Shape: wave (samples,) -> (frames, size // 2 + 1) in blocks.

    >>> [block.shape for block in magnitudes(torch.ones(9), 8, 4)]
    [torch.Size([3, 5])]
    """
    window = hann_window(size, dtype=wave.dtype) if window is None else window
    half = size // 2
    mode = "reflect" if len(wave) > half else "constant"
    frames = functional.pad(wave[None], (half, half), mode=mode)[0].unfold(0, size, hop_samples)
    for block in torch.split(frames, max(1, VALUES_AT_ONCE // size)):
        yield torch.fft.rfft(block * window).abs()


def loudest(wave: Tensor, size: int, hop_samples: int, window: Tensor | None = None) -> float:
    """The largest of `magnitudes`."""
    return max(float(block.max()) for block in magnitudes(wave, size, hop_samples, window))
