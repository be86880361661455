"""The part of the plugin `good`."""

from typing import Annotated, Any

from pydantic import Field
from torch import Generator, Tensor

from selfremaster.core.interfaces import ComponentConfig, Degradation, Parameters


class TurnedDownConfig(ComponentConfig):
    """Settings of `TurnedDown`."""

    gain: Annotated[float, Field(gt=0, le=1, description="factor of every sample")] = 0.5


class TurnedDown(Degradation):
    """Make the sound quieter.

    Shape: wave (batch, samples) -> (batch, samples).
    """

    Config = TurnedDownConfig
    config: TurnedDownConfig

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """The settings; nothing is drawn."""
        del generator, sample_rate
        return self.config.model_dump()

    def apply_one(self, wave: Tensor, parameters: Parameters, sample_rate: int) -> Tensor:
        """Multiply every sample."""
        del sample_rate
        return wave * float(parameters.get("gain", self.config.gain))
