"""Learn to speak: train a vocoder on clean speech (HiFi-GAN's objective)."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

import torch
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
    streams: ClassVar[tuple[str, ...]] = ("clean",)
    trained: ClassVar[tuple[str, ...]] = ("vocoder",)

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
        clean = self._at_random_level(batch["clean"], context)
        spoken = model.speak(model.features(clean), clean)
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
        return {"total": self.reconstruction(model.speak(model.features(clean), clean), clean)}

    def _at_random_level(self, wave: Tensor, context: StepContext) -> Tensor:
        drawn = torch.rand(wave.shape[0], 1, generator=context.generator).to(wave)
        return wave * 10 ** (-drawn * self.config.gain_db / 20)
