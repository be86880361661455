"""STOI, how much of speech can be understood."""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, pair, require

RATE_HZ = 10000  # of the package
SHORTEST_SECONDS = 0.1
TOO_LITTLE = 1e-5  # what the package gives for less than 0.4 seconds of speech


class Stoi(Metric):
    """Predict how much listeners would understand, from 0 (nothing) to 1 (everything).

    The correlation of third-octave envelopes (150 to 4300 Hz) over 0.4 seconds at a time, where the
    reference speaks. Rate: both waves are brought to 10000 Hz by the package. Gain: has no
    influence. Lag: counts. Less than 0.4 seconds of speech, and a silent reference, give no
    number.

    Shape: waves (samples,) -> {"stoi": from 0 to 1, higher is better}.
    Source: Taal et al. (IEEE TASLP, 2011), by the package pystoi.
    Raises `ComponentError` without the package, or without a reference.

    A wave is as clear as itself:

    >>> from selfremaster.core.promises.inputs import speech_like
    >>> wave = speech_like(20000, sample_rate=10000)[0]
    >>> round(Stoi(ComponentConfig()).compute(wave, 10000, wave)["stoi"], 4)
    1.0
    """

    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"stoi": "higher"}
    ideal: ClassVar[Mapping[str, float]] = {"stoi": 1.0}
    packages: ClassVar[tuple[str, ...]] = ("pystoi",)
    policy = Policy(rate_hz=RATE_HZ, gain="removed", lag="counts")
    extended: ClassVar[bool] = False

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        self.package = require("pystoi")

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The predicted intelligibility."""
        heard, clean = pair(estimate, reference)
        (name,) = self.directions
        score = intelligibility(self.package, heard, clean, sample_rate, extended=self.extended)
        return {name: score}


def intelligibility(
    package: Any, heard: Tensor, clean: Tensor, sample_rate: int, *, extended: bool
) -> float:
    """What pystoi says of two waves (samples,) of one length, the same each time.

    The extended measure adds noise near rounding error out of numpy's global generator, which
    decides where the wave is silent: it is fixed here, and left behind as it was.
    """
    if len(clean) < SHORTEST_SECONDS * sample_rate or not clean.any():
        return NOT_A_NUMBER
    state = np.random.get_state()
    np.random.seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            score = package.stoi(clean.numpy(), heard.numpy(), sample_rate, extended=extended)
    finally:
        np.random.set_state(state)
    return NOT_A_NUMBER if score == TOO_LITTLE else float(score)
