"""How loud a sound is to a listener, by ITU-R BS.1770."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import sosfilt
from torch import Tensor

from selfremaster.core.errors import AudioError
from selfremaster.core.filtering import Sections
from selfremaster.core.levels import LOWEST_RATE

SURROUND = (5, 6, 8)  # channels
BEHIND = 1.41
EFFECTS, BACK_SPEAKERS, SIDE_SPEAKERS = 0x8, 0x30, 0x600  # bits of the mask of WAV files
BLOCK_SECONDS, STEP_SECONDS = 0.4, 0.1
ABSOLUTE_GATE_LUFS = -70.0  # blocks below it are silence
RELATIVE_GATE_LU = -10.0  # blocks so far below the mean of the others are pauses
OFFSET_LUFS = -0.691  # cancels the gain of the weighting at 997 Hz

STATED_HZ = 48000  # for which the recommendation states its filters
SHELF_HZ, SHELF_DB, SHELF_Q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
HIGH_PASS_HZ, HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773


def integrated_loudness(wave: Tensor, sample_rate: int) -> float:
    """How loud the sound is as a whole, in LUFS, pauses left out; -inf for silence.

    The integrated loudness of Recommendation ITU-R BS.1770-5, annex 1: weighting by frequency,
    blocks of 400 ms every 100 ms, an absolute gate at -70 LUFS and a relative one at -10 LU.
    Channels count alike, as left, right and centre do there. A sound shorter than a block is
    one block. The weighting filters are those of the recommendation, which states them for
    48000 Hz, worked out for the rate.

    Shape: wave (samples,) or (channels, samples), full scale = 1; rate in Hz.
    Raises `AudioError` for another shape, an empty wave, samples that are not finite, and a rate
    below 1000 Hz.

    >>> import torch
    >>> time = torch.arange(48000) / 48000
    >>> round(integrated_loudness(torch.sin(2 * torch.pi * 997 * time), 48000), 2)
    -3.01
    >>> integrated_loudness(torch.zeros(48000), 48000)
    -inf
    """
    if wave.ndim not in {1, 2} or wave.numel() == 0:
        raise AudioError(
            f"loudness: a wave is (samples,) or (channels, samples), not {tuple(wave.shape)}"
        )
    if sample_rate < LOWEST_RATE:
        raise AudioError(f"loudness: {sample_rate} Hz; rates from {LOWEST_RATE} Hz are allowed")
    meter = LoudnessMeter(sample_rate)
    meter.add(wave)
    return meter.integrated()


class LoudnessMeter:
    """The integrated loudness of a sound that comes in pieces, as of one that comes at once.

    >>> import torch
    >>> meter, time = LoudnessMeter(48000), torch.arange(48000) / 48000
    >>> for piece in torch.sin(2 * torch.pi * 997 * time).split(7000):
    ...     meter.add(piece)
    >>> round(meter.integrated(), 2)
    -3.01
    """

    def __init__(self, sample_rate: int, speakers: int | None = None) -> None:
        self.sample_rate = sample_rate
        self._speakers = speakers
        self._sections = weighting(sample_rate)
        self._state: NDArray[np.float64] | None = None
        self._waiting: NDArray[np.float64] = np.zeros(0)  # weighted power, all channels together
        self._powers: list[NDArray[np.float64]] = []

    def add(self, wave: Tensor) -> None:
        """Hear the next piece, (samples,) or (channels, samples); raises `AudioError` for NaN."""
        sound = np.atleast_2d(wave.detach().double().cpu().numpy())
        if not np.isfinite(sound).all():
            raise AudioError("loudness: the wave holds samples that are not finite numbers")
        if self._state is None:
            self._state = np.zeros((len(self._sections), len(sound), 2))
        weighted, self._state = sosfilt(self._sections, sound, axis=-1, zi=self._state)
        powers = np.square(weighted) * channel_weights(len(sound), self._speakers)[:, None]
        heard = np.concatenate([self._waiting, powers.sum(axis=0)])
        block, step = round(BLOCK_SECONDS * self.sample_rate), _step(self.sample_rate)
        starts = np.arange(0, len(heard) - block + 1, step)
        if len(starts):
            self._powers.append(_means(heard, starts, block))
            heard = heard[int(starts[-1]) + step :]
        self._waiting = heard

    def integrated(self) -> float:
        """How loud all that was heard is, in LUFS; -inf for silence."""
        return gated(self.powers)

    @property
    def powers(self) -> NDArray[np.float64]:
        """The weighted power of each block; of a sound shorter than a block, of all of it."""
        if self._powers:
            return np.concatenate(self._powers)
        return np.array([self._waiting.mean()]) if len(self._waiting) else np.zeros(0)


def gated(powers: NDArray[np.float64]) -> float:
    """The mean of the blocks that both gates let through, in LUFS; -inf for silence."""
    power = standing_out(powers[powers > _power(ABSOLUTE_GATE_LUFS)])
    return _lufs(power) if power else -math.inf


def standing_out(powers: NDArray[np.float64]) -> float:
    """The mean power of the blocks that the relative gate alone lets through; 0 without any.

    >>> standing_out(np.array([1.0, 1.0, 0.01]))
    1.0
    """
    if not powers.any():
        return 0.0
    return float(powers[powers > powers.mean() * 10 ** (RELATIVE_GATE_LU / 10)].mean())


def gain_to(powers: NDArray[np.float64], wanted_lufs: float, near: float = 1.0) -> float:
    """The factor after which a sound of blocks of such powers has the loudness, 1 for silence.

    Other blocks may pass the absolute gate after it than before: that is reckoned with. Where more
    than one factor does, it is the nearest to ``near``. For any loudness above -70 LUFS there is
    one: it rises with the factor but for steps down where a block comes in.

    >>> round(gain_to(np.array([1.0, 0.5]), -3.691), 2)
    0.82
    """
    loudest = np.sort(powers[powers > 0])[::-1]
    if not len(loudest):
        return 1.0
    sums = np.cumsum(loudest)
    counts = np.arange(1, len(loudest) + 1)
    # of so many loudest blocks, those that stand out
    threshold = sums / counts * 10 ** (RELATIVE_GATE_LU / 10)
    out = np.minimum(np.searchsorted(-loudest, -threshold, side="left"), counts)
    squares = _power(wanted_lufs) * out / sums[out - 1]
    gate = _power(ABSOLUTE_GATE_LUFS)
    is_let_in = squares * loudest > gate
    is_all = squares * np.append(loudest[1:], 0.0) <= gate
    found = np.sqrt(squares[is_let_in & is_all])
    if not len(found):  # no louder than the gate
        return near
    return float(found[np.abs(np.log(found / near)).argmin()])


def loudness_gain(wave: Tensor, sample_rate: int, target_lufs: float) -> float:
    """The factor that brings a sound to a loudness; silence has none and keeps its level.

    >>> import torch
    >>> time = torch.arange(48000) / 48000
    >>> round(loudness_gain(torch.sin(2 * torch.pi * 997 * time), 48000, -9.03), 3)
    0.5
    """
    loudness = integrated_loudness(wave, sample_rate)
    return 1.0 if loudness == -math.inf else float(10 ** ((target_lufs - loudness) / 20))


def channel_weights(channels: int, speakers: int | None = None) -> NDArray[np.float64]:
    """How much each channel counts, of BS.1770-4, table 3: low-frequency effects not at all.

    ``speakers`` is the mask by which WAV files say which speaker each channel is for: those at the
    sides count more, and those behind where there are none at the sides. Without it, or where it is
    0, the order is that of files with so many channels: left, right, centre, from six on effects,
    the rest behind. Up to four all count alike then.

    >>> channel_weights(6).tolist(), channel_weights(4, 0x10F).tolist()
    ([1.0, 1.0, 1.0, 0.0, 1.41, 1.41], [1.0, 1.0, 1.0, 0.0])
    """
    if speakers:
        beside = BACK_SPEAKERS if not speakers & SIDE_SPEAKERS else SIDE_SPEAKERS
        bits = [1 << bit for bit in range(32) if speakers >> bit & 1][:channels]
        told = [0.0 if bit == EFFECTS else BEHIND if bit & beside else 1.0 for bit in bits]
        return np.array(told + [1.0] * (channels - len(told)))
    if channels not in SURROUND:
        return np.ones(channels)
    front = [1.0, 1.0, 1.0] + [0.0] * (channels > SURROUND[0])
    return np.array(front + [BEHIND] * (channels - len(front)))


def weighting(sample_rate: int) -> Sections:
    """The K-weighting as second-order sections: a shelf for the head, then a high-pass.

    At 48000 Hz they are those of the recommendation's tables 1 and 2.

    Shape: (2, 6).

    >>> weighting(48000)[0, :3].round(8).tolist()
    [1.53512486, -2.69169619, 1.19839281]
    """
    # a rate so low that the shelf lies beyond its half: the shelf's foot is all that there is
    shelf_hz = min(SHELF_HZ, 0.49 * sample_rate)
    slope = math.tan(math.pi * shelf_hz / sample_rate)
    high = 10 ** (SHELF_DB / 20)
    middle = high**0.4996667741545416
    scale = 1 + slope / SHELF_Q + slope**2
    shelf = [
        (high + middle * slope / SHELF_Q + slope**2) / scale,
        2 * (slope**2 - high) / scale,
        (high - middle * slope / SHELF_Q + slope**2) / scale,
        1.0,
        2 * (slope**2 - 1) / scale,
        (1 - slope / SHELF_Q + slope**2) / scale,
    ]
    slope, scale = _high_pass(sample_rate)
    gain = _high_pass(STATED_HZ)[1] / scale  # the recommendation has none at its own rate
    high_pass = [
        gain,
        -2 * gain,
        gain,
        1.0,
        2 * (slope**2 - 1) / scale,
        (1 - slope / HIGH_PASS_Q + slope**2) / scale,
    ]
    return np.array([shelf, high_pass])


def _high_pass(sample_rate: int) -> tuple[float, float]:
    slope = math.tan(math.pi * HIGH_PASS_HZ / sample_rate)
    return slope, 1 + slope / HIGH_PASS_Q + slope**2


def _step(sample_rate: int) -> int:
    return max(1, round(STEP_SECONDS * sample_rate))


def _means(
    powers: NDArray[np.float64], starts: NDArray[np.intp], block: int
) -> NDArray[np.float64]:
    """The mean power of each block."""
    sums = np.concatenate([[0.0], np.cumsum(powers)])
    means: NDArray[np.float64] = (sums[starts + block] - sums[starts]) / block
    return means


def _lufs(power: float) -> float:
    return OFFSET_LUFS + 10 * math.log10(power)


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - OFFSET_LUFS) / 10))
