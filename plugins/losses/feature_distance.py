"""Distances of speech features, frame by frame."""

from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Loss


class FeatureL1(Loss):
    """Hear how far the speech features of two sounds are apart on average (mean absolute error).

    Shape: two maps (batch, channels, frames), the longer one cut to the shorter -> scalar.
    Source: SelfRemaster (Interspeech 2022), section 3.3, the feature loss.
    Raises `ComponentError` for maps of different batches or channels.

    >>> import torch
    >>> from selfremaster.core.interfaces import ComponentConfig
    >>> loss = FeatureL1(ComponentConfig())
    >>> loss(torch.tensor([[[1.0, 2.0, 9.0]]]), torch.tensor([[[0.0, 5.0]]])).item()
    2.0
    """

    takes = "features"

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The mean absolute difference."""
        return _difference(estimate, target).abs().mean()


class FeatureL2(Loss):
    """Hear how far the speech features of two sounds are apart, large misses above all (MSE).

    Shape: two maps (batch, channels, frames), the longer one cut to the shorter -> scalar.
    Source: SelfRemaster, journal version (IEEE Access 2024), the feature loss.
    Raises `ComponentError` for maps of different batches or channels.

    >>> import torch
    >>> from selfremaster.core.interfaces import ComponentConfig
    >>> loss = FeatureL2(ComponentConfig())
    >>> loss(torch.tensor([[[1.0, 2.0, 9.0]]]), torch.tensor([[[0.0, 5.0]]])).item()
    5.0
    """

    takes = "features"

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The mean squared difference."""
        return _difference(estimate, target).square().mean()


def _difference(estimate: Tensor, target: Tensor) -> Tensor:
    if estimate.shape[:-1] != target.shape[:-1]:
        raise ComponentError(
            f"features of shape {tuple(estimate.shape)} and {tuple(target.shape)} differ in batch "
            f"or channels; give maps of the same ones"
        )
    frames = min(estimate.shape[-1], target.shape[-1])
    return estimate[..., :frames] - target[..., :frames]
