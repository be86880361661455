"""ESTOI, how much of speech can be understood in noise that comes and goes."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from selfremaster.plugins.metrics.stoi import Stoi


class Estoi(Stoi):
    """Predict how much listeners would understand, from 0 to 1, also in noise that comes and goes.

    As `stoi`, but of whole spectra: each band and each moment is levelled first, so that bands
    count alike. Rate: both waves are brought to 10000 Hz by the package. Gain: has no influence.
    Lag: counts. Less than 0.4 seconds of speech, and a silent reference, give no number.

    Shape: waves (samples,) -> {"estoi": up to 1, higher is better}.
    Source: Jensen and Taal (IEEE TASLP, 2016), by the package pystoi.
    Raises `ComponentError` without the package, or without a reference.

    A wave is as clear as itself:

    >>> from selfremaster.core.components import ComponentConfig
    >>> from selfremaster.core.promises.inputs import speech_like
    >>> wave = speech_like(20000, sample_rate=10000)[0]
    >>> round(Estoi(ComponentConfig()).compute(wave, 10000, wave)["estoi"], 4)
    1.0
    """

    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"estoi": "higher"}
    ideal: ClassVar[Mapping[str, float]] = {"estoi": 1.0}
    extended = True
