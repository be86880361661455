"""The fast vocoder for other programs: its Fourier transforms as matrices of real numbers."""

from functools import reduce
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.signals import hann_window
from selfremaster.plugins.vocoders.harmonic_noise import minimum_phase, response_size, turned

if TYPE_CHECKING:
    from selfremaster.plugins.vocoders.istft import Istft


class PortableIstft(nn.Module):
    """What `Istft` speaks, by matrices: slower in torch, and known to every program.

    Every transform of it is linear and of one size, so that it is a table: of the phases that
    magnitudes have at least, of the spectra of windowed pieces of the excitation, and of the waves
    of spectra. Complex numbers lie as their real parts before their imaginary ones.

    Shape: as `Istft`.
    """

    onset: Tensor
    there: Tensor
    back: Tensor

    def __init__(self, vocoder: "Istft") -> None:
        super().__init__()
        self.vocoder = vocoder
        self.hop_samples = vocoder.hop_samples
        self.size = response_size(self.hop_samples)
        self.before = (self.size - 2 * self.hop_samples) // 4  # left to what filters say too early
        device = vocoder.octaves.device
        for name, table in self._tables().items():
            self.register_buffer(name, table.float().to(device), persistent=False)

    def _tables(self) -> dict[str, Tensor]:
        """The transforms of unit vectors, in float64."""
        pieces, bins = 2 * self.hop_samples, self.size // 2 + 1
        windowed = torch.diag(hann_window(pieces, dtype=torch.float64))
        padded = functional.pad(windowed, (self.before, self.size - pieces - self.before))
        spectra = torch.fft.rfft(padded)
        each = torch.eye(bins, dtype=torch.float64)
        waves = torch.fft.irfft(torch.cat([each + 0j, 1j * each]), n=self.size)
        return {
            "onset": minimum_phase(each),
            "there": torch.cat([spectra.real, spectra.imag], dim=1),
            "back": functional.pad(waves, (0, -self.size % self.hop_samples)),
        }

    def forward(self, features: Tensor) -> Tensor:
        """The wave that the log-mel describes."""
        excitations, log_levels, turn = self.vocoder.told(features)
        phases = turned(torch.matmul(self.onset, log_levels), turn).permute(1, 0, 3, 2)
        levels = log_levels.exp().permute(1, 0, 3, 2)
        hops = excitations.reshape(*excitations.shape[:-1], -1, self.hop_samples)
        pieces = torch.cat([hops[:, :, :-1], hops[:, :, 1:]], dim=-1)
        real, imaginary = torch.matmul(pieces, self.there).chunk(2, dim=-1)
        across, along = levels * phases.cos(), levels * phases.sin()
        filtered = [real * across - imaginary * along, real * along + imaginary * across]
        spoken = torch.matmul(torch.cat(filtered, dim=-1).sum(dim=0), self.back)
        return self._joined(spoken).to(features.dtype)

    def _joined(self, spoken: Tensor) -> Tensor:
        """Lay frames over each other, a hop apart: (batch, frames + 1, size) -> the wave."""
        hops = spoken.reshape(*spoken.shape[:-1], -1, self.hop_samples)
        count, samples = hops.shape[2], (spoken.shape[1] - 1) * self.hop_samples
        shifted = (
            functional.pad(hops[:, :, number], (0, 0, number, count - 1 - number))
            for number in range(count)
        )
        wave = reduce(torch.add, shifted)
        return wave.flatten(1)[:, self.before + self.hop_samples :][:, :samples]
