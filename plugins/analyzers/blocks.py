"""Residual blocks of the analysis and the channel module, for waves (1-D) and spectrograms (2-D).

Attributes are named as in the published checkpoints, so that those load by their own keys.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.signals import fit_length
from selfremaster.plugins.analyzers.conditions import Condition
from selfremaster.plugins.analyzers.norms import Norm, make_norm, scale_and_shift

Preset = Annotated[
    Literal["small", "paper"], Field(description="what the other settings start from")
]
Width = Annotated[int, Field(ge=1, le=4096)]
Blocks = Annotated[int, Field(ge=1, le=16, description="residual blocks at each level")]

Network = TypeVar("Network", bound=nn.Module)

SLOPE = 0.01  # of the leaky rectifier, below zero


class Style(NamedTuple):
    """What all blocks of a network have in common."""

    dims: Literal[1, 2]
    kernel: int = 3
    norm: Norm = "batch"
    blocks: int = 4  # residual blocks at each level
    ceil: bool = False  # a map of odd size keeps its last element when it is made smaller
    condition_dim: int = 0  # how many numbers steer each block (FiLM)


def make_convolution(
    style: Style, inputs: int, outputs: int, kernel: int, bias: bool = True
) -> nn.Module:
    """A convolution that keeps the size of the map."""
    kind = nn.Conv1d if style.dims == 1 else nn.Conv2d
    return kind(inputs, outputs, kernel, padding=kernel // 2, bias=bias)


def make_transposed(style: Style, inputs: int, outputs: int, factor: int) -> nn.Module:
    """A transposed convolution that makes n elements at least factor * n; see `fit_size`."""
    kind = nn.ConvTranspose1d if style.dims == 1 else nn.ConvTranspose2d
    if factor == 2:  # as published: 2 n + 1 elements, whatever the kernel
        padding = (style.kernel - 1) // 2 - 1
        return kind(inputs, outputs, style.kernel, 2, padding=padding, bias=False)
    return kind(inputs, outputs, 2 * factor, factor, padding=factor // 2, bias=False)


def initialise(network: nn.Module) -> None:
    """Xavier weights, no biases, and nothing steered by conditions yet."""
    for layer in network.modules():
        if isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for layer in network.modules():
        if isinstance(layer, ResidualBlock) and layer.film is not None:
            begin_silent(layer.film)


def order_weights(network: Network) -> Network:
    """Keep the channels of a network's pictures beside each other, in place.

    Convolutions then give their maps in that order, too, and none has to turn them: on a processor
    a sixth faster, in bfloat16 twice as fast.
    """
    for weight in network.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return network


def begin_silent(layer: nn.Module) -> None:
    """Let a layer give zeros until it has learned."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def shrink(hidden: Tensor, factor: int, ceil: bool) -> Tensor:
    """Average every ``factor`` neighbours along each axis; a shorter axis becomes one element.

    Shape: (batch, channels, sizes) -> (batch, channels, sizes / factor, down, or up by ``ceil``).

    >>> shrink(torch.tensor([[[1.0, 3.0, 5.0]]]), 2, ceil=True).tolist()
    [[[2.0, 5.0]]]
    """
    ceil = ceil or any(size < factor for size in hidden.shape[2:])
    pool = functional.avg_pool1d if hidden.dim() == 3 else functional.avg_pool2d
    return pool(hidden, factor, ceil_mode=ceil)


def fit_size(hidden: Tensor, like: Tensor) -> Tensor:
    """Cut a map, or pad it with zeros, at the end of each axis to the size of another."""
    if hidden.dim() == 4:
        hidden = fit_length(hidden.transpose(2, 3), like.shape[2]).transpose(2, 3)
    return fit_length(hidden, like.shape[-1])


