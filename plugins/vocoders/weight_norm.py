"""Convolutions with weight norm that can be folded, in the layouts of published vocoder files."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Convolution(nn.Module):
    """A convolution over time whose weight may be kept as length and direction (weight norm).

    The state dict holds ``bias, weight_g, weight_v`` (as published vocoder files do) or, folded,
    ``bias, weight`` with weight = weight_g * weight_v / |weight_v|, the norm being taken over all
    axes but the first. Either layout is loaded into either state.

    The sound is one row of a picture, in channels-last order: faster on a CPU, most of all in
    bfloat16.

    Shape: (batch, channels_in, 1, samples) -> (batch, channels_out, 1, samples or their multiple).
    """

    bias: nn.Parameter
    weight: nn.Parameter
    weight_g: nn.Parameter
    weight_v: nn.Parameter

    def __init__(self, layer: nn.Conv1d | nn.ConvTranspose1d, weight_norm: bool) -> None:
        super().__init__()
        self.transposed = isinstance(layer, nn.ConvTranspose1d)
        (self.stride,), (self.dilation,) = layer.stride, layer.dilation
        self.padding = int(layer.padding[0])
        bias = torch.zeros(layer.out_channels) if layer.bias is None else layer.bias.detach()
        self.bias = nn.Parameter(bias)
        weight = layer.weight.detach()
        if weight_norm:
            self.weight_g = nn.Parameter(_norm(weight))
            self.weight_v = nn.Parameter(weight)
        else:
            self.weight = nn.Parameter(weight)

    @property
    def folded(self) -> bool:
        """Whether the weight is kept as one tensor."""
        return "weight" in self._parameters

    def effective_weight(self) -> Tensor:
        """The weight that the sound meets."""
        if self.folded:
            return self.weight
        return _fold(self.weight_g, self.weight_v)

    def fold(self) -> None:
        """Keep the weight as one tensor from now on."""
        if not self.folded:
            weight = nn.Parameter(
                self.effective_weight().detach(), requires_grad=self.weight_v.requires_grad
            )
            del self.weight_g, self.weight_v
            self.weight = weight

    def forward(self, hidden: Tensor) -> Tensor:
        """Convolve."""
        weight = self.effective_weight()[:, :, None]
        if self.transposed:
            stride, padding = (1, self.stride), (0, self.padding)
            return functional.conv_transpose2d(hidden, weight, self.bias, stride, padding)
        padding, dilation = (0, self.padding), (1, self.dilation)
        return functional.conv2d(hidden, weight, self.bias, 1, padding, dilation)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Tensor],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        kept = f"{prefix}weight_g", f"{prefix}weight_v"
        if self.folded and all(key in state_dict for key in kept):
            state_dict[f"{prefix}weight"] = _fold(*(state_dict.pop(key) for key in kept))
        elif not self.folded and f"{prefix}weight" in state_dict:
            weight = state_dict.pop(f"{prefix}weight")
            state_dict[kept[0]], state_dict[kept[1]] = _norm(weight), weight
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


def _norm(weight: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(weight, dim=(1, 2), keepdim=True)
    return length


def _fold(weight_g: Tensor, weight_v: Tensor) -> Tensor:
    # a channel of nothing but zeros has no direction, and stays what it is
    return weight_v * (weight_g / _norm(weight_v).clamp(min=torch.finfo(weight_v.dtype).tiny))
