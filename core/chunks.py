"""Long waves in pieces, so that memory does not grow with the length of a recording."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor


def process_in_chunks(
    function: Callable[[Tensor], Tensor], wave: Tensor, chunk_samples: int, context_samples: int
) -> Tensor:
    """Send a wave through a function piece by piece, as `stream_in_chunks` does.

    Shape: wave (..., samples) -> (..., samples); the function keeps the shape of what it is given.

    >>> ramp = torch.arange(1000.0)
    >>> doubled = process_in_chunks(lambda piece: 2 * piece, ramp, 300, 100)
    >>> bool(torch.allclose(doubled, 2 * ramp))
    True
    """
    if not wave.shape[-1]:
        return function(wave)
    return _whole([*stream_in_chunks(function, [wave], chunk_samples, context_samples)])


def stream_in_chunks(
    function: Callable[[Tensor], Tensor],
    blocks: Iterable[Tensor],
    chunk_samples: int,
    context_samples: int,
) -> Iterator[Tensor]:
    """Send a wave that comes in blocks through a function piece by piece, joined by crossfades.

    Each piece is heard with its surroundings on both sides; an eighth of them is what the linear
    crossfade is made of, so a function that reaches less far than seven eighths of the context
    gives what it gives for the whole wave. Pieces begin at multiples of ``chunk_samples``, less the
    context. A wave that is no longer than one piece with its context is taken at once, and so is
    what is left at the end. No more than a piece with its context, and a block, is kept.

    Shape: blocks (..., samples) of any lengths -> blocks (..., samples), as long in all; the
    function keeps the shape of what it is given.

    >>> blocks = torch.arange(1000.0).split(70)
    >>> made = stream_in_chunks(lambda piece: 2 * piece, blocks, 300, 100)
    >>> [len(block) for block in made]
    [288, 300, 412]
    """
    half = context_samples // 8
    enough = chunk_samples + 2 * context_samples
    waiting: list[Tensor] = []
    length = 0  # of what waits
    start, before = 0, 0  # of the piece in what waits: where it begins, and its context
    fading: Tensor | None = None
    for block in blocks:
        waiting.append(block)
        length += block.shape[-1]
        while length > start + enough:
            wave = _whole(waiting)
            end = start + chunk_samples
            made = function(wave[..., start - before : end + context_samples])
            made = made[..., before - (half if before else 0) : before + chunk_samples + half]
            joined = _joined(fading, made)
            sure = joined.shape[-1] - 2 * half
            yield joined[..., :sure]
            fading = joined[..., sure:]
            waiting = [wave[..., end - context_samples :]]
            length -= end - context_samples
            start = before = context_samples
    if length:
        made = function(_whole(waiting)[..., start - before :])
        yield _joined(fading, made[..., before - (half if before else 0) :])


def _whole(blocks: list[Tensor]) -> Tensor:
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=-1)


def _joined(fading: Tensor | None, made: Tensor) -> Tensor:
    """A piece whose beginning the end of the one before it fades into."""
    if fading is None or not fading.shape[-1]:
        return made
    fade = fading.shape[-1]
    rising = (torch.arange(fade, device=made.device, dtype=made.dtype) + 0.5) / fade
    crossed = fading * (1 - rising) + made[..., :fade] * rising
    return torch.cat([crossed, made[..., fade:]], dim=-1)
