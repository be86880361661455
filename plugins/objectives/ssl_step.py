"""Learning in two stages: first the channel module, then the analysis module."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import Parameter

from selfremaster.core.interfaces import (
    ComponentConfig,
    Loss,
    LossSpec,
    Objective,
    StepContext,
    StepLosses,
    default_part,
)
from selfremaster.core.models import Model
from selfremaster.plugins.objectives.channel_turns import channel_and_analysis


class SslStepConfig(ComponentConfig):
    """Settings of `SslStep`."""

    channel_steps: Annotated[
        int,
        Field(
            ge=0,
            description="steps in which the channel module and the channel features learn, before "
            "the rest of the analysis module does; published: half of all",
        ),
    ] = 1000
    reconstruction: Annotated[
        LossSpec, Field(description="reconstruction against the recording")
    ] = default_part("multiscale-spectral")


class SslStep(Objective):
    """Learn from recordings alone, first what their damage is, then what they say.

    Recording -> analysis -> vocoder (frozen) -> channel, compared with the recording. In the first
    ``channel_steps`` steps the channel module learns, with what only the channel features depend
    on; after them the rest of the analysis module. It is meant to follow `pretrain`.

    Source: SelfRemaster (Interspeech 2022), its code; the journal version's has it too.
    """

    Config = SslStepConfig
    config: SslStepConfig
    streams = ("degraded",)
    needs = MappingProxyType({"degraded": ("source",)})
    trained = ("analyzer", "channel")
    uses = ("vocoder",)
    passes_through = ("vocoder",)

    def __init__(self, config: SslStepConfig, reconstruction: Loss) -> None:
        super().__init__(config)
        self.reconstruction = reconstruction

    def updates(self, model: Model) -> dict[str, list[Parameter]]:
        """The channel module with the channel features; the rest of the analysis module."""
        return channel_and_analysis(model)

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        """The reconstruction loss, for the parameters whose turn it is."""
        degraded = batch["degraded"]
        channel_first = context.step < self.config.channel_steps
        analysis = model.analyse(degraded)
        source = model.source(batch, "degraded")
        # nothing that the channel stage trains lies before the vocoder
        with torch.set_grad_enabled(torch.is_grad_enabled() and not channel_first):
            speech = model.features.complete(analysis.features, degraded, source)
            spoken = model.vocoder(speech, degraded)
        again = model.degrade(spoken, analysis.channel_features)
        reconstruction = self.reconstruction(again, degraded)
        update = "channel" if channel_first else "analysis"
        yield StepLosses(reconstruction, {"reconstruction": reconstruction}, update)
