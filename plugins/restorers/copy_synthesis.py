"""Copy synthesis: the most that a vocoder can give."""

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from selfremaster.core.components import ComponentConfig, ModelReference, VocoderSpec
from selfremaster.core.devices import choose_device
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Restorer, Vocoder
from selfremaster.core.models import Model
from selfremaster.core.signals import fit_length


class CopySynthesisConfig(ComponentConfig):
    """Settings of `CopySynthesis`."""

    model: Annotated[
        ModelReference,
        Field(description="whose vocoder speaks: built-in name, bundle, run or Hub id"),
    ] = "default"
    vocoder: Annotated[
        VocoderSpec | None,
        Field(description="what speaks, for the model's features; none: the model's own"),
    ] = None
    device: Annotated[str, Field(description="auto, cpu, cuda or mps")] = "cpu"


class CopySynthesis(Restorer):
    """Speak the clean original's own features: the ceiling of what analysis could achieve.

    It is told the clean original; of the recording it keeps nothing but the length.

    Shape: waves (channels, samples) -> (channels, samples), float32, full scale = 1.
    Source: SelfRemaster (Interspeech 2022), section 4, "reconstructed".
    Raises `ComponentError` without a reference, or for one with other channels; `AudioError` for
    an empty wave.

    >>> import torch
    >>> from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
    >>> from selfremaster.plugins.vocoders.griffin_lim import GriffinLim, GriffinLimConfig
    >>> mel = MelSpectrogram(MelConfig())
    >>> model = Model(mel, GriffinLim(GriffinLimConfig(iterations=1), mel))
    >>> clean = torch.sin(torch.arange(2000.0))[None]
    >>> CopySynthesis(CopySynthesisConfig(), model).restore(0 * clean, 22050, clean).shape
    torch.Size([1, 2000])
    """

    Config = CopySynthesisConfig
    config: CopySynthesisConfig
    needs_reference: ClassVar[bool] = True

    def __init__(
        self, config: CopySynthesisConfig, model: Model, vocoder: Vocoder | None = None
    ) -> None:
        super().__init__(config)
        # the parts are shared, so that the given model keeps its own vocoder
        self.model = Model(model.features, vocoder or model.vocoder, peak_db=model.peak_db)
        self.model.to(choose_device(config.device))

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        """The clean original through features and vocoder."""
        if reference is None:
            raise ComponentError("speaks what the clean original says; give reference")
        if reference.shape[:-1] != wave.shape[:-1]:
            raise ComponentError(
                f"reference of shape {tuple(reference.shape)} for a wave of {tuple(wave.shape)}; "
                "give one with the same channels"
            )
        spoken = self.model.copy_synthesis(reference.float(), sample_rate)
        return fit_length(spoken, wave.shape[-1])
