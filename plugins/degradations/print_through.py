"""Print-through: faint echoes before and after, from the neighbouring layers of a wound tape."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.damage import Drawn, SettledDegradation, ValueOrRange, column
from selfremaster.core.filtering import convolve, zero_phase_kernel
from selfremaster.core.interfaces import ComponentConfig

Seconds = Annotated[float, Field(ge=0.05, le=10)]
Decibels = Annotated[float, Field(ge=-120, le=0)]
Difference = Annotated[float, Field(ge=-40, le=40)]
Hertz = Annotated[float, Field(ge=100, le=10000)]

LAYERS = 2  # on either side that are heard
FINEST_HZ = 12.0  # that the filters tell apart, at least


class PrintThroughConfig(ComponentConfig):
    """Settings of `PrintThrough`."""

    seconds: Annotated[
        ValueOrRange[Seconds],
        Drawn(),
        Field(description="that a turn of the reel takes; [low, high] draws it"),
    ] = 1.5
    level_db: Annotated[
        ValueOrRange[Decibels],
        Drawn(),
        Field(description="of the louder echo at strongest_hz, below the sound, dB; [low, high]"),
    ] = -40.0
    post_db: Annotated[
        ValueOrRange[Difference],
        Drawn(),
        Field(
            description="of the echo after the sound over the one before it, dB; tapes stored "
            "rewound have it below 0; [low, high] draws it"
        ),
    ] = -3.0
    strongest_hz: Annotated[
        ValueOrRange[Hertz],
        Drawn("log"),
        Field(
            description="frequency that prints most: tape speed over 2 pi thicknesses, 606 Hz for "
            "19.05 cm/s and 50 micrometres; [low, high] draws it"
        ),
    ] = 600.0


class PrintThrough(SettledDegradation):
    """Add faint, dull echoes a turn of the reel before and after the sound, and two turns away.

    A layer prints on the one n thicknesses away in proportion to k exp(-n k thickness), k being
    2 pi / wavelength: most at a wavelength of 2 pi thicknesses, ``strongest_hz``, where the second
    layer has 8.7 dB less than the first. Nothing is delayed, and the echoes are in phase. Turns are
    taken to last alike; in minutes they grow or shrink by a percent or so. What would echo from
    beyond the wave is missing.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: H. N. Bertram, M. K. Stafford and D. R. Mills, The Print-Through Phenomenon (Journal of
    the Audio Engineering Society 28, 1980).
    Raises `ComponentError` for parameters that are not settings or out of their range.

    Before a tone of strongest_hz it is heard 40 dB below:

    >>> tone = torch.sin(2 * math.pi * 600 * torch.arange(22050) / 22050)
    >>> wave = torch.cat([torch.zeros(33075), tone])[None]
    >>> heard = PrintThrough(PrintThroughConfig(seconds=1)).apply(wave, {}, 22050)[0, 13000:31000]
    >>> round(20 * math.log10(heard.std() / tone.std()), 1)
    -40.0
    """

    Config = PrintThroughConfig
    config: PrintThroughConfig
    examples: ClassVar[Mapping[str, str]] = {"a strong one": "print-through:level_db=-25"}
    differentiable = True

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Print the same turns and levels on every wave."""
        return self._print(wave, [values], sample_rate)

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Print turns and levels of its own on each wave."""
        return self._print(wave, values, sample_rate)

    def _print(self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int) -> Tensor:
        heard, samples = wave.clone(), wave.shape[-1]
        for layer in range(1, LAYERS + 1):
            turns = [round(layer * own["seconds"] * sample_rate) for own in values]
            if min(turns) >= samples:
                continue
            printed = convolve(wave, *print_kernels(values, layer, sample_rate))
            for row, (own, turn) in enumerate(zip(values, turns, strict=True)):
                which = slice(None) if len(values) == 1 else slice(row, row + 1)
                before, after = echo_gains(own)
                heard[which, :-turn].add_(printed[which, turn:], alpha=before)
                heard[which, turn:].add_(printed[which, :-turn], alpha=after)
        return heard


def print_kernels(
    values: Sequence[Mapping[str, Any]], layer: int, sample_rate: int
) -> tuple[Tensor, int]:
    """What prints so many layers away, 1 at most for the first; (sets, taps) and origin."""
    bins = 2 ** math.ceil(math.log2(sample_rate / 2 / FINEST_HZ)) + 1
    hertz = torch.linspace(0, sample_rate / 2, bins, dtype=torch.float64)
    part = hertz / column(values, "strongest_hz", hertz)
    return zero_phase_kernel(part * torch.exp(1 - layer * part))


def echo_gains(values: Mapping[str, Any]) -> tuple[float, float]:
    """The factors of the echoes before and after the sound.

    >>> echo_gains({"level_db": -40, "post_db": -20})
    (0.01, 0.001)
    """
    level, post = values["level_db"], values["post_db"]
    before, after = level - max(post, 0), level + min(post, 0)
    return 10 ** (before / 20), 10 ** (after / 20)
