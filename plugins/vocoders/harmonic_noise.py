"""Speech from pulses and noise: the excitation, and the filters that turn it into speech."""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Features
from selfremaster.core.signals import hann_window
from selfremaster.plugins.features.mel_cepstrum import warp
from selfremaster.plugins.features.source_filter import SourceFilter

CYCLE = 2**32  # whole numbers to a cycle of F0: phases stay exact, however long the sound
LOG_LOUDEST = 8.0  # natural log magnitude; speech at full scale stays below 4
LOG_SOFTEST = -40.0
VOICED_FROM = 0.5
NOISE_ORDER = 2.4  # how steeply the share of noise rises with frequency


def source_filter_of(features: Features) -> SourceFilter:
    """The features, if they tell F0 and a mel-cepstrum; raises `ComponentError` otherwise."""
    if not isinstance(features, SourceFilter):
        raise ComponentError(
            f"the features are {type(features).__name__}, this vocoder speaks from F0: take "
            "features source-filter, or the vocoder hifigan"
        )
    return features


def noise_share(frequency_hz: Tensor, corner_hz: float) -> Tensor:
    """The part of the power of voiced speech that is noise, 0 to 1; half of it at the corner.

    It rises about as WORLD's D4C finds it in voiced frames of read speech.

    >>> noise_share(torch.tensor([0.0, 5000.0]), 5000.0)
    tensor([0.0000, 0.5000])
    """
    rising = (frequency_hz / corner_hz) ** NOISE_ORDER
    return rising / (1 + rising)


def at_samples(values: Tensor, hop_samples: int) -> Tensor:
    """Straight lines from frame to frame, (batch, frames) -> (batch, (frames - 1) * hop_samples).

    >>> at_samples(torch.tensor([[0.0, 1.0, 3.0]]), 2)
    tensor([[0.0000, 0.5000, 1.0000, 2.0000]])
    """
    share = torch.arange(hop_samples, device=values.device, dtype=values.dtype) / hop_samples
    steps = values.diff(dim=-1)
    return (values[:, :-1, None] + steps[..., None] * share).flatten(1)


def onsets(voiced: Tensor) -> Tensor:
    """The frames at which the voice sets in: those before the first one that is voiced.

    Shape: (batch, frames), 0 to 1 -> bool (batch, frames - 1).

    >>> onsets(torch.tensor([[0.0, 0.0, 1.0, 1.0]])).int().tolist()
    [[0, 1, 0]]
    """
    sounds = voiced >= VOICED_FROM
    return sounds[:, 1:] & ~sounds[:, :-1]


