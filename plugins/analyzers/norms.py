"""What hidden maps are normalised over, among it batches of two domains kept apart."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.domains import current_domain

Norm = Annotated[
    Literal["batch", "batch-by-domain", "group", "none"],
    Field(
        description="what hidden maps are normalised over: the batch, with running statistics "
        "(batch), which recordings and simulated ones have each their own of (batch-by-domain), "
        "the whole map of each item (group), or nothing (none)"
    ),
]

MOMENTUM = 0.01  # of the running statistics, as published
GROUP_CHANNELS = 8


def make_norm(norm: Norm, dims: int, channels: int, momentum: float = MOMENTUM) -> nn.Module:
    """The normalisation of a map of 1 or 2 dimensions.

    A single channel is normalised by batches alone: by itself it would lose its level.
    """
    if norm == "batch":
        kind = nn.BatchNorm1d if dims == 1 else nn.BatchNorm2d
        return kind(channels, momentum=momentum)
    if norm == "batch-by-domain":
        return BatchNormByDomain(channels, momentum)
    if norm == "none" or channels == 1:
        return nn.Identity()
    return nn.GroupNorm(
        channels // GROUP_CHANNELS if channels % GROUP_CHANNELS == 0 else 1, channels
    )


class RunningStatistics(nn.Module):
    """The means and variances of channels, as far as they have been heard."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))


class BatchNormByDomain(RunningStatistics):
    """Batch normalisation whose running statistics are those of the domain that a map comes from.

    Recordings and clean speech through the channel module are heard by the same weights, but their
    means and variances are not mixed; `selfremaster.core.domains.in_domain` says which it is.
    Outside of it, as when recordings are restored, the statistics of recordings are used. Weights
    learned with ordinary batch normalisation load: both domains begin with its statistics.

    Shape: (batch, channels, sizes) -> the same.
    Source: domain-specific batch normalisation (Chang et al., 2019), with one gain for both.

    >>> from selfremaster.core.domains import in_domain
    >>> norm = BatchNormByDomain(1, momentum=0.5)
    >>> with in_domain("simulated"):
    ...     norm(torch.tensor([[[1.0, 3.0]]])).detach().round(decimals=2).tolist()
    [[[-1.0, 1.0]]]
    >>> norm.running_mean.item(), norm.simulated.running_mean.item()
    (0.0, 1.0)
    """

    def __init__(self, channels: int, momentum: float = MOMENTUM) -> None:
        super().__init__(channels)
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.simulated = RunningStatistics(channels)

    def forward(self, hidden: Tensor) -> Tensor:
        """The map, normalised: in training over its batch, else by its domain's statistics."""
        heard = self.simulated if current_domain() == "simulated" else self
        return functional.batch_norm(
            hidden,
            heard.running_mean,
            heard.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        _split_statistics(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def _split_statistics(state_dict: dict[str, Any], prefix: str) -> None:
    """Make the tensors of ordinary batch normalisation those of one by domain, in place."""
    known: Mapping[str, Any] = state_dict
    if f"{prefix}num_batches_tracked" not in known:
        return
    del state_dict[f"{prefix}num_batches_tracked"]
    for name in ("running_mean", "running_var"):
        if f"{prefix}{name}" in known:
            state_dict[f"{prefix}simulated.{name}"] = known[f"{prefix}{name}"]
