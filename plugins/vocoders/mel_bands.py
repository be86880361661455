"""From mel bands back to STFT bins, for the vocoders that speak a mel spectrogram by rule."""

import torch
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Features
from selfremaster.core.signals import hz_to_slaney_mel, slaney_mel_to_hz
from selfremaster.plugins.features.mel import MelSpectrogram


def mel_of(features: Features) -> MelSpectrogram:
    """The features as a mel spectrogram whose frames overlap enough to be inverted.

    Raises `ComponentError` for any other features.
    """
    if not isinstance(features, MelSpectrogram):
        raise ComponentError(
            f"the features are {type(features).__name__}, this vocoder speaks only from a mel "
            "spectrogram; use features: mel, or the vocoder hifigan"
        )
    size, hop_samples = features.config.size, features.hop_samples
    if 2 * hop_samples > size:
        raise ComponentError(
            f"hop_samples={hop_samples} with windows of {size} samples leaves gaps; "
            f"use a hop of at most {size // 2}"
        )
    return features


def band_interpolation(mel: MelSpectrogram) -> Tensor:
    """Weights that spread a value of each band over the STFT bins: straight lines between centres.

    Below the lowest centre and above the highest one the value is held. Bands too narrow to hold a
    bin get no weight.

    Shape: (size // 2 + 1, bands), float32; every row adds up to 1.
    """
    config = mel.config
    filled = (mel.filterbank.sum(dim=1) > 0).nonzero()[:, 0].cpu()
    if not len(filled):
        raise ComponentError(
            f"no mel band between {config.fmin_hz} and {config.fmax_hz} Hz holds an STFT bin; "
            "use a larger size or fewer bands"
        )
    edges_hz = torch.tensor([config.fmin_hz, config.fmax_hz], dtype=torch.float64)
    low, high = hz_to_slaney_mel(edges_hz)
    position = torch.arange(1, config.bands + 1, dtype=torch.float64) / (config.bands + 1)
    centres_hz = slaney_mel_to_hz(low + position * (high - low))[filled]
    bins_hz = torch.linspace(0, mel.sample_rate / 2, config.size // 2 + 1, dtype=torch.float64)
    upper = torch.searchsorted(centres_hz, bins_hz).clamp(max=len(filled) - 1)
    lower = (upper - 1).clamp(min=0)
    distance = (centres_hz[upper] - centres_hz[lower]).clamp(min=1e-9)
    share = ((bins_hz - centres_hz[lower]) / distance).clamp(0, 1)[:, None]
    weights = torch.zeros(len(bins_hz), config.bands, dtype=torch.float64)
    weights.scatter_add_(1, filled[lower][:, None], 1 - share)
    weights.scatter_add_(1, filled[upper][:, None], share)
    return weights.float()
