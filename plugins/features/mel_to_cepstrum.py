"""From a log-mel spectrogram to a mel-cepstrum, by one fixed matrix that nobody has trained."""

import math

import torch
from torch import Tensor

SMOOTHNESS = 1e-3
"""How strongly the envelope is kept from bending; half or twice as much serves speech as well."""
LOWEST_HZ = 150.0
"""Bands centred lower are not asked: there is no voice below F0, and WORLD fills the gap."""


def mel_to_cepstrum(
    filterbank: Tensor, window: Tensor, synthesis: Tensor, sample_rate: int
) -> tuple[Tensor, Tensor]:
    """The matrix and the offset that take log-mel magnitudes to the mel-cepstrum behind them.

    A smooth envelope shows in each band as its log magnitude averaged over the band, plus the log
    of what window and band make of white noise. The mel-cepstrum is the smoothest that explains
    the bands: least squares with a penalty on the envelope's slope along the warped axis, which
    also carries it on, level, where no band is.

    Shape: (bands, bins), (size,), (bins, order + 1), Hz -> (order + 1, bands), (order + 1,), both
    float64.
    """
    filterbank, window, synthesis = filterbank.double(), window.double(), synthesis.double()
    area = filterbank.sum(dim=1)
    bins_hz = torch.linspace(0, sample_rate / 2, filterbank.shape[1], dtype=torch.float64)
    centre_hz = filterbank @ bins_hz / area.clamp(min=1e-12)
    # narrow bands between two bins hear nothing
    asked = (area > 0) & (centre_hz >= min(LOWEST_HZ, float(centre_hz.max())))
    count, area = int(asked.sum()), area[asked]
    # the mean magnitude of white noise of RMS 1 in a bin: that of a Rayleigh distribution
    heard = area * 0.5 * math.sqrt(math.pi) * window.square().sum().sqrt()
    shown = filterbank[asked] @ synthesis / area[:, None]
    orders = torch.arange(synthesis.shape[1], dtype=torch.float64)
    normal = shown.T @ shown / count + SMOOTHNESS * torch.diag(orders.square())
    matrix = torch.zeros(len(orders), len(filterbank), dtype=torch.float64)
    matrix[:, asked] = torch.linalg.solve(normal, shown.T / count)
    return matrix, -matrix[:, asked] @ heard.log()
