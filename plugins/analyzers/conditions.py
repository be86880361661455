"""What steers a network along time: one vector, or several with the times between them."""

import math
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional


class Condition(NamedTuple):
    """Numbers that steer a map: the same all the time, or changing from time to time.

    Several times divide the wave into parts of equal length; each vector holds at the centre of its
    part, those between are interpolated linearly, and before the first centre and after the last
    nothing changes.

    Shape: values (batch, numbers) or (batch, numbers, times).
    """

    values: Tensor
    samples: int  # of the wave
    factor: int = 2  # how many elements of a map become one in the level below
    level: int = 0  # of the map; at level 0 each element is a sample

    def at_level(self, level: int) -> "Condition":
        """The same for the maps of another level."""
        return self._replace(level=level)

    def along(self, values: Tensor, elements: int) -> Tensor:
        """Vectors for every element of the map, made of what a layer gave for the values.

        Shape: (batch, outputs) -> (batch, outputs, 1), which holds for every element;
        (batch, outputs, times) -> (batch, outputs, elements).

        >>> import torch
        >>> values = torch.tensor([[[0.0, 4.0]]])
        >>> Condition(values, samples=8).along(values, 8).tolist()
        [[[0.0, 0.0, 0.5, 1.5, 2.5, 3.5, 4.0, 4.0]]]
        """
        if values.dim() == 2:
            return values[..., None]
        times = values.shape[-1]
        elements_a_time = self.samples / (times * self.factor**self.level)
        # a filled-up map is longer than the wave: the last vector goes on
        missing = math.ceil(elements / elements_a_time) + 1 - times
        values = functional.pad(values, (0, missing), mode="replicate")
        spread = functional.interpolate(values, scale_factor=elements_a_time, mode="linear")
        return spread[..., :elements]
