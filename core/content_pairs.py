"""A recording and its restored version in bands, half a minute at a time."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from selfremaster.core.bandwidths import bandwidth_hz
from selfremaster.core.voicing import (
    Array,
    Grid,
    Voice,
    frame_powers,
    grid_of,
    hear_voice,
    noise_floor,
)

Powers = NDArray[np.float32]
Cells = NDArray[np.bool_]

PIECE_SECONDS = 30.0
FROM_HZ, AGREEMENT_TO_HZ = 112.0, 4500.0  # lower edges of thirds of an octave
ABOVE_NOISE = 4.0  # times the noise, 6 dB: here the input can be trusted
TINY = 1e-10  # power: what is as good as nothing, -100 dBFS


class Pair(NamedTuple):
    """A recording and its restored version, in thirds of an octave."""

    before: Powers  # (frames, bands)
    after: Powers
    said: Powers  # magnitudes without noise, in the bands of agreement
    spoken: Powers
    trusted: Cells  # where the recording stands above its noise and below its cut-off
    voice: Voice
    voice_after: Voice


def pair_of(blocks: Iterable[Tensor], samples: int, sample_rate: int) -> Pair:
    """Both sounds in bands, from blocks (2, any number) that hold so many samples in all."""
    grid = grid_of(sample_rate)
    low_hz, shares = _thirds(grid)
    compared = low_hz < AGREEMENT_TO_HZ
    frames = -(-samples // grid.hop)
    at_once = round(PIECE_SECONDS * sample_rate / grid.hop)
    pieces, cutoffs = [], []
    # a short rest goes with the piece before it: it could not tell its own noise from speech
    starts = [*range(0, max(frames - at_once // 3, 1), at_once), frames]
    for count, (before, after) in _pieces(blocks, starts, grid):
        heard, floor, voice = _listen(before, sample_rate, count, shares)
        made, rest, voice_after = _listen(after, sample_rate, count, shares)
        said, spoken = (
            np.sqrt(np.clip(bands - noise, 0, None))[:, compared]
            for bands, noise in ((heard, floor), (made, rest))
        )
        trusted = (heard > ABOVE_NOISE * floor) & (heard > TINY)
        pieces.append(Pair(heard, made, said, spoken, trusted, voice, voice_after))
        cutoffs.append(bandwidth_hz(torch.from_numpy(before), sample_rate))
    ends = np.nanmedian(cutoffs) if not np.isnan(cutoffs).all() else 0.0
    whole = _joined(pieces)
    return whole._replace(trusted=whole.trusted & (low_hz * 2 ** (1 / 6) < ends))


def _pieces(
    blocks: Iterable[Tensor], starts: Sequence[int], grid: Grid
) -> Iterator[tuple[int, Powers]]:
    """How many frames each piece has, and the samples that they hang on, (2, samples)."""
    coming = iter(blocks)
    waiting: list[Tensor] = []
    length = 0
    for first, end in pairwise(starts):
        wanted = (end - first - 1) * grid.hop + grid.size
        while length < wanted and (block := next(coming, None)) is not None:
            waiting.append(block)
            length += block.shape[1]
        wave = torch.cat(waiting, dim=1)
        yield end - first, wave[:, :wanted].numpy()
        waiting = [wave[:, (end - first) * grid.hop :].clone()]
        length = waiting[0].shape[1]


def _listen(
    wave: Powers, sample_rate: int, frames: int, shares: Powers
) -> tuple[Powers, Powers, Voice]:
    """The power of each band, that of its steady noise, and the voice."""
    powers = np.concatenate(list(frame_powers(wave, sample_rate)))[:frames]
    floor = noise_floor(powers)
    return (
        powers @ shares,
        (floor @ shares).astype(np.float32),
        hear_voice(powers, floor, sample_rate),
    )


def _thirds(grid: Grid) -> tuple[Array, Powers]:
    """The lower edges of thirds of an octave up to half the rate, and the bins of each."""
    count = max(int(3 * math.log2(0.5 * grid.sample_rate / FROM_HZ)), 1)
    low_hz = FROM_HZ * 2 ** (np.arange(count) / 3)
    bins = np.arange(grid.points // 2 + 1) * grid.step_hz
    inside = (bins[:, None] >= low_hz) & (bins[:, None] < low_hz * 2 ** (1 / 3))
    return low_hz, inside.astype(np.float32)


def _joined(pieces: Sequence[Pair]) -> Pair:
    """One piece after another."""

    def voice(voices: Sequence[Voice]) -> Voice:
        return Voice(*(np.concatenate(parts) for parts in zip(*voices, strict=True)))

    before, after, said, spoken, trusted, heard, made = zip(*pieces, strict=True)
    return Pair(
        np.concatenate(before),
        np.concatenate(after),
        np.concatenate(said),
        np.concatenate(spoken),
        np.concatenate(trusted),
        voice(heard),
        voice(made),
    )
