"""What the restorers of other packages share: their own rate, their frames and their delay."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from selfremaster.core.levels import resample
from selfremaster.core.models import check_wave
from selfremaster.core.signals import fit_length

EXTRA = "peers"

Enhance = Callable[[np.ndarray], np.ndarray]
"""Takes one channel (samples,), float32 at the rate of the package, and gives as many samples."""


def at_own_rate(wave: Tensor, sample_rate: int, rate_hz: int, enhance: Enhance) -> Tensor:
    """Bring a wave to the rate of a package, enhance every channel by itself, and bring it back.

    What lies above half the lower rate is lost. The package works on the processor; the result is
    on the device of the wave.

    Shape: (channels, samples) -> (channels, samples), float32.
    Raises `AudioError` for an empty wave and for samples that are not finite.

    >>> at_own_rate(torch.ones(2, 3), 8000, 8000, lambda channel: channel / 2).tolist()
    [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    """
    given = check_wave(wave).float().cpu()
    heard = resample(given.reshape(-1, given.shape[-1]), sample_rate, rate_hz).numpy()
    made = np.stack([enhance(channel) for channel in heard]).astype(np.float32, copy=False)
    back = resample(torch.from_numpy(made), rate_hz, sample_rate)
    return fit_length(back, given.shape[-1]).reshape(given.shape).to(wave.device)


def in_frames(
    channel: np.ndarray, frame_samples: int, delay_samples: int, enhance: Enhance
) -> np.ndarray:
    """Enhance a channel frame by frame, and take out the delay that this brings.

    Shape: (samples,) -> (samples,), float32; ``enhance`` is given (frame_samples,).

    >>> late = [0.0]
    >>> def delayed(frame):
    ...     late.append(float(frame[-1]))
    ...     return np.array([late[-2], *frame[:-1]])
    >>> in_frames(np.array([1.0, 2.0, 3.0]), 2, 1, delayed).tolist()
    [1.0, 2.0, 3.0]
    """
    frames = -(-(len(channel) + delay_samples) // frame_samples)
    heard = np.zeros((frames, frame_samples), np.float32)
    heard.reshape(-1)[: len(channel)] = channel
    made = np.empty_like(heard)
    for source, target in zip(heard, made, strict=True):
        target[:] = enhance(source)
    return made.reshape(-1)[delay_samples : delay_samples + len(channel)]
