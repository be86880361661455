"""Learn to speak: train a vocoder on clean speech (HiFi-GAN's objective)."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import Parameter

from selfremaster.core.components import DegradationSpec
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import (
    AdversarialLoss,
    ComponentConfig,
    Degradation,
    Loss,
    LossSpec,
    Objective,
    StepContext,
    StepLosses,
    default_part,
)
from selfremaster.core.levels import normalise_peak
from selfremaster.core.models import Model

FADE_HZ = 200.0  # that the limit of a band takes to fall
NOTHING = 1e-9  # of the power of a wave: resampled ones have less above the rate that they had


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
    augmentation: Annotated[
        DegradationSpec | None,
        Field(
            description="what changes the clean waves before they are learned, so that more voices "
            "and rooms are heard (eq, say); their features are computed anew then"
        ),
    ] = None
    missing_above_hz: Annotated[
        float | None,
        Field(
            gt=0,
            description="waves with nothing above this frequency, as of recordings at 16 kHz, "
            "teach nothing about what lies there; null: they teach silence",
        ),
    ] = 8000.0


class VocoderObjective(Objective):
    """Make the vocoder say clean speech again from its features, at any level.

    Mel reconstruction, least-squares adversarial and feature-matching losses, and those of the
    vocoder's own; the discriminators are updated first in every step. Where a wave ends at
    ``missing_above_hz`` both waves are compared below it only, so that speech of a lower rate can
    be learned from along with that of a higher one.

    Source: HiFi-GAN (Kong et al., 2020), section 2.4.
    """

    Config = VocoderConfig
    config: VocoderConfig
    streams = ("clean",)
    needs = MappingProxyType({"clean": ("source", "target")})
    trained = ("vocoder",)

    def __init__(
        self,
        config: VocoderConfig,
        reconstruction: Loss,
        adversarial: Loss | None,
        augmentation: Degradation | None,
    ) -> None:
        super().__init__(config)
        if adversarial is not None and not isinstance(adversarial, AdversarialLoss):
            raise ComponentError(
                "adversarial is no adversarial loss; use adversarial, or null for none"
            )
        self.reconstruction = reconstruction
        self.adversarial = adversarial
        self.augmentation = augmentation

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
        clean, speech = self._varied(model, batch, context)
        spoken, true = self._comparable(model, model.speak(speech, clean), clean)
        reconstruction = self.reconstruction(spoken, true)
        own = model.vocoder.own_losses(speech, clean)
        total = self.config.reconstruction_weight * reconstruction
        for loss in own.values():
            total = total + loss
        parts = {"reconstruction": reconstruction, **own}
        if self.adversarial is not None and context.step >= self.config.adversarial_from:
            told_apart = self.adversarial.discriminator_loss(spoken.detach(), true)
            yield StepLosses(told_apart, {"discriminator": told_apart}, "discriminator")
            believed = self.adversarial(spoken, true)
            total = total + believed
            parts["adversarial"] = believed
        yield StepLosses(total, parts)

    def validation_losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Mapping[str, Tensor]:
        """The reconstruction loss alone: adversarial numbers of two moments cannot be compared."""
        clean = batch["clean"]
        speech = model.speech(batch, "clean")
        spoken, true = self._comparable(model, model.speak(speech, clean), clean)
        return {
            "total": self.reconstruction(spoken, true),
            **model.vocoder.own_losses(speech, clean),
        }

    def _varied(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> tuple[Tensor, Tensor]:
        """The clean waves, changed and at a gain as drawn for each, and their speech features."""
        chances = context.item_generators(len(batch["clean"]))
        drawn = torch.stack([torch.rand((), generator=chance) for chance in chances])
        gain = 10 ** (-self.config.gain_db * drawn / 20)
        if self.augmentation is None:
            return at_gain(model, batch, "clean", gain)
        rate = model.sample_rate
        ways = [self.augmentation.draw(chance, rate) for chance in chances]
        changed = self.augmentation.apply(batch["clean"], ways, rate)
        return at_gain(model, {"clean": normalise_peak(changed, model.peak_db)}, "clean", gain)

    def _comparable(self, model: Model, spoken: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Both waves without what the clean one cannot tell."""
        limit_hz = self.config.missing_above_hz
        if limit_hz is None or limit_hz + FADE_HZ >= model.sample_rate / 2:
            return spoken, clean
        return below_limit(spoken, clean, model.sample_rate, limit_hz)


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


def below_limit(
    spoken: Tensor, clean: Tensor, sample_rate: int, limit_hz: float
) -> tuple[Tensor, Tensor]:
    """Both waves without what lies above a limit, for the rows whose clean wave has nothing there.

    Nothing is 90 dB below the power of the whole; the filter falls within 200 Hz below the limit.

    Shape: two waves (batch, samples) -> the same.

    >>> low, high = (torch.sin(torch.arange(4000) * step)[None] for step in (0.1, 2.5))
    >>> spoken, clean = below_limit(low + high, low, 16000, 4000.0)
    >>> bool((spoken - low).abs()[:, 200:-200].max() < 1e-3), torch.equal(clean, low)
    (True, False)
    """
    samples = clean.shape[-1]
    hertz = torch.linspace(0, sample_rate / 2, samples // 2 + 1, device=clean.device)
    window = torch.hann_window(samples, device=clean.device)  # edges would reach above the limit
    power = torch.fft.rfft(clean.float() * window).abs().square()
    above = power[:, hertz > limit_hz + FADE_HZ].sum(dim=-1)
    ends = (above <= NOTHING * power.sum(dim=-1))[:, None]
    passing = ((limit_hz - hertz) / FADE_HZ).clamp(0, 1)

    def limited(wave: Tensor) -> Tensor:
        kept: Tensor = torch.fft.irfft(torch.fft.rfft(wave.float()) * passing, n=samples)
        return kept

    return torch.where(ends, limited(spoken), spoken), torch.where(ends, limited(clean), clean)
