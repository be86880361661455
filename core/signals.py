"""Signal processing that several parts share, on tensors of any device."""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional


def fit_length(wave: Tensor, samples: int) -> Tensor:
    """Cut a wave, or pad it with silence, at its end to exactly so many samples.

    Shape: (..., any samples) -> (..., samples).

    >>> fit_length(torch.tensor([1.0, 2.0, 3.0]), 2).tolist()
    [1.0, 2.0]
    """
    missing = samples - wave.shape[-1]
    return wave[..., :samples] if missing <= 0 else functional.pad(wave, (0, missing))


def hann_window(
    size: int, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """The periodic Hann window."""
    return torch.hann_window(size, periodic=True, device=device, dtype=dtype)


def stft(wave: Tensor, size: int, hop_samples: int, window: Tensor | None = None) -> Tensor:
    """The short-time Fourier transform, centred, with reflection where the wave is long enough.

    Frame k is centred on sample k * hop_samples. A wave too short for reflection (up to half the
    size) is padded with silence instead.

    Shape: (batch, samples) -> complex (batch, size // 2 + 1, 1 + samples // hop_samples).
    """
    if window is None:
        window = hann_window(size, wave.device, wave.dtype)
    half = size // 2
    mode = "reflect" if wave.shape[-1] > half else "constant"
    padded = functional.pad(wave, (half, half), mode=mode)
    return torch.stft(padded, size, hop_samples, window=window, center=False, return_complex=True)


def istft(spectrum: Tensor, hop_samples: int, samples: int | None = None) -> Tensor:
    """The wave whose centred Hann-windowed STFT is nearest to the given one.

    Shape: complex (batch, bins, frames) -> (batch, samples), by default frames * hop_samples.
    """
    size = 2 * (spectrum.shape[-2] - 1)
    frames = spectrum.shape[-1]
    window = hann_window(size, spectrum.device, spectrum.real.dtype)
    pieces = torch.fft.irfft(spectrum, n=size, dim=-2) * window[:, None]
    total = size + hop_samples * (frames - 1)
    wave = functional.fold(pieces, (1, total), (1, size), stride=(1, hop_samples))[:, 0, 0]
    squares = (window**2)[None, :, None].expand(1, -1, frames)
    weight = functional.fold(squares, (1, total), (1, size), stride=(1, hop_samples))[0, 0, 0]
    wave = wave[:, size // 2 :] / weight[size // 2 :].clamp(min=1e-8)
    return fit_length(wave, frames * hop_samples if samples is None else samples)


def hz_to_slaney_mel(frequency: Tensor) -> Tensor:
    """Hz to mel on Slaney's scale: linear to 1000 Hz, logarithmic above."""
    linear = frequency * 3 / 200
    logarithmic = 15 + torch.log(frequency.clamp(min=1e-9) / 1000) * 27 / math.log(6.4)
    return torch.where(frequency < 1000, linear, logarithmic)


def slaney_mel_to_hz(mel: Tensor) -> Tensor:
    """Mel on Slaney's scale to Hz."""
    return torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))


@lru_cache(maxsize=16)
def mel_filterbank(
    sample_rate: int, size: int, bands: int, fmin_hz: float, fmax_hz: float
) -> Tensor:
    """Triangles of equal area, evenly spaced on Slaney's mel scale (Auditory Toolbox, 1998).

    Shape: (bands, size // 2 + 1), float32; frequencies in Hz.
    """
    limits = hz_to_slaney_mel(torch.tensor([fmin_hz, fmax_hz], dtype=torch.float64))
    corners = slaney_mel_to_hz(
        torch.linspace(0, 1, bands + 2, dtype=torch.float64) * (limits[1] - limits[0]) + limits[0]
    )
    highest_hz = sample_rate * (size // 2) / size  # half the rate, or less for an odd size
    bins = torch.linspace(0, highest_hz, size // 2 + 1, dtype=torch.float64)
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * (2 / (corners[2:] - corners[:-2]))[:, None]).float()


RESAMPLED_AT_ONCE = 2**18  # samples of a block
NARROWEST = 512  # samples that phases worked on together are spread over at least


def resample_hann(wave: Tensor, from_hz: int, to_hz: int, zero_crossings: int = 6) -> Tensor:
    """Change the sampling rate by a Hann-windowed sinc, differentiable, on the wave's device.

    It works in float64 where the device has it, and rounds to the wave's precision at the end.
    This is the resampler of the published degradations. For files and inputs the toolkit uses the
    better one of the soxr library instead.

    Shape: (..., samples) -> (..., ceil(samples * to_hz / from_hz)).
    """
    divisor = math.gcd(from_hz, to_hz)
    source, target = from_hz // divisor, to_hz // divisor
    if source == target:
        return wave.clone()
    kernels, width = _sinc_kernels(source, target, zero_crossings)
    exact = wave.dtype if wave.device.type == "mps" else torch.float64
    kernels = [(offset, kernel.to(wave.device, exact)) for offset, kernel in kernels]
    flat = wave.reshape(-1, 1, wave.shape[-1])
    samples = math.ceil(target * wave.shape[-1] / source)
    frames, step = math.ceil(samples / target), max(1, RESAMPLED_AT_ONCE // source)
    pieces = []
    for start in range(0, frames, step):
        count = min(step, frames - start)
        first, last = start * source - width, (start + count) * source + width
        heard = flat[..., max(first, 0) : last].to(exact)
        before = max(-first, 0)
        heard = functional.pad(heard, (before, last - first - before - heard.shape[-1]))
        phases = [
            functional.conv1d(
                heard[..., offset : offset + (count - 1) * source + kernel.shape[-1]],
                kernel,
                stride=source,
            )
            for offset, kernel in kernels
        ]
        found = torch.cat(phases, dim=1).transpose(1, 2).to(wave.dtype)
        pieces.append(found.reshape(len(flat), -1))
    return torch.cat(pieces, dim=-1)[:, :samples].reshape(*wave.shape[:-1], samples)


@lru_cache(maxsize=16)
def _sinc_kernels(
    source: int, target: int, zero_crossings: int
) -> tuple[list[tuple[int, Tensor]], int]:
    """Rows for target phases that lie near to each other, with the source sample they begin at.

    Each (phases, 1, 2 * width + samples that the phases are spread over); and the width. Rates that
    have little in common have many phases, which are spread over many samples.
    """
    cutoff = min(source, target) * 0.99
    width = math.ceil(zero_crossings * source / cutoff)
    together = math.ceil(target / math.ceil(source / max(8 * width, NARROWEST)))
    kernels = []
    for start in range(0, target, together):
        numbers = torch.arange(start, min(start + together, target), dtype=torch.float64)
        offset = start * source // target
        spread = math.ceil((int(numbers[-1]) + 1) * source / target) - offset
        index = torch.arange(offset - width, offset + width + spread, dtype=torch.float64) / source
        time = (index - numbers[:, None] / target)[:, None] * cutoff
        time = time.clamp(-zero_crossings, zero_crossings)
        window = torch.cos(time * math.pi / zero_crossings / 2) ** 2
        kernels.append((offset, torch.sinc(time) * window * cutoff / source))
    return kernels, width
