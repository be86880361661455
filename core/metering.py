"""How loud a sound is and how high it peaks, and the gain that makes another one the same."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from selfremaster.core.loudness import LoudnessMeter, channel_weights, gain_to, gated, standing_out
from selfremaster.core.memory import give_back
from selfremaster.core.peaks import UNHEARD, PeakMeter
from selfremaster.core.phases import PhaseMeter

PEAK_LIMIT = 0.999
MANY_VALUES = 1 << 24  # after so many samples of all channels, memory is given back


class LevelMeter:
    """Loudness, root mean square, peaks and phase of a sound that comes in blocks.

    ``apart`` tells the channels' loudness one by one, otherwise they are heard together, each as
    `channel_weights` says of the ``speakers``. The true peak is the highest point between samples,
    too, as `PeakMeter` has it.

    >>> meter = LevelMeter(8000, channels=1)
    >>> tone = torch.sin(torch.arange(8000) * torch.pi / 4 + torch.pi / 8)[None]
    >>> for block in tone.split(3000, dim=1):
    ...     meter.add(block)
    >>> round(meter.peak, 3), round(meter.true_peak, 1), round(float(meter.rms), 3)
    (0.924, 1.0, 0.707)
    """

    def __init__(
        self, sample_rate: int, channels: int, apart: bool = False, speakers: int | None = None
    ) -> None:
        self.apart, self.speakers = apart, speakers
        self.samples = 0
        self._kept = 0  # samples of all channels since memory was given back
        self.peak = 0.0
        self._peaks = PeakMeter(channels)
        self._meters = [LoudnessMeter(sample_rate, speakers)]
        self._weights = np.ones(1)
        if apart:
            self._meters = [LoudnessMeter(sample_rate) for _ in range(channels)]
            self._weights = channel_weights(channels, speakers)
        self._energy = torch.zeros(channels, dtype=torch.float64)
        self.phase = PhaseMeter(sample_rate)

    def add(self, block: Tensor) -> None:
        """Hear the next block, (channels, samples)."""
        if not block.shape[1]:
            return
        rows = torch.split(block, 1) if self.apart else [block]
        for meter, row in zip(self._meters, rows, strict=True):
            meter.add(row)
        self.samples += block.shape[1]
        self._energy += block.double().square().sum(dim=1)
        self.phase.add(block)
        self.peak = max(self.peak, float(block.abs().max()))
        self._peaks.add(block)
        self._kept += block.numel()
        if self._kept >= MANY_VALUES:  # what is kept of each block lies between what was freed
            give_back()
            self._kept = 0

    @property
    def true_peaks(self) -> Tensor:
        """The highest point of each channel, between samples too, (channels,)."""
        return self._peaks.peaks

    @property
    def true_peak(self) -> float:
        """The highest of all channels."""
        return float(self.true_peaks.max())

    @property
    def rms(self) -> Tensor:
        """The root of the mean square, of each channel or of all, (channels,) or (1,)."""
        powers = self._energy / max(self.samples, 1)
        return (powers if self.apart else powers.mean()[None]).sqrt()

    @property
    def powers(self) -> list[NDArray[np.float64]]:
        """The weighted power of each block, of each channel or of all together."""
        return [meter.powers for meter in self._meters]

    def whole_powers(self, gains: Tensor | None = None) -> NDArray[np.float64]:
        """The weighted power of each block of all channels together, each after its gain."""
        factors = np.ones(len(self._meters)) if gains is None else gains.double().numpy()
        weights = self._weights * np.square(factors)
        whole: NDArray[np.float64] = weights @ np.stack(self.powers)
        return whole

    @property
    def whole_lufs(self) -> float:
        """Integrated loudness of all channels together."""
        return gated(self.whole_powers())


def gains_between(
    before: LevelMeter, after: LevelMeter, wanted_lufs: float | None = None
) -> tuple[Tensor, float]:
    """What brings a sound to the loudness of another, as far as full scale allows, (channels, 1).

    One gain for all channels, or one for each where they are heard apart; then one more for all,
    so that together they are as loud, too. Too soft a sound for loudness goes by its root mean
    square, and what is compared with silence is silenced. ``wanted_lufs`` is the loudness of all
    channels together that takes the place of the other's, unless that one is too soft to have any.
    No true peak goes beyond full scale, or beyond that of the other sound where samples of it do
    themselves; the second number is how much softer, in dB, the sound must be for that.
    """
    gains = torch.ones(len(after.rms), dtype=torch.float64)
    pairs = zip(before.rms.tolist(), after.rms.tolist(), before.powers, after.powers, strict=True)
    for place, (wanted, own, kept, made) in enumerate(pairs):
        if wanted <= UNHEARD:
            gains[place] = 0
        elif own > UNHEARD:
            gains[place] = _gain_between(kept, made) or wanted / own
    whole_lufs = before.whole_lufs
    if math.isfinite(whole_lufs):
        aim = whole_lufs if wanted_lufs is None else wanted_lufs
        near = 10 ** ((aim - whole_lufs) / 20)
        gains *= gain_to(after.whole_powers(gains), aim, near)
    highest = float((gains * after.true_peaks).max())
    # what is clipped at full scale peaks beyond it between samples only: those fit nowhere else
    is_beyond = wanted_lufs is None and before.peak > 1
    limit = max(PEAK_LIMIT, before.true_peak if is_beyond else 0.0)
    fitting = min(limit / highest, 1.0) if highest > 0 else 1.0
    return (gains * fitting).float()[:, None], 20 * math.log10(1 / fitting)


def _gain_between(kept: NDArray[np.float64], made: NDArray[np.float64]) -> float | None:
    """What makes one sound as loud as another, by the powers of their blocks; none if too soft."""
    lufs, loud, own = gated(kept), standing_out(kept), standing_out(made)
    if not math.isfinite(lufs) or not own:
        return None
    return gain_to(made, lufs, math.sqrt(loud / own))


def match_level(wave: Tensor, reference: Tensor, sample_rate: int) -> Tensor:
    """Give each channel the loudness of the reference, as far as full scale allows.

    Shape: (channels, samples) both, rate in Hz.

    >>> tone = torch.sin(torch.arange(8000) * 0.3)[None]
    >>> matched = match_level(0.1 * tone, 0.5 * tone, 8000)
    >>> bool(torch.allclose(matched, 0.5 * tone, atol=1e-4))
    True
    """
    before, after = (LevelMeter(sample_rate, len(wave), apart=True) for _ in range(2))
    before.add(reference.cpu())
    after.add(wave.cpu())
    return wave * gains_between(before, after)[0].to(wave)
