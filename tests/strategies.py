"""Generated inputs: sounds of any length and sort, and seeds."""

import math

import torch
from hypothesis import strategies as st
from torch import Generator, Tensor

SORTS = ("silence", "noise", "tone", "click", "constant", "square")


def seeds() -> st.SearchStrategy[int]:
    """Seeds for a `torch.Generator`."""
    return st.integers(0, 2**32 - 1)


def make_wave(sort: str, batch: int, samples: int, level: float, seed: int) -> Tensor:
    """A sound of a sort at a level, (batch, samples); every item of a batch differs."""
    generator = Generator().manual_seed(seed)
    time = torch.arange(samples)[None]
    chance = torch.rand(batch, 1, generator=generator)
    match sort:
        case "noise":
            wave = torch.randn(batch, samples, generator=generator) / 4
        case "tone":
            wave = torch.sin(math.pi * chance**3 * time)
        case "click":
            wave = (time == (chance * samples).long()).float()
        case "constant":
            wave = (2 * chance - 1).expand(batch, samples)
        case "square":
            wave = torch.sign(torch.sin(0.1 * chance * (time + 1)))
        case _:
            wave = torch.zeros(batch, samples)
    return level * wave


def waves(
    min_samples: int = 1, max_samples: int = 100_000, max_batch: int = 3
) -> st.SearchStrategy[Tensor]:
    """Sounds (batch, samples), from silence through faint to beyond full scale."""
    lengths = st.integers(min_samples, min(max_samples, min_samples + 3000))
    return st.builds(
        make_wave,
        st.sampled_from(SORTS),
        st.integers(1, max_batch),
        lengths | st.integers(min_samples, max_samples),
        st.sampled_from([1e-30, 1e-6, 0.01, 0.5, 1.0, 8.0]),
        seeds(),
    )


def recordings(longest: int = 2**17) -> st.SearchStrategy[Tensor]:
    """Sounds (batch, samples) of 1 sample to the longest; most are short, long ones come alone."""
    few, several = st.just(1), st.integers(1, 3)
    sizes = [(300, several), (300, several), (3000, several), (3000, several), (2**14, several)]
    return st.one_of(
        [
            st.builds(
                make_wave,
                st.sampled_from(SORTS),
                batch,
                st.integers(1, samples),
                st.sampled_from([1e-30, 1e-6, 0.01, 0.5, 1.0, 8.0]),
                seeds(),
            )
            for samples, batch in (*sizes, (longest, few))
        ]
    )
