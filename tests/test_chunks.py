"""Long waves in pieces: what comes out is what the whole wave would have given."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core.chunks import process_in_chunks, stream_in_chunks
from tests.strategies import seeds


@settings(max_examples=30, deadline=None)
@given(
    samples=st.integers(0, 4000),
    chunk=st.integers(60, 900),
    context=st.integers(0, 60),
    block=st.integers(1, 2000),
    seed=seeds(),
)
def test_pieces_of_a_wave_join_without_a_seam(
    samples: int, chunk: int, context: int, block: int, seed: int
) -> None:
    wave = torch.randn(2, samples, generator=torch.Generator().manual_seed(seed))
    reach = max(context - context // 8 - 1, 0)
    lengths = []

    def late(piece: Tensor) -> Tensor:
        lengths.append(piece.shape[-1])
        return torch.nn.functional.pad(piece, (reach, 0))[..., : piece.shape[-1]]

    whole = late(wave)
    lengths.clear()
    assert torch.allclose(process_in_chunks(late, wave, chunk, context), whole, atol=1e-6)
    assert max(lengths) <= chunk + 3 * context
    blocks = torch.split(wave, block, dim=1)
    made = [*stream_in_chunks(late, blocks, chunk, context)]
    assert torch.allclose(torch.cat([wave[:, :0], *made], dim=1), whole, atol=1e-6)


def test_pieces_begin_on_a_grid() -> None:
    starts = []

    def watch(piece: Tensor) -> Tensor:
        starts.append(int(piece[0]))
        return piece

    process_in_chunks(watch, torch.arange(1000.0), 200, 50)
    assert starts == [0, 150, 350, 550, 750]
