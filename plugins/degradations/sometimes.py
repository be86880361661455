"""Damage that befalls a recording by chance."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Generator, Tensor

from selfremaster.core.components import DegradationSpec
from selfremaster.core.damage import draw_chance
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Degradation, Parameters, default_part
from selfremaster.plugins.degradations.chain import check_known


class SometimesConfig(ComponentConfig):
    """Settings of `Sometimes`."""

    degradation: Annotated[
        DegradationSpec, Field(description="the damage that is done, or is not")
    ] = default_part("clip:ratio=[0.06, 0.9]")
    chance: Annotated[float, Field(ge=0, le=1, description="that it is done, for each wave")] = 0.5


class Sometimes(Degradation):
    """Damage the sound by a chance, which is drawn for each wave, or leave it as it is.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: random augmentation as in IEEE Access 2024.
    Raises `ComponentError` for parameters that do not say whether it was done.

    >>> import torch
    >>> from selfremaster.plugins.degradations.clip import Clip, ClipConfig
    >>> now_and_then = Sometimes(SometimesConfig(), Clip(ClipConfig(ratio=0.5)))
    >>> wave = torch.tensor([[0.1, -1.0], [0.1, -1.0]])
    >>> now_and_then.apply(wave, [{"parameters": None}, {"parameters": {}}]).tolist()
    [[0.10000000149011612, -1.0], [0.10000000149011612, -0.5]]
    """

    Config = SometimesConfig
    config: SometimesConfig
    examples: ClassVar[Mapping[str, str]] = {
        "when it is done": "sometimes:degradation=band-limit,chance=1"
    }

    def __init__(self, config: SometimesConfig, degradation: Degradation) -> None:
        super().__init__(config)
        self.degradation = degradation
        self.moves_time = degradation.moves_time
        self.keeps_pairs = degradation.keeps_pairs and degradation.delay_samples == 0
        self.differentiable = degradation.differentiable
        self.adds_sound = degradation.adds_sound

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """What the damage draws, or none where it is not done."""
        return self.draw_channels(generator, sample_rate, 1)[0]

    def draw_channels(
        self, generator: Generator, sample_rate: int, channels: int
    ) -> list[dict[str, Any]]:
        """Done to all channels, or to none."""
        if draw_chance(generator) >= self.config.chance:
            return [{"parameters": None}] * channels
        drawn = self.degradation.draw_channels(generator, sample_rate, channels)
        return [{"parameters": own} for own in drawn]

    def apply_each(
        self, wave: Tensor, parameters: Sequence[Parameters], sample_rate: int
    ) -> Tensor:
        """Damage the waves that are to be damaged, together."""
        drawn = [_checked(own) for own in parameters]
        rows = [row for row, own in enumerate(drawn) if own is not None]
        if not rows:
            return wave.clone()
        sets = [own for own in drawn if own is not None]
        if len(rows) == len(wave):
            return self.degradation.apply(wave, sets, sample_rate)
        places = torch.tensor(rows, device=wave.device)
        damaged = self.degradation.apply(wave[places], sets, sample_rate)
        return wave.index_copy(0, places, damaged)

    def delay_of(self, parameters: Parameters, sample_rate: int) -> int:
        """What the damage lags, and nothing where it is not done."""
        drawn = _checked(parameters)
        return 0 if drawn is None else self.degradation.delay_of(drawn, sample_rate)


def _checked(parameters: Parameters) -> Mapping[str, Any] | None:
    check_known(parameters, "parameters")
    if "parameters" not in parameters:
        raise ComponentError(
            "whether it is done is to be drawn; give apply() the parameters that draw() gives"
        )
    own = parameters["parameters"]
    if own is not None and not isinstance(own, Mapping):
        raise ComponentError(f"bad parameters: parameters={own}; give a mapping, or null")
    return own
