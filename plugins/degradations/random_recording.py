"""A recording of some era, with all that it has been through, drawn for each wave."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from selfremaster.core.components import DegradationSpec
from selfremaster.core.damage import ValueOrChoices
from selfremaster.core.interfaces import ComponentConfig, Degradation, default_part
from selfremaster.plugins.degradations.eras import ERAS, Era
from selfremaster.plugins.degradations.one_of import DrawsOne, Weight, check_weights


class RandomRecordingConfig(ComponentConfig):
    """Settings of `RandomRecording`."""

    era: Annotated[
        ValueOrChoices[Era],
        Field(description="the era, or a list of those of which one is drawn for each wave"),
    ] = tuple(ERAS)
    weights: Annotated[
        tuple[Weight, ...] | None,
        Field(description="how often each of the list is drawn, in proportion; none: all alike"),
    ] = None
    acoustic_1910: Annotated[
        DegradationSpec, Field(description="through a horn onto wax, and played since")
    ] = default_part(ERAS["acoustic-1910"])
    shellac_1930: Annotated[
        DegradationSpec, Field(description="by microphone onto a disc of 78 turns a minute")
    ] = default_part(ERAS["shellac-1930"])
    radio_1940: Annotated[
        DegradationSpec, Field(description="off the air, amplitude modulated, onto disc or wire")
    ] = default_part(ERAS["radio-1940"])
    tape_1960: Annotated[
        DegradationSpec, Field(description="on open reels of tape, copied once or not")
    ] = default_part(ERAS["tape-1960"])
    telephone: Annotated[
        DegradationSpec, Field(description="over a telephone line, analogue or digital")
    ] = default_part(ERAS["telephone"])
    cassette_1980: Annotated[
        DegradationSpec, Field(description="on a portable cassette recorder")
    ] = default_part(ERAS["cassette-1980"])
    early_digital: Annotated[
        DegradationSpec, Field(description="by the sound card of an early computer")
    ] = default_part(ERAS["early-digital"])

    @model_validator(mode="after")
    def _check_eras(self) -> "RandomRecordingConfig":
        listed = eras_of(self)
        if len(set(listed)) < len(listed):
            raise ValueError("an era is listed twice; give it a larger weight instead")
        if self.weights is not None:
            check_weights(self.weights, len(listed), "eras")
        return self


class RandomRecording(DrawsOne):
    """Make of clean speech a recording as it might have come down from an era.

    The damage of each era is a chain in the order of a recording's life: the room and the
    microphone or horn, the recording amplifier, the medium and its wear, the playback, and the
    transfer. Speech and recording stay aligned: none of the chains changes the speed for good.
    All channels of a recording are of one era. An era is replaced by setting its chain:
    ``{name: random-recording, era: telephone, telephone: {name: chain, steps: [...]}}``.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: the sources of each era stand beside its chain, in ``eras.py``.
    Raises `ComponentError` for parameters that do not say which era was drawn.

    >>> import torch
    >>> from selfremaster.plugins.degradations.clip import Clip, ClipConfig
    >>> chains = {field_of(era): Clip(ClipConfig(ratio=0.5)) for era in ERAS}
    >>> old = RandomRecording(RandomRecordingConfig(), **chains)
    >>> drawn = {"era": "telephone", "parameters": {"ratio": 0.25}}
    >>> old.apply(torch.tensor([[0.1, -1.0]]), drawn).tolist()
    [[0.10000000149011612, -0.25]]
    """

    Config = RandomRecordingConfig
    config: RandomRecordingConfig
    examples: ClassVar[Mapping[str, str]] = {era: f"random-recording:era={era}" for era in ERAS}
    label_name = "era"

    def __init__(self, config: RandomRecordingConfig, **chains: Degradation) -> None:
        listed = {era: chains[field_of(era)] for era in eras_of(config)}
        super().__init__(config, listed, config.weights)


def eras_of(config: RandomRecordingConfig) -> tuple[Era, ...]:
    """The eras that may be drawn."""
    return config.era if isinstance(config.era, tuple) else (config.era,)


def field_of(era: str) -> str:
    """The setting that holds the chain of an era.

    >>> field_of("shellac-1930")
    'shellac_1930'
    """
    return era.replace("-", "_")
