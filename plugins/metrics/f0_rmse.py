"""F0 error, how far the melody of a voice is from the clean one."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.levels import resample
from selfremaster.plugins.features.world import f0_track, package
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, match_level, pair

RATE_HZ = 16000
HOP_SAMPLES = 80  # 5 ms
SHORTEST_SECONDS = 0.1
CENTS = 1200  # in an octave


class PitchErrorConfig(ComponentConfig):
    """Settings of `PitchError`."""

    f0: Annotated[
        Literal["dio", "harvest"],
        Field(
            description="what finds F0: dio, or harvest (twenty times slower; hears a voice in "
            "more frames, more of them an octave off); both refined by StoneMask"
        ),
    ] = "dio"
    f0_floor_hz: Annotated[float, Field(ge=40, description="lowest F0 looked for, Hz")] = 71.0
    f0_ceil_hz: Annotated[float, Field(le=2000, description="highest F0 looked for, Hz")] = 800.0

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if not self.f0_floor_hz < self.f0_ceil_hz:
            raise ValueError(
                f"f0_floor_hz={self.f0_floor_hz} and f0_ceil_hz={self.f0_ceil_hz} must rise"
            )
        return self


class PitchError(Metric):
    """Hear how far the melody is from the clean one, and where the voice sounds and should not.

    Every 5 ms F0 is measured in both waves. ``f0-rmse`` is the root of the mean squared difference
    in Hz and ``f0-cents`` in cents (1200 in an octave, so that low and high voices count alike),
    where both are voiced; ``vuv-error`` is the part of all frames, in percent, where one is voiced
    and the other is not. Look at all of them: a wave with a single voiced frame may have no error
    of F0. Rate: both waves are brought to 16000 Hz. Gain: taken out first. Lag: counts. Where no
    frame is voiced in both there is no error of F0; a silent reference, and less than 0.1 seconds,
    give no number.

    Shape: waves (samples,) -> {"f0-rmse": Hz, "f0-cents": cents, "vuv-error": percent, all of them
    lower is better}.
    Source: DIO (Morise et al., 2009) or Harvest (Morise, 2017), and StoneMask, by the package
    pyworld.
    Raises `ComponentError` without the package, or without a reference.

    Sawtooth waves of 200 and 150 Hz are 50 Hz, or about 500 cents (a fourth), apart:

    >>> import torch
    >>> time = torch.arange(16000) / 16000
    >>> high, low = (time * f0_hz % 1 - 0.5 for f0_hz in (200, 150))
    >>> errors = PitchError(PitchErrorConfig()).compute(high, 16000, low)
    >>> [round(errors[name]) for name in ("f0-rmse", "f0-cents", "vuv-error")]
    [50, 500, 0]
    """

    Config = PitchErrorConfig
    config: PitchErrorConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "f0-rmse": "lower",
        "f0-cents": "lower",
        "vuv-error": "lower",
    }
    ideal: ClassVar[Mapping[str, float]] = {"f0-rmse": 0.0, "f0-cents": 0.0, "vuv-error": 0.0}
    packages: ClassVar[tuple[str, ...]] = ("pyworld",)
    policy = Policy(rate_hz=RATE_HZ, gain="removed", lag="counts")

    def __init__(self, config: PitchErrorConfig) -> None:
        super().__init__(config)
        package("pyworld")

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The errors."""
        waves = pair(estimate, reference)
        if len(waves[1]) < SHORTEST_SECONDS * sample_rate or not waves[1].any():
            return dict.fromkeys(self.directions, NOT_A_NUMBER)
        heard, clean = (resample(wave, sample_rate, RATE_HZ).double() for wave in waves)
        one, other = (self._f0(wave) for wave in (match_level(heard, clean), clean))
        both = (one > 0) & (other > 0)
        found = {"vuv-error": 100 * float(((one > 0) != (other > 0)).mean())}
        if not both.any():
            return found | {"f0-rmse": NOT_A_NUMBER, "f0-cents": NOT_A_NUMBER}
        one, other = one[both], other[both]
        return found | {
            "f0-rmse": _rms(one - other),
            "f0-cents": CENTS * _rms(np.log2(one / other)),
        }

    def _f0(self, wave: Tensor) -> NDArray[np.float64]:
        range_hz = self.config.f0_floor_hz, self.config.f0_ceil_hz
        sound = np.ascontiguousarray(wave.numpy())
        return f0_track(sound, RATE_HZ, HOP_SAMPLES, self.config.f0, range_hz)


def _rms(differences: NDArray[np.float64]) -> float:
    return math.sqrt(float(np.square(differences).mean()))
