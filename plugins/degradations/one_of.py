"""One sort of damage out of several, drawn for each wave; by number, or by name."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from selfremaster.core.components import DegradationSpec
from selfremaster.core.damage import draw_chance
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Degradation, Parameters, default_part
from selfremaster.plugins.degradations.chain import check_known

Weight = Annotated[float, Field(ge=0)]


class OneOfConfig(ComponentConfig):
    """Settings of `OneOf`."""

    choices: Annotated[
        tuple[DegradationSpec, ...],
        Field(min_length=1, description="the sorts of damage of which one is drawn"),
    ] = (default_part("clip:ratio=[0.06, 0.9]"), default_part("band-limit:cutoff_hz=[850, 8000]"))
    weights: Annotated[
        tuple[Weight, ...] | None,
        Field(description="how often each is drawn, in proportion; none: all alike"),
    ] = None

    @model_validator(mode="after")
    def _check_weights(self) -> "OneOfConfig":
        if self.weights is None:
            return self
        check_weights(self.weights, len(self.choices), "choices")
        return self


def check_weights(weights: Sequence[float], count: int, what: str) -> None:
    """Raise ValueError unless there is a weight for each, and one above 0."""
    if len(weights) != count:
        raise ValueError(f"{len(weights)} weights for {count} {what}; give one for each")
    if sum(weights) == 0:
        raise ValueError("weights of 0 choose nothing; give one above 0")


class DrawsOne(Degradation):
    """What draws one of several sorts of damage for each wave, and damages those alike together.

    What is drawn has the label of the one that is taken, under the name ``label_name``, and what
    that one draws, under "parameters".
    """

    label_name: str

    def __init__(
        self,
        config: ComponentConfig,
        labelled: Mapping[Any, Degradation],
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(config)
        self.labelled: dict[Any, Degradation] = dict(labelled)
        self.limits = list(accumulate(weights or (1.0,) * len(self.labelled)))
        parts = self.labelled.values()
        delays = {part.delay_samples for part in parts}
        self.delay_samples = max(delays) if len(delays) == 1 else 0
        self.moves_time = any(part.moves_time for part in parts)
        self.keeps_pairs = len(delays) == 1 and all(part.keeps_pairs for part in parts)
        self.differentiable = all(part.differentiable for part in parts)
        self.adds_sound = any(part.adds_sound for part in parts)

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """Which one, and what it draws."""
        return self.draw_channels(generator, sample_rate, 1)[0]

    def draw_channels(
        self, generator: Generator, sample_rate: int, channels: int
    ) -> list[dict[str, Any]]:
        """The same one for all channels."""
        place = bisect_right(self.limits, draw_chance(generator) * self.limits[-1])
        label = list(self.labelled)[min(place, len(self.limits) - 1)]
        drawn = self.labelled[label].draw_channels(generator, sample_rate, channels)
        return [{self.label_name: label, "parameters": own} for own in drawn]

    def apply_each(
        self, wave: Tensor, parameters: Sequence[Parameters], sample_rate: int
    ) -> Tensor:
        """Damage the waves that drew the same together."""
        drawn = [self._checked(own) for own in parameters]
        labels = sorted({label for label, _ in drawn}, key=str)
        damaged = wave
        for label in labels:
            rows = [row for row, (own, _) in enumerate(drawn) if own == label]
            sets = [drawn[row][1] for row in rows]
            chosen = self.labelled[label]
            if len(rows) == len(wave):
                return chosen.apply(wave, sets, sample_rate)
            places = torch.tensor(rows, device=wave.device)
            damaged = damaged.index_copy(0, places, chosen.apply(wave[places], sets, sample_rate))
        return damaged if drawn else wave.clone()

    def delay_of(self, parameters: Parameters, sample_rate: int) -> int:
        """What the one that was drawn lags."""
        label, drawn = self._checked(parameters)
        return self.labelled[label].delay_of(drawn, sample_rate)

    def _checked(self, parameters: Parameters) -> tuple[int | str, Mapping[str, Any]]:
        check_known(parameters, self.label_name, "parameters")
        if self.label_name not in parameters:
            raise ComponentError(
                "which one is taken is to be drawn; give apply() the parameters that draw() gives"
            )
        label, own = parameters[self.label_name], parameters.get("parameters", {})
        known = isinstance(label, (int, str)) and not isinstance(label, bool)
        if not known or label not in self.labelled:
            raise ComponentError(f"bad parameters: {self.label_name}={label}; {self._allowed()}")
        if not isinstance(own, Mapping):
            raise ComponentError(f"bad parameters: parameters={own}; give a mapping")
        return label, own

    def _allowed(self) -> str:
        """What may be given as the label."""
        return f"give one of {', '.join(str(label) for label in self.labelled)}"


class OneOf(DrawsOne):
    """Damage the sound in one of several ways, which is drawn for each wave.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: random augmentation as in IEEE Access 2024.
    Raises `ComponentError` for parameters that do not say which one was drawn.

    >>> import torch
    >>> from selfremaster.plugins.degradations.clip import Clip, ClipConfig
    >>> either = OneOf(OneOfConfig(), [Clip(ClipConfig(ratio=r)) for r in (0.5, 0.25)])
    >>> drawn = {"choice": 1, "parameters": {}}
    >>> either.apply(torch.tensor([[0.1, -1.0]]), drawn).tolist()
    [[0.10000000149011612, -0.25]]
    """

    Config = OneOfConfig
    config: OneOfConfig
    label_name = "choice"

    def __init__(self, config: OneOfConfig, choices: Sequence[Degradation]) -> None:
        super().__init__(config, dict(enumerate(choices)), config.weights)

    def _allowed(self) -> str:
        return f"give a number from 0 to {len(self.labelled) - 1}"
