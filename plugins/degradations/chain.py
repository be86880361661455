"""Several sorts of damage, one after another, as recordings have been through."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from torch import Generator, Tensor

from selfremaster.core.components import DegradationSpec
from selfremaster.core.damage import PeakDb, back_to, draw_seed, in_double, seeded, to_peak
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Degradation, Parameters, default_part


class ChainConfig(ComponentConfig):
    """Settings of `Chain`."""

    steps: Annotated[
        tuple[DegradationSpec, ...],
        Field(min_length=1, description="the sorts of damage, in the order of a recording's life"),
    ] = (default_part("clip:ratio=[0.06, 0.9]"), default_part("band-limit:cutoff_hz=[850, 8000]"))
    peak_db: PeakDb = None


class Chain(Degradation):
    """Damage the sound several times over, one sort after another.

    A chain may hold chains, and steps that are `sometimes` taken or are `one-of` several. What is
    drawn has an entry for each step.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: random augmentation as in IEEE Access 2024.
    Raises `ComponentError` for parameters that do not fit the steps.

    >>> import torch
    >>> from selfremaster.plugins.degradations.clip import Clip, ClipConfig
    >>> halves = [Clip(ClipConfig(ratio=0.5)), Clip(ClipConfig(ratio=0.5))]
    >>> twice = Chain(ChainConfig(), halves)
    >>> twice.apply(torch.tensor([[0.1, -1.0]]), {}).tolist()
    [[0.10000000149011612, -0.25]]
    >>> twice.apply(torch.tensor([[0.1, -1.0]]), {"steps": [{}, {"ratio": 1}]}).tolist()
    [[0.10000000149011612, -0.5]]
    """

    Config = ChainConfig
    config: ChainConfig

    def __init__(self, config: ChainConfig, steps: Sequence[Degradation]) -> None:
        super().__init__(config)
        self.steps = tuple(steps)
        self.delay_samples = sum(step.delay_samples for step in self.steps)
        self.moves_time = any(step.moves_time for step in self.steps)
        self.keeps_pairs = all(step.keeps_pairs for step in self.steps)
        self.differentiable = all(step.differentiable for step in self.steps)
        self.adds_sound = any(step.adds_sound for step in self.steps)

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """What each step draws."""
        chances = self._chances(generator)
        steps = zip(self.steps, chances, strict=True)
        return {"steps": [step.draw(chance, sample_rate) for step, chance in steps]}

    def draw_channels(
        self, generator: Generator, sample_rate: int, channels: int
    ) -> list[dict[str, Any]]:
        """What each step draws for each channel."""
        drawn = [
            step.draw_channels(chance, sample_rate, channels)
            for step, chance in zip(self.steps, self._chances(generator), strict=True)
        ]
        return [{"steps": list(own)} for own in zip(*drawn, strict=True)]

    def _chances(self, generator: Generator) -> list[Generator]:
        """A source for each step, so that what one takes for more channels moves no other."""
        return [seeded(draw_seed(generator)) for _ in self.steps]

    def apply_each(
        self, wave: Tensor, parameters: Sequence[Parameters], sample_rate: int
    ) -> Tensor:
        """Take every wave through the steps."""
        damaged = wave  # no step gives back what it was given
        given = [self._steps_of(own) for own in parameters]
        for number, step in enumerate(self.steps):
            damaged = step.apply(damaged, [own[number] for own in given], sample_rate)
        if self.config.peak_db is None:
            return damaged
        return back_to(to_peak(in_double(damaged), self.config.peak_db), wave)

    def delay_of(self, parameters: Parameters, sample_rate: int) -> int:
        """The sum of what each step lags."""
        steps = zip(self.steps, self._steps_of(parameters), strict=True)
        return sum(step.delay_of(drawn, sample_rate) for step, drawn in steps)

    def _steps_of(self, parameters: Parameters) -> Sequence[Mapping[str, Any]]:
        """The parameters of each step, checked; what is not told is what the settings say."""
        check_known(parameters, "steps")
        drawn = parameters.get("steps", [{}] * len(self.steps))
        fits = isinstance(drawn, (list, tuple)) and all(isinstance(own, Mapping) for own in drawn)
        if not fits or len(drawn) != len(self.steps):
            raise ComponentError(
                f"bad parameters: steps={drawn}; give a mapping for each of the "
                f"{len(self.steps)} steps"
            )
        found: Sequence[Mapping[str, Any]] = drawn
        return found


def check_known(parameters: Parameters, *names: str) -> None:
    """Raise `ComponentError` for parameters of other names."""
    unknown = sorted(set(parameters) - set(names))
    if unknown:
        raise ComponentError(
            f"bad parameters: no setting {unknown[0]!r}; known: {', '.join(names)}"
        )
