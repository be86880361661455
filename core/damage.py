"""What degradations share: settings that may be ranges, recursive filters, and levels."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError
from scipy.signal import lfilter
from torch import Generator, Tensor
from torch.autograd.function import FunctionCtx

from selfremaster.core.components import ComponentConfig, describe
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation, Parameters

Number = TypeVar("Number")

PeakDb = Annotated[
    float | None,
    Field(le=0, ge=-120, description="peak of each item afterwards, dBFS; none leaves the level"),
]
"""The setting by which a degradation is followed by peak normalisation."""


class Drawn(NamedTuple):
    """Marks a setting that may be a range or a list of choices, and how one value is drawn."""

    how: Literal["uniform", "log", "choice"] = "uniform"
    step: int = 0  # whole numbers: only every so many, counted from the lower limit


def _one_or_several(given: Any) -> str:
    # labels with these spellings are left out of error messages
    return "[several]" if isinstance(given, (list, tuple)) else "float"


def _rising(limits: tuple[Number, Number]) -> tuple[Number, Number]:
    low, high = limits
    if low > high:  # type: ignore[operator]  # pydantic has made numbers of both
        raise ValueError(f"[{low}, {high}] falls; write [low, high]")
    return limits


ValueOrRange = Annotated[
    Annotated[Number, Tag("float")]
    | Annotated[tuple[Number, Number], AfterValidator(_rising), Tag("[several]")],
    Discriminator(_one_or_several),
]
"""A number, or [low, high] to draw it from."""

ValueOrChoices = Annotated[
    Annotated[Number, Tag("float")]
    | Annotated[tuple[Number, ...], Field(min_length=1), Tag("[several]")],
    Discriminator(_one_or_several),
]
"""A value, or a list of values to draw one from."""


def draw_settings(config: ComponentConfig, generator: Generator) -> dict[str, Any]:
    """All settings as plain JSON values, with one value drawn from each range or list of choices.

    A setting that is not a range takes nothing from the generator.
    """
    drawn = config.model_dump(mode="json")
    for name, mark in _marks(config).items():
        if isinstance(drawn[name], list):
            drawn[name] = _draw(drawn[name], mark, generator)
    return drawn


def settle(config: ComponentConfig, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the given parameters in their place, checked.

    Raises `ComponentError` for a parameter that is unknown or out of range, and for a setting that
    is a range while no parameter says which value of it was drawn.
    """
    try:
        settled = type(config).model_validate({**config.model_dump(), **parameters})
    except ValidationError as error:
        raise ComponentError(f"bad parameters: {describe(error, type(config))}") from None
    values = dict(settled)
    for name in _marks(config):
        if isinstance(values[name], tuple):
            raise ComponentError(
                f"{name}={list(values[name])} is to be drawn from; give apply() the parameters "
                f"that draw() gives"
            )
    return values


class SettledDegradation(Degradation):
    """A degradation whose parameters are its settings, each range replaced by what was drawn."""

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """The settings, with one value drawn from each range or list of choices."""
        del sample_rate
        return draw_settings(self.config, generator)

    def apply_one(self, wave: Tensor, parameters: Parameters, sample_rate: int) -> Tensor:
        """Damage every wave of a batch with the same, checked values."""
        return self.damage(wave, settle(self.config, parameters), sample_rate)

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Damage every wave of a batch alike; ``values`` has every setting, and no range.

        Shape: wave (batch, samples) -> (batch, samples).
        """
        raise NotImplementedError


def _marks(config: ComponentConfig) -> dict[str, Drawn]:
    return {
        name: mark
        for name, field in type(config).model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Drawn)
    }


def draw_chance(generator: Generator) -> float:
    """A number from 0 to 1, 1 not among them."""
    drawn = torch.rand((), generator=generator, dtype=torch.float64, device=generator.device)
    return float(drawn)


def _draw(choices: list[Any], mark: Drawn, generator: Generator) -> Any:
    chance = draw_chance(generator)
    if mark.how == "choice":
        return choices[int(chance * len(choices))]
    low, high = choices
    if mark.step:
        return low + mark.step * int(chance * ((high - low) // mark.step + 1))
    value = low * (high / low) ** chance if mark.how == "log" else low + (high - low) * chance
    return min(max(value, low), high)


def in_double(wave: Tensor) -> Tensor:
    """The wave in float64, on its own device where that has float64."""
    return wave.to(device="cpu" if wave.device.type == "mps" else None, dtype=torch.float64)


def back_to(wave: Tensor, like: Tensor) -> Tensor:
    """The wave in the dtype and on the device of another; what does not fit is cut to what does."""
    limit = torch.finfo(like.dtype).max
    return wave.clamp(-limit, limit).to(device=like.device, dtype=like.dtype)


def peak(wave: Tensor) -> Tensor:
    """The largest magnitude of each item, (batch, samples) -> (batch, 1)."""
    return wave.abs().amax(dim=-1, keepdim=True)


def over_peak(wave: Tensor) -> tuple[Tensor, Tensor]:
    """Each item divided by its peak, and the peak; silence stays as it is.

    >>> over_peak(torch.tensor([[0.5, -2.0], [0.0, 0.0]]))[0].tolist()
    [[0.25, -1.0], [0.0, 0.0]]
    """
    level = peak(wave)
    return wave / torch.where(level > 0, level, 1), level


def to_peak(wave: Tensor, peak_db: float | None) -> Tensor:
    """Bring the peak of each item to a level in dBFS; none leaves it. Silence stays silent.

    >>> to_peak(torch.tensor([[0.25, -0.5]], dtype=torch.float64), 0).tolist()
    [[0.5, -1.0]]
    """
    return wave if peak_db is None else over_peak(wave)[0] * 10 ** (peak_db / 20)


class _RecursiveFilter(torch.autograd.Function):
    """The filter and its adjoint, which is the same filter run backwards in time."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, wave: Tensor, numerator: tuple[float, ...], denominator: tuple[float, ...]
    ) -> Tensor:
        ctx.coefficients = numerator, denominator  # type: ignore[attr-defined]  # autograd keeps what is set on it
        filtered = lfilter(numerator, denominator, wave.detach().cpu().numpy(), axis=-1)
        return torch.from_numpy(np.ascontiguousarray(filtered)).to(wave.device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        numerator, denominator = ctx.coefficients
        reversed_time = recursive_filter(gradients[0].flip(-1), numerator, denominator)
        return reversed_time.flip(-1), None, None


def recursive_filter(
    wave: Tensor, numerator: tuple[float, ...], denominator: tuple[float, ...]
) -> Tensor:
    """Run a wave through a recursive (IIR) filter, from rest, exactly and with gradient.

    It runs on the CPU, in the wave's own precision; give it float64.

    Shape: (batch, samples) -> (batch, samples).

    >>> recursive_filter(torch.tensor([[1.0, 0.0, 0.0]]).double(), (1.0,), (1.0, -0.5)).tolist()
    [[1.0, 0.5, 0.25]]
    """
    run: Callable[..., Tensor] = _RecursiveFilter.apply  # typed in some versions of torch only
    return run(wave, numerator, denominator)
