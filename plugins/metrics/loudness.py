"""Loudness difference, how much louder or softer a wave is to a listener."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor

from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.loudness import integrated_loudness
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, pair


class LoudnessDifference(Metric):
    """Hear how much louder or softer the wave is than the reference, in loudness units.

    The absolute difference of the integrated loudness of both: weighted by frequency, pauses left
    out. A restorer should keep the level. Rate: measured at the rate of the waves. Gain: is what is
    measured. Lag: has nearly no influence. Silence (below -70 LUFS) in either gives no number.

    Shape: waves (samples,) -> {"loudness-difference": LU, lower is better}.
    Source: Recommendation ITU-R BS.1770-5, annex 1.
    Raises `ComponentError` without a reference.

    Twice the wave is 6.02 LU louder:

    >>> import torch
    >>> from selfremaster.core.components import ComponentConfig
    >>> wave = torch.sin(torch.arange(48000.0)) / 4
    >>> difference = LoudnessDifference(ComponentConfig())
    >>> round(difference.compute(2 * wave, 48000, wave)["loudness-difference"], 2)
    6.02
    """

    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "loudness-difference": "lower"
    }
    ideal: ClassVar[Mapping[str, float]] = {"loudness-difference": 0.0}
    policy = Policy(gain="counts", lag="removed")

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The difference."""
        heard, clean = (
            integrated_loudness(wave, sample_rate) for wave in pair(estimate, reference)
        )
        apart = abs(heard - clean)
        return {"loudness-difference": apart if math.isfinite(apart) else NOT_A_NUMBER}
