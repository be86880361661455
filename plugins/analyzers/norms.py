"""What hidden maps are normalised over, among it batches of two domains kept apart."""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.components import ComponentConfig
from selfremaster.core.domains import current_domain

Norm = Annotated[
    Literal["batch", "batch-by-domain", "group", "none"],
    Field(
        description="what hidden maps are normalised over: the batch, with running statistics "
        "(batch), which recordings and simulated ones have each their own of (batch-by-domain), "
        "the whole map of each item (group), or nothing (none)"
    ),
]

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
MOMENTUM = 0.01  # of the running statistics, as published
EPS = 1e-5  # added to their variances
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


def scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor] | None:
    """What a normalisation multiplies each channel by, and adds to it; none where maps decide.

    That is batch normalisation that goes by its running statistics, outside of training.

    Shape: (channels,) both.

    >>> norm = make_norm("batch", dims=2, channels=1).eval()
    >>> _ = norm.running_var.fill_(0.25), norm.running_mean.fill_(3.0)
    >>> scale, shift = scale_and_shift(norm)
    >>> scale.detach().round(decimals=3).tolist(), shift.detach().round(decimals=3).tolist()
    ([2.0], [-6.0])
    """
    if norm.training or not isinstance(norm, nn.modules.batchnorm._BatchNorm | BatchNormByDomain):
        return None
    heard: Any = norm.heard() if isinstance(norm, BatchNormByDomain) else norm
    scale = norm.weight * torch.rsqrt(heard.running_var + norm.eps)
    return scale, norm.bias - heard.running_mean * scale


def splits_domains(config: ComponentConfig, found: ComponentConfig) -> bool:
    """Whether a network differs from one that was found in telling two domains apart alone.

    Its weights are those of the other, and both domains begin with the statistics of its batches.
    """
    kept, own = found.model_dump(), config.model_dump()
    norms = kept.pop("norm", None), own.pop("norm", None)
    return type(config) is type(found) and norms == ("batch", "batch-by-domain") and kept == own


class RunningStatistics(nn.Module):
    """The means and variances of channels, and how many batches they were heard in."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def follow(self, other: "RunningStatistics") -> None:
        """Be the other's as long as there are none of one's own."""
        unheard = self.num_batches_tracked == 0
        for own, others in (
            (self.running_mean, other.running_mean),
            (self.running_var, other.running_var),
        ):
            # by .data: gradients need none of them, but would be refused where they have changed
            own.data.copy_(torch.where(unheard, others, own))


class BatchNormByDomain(RunningStatistics):
    """Batch normalisation whose running statistics are those of the domain that a map comes from.

    Recordings and clean speech through the channel module are heard by the same weights, but their
    means and variances are not mixed; `selfremaster.core.domains.in_domain` says which it is.
    Outside of it, as when recordings are restored, the statistics of recordings are used. A domain
    that was never heard in training has the statistics of the other, and goes on from them. Weights
    learned with ordinary batch normalisation load: both domains begin with its statistics.

    Shape: (batch, channels, sizes) -> the same.
    Source: domain-specific batch normalisation (Chang et al., 2019), with one gain for both.

    >>> from selfremaster.core.domains import in_domain
    >>> norm = BatchNormByDomain(1, momentum=0.5)
    >>> norm(torch.tensor([[[1.0, 3.0]]])).detach().round(decimals=2).tolist()
    [[[-1.0, 1.0]]]
    >>> norm.running_mean.item(), norm.simulated.running_mean.item()
    (1.0, 1.0)
    >>> with in_domain("simulated"):
    ...     _ = norm(torch.tensor([[[5.0, 5.0]]]))
    >>> norm.running_mean.item(), norm.simulated.running_mean.item()
    (1.0, 3.0)
    """

    def __init__(self, channels: int, momentum: float = MOMENTUM) -> None:
        super().__init__(channels)
        self.momentum = momentum
        self.eps = EPS
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.simulated = RunningStatistics(channels)

    def forward(self, hidden: Tensor) -> Tensor:
        """The map, normalised: in training over its batch, else by its domain's statistics."""
        heard = self.heard()
        normalised = functional.batch_norm(
            hidden,
            heard.running_mean,
            heard.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )
        if self.training:
            heard.num_batches_tracked += 1
            (self.simulated if heard is self else self).follow(heard)
        return normalised

    def heard(self) -> RunningStatistics:
        """The statistics of the domain that maps come from now."""
        return self.simulated if current_domain() == "simulated" else self

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        _split_statistics(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def _split_statistics(state_dict: dict[str, Any], prefix: str) -> None:
    """Make the tensors of ordinary batch normalisation those of one by domain, in place."""
    if any(name.startswith(f"{prefix}simulated.") for name in state_dict):
        return
    for name in STATISTICS:
        if f"{prefix}{name}" in state_dict:
            state_dict[f"{prefix}simulated.{name}"] = state_dict[f"{prefix}{name}"]
