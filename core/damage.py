"""What degradations share: settings that may be ranges, chance, and levels."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError
from torch import Generator, Tensor

from selfremaster.core.components import ComponentConfig, describe
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation, Parameters

Number = TypeVar("Number")

PeakDb = Annotated[
    float | None,
    Field(le=0, ge=-120, description="peak of each item afterwards, dBFS; none leaves the level"),
]
"""The setting by which a degradation is followed by peak normalisation."""


SEEDS = 2**31
LOUDEST = 2.0**40  # times full scale: what is louder is brought down before anything is done to it
LOUD_DB = 30.0  # below the loud frames begins what is a pause
FRAME_SECONDS = 0.02
HALF = (torch.float16, torch.bfloat16)
WITH_DOUBLES = ("cpu", "cuda")  # devices whose chance is asked for float64, which not all have


class Drawn(NamedTuple):
    """Marks a setting that may be a range, a list of choices, or a seed, and how it is drawn."""

    how: Literal["uniform", "log", "choice", "seed"] = "uniform"
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


Seed = Annotated[
    int | None,
    Drawn("seed"),
    Field(ge=0, lt=SEEDS, description="of all chance in the sound; none draws one for each wave"),
]
"""The setting that noise, clicks and the like are made from."""

Measure = Literal["rms", "speech", "magnitude"]


def draw_settings(
    plain: Mapping[str, Any], marks: Mapping[str, Drawn], generator: Generator
) -> dict[str, Any]:
    """Settings as plain JSON values, with one value drawn from each range or list of choices.

    A seed that is none is drawn, too. Other settings take nothing from the generator.
    """
    drawn: dict[str, Any] = {
        name: deepcopy(value) if isinstance(value, (list, dict)) else value
        for name, value in plain.items()
    }
    for name, mark in marks.items():
        if mark.how == "seed":
            drawn[name] = draw_seed(generator) if drawn[name] is None else drawn[name]
        elif isinstance(drawn[name], list):
            drawn[name] = _draw(drawn[name], mark, generator)
    return drawn


def settle(config: ComponentConfig, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the given parameters in their place, checked.

    Raises `ComponentError` for a parameter that is unknown or out of range, and for a setting that
    is a range while no parameter says which value of it was drawn.
    """
    sort = type(config)
    try:
        # what is drawn has every setting; as many that are not are refused for what they are
        whole = len(parameters) == len(sort.model_fields)
        settled = sort.model_validate(
            dict(parameters) if whole else {**config.model_dump(), **parameters}
        )
    except ValidationError as error:
        raise ComponentError(f"bad parameters: {describe(error, sort)}") from None
    values = dict(vars(settled))
    for name, mark in _marks(config).items():
        if mark.how == "seed" and values[name] is None:
            raise ComponentError(
                f"{name} is to be drawn; give apply() the parameters that draw() gives"
            )
        if isinstance(values[name], tuple):
            raise ComponentError(
                f"{name}={list(values[name])} is to be drawn from; give apply() the parameters "
                f"that draw() gives"
            )
    return values


