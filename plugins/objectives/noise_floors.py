"""The steady noise of recordings, as far as their softest moments tell it."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

from selfremaster.core.signals import hann_window, istft, stft

SIZE = 1024  # samples of a window
NEIGHBOURS = 4  # bins on both sides that a bin is averaged with
SOFTEST = 0.03  # part of the frames in which nothing but noise is heard, at least
SOFTEST_POWER = 0.368  # of Gaussian noise, so averaged, in that part; of its mean power: measured


def steady_noise_of(recordings: Tensor, samples: int, generators: Sequence[Generator]) -> Tensor:
    """New noise with the spectrum that each recording has in its softest moments.

    The power that a bin and its neighbours stay below in 3 of 100 frames tells the mean power of
    the noise: of Gaussian noise it is 0.37 times that. Between words, in the closures of plosives
    and between harmonics there is hardly anything else. Each recording has its own source of
    chance. No gradient reaches the recordings.

    Shape: (batch, samples of any number) -> (batch, ``samples``), at one rate and level.
    Source: after minimum statistics (Martin, 2001), with a quantile in place of the minimum.

    >>> hiss = torch.randn(1, 40000, generator=Generator().manual_seed(1))
    >>> made = steady_noise_of(hiss, 20000, [Generator().manual_seed(2)])
    >>> made.shape, bool(0.8 < made.std() < 1.2)
    (torch.Size([1, 20000]), True)
    """
    hop = SIZE // 4
    with torch.no_grad(), torch.autocast(recordings.device.type, enabled=False):
        window = hann_window(SIZE, recordings.device)
        power = stft(recordings.float(), SIZE, hop, window).abs().square()
        edges = functional.pad(power.mT, (NEIGHBOURS, NEIGHBOURS), mode="replicate")
        smooth = functional.avg_pool1d(edges, 2 * NEIGHBOURS + 1, 1).mT
        floor = smooth.quantile(SOFTEST, dim=-1) / SOFTEST_POWER
        drawn = [torch.randn(samples, generator=generator) for generator in generators]
        white = torch.stack(drawn).to(floor)
        gain = (floor / window.square().sum()).sqrt()[..., None]
        made = istft(stft(white, SIZE, hop, window) * gain, hop, samples)
        return made.to(recordings.dtype)
