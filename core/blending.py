"""A sound between a wave and the same wave under an effect, or beyond it."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from selfremaster.core.chunks import stream_in_chunks
from selfremaster.core.signals import istft, stft

FRAME_SECONDS = 0.046
PIECE_SECONDS = 20.0
TINY = 1e-8  # full scale = 1: what is as good as nothing
FURTHEST = 1000.0  # 60 dB, up or down


def blend_blocks(
    pairs: Iterable[tuple[Tensor, Tensor]], strength: float, sample_rate: int
) -> Iterator[Tensor]:
    """Go so far from a wave to its version under an effect, in every bin of every frame.

    Magnitudes go in dB, up to 60 of them either way, and phases the shorter way round; strength 0
    is the wave, 1 the effect, and beyond 1 only magnitudes go on. A sum of the two waves would have
    notches where their phases differ.

    Shape: pairs of blocks (channels, samples), side by side -> blocks as long in all, float32; rate
    in Hz.
    """
    size = max(4 * round(FRAME_SECONDS * sample_rate / 4), 16)

    def between(pair: Tensor) -> Tensor:
        dry, wet = (stft(part, size, size // 4) for part in pair)
        quiet = dry.abs().clamp(min=TINY)
        gain = (wet.abs().clamp(min=TINY) / quiet).clamp(1 / FURTHEST, FURTHEST) ** strength
        turn = (wet * dry.conj()).angle() * min(strength, 1.0)
        blended = istft(dry * torch.polar(gain, turn), size // 4, pair.shape[-1])
        return blended.expand_as(pair)

    # pieces on the grid of the frames
    piece = math.ceil(PIECE_SECONDS * sample_rate / size) * size
    both = (torch.stack(pair) for pair in pairs)
    for made in stream_in_chunks(between, both, piece, 4 * size):
        yield made[0]
