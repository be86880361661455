"""SI-SDR, how much of a wave is the clean one."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, pair


class SignalToDistortionConfig(ComponentConfig):
    """Settings of `SignalToDistortion`."""

    limit_db: Annotated[
        float,
        Field(
            gt=0, le=300, description="largest number in both directions, so that means exist, dB"
        ),
    ] = 100.0


class SignalToDistortion(Metric):
    """Hear how much louder the clean wave is than what was added to it or changed, in dB.

    The estimate without its mean is split into the part along the reference and the rest; the
    ratio of their energies. Rate: any. Gain: has no influence. Lag: counts; with phases of
    its own, as vocoders have, a perfectly good voice scores far below 0. A silent reference gives
    no number.

    Shape: waves (samples,) -> {"si-sdr": dB, higher is better}.
    Source: Le Roux et al., "SDR - half-baked or well done?" (ICASSP 2019), equation 4.
    Raises `ComponentError` without a reference.

    A tenth of the energy is something else:

    >>> import torch
    >>> clean = torch.tensor([1.0, 1.0, -1.0, -1.0]) * 10**0.5
    >>> estimate = clean + torch.tensor([1.0, -1.0, 1.0, -1.0])
    >>> si_sdr = SignalToDistortion(SignalToDistortionConfig())
    >>> round(si_sdr.compute(estimate, 8000, clean)["si-sdr"], 4)
    10.0
    """

    Config = SignalToDistortionConfig
    config: SignalToDistortionConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"si-sdr": "higher"}
    ideal: ClassVar[Mapping[str, float]] = {"si-sdr": 100.0}  # the default limit
    policy = Policy(gain="removed", lag="counts")

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The ratio, within the limit."""
        del sample_rate
        heard, clean = (wave - wave.mean() for wave in pair(estimate, reference))
        energy = float(clean @ clean)
        if energy == 0:
            return {"si-sdr": NOT_A_NUMBER}
        kept = clean * (float(heard @ clean) / energy)
        rest = heard - kept
        wanted, unwanted = float(kept @ kept), float(rest @ rest)
        limit = self.config.limit_db
        if wanted == 0:  # a silent estimate, too, has nothing of the reference
            return {"si-sdr": -limit}
        ratio = math.inf if unwanted == 0 else 10 * (math.log10(wanted) - math.log10(unwanted))
        return {"si-sdr": max(-limit, min(limit, ratio))}
