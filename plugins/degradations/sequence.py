"""Several sorts of damage, one after another or one of them, as recordings have been through."""

from bisect import bisect_right
from collections.abc import Mapping
from collections.abc import Sequence as Several
from itertools import accumulate
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from torch import Generator, Tensor

from selfremaster.core.components import DegradationSpec
from selfremaster.core.damage import PeakDb, back_to, draw_chance, in_double, to_peak
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import (
    ComponentConfig,
    Degradation,
    Parameters,
    default_part,
)

Chance = Annotated[float, Field(ge=0, le=1)]


class SequenceConfig(ComponentConfig):
    """Settings of `Sequence`."""

    steps: Annotated[
        tuple[DegradationSpec, ...],
        Field(min_length=1, description="the sorts of damage, in the order of a recording's life"),
    ] = (default_part("clip:ratio=[0.06, 0.9]"), default_part("band-limit:cutoff_hz=[850, 8000]"))
    chances: Annotated[
        tuple[Chance, ...] | None,
        Field(description="chance of each step; with choose=one its weight; none: 1 for each"),
    ] = None
    choose: Annotated[
        Literal["all", "one"],
        Field(description="all steps, each by its chance; or one of them, drawn for each wave"),
    ] = "all"
    peak_db: PeakDb = None

    @model_validator(mode="after")
    def _check_chances(self) -> "SequenceConfig":
        if self.chances is None:
            return self
        if len(self.chances) != len(self.steps):
            raise ValueError(
                f"{len(self.chances)} chances for {len(self.steps)} steps; give one for each"
            )
        if self.choose == "one" and sum(self.chances) == 0:
            raise ValueError("choose=one with chances of 0 chooses nothing; give one above 0")
        return self


class Sequence(Degradation):
    """Damage the sound several times over, each time by a chance; or in one of several ways.

    A sequence may hold sequences. What is drawn has an entry for each step, null for one that is
    left out, and so tells the whole damage.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: random augmentation as in IEEE Access 2024.
    Raises `ComponentError` for parameters that do not fit the steps.

    >>> import torch
    >>> from selfremaster.plugins.degradations.clip import Clip, ClipConfig
    >>> halves = [Clip(ClipConfig(ratio=0.5)), Clip(ClipConfig(ratio=0.5))]
    >>> twice = Sequence(SequenceConfig(), halves)
    >>> twice.apply(torch.tensor([[0.1, -1.0]]), {}).tolist()
    [[0.10000000149011612, -0.25]]
    >>> twice.apply(torch.tensor([[0.1, -1.0]]), {"steps": [None, {"ratio": 0.3}]}).tolist()
    [[0.10000000149011612, -0.30000001192092896]]
    """

    Config = SequenceConfig
    config: SequenceConfig

    def __init__(self, config: SequenceConfig, steps: Several[Degradation]) -> None:
        super().__init__(config)
        self.steps = tuple(steps)
        always = config.choose == "all"
        self.delay_samples = sum(step.delay_samples for step in self.steps) if always else 0
        self.differentiable = all(step.differentiable for step in self.steps)
        self.adds_sound = any(step.adds_sound for step in self.steps)

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """For each step what it draws, or none where it is left out."""
        chosen = self._choose(generator)
        return {
            "steps": [
                step.draw(generator, sample_rate) if used else None
                for step, used in zip(self.steps, chosen, strict=True)
            ]
        }

    def _choose(self, generator: Generator) -> list[bool]:
        chances = self.config.chances or (1.0,) * len(self.steps)
        if self.config.choose == "all":
            return [chance >= 1 or draw_chance(generator) < chance for chance in chances]
        limits = list(accumulate(chances))
        chosen = min(bisect_right(limits, draw_chance(generator) * limits[-1]), len(limits) - 1)
        return [number == chosen for number in range(len(limits))]

    def apply_one(self, wave: Tensor, parameters: Parameters, sample_rate: int) -> Tensor:
        """Take every wave of a batch through the same steps."""
        damaged = wave.clone()
        for step, drawn in zip(self.steps, self._drawn(parameters), strict=True):
            if drawn is not None:
                damaged = step.apply(damaged, drawn, sample_rate)
        if self.config.peak_db is None:
            return damaged
        return back_to(to_peak(in_double(damaged), self.config.peak_db), wave)

    def _drawn(self, parameters: Parameters) -> Several[Mapping[str, Any] | None]:
        """The parameters of each step, checked."""
        unknown = sorted(set(parameters) - {"steps"})
        if unknown:
            raise ComponentError(f"bad parameters: no setting {unknown[0]!r}; known: steps")
        if "steps" not in parameters:
            chances = self.config.chances or (1.0,)
            if self.config.choose == "one" or min(chances) < 1:
                raise ComponentError(
                    "which steps are taken is to be drawn; give apply() the parameters that draw() "
                    "gives"
                )
            return [{}] * len(self.steps)
        drawn = parameters["steps"]
        fits = isinstance(drawn, (list, tuple)) and all(
            given is None or isinstance(given, Mapping) for given in drawn
        )
        if not fits or len(drawn) != len(self.steps):
            raise ComponentError(
                f"bad parameters: steps={drawn}; give a mapping or null for each of the "
                f"{len(self.steps)} steps"
            )
        found: Several[Mapping[str, Any] | None] = drawn
        return found
