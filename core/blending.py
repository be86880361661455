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


def same_polarity(wave: Tensor, like: Tensor) -> Tensor:
    """Turn the channels of a wave over that are the other way up than those of another.

    What a channel module learns by magnitudes alone may come out upside down, which nobody hears
    until it is mixed with the sound that it was made from.

    Shape: (channels, samples) both.

    >>> same_polarity(torch.tensor([[-1.0, 2.0]]), torch.tensor([[1.0, -1.0]])).tolist()
    [[1.0, -2.0]]
    """
    turned = (wave * like).sum(dim=-1, keepdim=True) < 0
    return torch.where(turned, -wave, wave)


def blend(wave: Tensor, effect: Tensor, strength: float, sample_rate: int) -> Tensor:
    """Go so far from a wave to its version under an effect, in every bin of every frame.

    Magnitudes go in dB, up to 60 of them either way, and phases the shorter way round; strength 0
    is the wave, 1 the effect, and beyond 1 only magnitudes go on. A sum of the two waves would have
    notches where their phases differ.

    Shape: (channels, samples) both -> (channels, samples), float32; rate in Hz.
    """
    blended = [*blend_blocks([(wave.float(), effect.float())], strength, sample_rate)]
    return torch.cat(blended, dim=-1)


def blend_blocks(
    pairs: Iterable[tuple[Tensor, Tensor]], strength: float, sample_rate: int
) -> Iterator[Tensor]:
    """The same for a wave and its version that come in blocks, side by side."""
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
