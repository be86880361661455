"""How loud a sound is and how high it peaks, and the gain that makes another one the same."""

import math

import torch
from scipy.signal import resample_poly
from torch import Tensor

from selfremaster.core.loudness import LoudnessMeter

PEAK_LIMIT = 0.999
UNHEARD = 1e-9  # root mean square: as good as nothing
OVERSAMPLING = 4  # as in annex 2 of ITU-R BS.1770
STRETCH_SAMPLES, MARGIN_SAMPLES = 512, 32
NEAR_THE_PEAK = 0.7  # of the highest sample: between lower ones no higher peak is looked for


class LevelMeter:
    """Loudness, root mean square and peaks of a sound that comes in blocks.

    ``apart`` tells the channels' loudness one by one, otherwise they are heard together. The true
    peak is the highest point between samples, too, by four times their number, as Recommendation
    ITU-R BS.1770-5, annex 2, has it.

    >>> meter = LevelMeter(8000, channels=1)
    >>> tone = torch.sin(torch.arange(8000) * torch.pi / 4 + torch.pi / 8)[None]
    >>> for block in tone.split(3000, dim=1):
    ...     meter.add(block)
    >>> round(meter.peak, 3), round(meter.true_peak, 1), round(float(meter.rms), 3)
    (0.924, 1.0, 0.707)
    """

    def __init__(self, sample_rate: int, channels: int, apart: bool = False) -> None:
        self.apart = apart
        self.samples = 0
        self.peak = 0.0
        self._peaks = torch.zeros(channels)
        self._meters = [LoudnessMeter(sample_rate) for _ in range(channels if apart else 1)]
        self._whole = LoudnessMeter(sample_rate) if apart else self._meters[0]
        self._energy = torch.zeros(channels, dtype=torch.float64)
        self._product = 0.0  # of the first two channels
        self._end = torch.zeros(channels, 0)

    def add(self, block: Tensor) -> None:
        """Hear the next block, (channels, samples)."""
        if not block.shape[1]:
            return
        rows = torch.split(block, 1) if self.apart else [block]
        for meter, row in zip(self._meters, rows, strict=True):
            meter.add(row)
        if self.apart:
            self._whole.add(block)
        self.samples += block.shape[1]
        exact = block.double()
        self._energy += exact.square().sum(dim=1)
        if len(block) == 2:
            self._product += float((exact[0] * exact[1]).sum())
        self.peak = max(self.peak, float(block.abs().max()))
        peaks = torch.maximum(block.abs().amax(dim=1), self._between(block))
        self._peaks = torch.maximum(self._peaks, peaks)

    @property
    def true_peaks(self) -> Tensor:
        """The highest point of each channel, between samples too, (channels,)."""
        if self._end.shape[1] <= 2 * MARGIN_SAMPLES:
            return self._peaks
        return torch.maximum(self._peaks, self._highest(self._end[:, None]))

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
    def loudness_lufs(self) -> list[float]:
        """Integrated loudness, of each channel or of all together."""
        return [meter.integrated() for meter in self._meters]

    @property
    def whole_lufs(self) -> float:
        """Integrated loudness of all channels together."""
        return self._whole.integrated()

    @property
    def correlation(self) -> float:
        """Of two channels: 1 for the same, -1 for anti-phase; NaN for silence and other numbers."""
        if len(self._energy) != 2 or not self._energy.all():
            return math.nan
        return self._product / math.sqrt(float(self._energy.prod()))

    def _between(self, block: Tensor) -> Tensor:
        """The highest point between the samples of each channel, as far as both sides are known."""
        wave = torch.cat([self._end, block.float()], dim=1)
        size = STRETCH_SAMPLES + 2 * MARGIN_SAMPLES
        if wave.shape[1] < size:
            self._end = wave
            return torch.zeros(len(block))
        stretches = wave.unfold(1, size, STRETCH_SAMPLES)
        self._end = wave[:, stretches.shape[1] * STRETCH_SAMPLES :].clone()
        return self._highest(stretches)

    def _highest(self, stretches: Tensor) -> Tensor:
        """The highest point between samples, away from the ends of the stretches.

        Only where they come near the peak. Shape: (channels, stretches, samples) -> (channels,).
        """
        highest = torch.zeros(len(stretches))
        edge = OVERSAMPLING * MARGIN_SAMPLES // 2
        for channel, rows in enumerate(stretches if self.peak >= UNHEARD else ()):
            near = rows[rows.abs().amax(dim=1) >= NEAR_THE_PEAK * self.peak].numpy()
            if len(near):
                between = resample_poly(near, OVERSAMPLING, 1, axis=1)[:, edge:-edge]
                highest[channel] = float(abs(between).max())
        return highest


def gains_between(
    before: LevelMeter, after: LevelMeter, wanted_lufs: float | None = None
) -> tuple[Tensor, float]:
    """What brings a sound to the loudness of another, as far as full scale allows, (channels, 1).

    One gain for all channels, or one for each where they are heard apart. Too soft or too short a
    sound for loudness goes by its root mean square, and what is compared with silence is silenced.
    ``wanted_lufs`` is the loudness of all channels together that takes the place of the other's.
    No true peak goes beyond full scale, or beyond that of the other sound where samples of it do
    themselves; the second number is how much softer, in dB, the sound must be for that.
    """
    gains = torch.ones(len(after.rms), dtype=torch.float64)
    pairs = zip(
        before.rms.tolist(),
        after.rms.tolist(),
        before.loudness_lufs,
        after.loudness_lufs,
        strict=True,
    )
    for place, (wanted, own, kept_lufs, own_lufs) in enumerate(pairs):
        if wanted <= UNHEARD:
            gains[place] = 0
        elif own > UNHEARD and math.isfinite(kept_lufs) and math.isfinite(own_lufs):
            gains[place] = 10 ** ((kept_lufs - own_lufs) / 20)
        elif own > UNHEARD:
            gains[place] = wanted / own
    if wanted_lufs is not None and math.isfinite(before.whole_lufs):
        gains *= 10 ** ((wanted_lufs - before.whole_lufs) / 20)
    highest = float((gains * after.true_peaks).max())
    # what is clipped at full scale peaks beyond it between samples only: those fit nowhere else
    is_beyond = wanted_lufs is None and before.peak > 1
    limit = max(PEAK_LIMIT, before.true_peak if is_beyond else 0.0)
    fitting = min(limit / highest, 1.0) if highest > 0 else 1.0
    return (gains * fitting).float()[:, None], -20 * math.log10(fitting)


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