def anchors(starts: Tensor, every: int) -> Tensor:
    """Frames so many apart, but for those within half as many after the voice sets in.

    Shape: bool (batch, frames), true where it sets in -> the same, true at those frames.

    >>> anchors(torch.tensor([[0, 0, 0, 0, 0, 0, 0, 1, 0, 0]]).bool(), 4).int().tolist()
    [[1, 0, 0, 0, 1, 0, 0, 0, 0, 0]]
    """
    begun = starts.long().cumsum(-1)
    shortly = functional.pad(begun, (every // 2, 0))[:, : starts.shape[-1]]
    places = torch.arange(starts.shape[-1], device=starts.device) % every == 0
    return places & (begun == shortly)


def cycles(
    f0_hz: Tensor, sample_rate: int, starts: Tensor | None = None, every: int | None = None
) -> Tensor:
    """How far each sample is from the nearest pulse of the voice, in cycles, -0.5 to 0.5.

    The first sample is a pulse, and so is the first of each frame of ``starts``: what sounds there
    does not hang on what was before. So are `anchors`, frames so many apart, where the voice goes
    on: on the way to each it is retuned by what leads to a pulse there, half a cycle at most. So
    the phase hangs on what is near alone. Finest around the pulses.

    Shape: F0 (batch, samples), Hz; starts bool (batch, frames), one of them without it -> (batch,
    samples).

    >>> cycles(torch.full((1, 5), 1.0), 4)
    tensor([[ 0.0000,  0.2500, -0.5000, -0.2500,  0.0000]])
    >>> frames = torch.zeros(1, 4, dtype=torch.bool)
    >>> cycles(torch.full((1, 8), 1.0), 5, frames, every=2)
    tensor([[ 0.0000,  0.2500, -0.5000, -0.2500,  0.0000,  0.2000,  0.4000, -0.4000]])
    """
    if starts is None:
        starts = torch.zeros(len(f0_hz), 1, dtype=torch.bool, device=f0_hz.device)
    frames = starts.shape[1]
    step = (f0_hz / sample_rate * CYCLE).round().long().reshape(len(f0_hz), frames, -1)
    inside = step.cumsum(-1) - step
    hop = torch.arange(step.shape[-1], device=f0_hz.device)
    whole = step.sum(dim=-1)
    before = whole.cumsum(-1) - whole
    places = anchors(starts, every or frames)
    begins = starts | places
    number = begins.long().cumsum(-1)
    index = torch.arange(frames, device=f0_hz.device).expand_as(before)
    since = before - _at(before, begins, number)
    passed = index - _at(index, begins, number)
    length = _at(index, begins, number + 1) - index + passed
    missed = _wrapped(_at(before, begins, number + 1) - before + since)
    led = _at(places.long(), begins, number + 1) > 0
    missed, length = torch.where(led, missed, 0), torch.where(led, length, 1)
    passed = passed[..., None] * len(hop) + hop
    retuned = missed[..., None] * passed // (length[..., None] * len(hop))
    phase: Tensor = _wrapped(since[..., None] + inside - retuned).to(f0_hz) / CYCLE
    return phase.flatten(1)


def _wrapped(phase: Tensor) -> Tensor:
    return (phase + CYCLE // 2) % CYCLE - CYCLE // 2


def _at(values: Tensor, begins: Tensor, number: Tensor) -> Tensor:
    """The values at the beginnings of such numbers, from 1 on, 0 at others; by what ONNX has."""
    elsewhere = values.shape[-1] + 2  # where what begins nothing goes, which nobody reads
    kept = values.new_zeros(values.shape[0], elsewhere + 1)
    places = torch.where(begins, begins.long().cumsum(-1), elsewhere)
    return kept.scatter(1, places, values).gather(1, number)


def swelling(phase: Tensor) -> Tensor:
    """A raised cosine in each period of the voice, high around its pulses, of power 1.

    Shape: as `cycles` gives it (batch, samples) -> the same.

    >>> swelling(cycles(torch.full((1, 4), 1.0), 4)).square()
    tensor([[2.6667, 0.6667, 0.0000, 0.6667]])
    """
    risen: Tensor = (1 + torch.cos(2 * math.pi * phase)) / math.sqrt(1.5)
    return risen


def pulses(f0_hz: Tensor, sample_rate: int, phase: Tensor | None = None) -> Tensor:
    """A pulse in each period of the voice, of power 1, with harmonics below half the rate only.

    The sum of the cosines of all harmonics in closed form (Dirichlet's kernel); the highest one
    fades in and out, so that a glide makes no clicks.

    Shape: F0 (batch, samples), Hz, above 0; its phase, as `cycles` gives it where nobody does
    otherwise, likewise -> (batch, samples).

    >>> wave = pulses(torch.full((1, 8), 1.0), 8)
    >>> wave.square().mean().round(decimals=3), wave.argmax()
    (tensor(0.7500), tensor(0))
    """
    if phase is None:
        phase = cycles(f0_hz, sample_rate)
    room = sample_rate / 2 / f0_hz
    highest = room.floor()
    sine = torch.sin(math.pi * phase)
    sums = torch.sin(math.pi * ((2 * highest - 1) * phase).remainder(2))
    pulse = sine.abs() < 1e-5
    kernel = torch.where(pulse, 2 * highest - 1, sums / torch.where(pulse, 1.0, sine))
    fading = (room - highest) * torch.cos(2 * math.pi * (highest * phase).remainder(1))
    return ((kernel - 1) / 2 + fading) * 2 * (f0_hz / sample_rate).sqrt()


@lru_cache(maxsize=8)
def _noise(samples: int) -> Tensor:
    return torch.randn(samples, generator=Generator().manual_seed(1))


def steady_noise(samples: int, like: Tensor, grid: int, start: int = 0) -> Tensor:
    """White noise of power 1, always the same from its start on, (samples,).

    It repeats after so many samples as the grid has on which long sounds are cut into pieces.
    """
    return _noise(grid).roll(-start).repeat(math.ceil(samples / grid))[:samples].to(like)


def filter_frames(excitations: Tensor, filters: Tensor, hop_samples: int) -> Tensor:
    """Send each frame of some excitations through its own filter, and add them all up.

    Neighbouring frames fade into each other by the halves of a Hann window of two hops. Frame k is
    centred on sample k * hop_samples; the filters delay by what their own phase says.

    Shape: excitations (parts, batch, (frames + 1) * hop_samples), the first hop of which lies
    before the sound; filters complex (parts, batch, frames, bins) -> (batch, (frames - 1) *
    hop_samples). The length of the FFT, 2 * (bins - 1), less two hops is left to the responses:
    a quarter of it to what they say before their time.
    """
    frames, size = filters.shape[-2], 2 * (filters.shape[-1] - 1)
    window = hann_window(2 * hop_samples, excitations.device, excitations.dtype)
    pieces = excitations.unfold(-1, 2 * hop_samples, hop_samples) * window
    left = size - 2 * hop_samples
    pieces = functional.pad(pieces, (left // 4, left - left // 4))
    spoken = torch.fft.irfft((torch.fft.rfft(pieces) * filters).sum(dim=0), n=size)
    total = size + (frames - 1) * hop_samples
    wave = functional.fold(spoken.mT, (1, total), (1, size), stride=(1, hop_samples))[:, 0, 0]
    return wave[:, left // 4 + hop_samples :][:, : (frames - 1) * hop_samples]


def response_size(hop_samples: int) -> int:
    """The FFT for `filter_frames`: two hops of sound, and as much again for the response at least.

    >>> response_size(256), response_size(100)
    (1024, 512)
    """
    return max(512, 1 << (4 * hop_samples - 1).bit_length())


def phase_matrix(size: int, order: int, alpha: float) -> Tensor:
    """The phase of the minimum-phase filter of a mel-cepstrum: (size // 2 + 1, order + 1), radians.

    The envelope's log magnitudes are cosines over the warped frequency, its phases the sines of
    the same, with the sign of a delay.

    >>> phase_matrix(4, 1, 0.0).round(decimals=6).tolist()
    [[-0.0, -0.0], [-0.0, -1.0], [-0.0, -0.0]]
    """
    omega = np.arange(size // 2 + 1) * 2 * math.pi / size
    return torch.from_numpy(-np.sin(np.arange(order + 1) * warp(omega, alpha)[:, None]))


def minimum_phase(log_levels: Tensor) -> Tensor:
    """The phase of the filter that has these magnitudes and answers as soon as it can, radians.

    By folding the cepstrum, over as many samples as the bins have.

    Shape: natural log of magnitudes (..., bins, frames) -> the same.
    Source: Oppenheim and Schafer, "Discrete-time signal processing", chapter on the cepstrum.

    >>> one_pole = 1 / (1 - 0.5 * torch.exp(-1j * torch.linspace(0, math.pi, 65)))[:, None]
    >>> torch.allclose(minimum_phase(one_pole.abs().log()), one_pole.angle(), atol=1e-5)
    True
    """
    bins = log_levels.shape[-2]
    cepstrum = torch.fft.irfft(log_levels, n=2 * (bins - 1), dim=-2)
    odd = torch.ones(2 * (bins - 1), 1, device=log_levels.device, dtype=log_levels.dtype)
    odd[bins:] = -1
    odd[0] = odd[bins - 1] = 0
    phase: Tensor = torch.fft.rfft(cepstrum * odd, dim=-2).imag
    return phase


def turned(phases: Tensor, turn: Tensor) -> Tensor:
    """The phases of all filters, those of the first with what is added to them."""
    return torch.cat([phases[:, :1] + turn[:, None], phases[:, 1:]], dim=1)
