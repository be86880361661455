"""Learn to speak: train a vocoder on clean speech (HiFi-GAN's objective)."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import Parameter

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import (
    AdversarialLoss,
    ComponentConfig,
    Loss,
    LossSpec,
    Objective,
    StepContext,
    StepLosses,
    default_part,
)
from selfremaster.core.models import Model
from selfremaster.plugins.objectives.damaging import uniform


class VocoderConfig(ComponentConfig):
    """Settings of `VocoderObjective`."""

    reconstruction: Annotated[LossSpec, Field(description="loss between the waves")] = default_part(
        "mel-l1"
    )
    adversarial: Annotated[
        LossSpec | None, Field(description="loss that learns to tell the vocoder from speech")
    ] = default_part("adversarial")
    reconstruction_weight: Annotated[
        float, Field(ge=0, description="factor of the loss between the waves")
    ] = 45.0
    adversarial_from: Annotated[
        int, Field(ge=0, description="steps before the discriminators join")
    ] = 0
    gain_db: Annotated[
        float,
        Field(ge=0, le=60, description="waves are made softer by up to so many dB, at random"),
    ] = 12.0


class VocoderObjective(Objective):
    """Make the vocoder say clean speech again from its features, at any level.

    Mel reconstruction, least-squares adversarial and feature-matching losses; the discriminators
    are updated first in every step.

    Source: HiFi-GAN (Kong et al., 2020), section 2.4.
    """

    Config = VocoderConfig
    config: VocoderConfig
    streams = ("clean",)
    needs = MappingProxyType({"clean": ("source", "target")})
    trained = ("vocoder",)

    def __init__(
        self, config: VocoderConfig, reconstruction: Loss, adversarial: Loss | None
    ) -> None:
        super().__init__(config)
        if adversarial is not None and not isinstance(adversarial, AdversarialLoss):
            raise ComponentError(
                "adversarial is no adversarial loss; use adversarial, or null for none"
            )
        self.reconstruction = reconstruction
        self.adversarial = adversarial

    def updates(self, model: Model) -> dict[str, list[Parameter]]:
        """The vocoder, and the discriminators before it."""
        named = super().updates(model)
        if self.adversarial is None:
            return named
        return {"discriminator": list(self.adversarial.parameters()), **named}

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        """First the discriminators' loss, then the vocoder's."""
        gain_db = -self.config.gain_db * uniform(len(batch["clean"]), context)
        clean, speech = at_gain(model, batch, "clean", 10 ** (gain_db / 20))
        spoken = model.speak(speech, clean)
        reconstruction = self.reconstruction(spoken, clean)
        total = self.config.reconstruction_weight * reconstruction
        parts = {"reconstruction": reconstruction}
        if self.adversarial is not None and context.step >= self.config.adversarial_from:
            told_apart = self.adversarial.discriminator_loss(spoken.detach(), clean)
            yield StepLosses(told_apart, {"discriminator": told_apart}, "discriminator")
            believed = self.adversarial(spoken, clean)
            total = total + believed
            parts["adversarial"] = believed
        yield StepLosses(total, parts)

    def validation_losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Mapping[str, Tensor]:
        """The reconstruction loss alone: adversarial numbers of two moments cannot be compared."""
        clean = batch["clean"]
        spoken = model.speak(model.speech(batch, "clean"), clean)
        return {"total": self.reconstruction(spoken, clean)}


def at_gain(
    model: Model, batch: Mapping[str, Tensor], stream: str, gain: Tensor
) -> tuple[Tensor, Tensor]:
    """The waves of a stream times a gain each, and the speech features of that.

    Rows of the features that the batch holds are brought to the gain, not computed anew; the source
    rows do not depend on it.

    Shape: gain (batch,) -> (batch, samples), (batch, channels, frames).
    """
    gain = gain.to(batch[stream])
    wave = batch[stream] * gain[:, None]
    target = batch.get(f"{stream}/target")
    if target is None:
        return wave, model.features(wave)
    louder = model.features.at_gain(target, gain)
    return wave, model.features.complete(louder, wave, batch.get(f"{stream}/source"))
