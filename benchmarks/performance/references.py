"""The published path, written straightforwardly: nothing kept, folded or rearranged."""

import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.models import Model
from selfremaster.core.signals import mel_filterbank

RATE_HZ, SIZE, HOP_SAMPLES, BANDS, FMAX_HZ, FLOOR = 22050, 1024, 256, 80, 8000.0, 1e-5
SIZES, EPS = (2048, 1024, 512, 256, 128, 64), 1e-5
ORDER = 40  # of the mel-cepstrum

Wave = npt.NDArray[np.float64]


def log_mel(wave: Tensor, fmax_hz: float = FMAX_HZ) -> Tensor:
    """The log-mel spectrogram, window and filters made anew.

    Shape: (batch, samples) -> (batch, bands, frames).

    >>> log_mel(torch.zeros(1, 600)).shape
    torch.Size([1, 80, 3])
    """
    window = torch.hann_window(SIZE)
    spectrum = torch.stft(wave, SIZE, HOP_SAMPLES, window=window, return_complex=True)
    filters = mel_filterbank.__wrapped__(RATE_HZ, SIZE, BANDS, 0.0, fmax_hz)  # not the kept ones
    return torch.log(torch.clamp(torch.matmul(filters, spectrum.abs()), min=FLOOR))


class MultiscaleSpectral(nn.Module):
    """The reconstruction loss as published, with a complex magnitude that is squared.

    Shape: two waves (batch, samples) -> scalar.

    >>> float(MultiscaleSpectral()(torch.ones(1, 4096), torch.ones(1, 4096)))
    0.0
    """

    def __init__(self, sizes: Sequence[int] = SIZES, *, linear: bool = True) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.linear = linear

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The sum over the sizes."""
        samples = min(estimate.shape[-1], target.shape[-1])
        total = estimate.new_zeros(())
        for size in self.sizes:
            powers = []
            for wave in (estimate[..., :samples], target[..., :samples]):
                window = torch.hann_window(size)
                spectrum = torch.stft(wave, size, size // 4, window=window, return_complex=True)
                powers.append(spectrum.abs() ** 2)
            found, wanted = powers
            if self.linear:
                total = total + functional.l1_loss(found, wanted)
            total = total + functional.l1_loss(torch.log(found + EPS), torch.log(wanted + EPS))
        return total


class PlainConvolution(nn.Module):
    """A convolution of a one-row picture by torch's one-dimensional one, channels first.

    Weight norm is kept: the weight is computed in each call.

    Shape: (batch, channels_in, 1, samples) -> (batch, channels_out, 1, samples or their multiple).
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden: Tensor) -> Tensor:
        """Convolve."""
        layer, sound = self.layer, hidden[:, :, 0].contiguous()
        weight, padding = layer.effective_weight(), layer.padding
        if layer.transposed:
            made = functional.conv_transpose1d(sound, weight, layer.bias, layer.stride, padding)
        else:
            made = functional.conv1d(sound, weight, layer.bias, 1, padding, layer.dilation)
        return made[:, :, None]


def with_plain_convolutions(module: nn.Module) -> int:
    """Replace every convolution that works on one-row pictures, in place; gives how many."""
    replaced = 0
    for name, child in list(module.named_children()):
        if hasattr(child, "effective_weight"):
            setattr(module, name, PlainConvolution(child))
            replaced += 1
        else:
            replaced += with_plain_convolutions(child)
    return replaced


class PlainNorm(nn.Module):
    """Batch normalisation by itself, which no convolution takes over.

    Shape: (batch, channels, sizes) -> the same.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden: Tensor) -> Tensor:
        """Normalise."""
        normalised: Tensor = self.layer(hidden)
        return normalised


def with_plain_norms(module: nn.Module) -> int:
    """Keep every batch normalisation by itself, in place; gives how many there are."""
    kept = 0
    for name, child in list(module.named_children()):
        if hasattr(child, "running_mean"):
            setattr(module, name, PlainNorm(child))
            kept += 1
        else:
            kept += with_plain_norms(child)
    return kept


def restore(model: Model, wave: Tensor) -> Tensor:
    """The published forward pass, which damages the restored wave again, wanted or not.

    Shape: (batch, samples) at the model's rate -> the same.
    """
    heard = model.analyse(wave)
    spoken = model.speak(model.features.complete(heard.features, wave), wave)
    model.degrade(spoken, heard.channel_features)
    return spoken


def source_filter_item(wave: Wave, extractor: str) -> npt.NDArray[np.float64]:
    """Source-filter features of an item as the published loader computes them.

    All that it throws away too: WORLD's whole analysis, aperiodicity included; the mel-cepstrum
    frame by frame, twice; and F0 once more by the extractor asked for.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that are old
        world, sptk = import_module("pyworld"), import_module("pysptk")
    period = 1000 * HOP_SAMPLES / RATE_HZ
    alpha = sptk.util.mcepalpha(RATE_HZ)
    for turn in range(2):
        f0, moments = world.dio(wave, RATE_HZ, frame_period=period)
        f0 = world.stonemask(wave, f0, moments, RATE_HZ)
        envelope = world.cheaptrick(wave, f0, moments, RATE_HZ, fft_size=SIZE)
        if turn == 0:
            world.d4c(wave, f0, moments, RATE_HZ, fft_size=SIZE)
        cepstrum = np.stack([sptk.sp2mc(frame, ORDER, alpha) for frame in envelope])
    found, moments = getattr(world, extractor)(wave, RATE_HZ, frame_period=period)
    found = world.stonemask(wave, found, moments, RATE_HZ)
    rows: npt.NDArray[np.float64] = np.concatenate([found[:, None], cepstrum], axis=1)
    return rows
