"""A channel that changes nothing."""

from torch import Tensor

from selfremaster.core.interfaces import Channel


class Identity(Channel):
    """Leave the sound as it is, whatever the channel features say.

    Shape: wave (batch, samples), channel features of any number of times -> the same wave.

    >>> import torch
    >>> from selfremaster.core.interfaces import ComponentConfig
    >>> Identity(ComponentConfig(), 1)(torch.tensor([[0.5, -1.0]]), torch.ones(1, 1)).tolist()
    [[0.5, -1.0]]
    """

    over_time = True

    def forward(self, wave: Tensor, channel_features: Tensor) -> Tensor:
        """The wave itself."""
        del channel_features
        return wave
