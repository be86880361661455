"""The recording as it is: what every restorer has to beat."""

from torch import Tensor

from selfremaster.core.interfaces import Restorer


class Input(Restorer):
    """Leave the recording as it is.

    Shape: wave (channels, samples) -> the same, float32.

    >>> import torch
    >>> from selfremaster.core.interfaces import ComponentConfig
    >>> Input(ComponentConfig()).restore(torch.tensor([[0.5, -0.25]]), 8000).tolist()
    [[0.5, -0.25]]
    """

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        """A copy of the wave."""
        del sample_rate, reference
        return wave.float().clone()
