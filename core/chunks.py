"""Long waves in pieces, so that memory does not grow with the length of a recording."""

from collections.abc import Callable

import torch
from torch import Tensor


def process_in_chunks(
    function: Callable[[Tensor], Tensor], wave: Tensor, chunk_samples: int, context_samples: int
) -> Tensor:
    """Send a wave through a function piece by piece, joined by linear crossfades.

    Each piece is heard with its surroundings on both sides; half of them is what the crossfade is
    made of, so a function that reaches less far than half the context gives what it gives for the
    whole wave. A wave that is no longer than one piece with its context is taken at once.

    Shape: wave (..., samples) -> (..., samples); the function keeps the shape of what it is given.

    >>> ramp = torch.arange(1000.0)
    >>> doubled = process_in_chunks(lambda piece: 2 * piece, ramp, 300, 100)
    >>> bool(torch.allclose(doubled, 2 * ramp))
    True
    """
    samples = wave.shape[-1]
    if samples <= chunk_samples + 2 * context_samples:
        return function(wave)
    fade = context_samples // 2 * 2
    rising = (torch.arange(fade, device=wave.device, dtype=wave.dtype) + 0.5) / max(fade, 1)
    joined = torch.zeros_like(wave)
    for start in range(0, samples, chunk_samples):
        end = min(start + chunk_samples, samples)
        first, last = max(start - context_samples, 0), min(end + context_samples, samples)
        made = function(wave[..., first:last])
        from_sample = max(start - fade // 2, 0)
        to_sample = end if end == samples else min(end + fade // 2, samples)
        weight = wave.new_ones(to_sample - from_sample)
        if start > 0:
            weight[:fade] *= rising[: len(weight)]
        if end < samples:
            falling = 1 - rising
            weight[end - fade // 2 - from_sample :] *= falling[: to_sample - end + fade // 2]
        piece = made[..., from_sample - first : to_sample - first]
        joined[..., from_sample:to_sample] += piece * weight
    return joined
