"""Filters for waves of any device: recursive ones, exact, and those given by a response."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from scipy.signal import sosfilt
from torch import Tensor
from torch.autograd.function import FunctionCtx

AT_ONCE_SAMPLES = 2**17  # of all blocks that are transformed together
BLOCK_SAMPLES = 2**16  # what is worked on at once: small enough to stay near the processor
LEAST_TRANSFORMED = 2**12  # samples of a block, for short kernels
QUIETEST = 1e-9  # of its largest value: where the answer of a filter is taken to have ended
LEAST_GAIN_DB = -160.0

Sections = NDArray[np.float64]
"""Second-order sections, (sections, 6): three numerators, three denominators, as scipy has them."""


class _Recursive(torch.autograd.Function):
    """The filter, and its adjoint: the same filter run backwards in time."""

    @staticmethod
    def forward(ctx: FunctionCtx, wave: Tensor, sections: Sections) -> Tensor:
        ctx.sections = sections  # type: ignore[attr-defined]  # autograd keeps what is set on it
        rows = wave.detach().numpy()
        filtered = np.empty(rows.shape, rows.dtype)
        state = np.zeros((len(sections), *rows.shape[:-1], 2))
        for start in range(0, rows.shape[-1], BLOCK_SAMPLES):
            part = slice(start, start + BLOCK_SAMPLES)
            filtered[..., part], state = sosfilt(sections, rows[..., part], axis=-1, zi=state)
        return torch.from_numpy(filtered)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return recursive_filter(gradients[0].flip(-1), ctx.sections).flip(-1), None


def recursive_filter(wave: Tensor, sections: Sections) -> Tensor:
    """Run a wave through second-order sections, from rest, exactly and with gradient.

    On the processor the sections run in float64 whatever the wave's precision. On other devices
    their impulse response, as far as it can be heard, is convolved there.

    Shape: wave (batch, samples), sections (sections, 6) -> (batch, samples), dtype of the wave.

    >>> halving = np.array([[1.0, 0, 0, 1, -0.5, 0]])
    >>> recursive_filter(torch.tensor([[1.0, 0.0, 0.0]]), halving).tolist()
    [[1.0, 0.5, 0.25]]
    """
    if wave.device.type == "cpu":
        run: Callable[..., Tensor] = _Recursive.apply  # typed in some versions of torch only
        return run(wave, np.ascontiguousarray(sections, dtype=np.float64))
    return convolve(wave, impulse_response(sections, wave.shape[-1]).to(wave)[None])


def impulse_response(sections: Sections, longest: int) -> Tensor:
    """The answer of sections to a click, cut where it has died away, (at most longest,), float64.

    >>> impulse_response(np.array([[1.0, 0, 0, 1, -0.5, 0]]), 3).tolist()
    [1.0, 0.5, 0.25]
    """
    samples = min(longest, 512)
    while True:
        click = np.zeros(samples)
        click[0] = 1
        answer = sosfilt(sections, click)
        heard = np.flatnonzero(np.abs(answer) > QUIETEST * np.abs(answer).max())
        end = int(heard[-1]) + 1 if len(heard) else 1
        if samples >= longest or end < samples // 2:
            return torch.from_numpy(answer[:end].copy())
        samples = min(longest, 4 * samples)


def lag_of(sections: Sections, longest: int) -> int:
    """By how many samples what sections let through is late: where their answer is largest.

    It is where white noise that went through them is most like what it was.

    >>> lag_of(np.array([[0.0, 0, 1, 1, -0.5, 0]]), 100)
    2
    """
    return int(impulse_response(sections, longest).abs().argmax())


def convolve(wave: Tensor, kernels: Tensor, origin: int = 0) -> Tensor:
    """Convolve waves with kernels by FFT, block by block; ``origin`` is the kernels' time 0.

    Differentiable, on the wave's device, in float64 where that has it, and rounded to the wave's
    precision at the end: what a wave becomes does not hang on the others, or on threads.
    Any origin is taken: one below 0 delays, one beyond the taps brings forward.

    Shape: wave (batch, samples), kernels (batch or 1, taps) -> (batch, samples).

    >>> convolve(torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.5, 1.0]])).round(decimals=4)
    tensor([[0.5000, 1.0000, 1.0000]])
    >>> convolve(torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.5, 1.0]]), 1).round(decimals=4)
    tensor([[1., 1., 2.]])
    """
    samples, taps = wave.shape[-1], kernels.shape[-1]
    exact = wave.dtype if wave.device.type == "mps" else torch.float64
    kernels = kernels.to(wave.device, exact)
    longest = min(4 * taps, max(2 * taps, BLOCK_SAMPLES))
    shortest = min(samples + taps - 1, max(longest, LEAST_TRANSFORMED))
    size = _good_size(max(shortest, 2))
    rows = max(AT_ONCE_SAMPLES // size, 1)
    if len(wave) > rows:
        split = (
            torch.split(kernels, rows)
            if len(kernels) > 1
            else [kernels] * math.ceil(len(wave) / rows)
        )
        parts = zip(torch.split(wave, rows), split, strict=True)
        return torch.cat([convolve(part, own, origin) for part, own in parts])
    step = size - taps + 1
    # blocks are transformed together: to prepare for a size takes longer than a transform of it
    blocks = min(max(rows // max(len(wave), 1), 1), math.ceil(samples / step))
    learning = torch.is_grad_enabled() and (wave.requires_grad or kernels.requires_grad)
    to_spectrum, to_wave = _transforms(size, remembered=wave.device.type == "cpu" and not learning)
    response = to_spectrum(kernels, size)[:, None]
    whole = wave.new_empty(0 if learning else len(wave), samples)
    pieces = []
    for start in range(0, samples, blocks * step):
        count = min(blocks, math.ceil((samples - start) / step))
        first, length = start + origin - taps + 1, (count - 1) * step + size
        there = wave[:, max(first, 0) : max(first + length, 0)]
        before = min(max(-first, 0), length)
        heard = wave.new_zeros(len(wave), length, dtype=exact)
        heard[:, before : before + there.shape[-1]] = there
        windows = heard.unfold(-1, size, step) if count > 1 else heard[:, None]
        spectrum = to_spectrum(windows, size)
        spectrum = spectrum * response if learning else spectrum.mul_(response)
        answer = to_wave(spectrum, size)[..., taps - 1 :]
        if learning:
            pieces.append(answer.flatten(1)[:, : samples - start].to(wave.dtype))
        else:  # without all pieces and the whole in memory at once
            _put(answer, whole[:, start : start + count * step])
    return torch.cat(pieces, dim=-1) if learning else whole


Transform = Callable[[Tensor, int], Tensor]


def _transforms(size: int, remembered: bool) -> tuple[Transform, Transform]:
    """To the spectrum and back, by what is quickest at blocks of a size."""
    if size <= LEAST_TRANSFORMED or not remembered:
        return torch.fft.rfft, torch.fft.irfft
    # torch prepares anew for each transform, which takes long for large ones; scipy remembers
    return _by_scipy(scipy.fft.rfft), _by_scipy(scipy.fft.irfft)


def _by_scipy(transform: Callable[..., NDArray[Any]]) -> Transform:
    def work(given: Tensor, size: int) -> Tensor:
        rows = given.numpy(force=True)
        return torch.from_numpy(transform(rows, size, workers=torch.get_num_threads()))

    return work


def _put(blocks: Tensor, whole: Tensor) -> None:
    """Write blocks (batch, blocks, step) one after another, as far as there is room."""
    full, rest = divmod(whole.shape[-1], blocks.shape[-1])
    if full:
        room = whole[:, : whole.shape[-1] - rest]
        room.view(len(room), full, blocks.shape[-1]).copy_(blocks[:, :full])
    if rest:
        whole[:, whole.shape[-1] - rest :] = blocks[:, full, :rest]


def _good_size(least: int) -> int:
    """The next number that is a power of two, or three quarters of one: quick to transform."""
    power: int = 2 ** math.ceil(math.log2(least))
    return power * 3 // 4 if power >= 4 and power * 3 // 4 >= least else power


def zero_phase_kernel(gain: Tensor) -> tuple[Tensor, int]:
    """The symmetrical kernel of a gain that is given at evenly spaced frequencies; nothing lags.

    Shape: gain (batch, bins) from 0 Hz to half the rate, factors -> (batch, taps), and the kernel's
    origin for `convolve`.

    >>> kernel, origin = zero_phase_kernel(torch.ones(1, 5))
    >>> kernel.round(decimals=4).tolist(), origin
    ([[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]], 3)
    """
    size = 2 * (gain.shape[-1] - 1)
    half = size // 2
    centred = torch.fft.irfft(gain.to(_complex_of(gain)), size).roll(half, -1)
    window = torch.hann_window(size, periodic=True, device=gain.device, dtype=gain.dtype)
    return (centred * window)[..., 1:], half - 1


def minimum_phase_kernel(gain: Tensor) -> Tensor:
    """The kernel of a gain that answers as soon as it can, as lines, horns and rooms do.

    Shape: gain (batch, bins) from 0 Hz to half the rate, factors -> (batch, taps), origin 0.
    Source: Oppenheim and Schafer, Discrete-Time Signal Processing, on the real cepstrum.

    >>> kernel = minimum_phase_kernel(torch.full((1, 9), 2.0, dtype=torch.float64))
    >>> kernel.round(decimals=4).tolist()
    [[2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    """
    size = 2 * (gain.shape[-1] - 1)
    floor = gain.amax(-1, keepdim=True).clamp(min=1e-30) * 10 ** (LEAST_GAIN_DB / 20)
    level = gain.maximum(floor).log()
    cepstrum = torch.fft.irfft(level.to(_complex_of(gain)), size)
    fold = torch.zeros(size, device=gain.device, dtype=gain.dtype)
    fold[0] = fold[size // 2] = 1
    fold[1 : size // 2] = 2
    kernel: Tensor = torch.fft.irfft(torch.exp(torch.fft.rfft(cepstrum * fold)), size)
    # the later half is what wrapped round; a quarter of a cosine ends the rest without a step
    half = size // 2
    fade = torch.ones(half, device=gain.device, dtype=gain.dtype)
    last = half // 4
    fade[half - last :] = 0.5 + 0.5 * torch.cos(
        torch.linspace(0, math.pi, last, device=gain.device, dtype=gain.dtype)
    )
    return kernel[..., :half] * fade


def _complex_of(real: Tensor) -> torch.dtype:
    return torch.complex128 if real.dtype == torch.float64 else torch.complex64
