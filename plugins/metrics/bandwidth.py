"""Bandwidth, how high the sound reaches."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from selfremaster.core.bandwidths import RANGE_DB, bandwidth_hz
from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.plugins.metrics.pairs import single


class BandwidthConfig(ComponentConfig):
    """Settings of `Bandwidth`."""

    range_db: Annotated[
        float, Field(ge=20, le=100, description="what lies so far below the strongest bin is none")
    ] = RANGE_DB


class Bandwidth(Metric):
    """Hear how high the speech reaches before it ends, in Hz.

    The highest frequency at which the mean power spectrum of the loud frames is within 50 dB of its
    strongest bin, after what is heard in the pauses is taken off, so that hiss does not count; at
    most half the rate. More is better only as far as speech belongs there: invented heights count
    like true ones. Rate: measured at the rate of the wave. Gain and lag: have no influence.
    Silence gives no number.

    Shape: waves (samples,) -> {"bandwidth": Hz, higher is better}.
    Source: `selfremaster.core.bandwidths`.

    A click has all there is at its rate:

    >>> import torch
    >>> bandwidth = Bandwidth(BandwidthConfig())
    >>> bandwidth.compute(torch.eye(4000)[2000], 8000)
    {'bandwidth': 4000.0}
    """

    Config = BandwidthConfig
    config: BandwidthConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"bandwidth": "higher"}
    needs_reference: ClassVar[bool] = False
    policy = Policy(gain="removed", lag="removed")

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """Where the sound ends."""
        del reference
        return {"bandwidth": bandwidth_hz(single(estimate), sample_rate, self.config.range_db)}
