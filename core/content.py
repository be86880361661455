"""The content meter: second by second, whether a restored recording still says what it said."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from torch import Tensor

from selfremaster.core import guards
from selfremaster.core.content_pairs import TINY, Cells, Pair, Powers, pair_of
from selfremaster.core.errors import AudioError
from selfremaster.core.interfaces import Metric
from selfremaster.core.streaming import Held, Sound, side_by_side, stretches
from selfremaster.core.voicing import Array, grid_of

SEGMENT_FRAMES, STEP_FRAMES = 24, 6  # 384 ms, four times as often
LEAST_BANDS, LEAST_FRAMES = 3, 4  # that stand above the noise, to compare a segment
LEAST_HEARD = 0.08  # of the cells of a second, to compare it
ALLOWED = 4.0  # times what the input has, 6 dB: no invention yet
HIGHEST_BOOST = 100.0  # 20 dB: how far a filter may raise a band that holds noise alone
BAND_FRAMES = 20  # that stand above the noise, to tell the gain of a band
VOICED, UNVOICED = 0.7, 0.4  # so periodic frames are surely one or the other
LIKELY_VOICED = 0.6
CLEAR = 4.0  # times its noise: loud enough to tell
SAME_PITCH_OCTAVES = 0.25
LEAST_VOICED_FRAMES = 12  # of a second, to compare its pitch
WINDOW_SECONDS = 4  # what metrics hear at once

LEAST_AGREEMENT = 0.5
MOST_INVENTED = 0.5
MOST_PITCH = 0.6
FAINT = 1e-4  # of the loudest second: an invention 40 dB below it is not heard

SAYS_OTHER = "says something else"
INVENTED = "sound where the recording has none"
OTHER_PITCH = "speaks at another pitch"


@dataclass(frozen=True)
class Second:
    """How one second of the result differs from the recording; NaN where it cannot be told.

    Shares are from 0 to 1. ``metrics`` are the numbers of further listeners, ``why`` says in words
    what makes the second suspicious.
    """

    start_seconds: float
    heard_share: float  # of time and frequency, in which the recording can be trusted
    agreement: float  # of what is said there, up to 1; other speech has about 0
    invented_dbfs: float  # energy put where the recording has none
    invented_share: float  # of the energy of the result
    voicing_flips_share: float  # voiced to unvoiced or the other way round, of voiced frames
    pitch_differs_share: float  # by a quarter of an octave or more, of voiced frames
    metrics: Mapping[str, float] = field(default_factory=dict)
    why: tuple[str, ...] = ()


def measure_content(
    recording: Tensor, restored: Tensor, sample_rate: int, metrics: Sequence[Metric] = ()
) -> list[Second]:
    """Compare a restored recording with the recording itself, second by second.

    Three things are looked at, without any recogniser:

    - Agreement: the correlation of how the magnitudes of up to 16 thirds of an octave (112 to 4500
      Hz) rise and fall within 384 ms, as in STOI, only where the recording stands 6 dB above its
      own steady noise and below its cut-off. Level, filters and noise taken off make no difference.
    - Invention: energy in all other places, more than 6 dB above what the recording has there
      (within 16 ms) times the gain of the band, which is that of the whole recording.
    - Pitch: frames that are clearly voiced in one of both and clearly not in the other, and those
      whose F0 differs by a quarter of an octave or more.

    A second is suspicious below an agreement of 0.5 (vocoded speech has 0.6 and more, other speech
    below 0.4), where more than half of its energy is invented and no more than 40 dB softer than
    the loudest second, or where the pitch differs in more than 0.6 of the voiced frames. Voicing
    flips are told, but make no suspicion: poor vocoders have many and say the same. Where the
    damage itself blurs what is said (strong overdrive, noise as loud as speech), little can be
    trusted and little is told; single sounds that changed within a word are not heard.

    The metrics compare pieces of four seconds with the recording; each second has the numbers of
    its piece.

    Shape: (samples,) or (channels, samples) both, channels are mixed; rate in Hz.
    Raises `AudioError` for lengths that differ and for an empty wave.
    """
    before, after = (
        Held((wave if wave.ndim > 1 else wave[None]).detach().cpu().float(), sample_rate)
        for wave in (recording, restored)
    )
    return content_of(before, after, metrics)


def content_of(before: Sound, after: Sound, metrics: Sequence[Metric] = ()) -> list[Second]:
    """As `measure_content`, of sounds that need not be in memory: half a minute at a time.

    Some 50 kB are kept of each second. Raises `AudioError` as `measure_content` does.
    """
    if before.samples != after.samples or not before.samples:
        raise AudioError(
            f"content: {before.samples} samples before and {after.samples} after; give the same "
            "stretch, before and after restoring"
        )
    rate = before.sample_rate
    pair = pair_of(_both(before, after), before.samples, rate)
    hop_seconds = grid_of(rate).hop / rate
    seconds = math.ceil(before.samples / rate)
    numbers = {
        **_agreement(pair, seconds, hop_seconds),
        **_invention(pair, seconds, hop_seconds),
        **_pitch(pair, seconds, hop_seconds),
    }
    heard = _hear(metrics, before, after, seconds)
    loud = _by_second(pair.after.sum(axis=1), seconds, hop_seconds).max()
    told = []
    for second in range(seconds):
        own = {name: float(values[second]) for name, values in numbers.items()}
        why = _why(own, float(loud))
        told.append(Second(float(second), **own, metrics=heard[second], why=why))
    return told


def _both(before: Sound, after: Sound) -> Iterator[Tensor]:
    """Both sounds side by side, the channels of each mixed, (2, samples)."""
    for old, new in side_by_side(before, after):
        yield torch.stack([old.mean(dim=0), new.mean(dim=0)])


def _why(numbers: Mapping[str, float], loud: float) -> tuple[str, ...]:
    """What is suspicious in the numbers of a second."""
    audible = numbers["invented_dbfs"] > 10 * math.log10(max(FAINT * loud, TINY))
    reasons = (
        (SAYS_OTHER, numbers["agreement"] < LEAST_AGREEMENT),
        (INVENTED, numbers["invented_share"] > MOST_INVENTED and audible),
        (OTHER_PITCH, numbers["pitch_differs_share"] > MOST_PITCH),
    )
    return tuple(words for words, given in reasons if given)


def _agreement(pair: Pair, seconds: int, hop_seconds: float) -> dict[str, Array]:
    """How far both say the same, where the recording can be trusted."""
    trusted = pair.trusted[:, : pair.said.shape[1]]
    agreed, weights = np.zeros(seconds), np.zeros(seconds)
    for start, alike, weight in _segments(pair, trusted):
        middle = (start + min(SEGMENT_FRAMES, len(trusted)) / 2) * hop_seconds
        second = min(int(middle), seconds - 1)
        agreed[second] += alike * weight
        weights[second] += weight
    heard = _by_second(trusted.mean(axis=1), seconds, hop_seconds)
    enough = (weights > 0) & (heard > LEAST_HEARD)
    agreement: Array = np.where(enough, agreed / np.maximum(weights, 1e-9), math.nan)
    return {"heard_share": heard, "agreement": agreement}


def _segments(pair: Pair, trusted: Cells) -> Iterator[tuple[int, float, float]]:
    """Where each segment begins, the mean correlation of its bands, and what that is worth."""
    for start in range(0, max(len(trusted) - SEGMENT_FRAMES, 0) + 1, STEP_FRAMES):
        here = slice(start, start + SEGMENT_FRAMES)
        clear = trusted[here].sum(axis=0)
        kept = clear >= LEAST_FRAMES
        if kept.sum() < LEAST_BANDS:
            continue
        said, spoken = (_normal(side[here][:, kept]) for side in (pair.said, pair.spoken))
        alike = (said * spoken).sum(axis=0)
        weight = float(clear[kept].sum())
        yield start, float((alike * clear[kept]).sum()) / weight, weight


def _normal(magnitudes: Powers) -> Powers:
    """Each band around its mean and with a norm of 1, 0 for one that does not move."""
    moved: Powers = magnitudes - magnitudes.mean(axis=0)
    size = np.sqrt(np.square(moved).sum(axis=0))
    normal: Powers = (moved / np.where(size > 1e-9, size, np.inf)).astype(np.float32)
    return normal


def _invention(pair: Pair, seconds: int, hop_seconds: float) -> dict[str, Array]:
    """The energy that the result has where the recording has none."""
    expected = _gains(pair) * (maximum_filter1d(pair.before, 3, axis=0) + TINY)
    excess = np.clip(pair.after - ALLOWED * expected, 0, None)
    excess[pair.trusted] = 0
    invented, there = (
        _by_second(power.sum(axis=1), seconds, hop_seconds) for power in (excess, pair.after)
    )
    level = np.where(invented > TINY, 10 * np.log10(np.maximum(invented, TINY)), -math.inf)
    share = np.where(there > TINY, invented / np.maximum(there, TINY), 0.0)
    return {"invented_dbfs": level, "invented_share": share}


def _gains(pair: Pair) -> Powers:
    """What became of each band in the mean: the level and the filters of a restoration.

    In a band that holds noise alone it is the gain that three quarters of the frames exceed, so
    that noise which was raised steadily is not new.
    """
    ratio = (pair.after + TINY) / (pair.before + TINY)
    overall = float(np.median(ratio[pair.trusted])) if pair.trusted.any() else 1.0
    gains = np.clip(np.quantile(ratio, 0.25, axis=0), overall, HIGHEST_BOOST * overall)
    for band, clear in enumerate(pair.trusted.T):
        if clear.sum() >= BAND_FRAMES:
            gains[band] = np.median(ratio[clear, band])
    found: Powers = gains.astype(np.float32)
    return found


def _pitch(pair: Pair, seconds: int, hop_seconds: float) -> dict[str, Array]:
    """Where the voice of one is none in the other, or another pitch."""
    voices = (pair.voice, pair.voice_after)
    sure, other = ((one.strength > VOICED) & (one.above > CLEAR) for one in voices)
    silent, mute = (one.strength < UNVOICED for one in voices)
    either = sure | other
    both = (np.minimum(*(one.strength for one in voices)) > LIKELY_VOICED) & either
    octaves = np.abs(np.log2(pair.voice_after.f0_hz / pair.voice.f0_hz))
    voiced = _by_second(either, seconds, hop_seconds)
    enough = voiced >= LEAST_VOICED_FRAMES * hop_seconds
    shares = (
        _by_second(frames, seconds, hop_seconds) / np.maximum(voiced, 1e-9)
        for frames in ((sure & mute) | (other & silent), both & (octaves > SAME_PITCH_OCTAVES))
    )
    flips, differs = (np.where(enough, share, math.nan) for share in shares)
    return {"voicing_flips_share": flips, "pitch_differs_share": differs}


def _by_second(values: NDArray[np.generic], seconds: int, hop_seconds: float) -> Array:
    """The mean over the frames of each second."""
    places = np.minimum(((np.arange(len(values)) + 0.5) * hop_seconds).astype(int), seconds - 1)
    sums = np.bincount(places, weights=values.astype(np.float64), minlength=seconds)
    means: Array = sums / np.maximum(np.bincount(places, minlength=seconds), 1)
    return means


def _hear(
    metrics: Sequence[Metric], before: Sound, after: Sound, seconds: int
) -> list[dict[str, float]]:
    """What further listeners say of the piece that each second lies in."""
    if not metrics:
        return [{}] * seconds
    told: list[dict[str, float]] = []
    rate = before.sample_rate
    for clean, estimate in stretches(_both(before, after), WINDOW_SECONDS * rate):
        numbers: dict[str, float] = {}
        for metric in metrics:
            numbers |= guards.measured(metric, estimate, rate, clean)
        told += [numbers] * min(WINDOW_SECONDS, seconds - len(told))
    return told
