"""Mel spectrograms of power, as the networks that judge speech were taught with them."""

import torch
from torch import Tensor
from torch.nn import functional

from selfremaster.core.signals import hann_window, mel_filterbank


def power_mel(wave: Tensor, sample_rate: int, size: int, hop_samples: int, bands: int) -> Tensor:
    """The power in mel bands up to half the rate, frame by frame, with silence around the wave.

    Frame k is centred on sample k * hop_samples. Equal to ``librosa.feature.melspectrogram``
    with its defaults (from librosa 0.10 on), which would bring a compiler with it.

    Shape: (samples,) -> (1 + (samples - size % 2) // hop_samples frames, bands), float32.

    >>> power_mel(torch.zeros(1600), 16000, 400, 160, 40).shape
    torch.Size([11, 40])
    """
    padded = functional.pad(wave.float(), (size // 2, size // 2))
    window = hann_window(size, wave.device)
    spectrum = torch.stft(
        padded, size, hop_samples, window=window, center=False, return_complex=True
    )
    power = spectrum.real.square() + spectrum.imag.square()
    return (mel_filterbank(sample_rate, size, bands, 0.0, sample_rate / 2) @ power).T
