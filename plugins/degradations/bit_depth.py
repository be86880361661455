"""Few bits for each sample, as early samplers, games and digital recorders have them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import (
    Drawn,
    PeakDb,
    Seed,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
    column,
    seeded,
)
from selfremaster.core.interfaces import ComponentConfig

Bits = Annotated[int, Field(ge=2, le=24)]
LEAST_LARGE = 3.0  # a number that stays among those of the same digits when 1 is added or taken
Dither = Literal["none", "rectangular", "triangular"]


class BitDepthConfig(ComponentConfig):
    """Settings of `BitDepth`."""

    bits: Annotated[
        ValueOrRange[Bits],
        Drawn(step=1),
        Field(description="bits of a sample; [low, high] draws a whole number"),
    ] = 8
    dither: Annotated[
        ValueOrChoices[Dither],
        Drawn("choice"),
        Field(
            description="noise put in before rounding: none, rectangular (one step wide) or "
            "triangular (two steps); a list draws one of it"
        ),
    ] = "none"
    seed: Seed = None
    peak_db: PeakDb = None


class BitDepth(SettledDegradation):
    """Roughen the sound: round every sample to the few values that so many bits have.

    Two's complement: 2^bits values, a step of 2 / 2^bits apart, from -1 to a step below 1; what is
    beyond is cut off. Zero is one of them, so that silence stays silent without dither. Dither
    makes of the distortion a steady noise, which does not hang together with the sound. Levels are
    absolute: a soft recording keeps fewer values than a loud one.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: W. R. Bennett, Spectra of quantized signals (1948); S. P. Lipshitz, R. A. Wannamaker and
    J. Vanderkooy, Quantization and dither (J. Audio Eng. Soc., 1992).
    Raises `ComponentError` for parameters that are not settings or out of their range.

    Two bits have the values -1, -1/2, 0 and 1/2:

    >>> import torch
    >>> coarse = BitDepth(BitDepthConfig(bits=2, seed=0))
    >>> coarse.apply(torch.tensor([[0.2, 0.3, 0.9, -0.7, -1.5]]), {}).tolist()
    [[0.0, 0.5, 0.5, -0.5, -1.0]]
    """

    Config = BitDepthConfig
    config: BitDepthConfig
    scales = False
    takes_any_level = True
    own_seeds = True

    def __init__(self, config: BitDepthConfig) -> None:
        super().__init__(config)
        # half a step is rounded to zero; only noise that is wider is heard in silence
        self.adds_sound = "triangular" in config.dither

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Round every wave to the same number of bits."""
        if values["dither"] != "none":
            return self.damage_each(wave, [values] * len(wave), sample_rate)
        step = 2.0 ** (1 - values["bits"])
        # of a number so large a step is the last digit
        large = 1.5 * step / torch.finfo(wave.dtype).eps
        if large < LEAST_LARGE:
            return self.damage_each(wave, [values] * len(wave), sample_rate)
        return wave.detach().clamp(-1, 1 - step).add_(large).sub_(large)

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Round every wave to its own number of bits."""
        del sample_rate
        half = torch.exp2(column(values, "bits", wave) - 1)
        steps = wave.detach() * half
        for row, own in zip(steps, values, strict=True):
            if own["dither"] != "none":
                row += dither(own["seed"], own["dither"], len(row)).to(row)
        torch.minimum(torch.maximum(steps.round_(), -half, out=steps), half - 1, out=steps)
        return steps.div_(half).add_(0.0)  # no zeros below zero


def dither(seed: int, kind: Dither, samples: int) -> Tensor:
    """The noise of a seed in steps: evenly within +-1/2, or the sum of two such; (samples,)."""
    draws = 2 if kind == "triangular" else 1
    chance = torch.rand(samples, draws, generator=seeded(seed), dtype=torch.float32)
    return chance.sum(-1).sub_(draws / 2)