class ResidualBlock(nn.Module):
    """Two convolutions, each after its normalisation and rectifier, added to their input.

    Shape: (batch, inputs, sizes) -> (batch, outputs, sizes). Conditions of condition_dim numbers
    scale and shift the map between the convolutions (FiLM; Perez et al., 2018).
    """

    def __init__(self, style: Style, inputs: int, outputs: int) -> None:
        super().__init__()
        bias = style.norm == "none"
        self.conv1 = make_convolution(style, inputs, outputs, style.kernel, bias)
        self.bn1 = make_norm(style.norm, style.dims, inputs)
        self.conv2 = make_convolution(style, outputs, outputs, style.kernel, bias)
        self.bn2 = make_norm(style.norm, style.dims, outputs)
        self.shortcut = make_convolution(style, inputs, outputs, 1) if inputs != outputs else None
        self.film = nn.Linear(style.condition_dim, 2 * outputs) if style.condition_dim else None

    def forward(self, hidden: Tensor, condition: Condition | None = None) -> Tensor:
        """The map, refined."""
        inner = self._widened(functional.leaky_relu(self.bn1(hidden), SLOPE))
        if self.film is not None and condition is not None:
            scale, shift = self._film(self.film, condition, inner)
            inner = torch.addcmul(shift, inner, 1 + scale)
        inner = self.conv2(functional.leaky_relu(inner, SLOPE, inplace=True))
        return torch.add(inner, hidden if self.shortcut is None else self.shortcut(hidden))

    def _widened(self, hidden: Tensor) -> Tensor:
        """The first convolution and its normalisation, in one where that is known beforehand."""
        known = scale_and_shift(self.bn2)
        if known is None:
            normalised: Tensor = self.bn2(self.conv1(hidden))
            return normalised
        scale, shift = known
        weight: Tensor = self.conv1.weight  # type: ignore[assignment]  # which is no module
        weight = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
        convolve = functional.conv1d if weight.dim() == 3 else functional.conv2d
        return convolve(hidden, weight, shift, padding=weight.shape[-1] // 2)

    def _film(self, layer: nn.Module, condition: Condition, inner: Tensor) -> tuple[Tensor, ...]:
        values = condition.values
        if values.dim() == 2:
            film = layer(values)
        else:
            film = layer(values.transpose(1, 2)).transpose(1, 2)
        film = condition.along(film, inner.shape[2])
        return film.reshape(*film.shape, *[1] * (inner.dim() - 3)).chunk(2, dim=1)


class _Level(nn.Module):
    """Residual blocks in a row; the first one changes the number of channels."""

    def add_blocks(self, style: Style, inputs: int, outputs: int, first: int) -> None:
        self.block_names = [f"conv_block{first + index}" for index in range(style.blocks)]
        for name in self.block_names:
            self.add_module(name, ResidualBlock(style, inputs, outputs))
            inputs = outputs

    def refine(self, hidden: Tensor, condition: Condition | None) -> Tensor:
        for name in self.block_names:
            hidden = getattr(self, name)(hidden, condition)
        return hidden


class DownBlock(_Level):
    """One level on the way down: residual blocks, then every ``factor`` elements become one.

    Shape: (batch, inputs, sizes) -> (batch, outputs, sizes / factor) and the map before shrinking.
    """

    def __init__(self, style: Style, inputs: int, outputs: int, factor: int = 2) -> None:
        super().__init__()
        self.factor, self.ceil = factor, style.ceil
        self.add_blocks(style, inputs, outputs, first=1)

    def forward(self, hidden: Tensor, condition: Condition | None = None) -> tuple[Tensor, Tensor]:
        """The smaller map, and the full one for the way up."""
        full = self.refine(hidden, condition)
        return shrink(full, self.factor, self.ceil), full


class UpBlock(_Level):
    """One level on the way up: widen the map, join the one from the way down, residual blocks.

    Shape: (batch, inputs, sizes), (batch, outputs, larger sizes) -> (batch, outputs, larger sizes).
    """

    def __init__(self, style: Style, inputs: int, outputs: int, factor: int = 2) -> None:
        super().__init__()
        self.conv1 = make_transposed(style, inputs, outputs, factor)
        self.bn1 = make_norm(style.norm, style.dims, inputs)
        self.add_blocks(style, 2 * outputs, outputs, first=2)

    def forward(self, hidden: Tensor, full: Tensor, condition: Condition | None = None) -> Tensor:
        """The larger map."""
        hidden = fit_size(self.conv1(functional.relu(self.bn1(hidden))), full)
        return self.refine(torch.cat([hidden, full], dim=1), condition)


def add_way_down(
    network: nn.Module, style: Style, inputs: int, widths: Sequence[int], factor: int = 2
) -> None:
    """Give a network its `down_block1`, `down_block2`, ... of these widths."""
    for number, outputs in enumerate(widths, 1):
        network.add_module(f"down_block{number}", DownBlock(style, inputs, outputs, factor))
        inputs = outputs


def add_way_up(
    network: nn.Module, style: Style, inputs: int, widths: Sequence[int], factor: int = 2
) -> None:
    """Give a network its `up_block1`, `up_block2`, ...; the widths are those of the way down."""
    for number, outputs in enumerate(reversed(widths), 1):
        network.add_module(f"up_block{number}", UpBlock(style, inputs, outputs, factor))
        inputs = outputs


def go_down(
    network: nn.Module, hidden: Tensor, levels: int, condition: Condition | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Send a map down through a network's levels; gives the smallest, and the full map of each."""
    full_maps = []
    for number in range(1, levels + 1):
        block = network.get_submodule(f"down_block{number}")
        hidden, full = block(hidden, condition and condition.at_level(number - 1))
        full_maps.append(full)
    return hidden, full_maps


def go_up(
    network: nn.Module,
    hidden: Tensor,
    full_maps: Sequence[Tensor],
    condition: Condition | None = None,
) -> Tensor:
    """Send a map up through a network's levels, joined with those of the way down."""
    for number, full in enumerate(reversed(full_maps), 1):
        block = network.get_submodule(f"up_block{number}")
        hidden = block(hidden, full, condition and condition.at_level(len(full_maps) - number))
    return hidden
