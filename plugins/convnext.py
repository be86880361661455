"""Networks at the frame rate: blocks that hear along time, then mix their channels."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Hear the neighbours of each frame, channel by channel, then mix the channels.

    Shape: (batch, width, frames) -> the same.
    Source: ConvNeXt (Liu et al., 2022), along time as in Vocos (Siuzdak, 2023).
    """

    def __init__(self, width: int, inner: int, scale: float) -> None:
        super().__init__()
        self.along = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.rise = nn.Linear(width, inner)
        self.fall = nn.Linear(inner, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, hidden: Tensor) -> Tensor:
        """Add what the frame and its neighbours say."""
        inside = self.norm(self.along(hidden).transpose(1, 2))
        inside = self.fall(functional.gelu(self.rise(inside))) * self.scale
        summed: Tensor = hidden + inside.transpose(1, 2)
        return summed


class Trunk(nn.Module):
    """A stack of blocks between two layers, all at the frame rate.

    Shape: (batch, given, frames) -> (batch, made, frames).
    """

    def __init__(self, given: int, width: int, inner: int, blocks: int, made: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(given, width, 7, padding=3)
        self.norm_first = nn.LayerNorm(width, eps=1e-6)
        self.blocks = nn.Sequential(*(Block(width, inner, 1 / blocks) for _ in range(blocks)))
        self.norm_last = nn.LayerNorm(width, eps=1e-6)
        self.last = nn.Linear(width, made)

    def forward(self, told: Tensor) -> Tensor:
        """What the frames amount to."""
        return self.told_by(self.hidden(told))

    def hidden(self, told: Tensor) -> Tensor:
        """What the last layer hears, (batch, frames, width)."""
        hidden = self.norm_first(self.first(told).transpose(1, 2)).transpose(1, 2)
        normed: Tensor = self.norm_last(self.blocks(hidden).transpose(1, 2))
        return normed

    def told_by(self, hidden: Tensor) -> Tensor:
        """What the last layer makes of it, (batch, frames, width) -> (batch, made, frames)."""
        made: Tensor = self.last(hidden).transpose(1, 2)
        return made
