"""What the processes of one training run exchange, so that they learn as one."""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn


class Processes:
    """The processes of a run, one or several, which all call the same at the same time."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric

    @property
    def count(self) -> int:
        """How many there are."""
        return self.fabric.world_size

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes; the value itself stays as it is."""
        if self.count == 1:
            return value
        return cast("Tensor", self.fabric.all_reduce(value.clone(), reduce_op="mean"))

    def share_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give all processes the mean gradient, by one exchange."""
        if self.count == 1:
            return
        own = [
            # a process whose batch did not reach it takes part with nothing
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for parameter in parameters
        ]
        for parameter, shared in zip(parameters, self._mean_of_all(own), strict=True):
            parameter.grad = shared

    def share_statistics(self, modules: Iterable[nn.Module]) -> None:
        """Give all processes the mean of what layers have counted (running means and variances)."""
        if self.count == 1:
            return
        counted = [
            buffer
            for module in modules
            for name, buffer in module.named_buffers()
            if buffer.is_floating_point() and name in module.state_dict()
        ]
        for buffer, shared in zip(counted, self._mean_of_all(counted), strict=True):
            buffer.copy_(shared)

    def _mean_of_all(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The mean of each over all processes, by one exchange."""
        if not tensors:
            return []
        shared = self.mean(torch.cat([tensor.flatten() for tensor in tensors]))
        parts = torch.split(shared, [tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]