class SettledDegradation(Degradation):
    """A degradation whose parameters are its settings, each range replaced by what was drawn.

    A part overrides one of two methods. `damage` gets waves that are all damaged alike; it is the
    simplest, and right for what runs on the processor anyway. `damage_each` gets a set of values
    for each wave, and is for what can be done to a whole batch at once on its device (`column` puts
    a value of each into a tensor). Both are given float32 or float64, never beyond 2^40 times full
    scale, and at least one wave with one sample: half precision, and the largest numbers there are,
    are dealt with here. A setting ``peak_db`` is carried out here, last.

    ``scales`` says that a wave twice as loud comes out twice as loud; waves beyond 2^40 are then
    damaged at a lower level, and the results of other parts are left as they are. ``own_seeds``
    says that each channel of a recording gets a seed of its own, as hiss has it.
    ``takes_any_level`` says that nothing in it can overflow, so that no level is looked at.
    """

    scales: bool = True
    own_seeds: bool = False
    takes_any_level: bool = False

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """The settings, with one value drawn from each range or list of choices."""
        del sample_rate
        return draw_settings(self._plain, _marks(self.config), generator)

    @cached_property
    def _plain(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        return self.config.model_dump(mode="json")

    @cached_property
    def _checked(self) -> dict[str, Any] | None:
        """The checked settings, where there is nothing to draw, or but a seed, which is 0 here."""
        undrawn = {
            name
            for name, mark in _marks(self.config).items()
            if isinstance(self._plain[name], list)
            or (mark.how == "seed" and self._plain[name] is None)
        }
        if not undrawn <= {"seed"}:
            return None
        return settle(self.config, {**self._plain, **dict.fromkeys(undrawn, 0)})

    def _settle(self, parameters: Parameters) -> Mapping[str, Any]:
        """The settings with the given parameters in their place, checked.

        What differs by no more than a seed from settings that were checked needs no second look.
        """
        if self._checked is None:
            return settle(self.config, parameters)
        if "seed" not in self._plain:
            known = parameters == self._plain
            return self._checked if known else settle(self.config, parameters)
        seed = parameters.get("seed")
        in_range = type(seed) is int and 0 <= seed < SEEDS
        if in_range and parameters == {**self._plain, "seed": seed}:
            return {**self._checked, "seed": seed}
        return settle(self.config, parameters)

    def draw_channels(
        self, generator: Generator, sample_rate: int, channels: int
    ) -> list[dict[str, Any]]:
        """The same for all channels, but for the seed where each channel has its own."""
        first = self.draw(generator, sample_rate)
        if not self.own_seeds:
            return [first] * channels
        # nothing more is taken from the generator: what follows in a chain is drawn as for one
        chance = seeded(first["seed"])
        return [first] + [{**first, "seed": draw_seed(chance)} for _ in range(channels - 1)]

    def apply_each(
        self, wave: Tensor, parameters: Sequence[Parameters], sample_rate: int
    ) -> Tensor:
        """Damage each wave with its own, checked values."""
        if wave.numel() == 0:
            return wave.clone()
        first, *others = parameters
        alike = all(given == first for given in others) if others else True
        values = [self._settle(given) for given in ([first] if alike else parameters)]
        exact = wave.float() if wave.dtype in HALF else wave
        factor = None if self.takes_any_level else _taming(exact)
        given = exact if factor is None else exact * factor
        if alike:
            damaged = self.damage(given, values[0], sample_rate)
        else:
            damaged = self.damage_each(given, values, sample_rate)
        if factor is not None and self.scales:
            limit = torch.finfo(wave.dtype).max
            damaged = damaged.maximum(-limit * factor).minimum(limit * factor) / factor
        if alike:
            damaged = to_peak(damaged, values[0].get("peak_db"))
        elif any(own.get("peak_db") is not None for own in values):
            rows = [
                to_peak(row[None], own["peak_db"]) for row, own in zip(damaged, values, strict=True)
            ]
            damaged = torch.cat(rows)
        return back_to(damaged, wave) if damaged.dtype != wave.dtype else damaged

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Damage every wave of a batch alike; ``values`` has every setting, and no range.

        Shape: wave (batch, samples) -> (batch, samples).
        """
        return self.damage_each(wave, [values] * len(wave), sample_rate)

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Damage each wave by values of its own.

        Shape: wave (batch, samples), as many sets of values -> (batch, samples).
        """
        return torch.cat(
            [
                self.damage(row[None], own, sample_rate)
                for row, own in zip(wave, values, strict=True)
            ]
        )


def _taming(wave: Tensor) -> Tensor | None:
    """By what to multiply each wave so that none is too loud, (batch, 1); none where all are."""
    flat = wave.detach().reshape(-1)
    # no sample is above the root of the sum of squares, which is had five times as fast as a peak
    if float(torch.dot(flat, flat)) <= LOUDEST**2 or float(peak(flat)) <= LOUDEST:
        return None
    return torch.exp2(-(peak(wave.detach()) / LOUDEST).log2().ceil().clamp(min=0))


def column(values: Sequence[Mapping[str, Any]], name: str, like: Tensor) -> Tensor:
    """One value of each set, as a tensor that broadcasts over waves, (batch, 1).

    >>> column([{"gain_db": 6}, {"gain_db": -6}], "gain_db", torch.zeros(2, 3)).tolist()
    [[6.0], [-6.0]]
    """
    return torch.tensor([[own[name]] for own in values], dtype=like.dtype, device=like.device)


def factors(values: Sequence[Mapping[str, Any]], name: str, like: Tensor) -> Tensor:
    """The factor that a level in dB of each set is, (batch, 1); the same in any batch.

    >>> factors([{"gain_db": 0}, {"gain_db": -20}], "gain_db", torch.zeros(2, 3).double()).tolist()
    [[1.0], [0.1]]
    """
    # a power of a tensor is rounded in one way or another, as many as there are of it
    rows = [[10 ** (own[name] / 20)] for own in values]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)


