"""PESQ, the quality of telephone speech as ITU-T P.862.2 predicts it."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.levels import resample
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, pair, require

RATE_HZ = 16000
# ITU's program has room for 50 utterances and writes beyond it without a word; an utterance and
# the pause after it last 0.4 seconds at least
LONGEST_SECONDS = 15


class Pesq(Metric):
    """Predict how listeners would rate the quality, by wideband PESQ, from 1 (bad) to 4.64.

    Rate: both waves are brought to 16000 Hz, so nothing above 8000 Hz counts. Gain and lag: taken
    out by PESQ itself, a constant lag to about a sample. Waves of more than 15 seconds are measured
    in equal pieces, whose numbers are averaged. Less than a quarter of a second, and waves in which
    PESQ finds no speech, give no number. PESQ was made for telephone channels: waves of vocoders it
    rates too low.

    Shape: waves (samples,) -> {"pesq": MOS-LQO, higher is better}.
    Source: ITU-T P.862.2 (2007), by the package pesq.
    Raises `ComponentError` without the package, or without a reference.

    A wave is as good as itself:

    >>> from selfremaster.core.promises.inputs import speech_like
    >>> wave = speech_like(16000, sample_rate=16000)[0]
    >>> round(Pesq(ComponentConfig()).compute(wave, 16000, wave)["pesq"], 2)
    4.64
    """

    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"pesq": "higher"}
    ideal: ClassVar[Mapping[str, float]] = {"pesq": 4.6439}
    packages: ClassVar[tuple[str, ...]] = ("pesq",)
    policy = Policy(rate_hz=RATE_HZ, gain="removed", lag="removed")

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        self.package = require("pesq")

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The predicted opinion."""
        heard, clean = (resample(wave, sample_rate, RATE_HZ) for wave in pair(estimate, reference))
        pieces = max(1, math.ceil(len(clean) / (LONGEST_SECONDS * RATE_HZ)))
        scores = [
            self._score(part, whole)
            for part, whole in zip(heard.chunk(pieces), clean.chunk(pieces), strict=True)
        ]
        found = [score for score in scores if not math.isnan(score)]
        return {"pesq": sum(found) / len(found) if found else NOT_A_NUMBER}

    def _score(self, heard: Tensor, clean: Tensor) -> float:
        if not (heard.any() and clean.any()):
            return NOT_A_NUMBER
        score = self.package.pesq(
            RATE_HZ,
            clean.numpy(),
            heard.numpy(),
            "wb",
            on_error=self.package.PesqError.RETURN_VALUES,
        )
        return float(score) if score > 0 else NOT_A_NUMBER
