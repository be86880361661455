"""Weights and multiplications of restorers, against numbers worked out by hand."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from torch import Tensor, nn

import selfremaster as sr
from selfremaster.benchmarks.costs import Counts, count, count_parameters
from selfremaster.core.interfaces import ComponentConfig, Restorer
from tests.tiny import write_vocoder

RATE = 1000


class Holding(Restorer):
    """Lets a network hear the wave in frames of so many samples, as (1, frames, samples)."""

    def __init__(self, network: nn.Module, frame: int) -> None:
        super().__init__(ComponentConfig())
        self.kept = {"networks": [network, network]}
        self.closed: object = None
        self.work: Callable[[Tensor], object] = network.eval()
        self.frame = frame

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        """The wave as it is."""
        whole = wave.shape[-1] // self.frame * self.frame
        self.work(wave[:, :whole].reshape(1, -1, self.frame))
        return wave


class Transposed(nn.Module):
    """A convolution over frames: 2 channels to 3 by a kernel of 5."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(2, 3, 5, padding=2)
        self.register_buffer("window", torch.ones(7))

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (batch, frames, 2) -> (batch, 3, frames)."""
        made: Tensor = self.layer(frames.transpose(1, 2))
        return made


# network, samples of a frame, weights, multiply-adds of a frame
BY_HAND = {
    "linear": (nn.Linear(10, 5), 10, 55, 50),
    "convolution": (Transposed(), 2, 33, 30),
    "gru": (nn.GRU(10, 20, batch_first=True), 10, 3 * 20 * (10 + 20 + 2), 3 * 20 * 30),
    "lstm": (nn.LSTM(10, 20, batch_first=True), 10, 4 * 20 * (10 + 20 + 2), 4 * 20 * 30),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_layers_cost_what_their_sizes_say(name: str) -> None:
    network, frame, weights, of_a_frame = BY_HAND[name]
    restorer = Holding(network, frame)
    assert count(restorer, RATE) == Counts(weights, of_a_frame * RATE / frame)


def test_attention_is_counted_too() -> None:
    width, inner = 10, 20
    network = nn.TransformerEncoderLayer(width, 2, inner, batch_first=True)
    frames = RATE // width
    linear = 4 * width * width + 2 * width * inner
    # each of n frames attends to n, twice: for 1 and 3 seconds (9 - 1) / 2 times those of one
    expected = frames * linear + 2 * width * frames**2 * (9 - 1) / 2
    found = count(Holding(network, width), RATE).multiply_adds
    assert found == pytest.approx(expected)
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.cudnn.enabled


def test_hifigan_v3_costs_what_its_layers_say(tmp_path: Path) -> None:
    bundle = write_vocoder(tmp_path / "v3.safetensors", "hifigan:preset=v3")
    restorer = sr.build("restorer", {"name": "copy-synthesis", "model": str(bundle)})
    channels, rate, hop, bands, bins = 256, 22050, 256, 80, 513
    of_a_frame, steps = bands * bins + bands * channels * 7, 1
    weights = (bands * 7 + 1) * channels
    for up, kernel in ((8, 16), (8, 16), (4, 8)):
        half = channels // 2
        of_a_frame += steps * channels * half * kernel
        weights += channels * half * kernel + half
        steps, channels = steps * up, half
        for block_kernel in (3, 5, 7):
            of_a_frame += 2 * steps * channels * channels * block_kernel
            weights += 2 * (channels * channels * block_kernel + channels)
    of_a_frame += steps * channels * 7
    weights += channels * 7 + 1
    assert steps == hop
    found = count(restorer, rate)
    assert found.parameters == weights
    assert found.multiply_adds == pytest.approx(of_a_frame * rate / hop, rel=0.01)
    assert math.isclose(weights, 1.46e6, rel_tol=0.01)  # as HiFi-GAN's table 1 says


def test_nothing_to_count_is_no_number() -> None:
    assert count(sr.build("restorer", "mean-spectrum"), 8000) == Counts(None, None)
    assert count_parameters({"a": [3, "b", None], "c": torch.ones(4)}) is None


def test_shared_weights_and_circles_count_once() -> None:
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    circle: list[object] = [first, second]
    circle.append(circle)
    assert count_parameters(circle) == 9


def test_what_hangs_together_in_a_long_chain_is_counted() -> None:
    chain: list[object] = [nn.Linear(2, 2)]
    for _ in range(5000):
        chain = [chain]
    assert count_parameters(chain) == 6


def test_what_cannot_be_looked_into_keeps_its_other_numbers() -> None:
    class Closed(dict[str, nn.Module]):
        def values(self) -> NoReturn:  # type: ignore[override]  # as a mapping that must be opened
            raise RuntimeError("closed")

    restorer = Holding(nn.Linear(2, 2), 2)
    restorer.closed = Closed()
    assert count(restorer, RATE) == Counts(None, RATE / 2 * 4)


def test_a_restorer_that_refuses_has_weights_alone() -> None:
    class Refusing(Holding):
        def restore(
            self, wave: Tensor, sample_rate: int, reference: Tensor | None = None
        ) -> Tensor:
            raise RuntimeError("not this one")

    assert count(Refusing(nn.Linear(2, 2), 2), RATE) == Counts(6, None)