def _marks(config: ComponentConfig) -> Mapping[str, Drawn]:
    return _marks_of(type(config))


@lru_cache(maxsize=256)
def _marks_of(config_class: type[ComponentConfig]) -> Mapping[str, Drawn]:
    return {
        name: mark
        for name, field in config_class.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Drawn)
    }


def draw_seed(generator: Generator) -> int:
    """A seed for `seeded`: a whole number that is the same in JSON."""
    return int(draw_chance(generator) * SEEDS)


def seeded(seed: int) -> Generator:
    """The chance that follows from a seed, on the processor: the same for every device."""
    return Generator().manual_seed(seed)


def draw_chance(generator: Generator) -> float:
    """A number from 0 to 1, 1 not among them, from a generator of any device."""
    device = generator.device
    if device.type in WITH_DOUBLES:
        return float(torch.rand((), generator=generator, dtype=torch.float64, device=device))
    halves = torch.randint(2**24, (2,), generator=generator, dtype=torch.int32, device=device)
    high, low = halves.tolist()
    return float((high * 2**24 + low) / 2**48)


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
    if wave.device.type == "cpu" and wave.dtype not in HALF and not asks_gradient(wave):
        rows = wave.numpy(force=True)  # which is quicker at this
        return torch.from_numpy(
            np.maximum(rows.max(-1, keepdims=True), -rows.min(-1, keepdims=True))
        )
    # without a second wave in memory
    return torch.maximum(wave.amax(dim=-1, keepdim=True), -wave.amin(dim=-1, keepdim=True))


def asks_gradient(wave: Tensor) -> bool:
    """Whether what is made of the wave is to send it a gradient."""
    return wave.requires_grad and torch.is_grad_enabled()


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


def level_of(wave: Tensor, measure: Measure, sample_rate: int, floor_db: float) -> Tensor:
    """The level of each wave, at least the floor (dBFS): what noise is put in proportion to.

    By RMS, by the mean magnitude, or by the RMS of speech: of the frames of 20 ms that lie less
    than 30 dB below the loud ones, so that pauses count for nothing.

    Shape: (batch, samples) -> (batch, 1).

    >>> pause = torch.cat([torch.ones(1, 8000), torch.zeros(1, 8000)], dim=1)
    >>> [round(level_of(pause, how, 8000, -60).item(), 4) for how in ("rms", "speech")]
    [0.7071, 1.0]
    """
    frame = round(FRAME_SECONDS * sample_rate)
    if measure == "magnitude":
        level = wave.abs().mean(-1, keepdim=True)
    elif measure == "rms" or wave.shape[-1] < 2 * frame:
        level = rms(wave)
    else:
        frames = rms(wave.unfold(-1, frame, frame))[..., 0]
        loud = frames.quantile(0.95, dim=-1, keepdim=True, interpolation="lower")
        active = frames > loud * 10 ** (-LOUD_DB / 20)
        count = active.sum(-1, keepdim=True).clamp(1)
        level = torch.linalg.vector_norm(frames * active, dim=-1, keepdim=True) / count.sqrt()
    return level.clamp(min=10 ** (floor_db / 20))


def rms(wave: Tensor) -> Tensor:
    """The root of the mean square of each row, exact however long it is; takes no memory.

    Shape: (..., samples) -> (..., 1).

    >>> rms(torch.tensor([[3.0, 4.0]])).square().tolist()
    [[12.5]]
    """
    samples, length = wave.shape[-1], math.isqrt(wave.shape[-1])
    whole = samples - samples % length
    parts = torch.linalg.vector_norm(wave[..., :whole].unfold(-1, length, length), dim=-1)
    rest = torch.linalg.vector_norm(wave[..., whole:], dim=-1, keepdim=True)
    total: Tensor = torch.linalg.vector_norm(torch.cat([parts, rest], -1), dim=-1, keepdim=True)
    return total / math.sqrt(samples)
