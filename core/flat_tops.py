"""Clipping, told by the flat tops that it leaves in a wave at whatever level it is today."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float64]

SHORTEST_RUN = 3  # samples: a flat top by itself
PAIR_RUN = 2  # many of them at one level are flat tops, too
LEAST_TOPS, LEAST_PAIRS = 3, 10
STEEPER = 24.0  # times what a top itself moves is what the wave falls by on both sides
UNLIKE = 0.2  # by so much at least the falls differ: those beside the peaks of a tone do not
LEAST_LEVEL = 0.1  # of the peak of its side
SAME_LEVEL = 0.002  # of the level: tops of one clipping
BEYOND, MOST_BEYOND = 0.02, 0.1  # clicks are louder, but few: of the samples at the level
FULL_SCALE = 0.999  # one top here is enough
BESIDE = 2  # samples


class FlatTops(NamedTuple):
    """The samples of a wave that were clipped, and where: levels as parts of full scale, or 0."""

    clipped: NDArray[np.bool_]
    upper: float
    lower: float


def find_flat_tops(wave: Sound, step: float = 0.0) -> FlatTops:
    """Find the samples that stand on a flat top.

    Where three samples or more, or many times two, hold one level (to what quantising moves them)
    and the wave falls away steeply on both sides, and that happens three times at one level (ten
    times for two samples) or at full scale, all samples at that level are clipped. The upper and
    the lower side have a level each: clipping may be asymmetrical, and its level may have been
    changed since, but not within the wave. What is louder (clicks) has to be rare. Clipping that
    was filtered, resampled or coded with loss afterwards has no flat tops any more and is not seen,
    nor is the soft limit of a tape.

    Shape: (samples,), of some seconds; ``step`` is that of its quantiser, full scale = 1.

    >>> time = np.arange(8000) / 8000
    >>> tops = find_flat_tops(np.clip(np.sin(2 * np.pi * 101.3 * time), -0.5, 2))
    >>> tops.upper, tops.lower, round(float(tops.clipped.mean()), 2)
    (0.0, -0.5, 0.33)
    """
    upper, lower = _level(wave, step), _level(-wave, step)
    clipped = np.zeros(len(wave), bool)
    for sign, level in ((1, upper), (-1, lower)):
        if level:
            near = max(SAME_LEVEL * level, 1.01 * step)
            clipped |= np.abs(sign * wave - level) <= near
    return FlatTops(clipped, upper, -lower if lower else 0.0)


def _level(side: Sound, step: float) -> float:
    """The level of the flat tops on the upper side, 0 for none."""
    peak = float(side.max(initial=0.0))
    if peak <= 0:
        return 0.0
    same = max(_quantum(side, peak, step), 1e-6 * peak)
    levels, lengths, falls = _tops(side, LEAST_LEVEL * peak, same)
    for shortest, least in ((SHORTEST_RUN, LEAST_TOPS), (PAIR_RUN, LEAST_PAIRS)):
        long = lengths >= shortest
        level = _common(levels[long], falls[long], least)
        if not level and shortest == SHORTEST_RUN and levels[long].max(initial=0) >= FULL_SCALE:
            level = float(levels[long].max())
        if not level:
            continue
        beyond = int((side > level * (1 + BEYOND)).sum())
        if beyond <= MOST_BEYOND * int((np.abs(side - level) <= SAME_LEVEL * level).sum()):
            return level
    return 0.0


def _tops(side: Sound, least: float, same: float) -> tuple[Sound, NDArray[np.intp], Sound]:
    """The flat tops above a level: how high, how many samples, and how steep beside them."""
    starts, ends = _runs(side, least, same)
    if not len(starts):
        return np.zeros(0), ends, np.zeros(0)
    between = np.column_stack([starts, ends]).ravel()
    padded = np.append(side, 0.0)  # a run may end where the wave does
    highest, lowest = (reduce.reduceat(padded, between)[::2] for reduce in (np.maximum, np.minimum))
    inside = np.maximum(highest - lowest, same)
    before = highest - side[np.maximum(starts - BESIDE, 0)]
    after = highest - side[np.minimum(ends - 1 + BESIDE, len(side) - 1)]
    flat = (before > 2 * inside) & (after > 2 * inside) & (before + after >= STEEPER * inside)
    return highest[flat], (ends - starts)[flat], (before + after)[flat]


def _common(levels: Sound, falls: Sound, least: int) -> float:
    """The level that most tops have, 0 where too few have one."""
    if not len(levels):
        return 0.0
    order = np.argsort(levels)
    found = levels[order]
    near = np.searchsorted(found, found * (1 + SAME_LEVEL), "right") - np.arange(len(found))
    most = int(near.argmax())
    group = slice(most, most + int(near[most]))
    steep = falls[order][group]
    if near[most] < least or np.ptp(steep) < UNLIKE * steep.max():
        return 0.0
    return float(np.median(found[group]))


def _runs(side: Sound, least: float, same: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where stretches above a level begin and end in which no sample moves by more."""
    still = (np.abs(np.diff(side)) <= same) & (side[1:] >= least) & (side[:-1] >= least)
    edges = np.diff(np.concatenate([[0], still.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0) + 1
    return starts, ends


def _quantum(side: Sound, peak: float, step: float) -> float:
    """The step that the wave really has near its peak: coarser than that of its file, maybe."""
    values = np.unique(side[side >= 0.9 * peak])
    gaps = np.diff(values)
    gaps = gaps[gaps > 1e-9]
    coarse = float(gaps.min()) if len(gaps) > 1 else 0.0
    return max(step, coarse if coarse < 0.05 * peak else 0.0)
