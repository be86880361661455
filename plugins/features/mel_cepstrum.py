"""Mel-cepstra: a few smooth waves over the mel scale that add up to a spectral envelope.

An envelope is given by the natural logarithms of its magnitudes at the size // 2 + 1 bins of an
FFT. Both ways are one matrix product: ``analysis_matrix @ log_magnitude`` is the mel-cepstrum,
``synthesis_matrix @ mel_cepstrum`` the envelope again. The matrices are shared: do not change them.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor

ALPHA_STEP = 0.001
POINTS = 1000  # of the two curves that are compared


@lru_cache(maxsize=16)
def alpha_of(sample_rate: int) -> float:
    """The warping of an all-pass filter that comes nearest to the mel scale at a rate (Hz).

    The mel scale is that of Fant (1973), 1000 Hz = 1000 mel; the distance is the RMS over evenly
    spaced frequencies, both curves brought to the same end, alpha searched in steps of 0.001.

    >>> alpha_of(22050), alpha_of(16000)
    (0.455, 0.41)
    """
    part = np.arange(POINTS) / POINTS
    mel = np.log(1 + part * sample_rate / 2000)
    candidates = np.arange(0, 1, ALPHA_STEP)
    warped = warp(np.pi * part, candidates[:, None])
    distance = mel / mel[-1] - warped / warped[:, -1:]
    return round(float(candidates[np.square(distance).mean(axis=1).argmin()]), 3)


def warp(omega: np.ndarray, alpha: float | np.ndarray) -> np.ndarray:
    """Where an all-pass filter puts frequencies, radians a sample, 0 to pi -> 0 to pi."""
    warped: np.ndarray = omega + 2 * np.arctan(alpha * np.sin(omega) / (1 - alpha * np.cos(omega)))
    return warped


@lru_cache(maxsize=16)
def analysis_matrix(size: int, order: int, alpha: float) -> Tensor:
    """Mel-cepstrum of an envelope: (order + 1, size // 2 + 1), float64.

    The cepstrum of the minimum-phase filter with these log magnitudes, its frequency axis warped
    (Tokuda et al., ICSLP 1994, section 2), cut off after the order.

    The first coefficient of a flat envelope is its log magnitude, and the others are 0:

    >>> (analysis_matrix(8, 2, 0.4) @ torch.ones(5, dtype=torch.float64)).abs().round(decimals=6)
    tensor([1., 0., 0.], dtype=torch.float64)
    """
    quefrencies, bins = np.arange(size)[:, None], np.arange(size // 2 + 1)
    cosines = np.cos(2 * np.pi * (quefrencies * bins % size) / size)
    cosines[:, 1 : size // 2] *= 2  # the bins that the spectrum has twice
    cepstrum = 2 * cosines / size  # twice: from both halves of the even cepstrum to one
    cepstrum[0] /= 2
    return _shared(_warping(size, order, alpha) @ cepstrum)


def _warping(size: int, order: int, alpha: float) -> np.ndarray:
    """Powers of an all-pass filter as power series: cepstrum to mel-cepstrum, (order + 1, size).

    Column m holds the series of ((u + alpha) / (1 + alpha * u)) ** m.
    """
    powers = np.arange(size)
    rows = [alpha**powers, powers * alpha ** np.maximum(powers - 1, 0) * (1 - alpha**2)]
    while len(rows) <= order:
        rows.append(lfilter([-alpha, 1.0], [1.0, -alpha], rows[-1]))
    return np.stack(rows[: order + 1])


@lru_cache(maxsize=16)
def synthesis_matrix(size: int, order: int, alpha: float) -> Tensor:
    """Envelope of a mel-cepstrum: (size // 2 + 1, order + 1), float64; log magnitudes.

    Without warping it holds cosines of 0, 1 and 2 half-cycles:

    >>> synthesis_matrix(4, 2, 0.0).round(decimals=6).abs().tolist()
    [[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]
    """
    omega = np.arange(size // 2 + 1) * 2 * math.pi / size
    return _shared(np.cos(np.arange(order + 1) * warp(omega, alpha)[:, None]))


def _shared(matrix: np.ndarray) -> Tensor:
    with torch.inference_mode(False):  # whoever asks first, gradients may go through it later
        return torch.from_numpy(matrix)
