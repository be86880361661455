"""The method of the paper: analysis, then synthesis."""

from typing import Annotated

from pydantic import Field, model_validator
from torch import Tensor

from selfremaster.core.components import ComponentConfig, ModelReference, VocoderSpec
from selfremaster.core.devices import choose_device
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Restorer, Vocoder
from selfremaster.core.models import Model


class SelfRemasterConfig(ComponentConfig):
    """Settings of `SelfRemaster`."""

    model: Annotated[
        ModelReference, Field(description="what restores: built-in name, bundle, run or Hub id")
    ] = "default"
    vocoder: Annotated[
        VocoderSpec | None,
        Field(description="what speaks, for the model's features; none: the model as it is"),
    ] = None
    use_output: Annotated[
        bool,
        Field(description="speak through the model's own output vocoder, where it has one"),
    ] = True
    strength: Annotated[
        float,
        Field(ge=0, le=1, description="how far to go from the recording, 0, to the restored, 1"),
    ] = 1.0
    device: Annotated[str, Field(description="auto, cpu, cuda or mps")] = "cpu"

    @model_validator(mode="after")
    def _check_one_vocoder(self) -> "SelfRemasterConfig":
        if self.vocoder is not None and not self.use_output:
            raise ValueError("vocoder takes the place of the output vocoder; leave use_output out")
        return self


class SelfRemaster(Restorer):
    """Hear what was said in the recording, and say it again without the damage.

    Shape: wave (channels, samples) -> (channels, samples), float32, full scale = 1.
    Source: SelfRemaster (Interspeech 2022), section 3.
    Raises `ComponentError` for a model without an analysis module; `AudioError` for an empty wave.

    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> from selfremaster.plugins.vocoders.griffin_lim import GriffinLim, GriffinLimConfig
    >>> mel = MelSpectrogram(MelConfig())
    >>> vocoder_alone = Model(mel, GriffinLim(GriffinLimConfig(), mel))
    >>> SelfRemaster(SelfRemasterConfig(), vocoder_alone)
    Traceback (most recent call last):
    selfremaster.core.errors.ComponentError: model 'default' is a vocoder alone; give one that ...
    """

    Config = SelfRemasterConfig
    config: SelfRemasterConfig

    def __init__(
        self, config: SelfRemasterConfig, model: Model, vocoder: Vocoder | None = None
    ) -> None:
        super().__init__(config)
        if model.analyzer is None:
            raise ComponentError(
                f"model {config.model!r} is a vocoder alone; give one that has an analysis module"
            )
        output = vocoder or (model.output if config.use_output else None)
        # the parts are shared, so that the given model keeps its own output vocoder
        self.model = Model(
            model.features, model.vocoder, model.analyzer, model.channel, output, model.peak_db
        )
        self.model.to(choose_device(config.device))

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        """The restored wave."""
        del reference
        return self.model.restore(wave.float(), sample_rate, self.config.strength)
