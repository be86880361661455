"""Dual learning: forward on degraded recordings alone, backward on unrelated clean speech."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

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


class SslDualConfig(ComponentConfig):
    """Settings of `SslDual`; the defaults are those of the Interspeech version, but for eps."""

    beta: Annotated[
        float,
        Field(ge=0, le=1, description="weight of forward learning; backward learning has the rest"),
    ] = 0.001
    reconstruction: Annotated[
        LossSpec, Field(description="reconstruction against the recording")
    ] = default_part("multiscale-spectral")
    feature: Annotated[
        LossSpec, Field(description="features found against those of the clean speech")
    ] = default_part("feature-l1")


class SslDual(Objective):
    """Learn from recordings alone: say what they hold, put their sound back, compare.

    Forward: recording -> analysis -> vocoder (frozen) -> channel, compared with the recording.
    Backward: clean speech -> channel with the channel features of some recording -> analysis,
    compared with the features of the clean speech; the channel is not trained by this task.

    Source: SelfRemaster (Interspeech 2022), sections 3.1 and 3.2; dual learning: IEEE Access 2024.
    """

    Config = SslDualConfig
    config: SslDualConfig
    streams: ClassVar[tuple[str, ...]] = ("degraded", "clean")
    trained: ClassVar[tuple[str, ...]] = ("analyzer", "channel")
    uses: ClassVar[tuple[str, ...]] = ("vocoder",)

    def __init__(self, config: SslDualConfig, reconstruction: Loss, feature: Loss) -> None:
        super().__init__(config)
        self.reconstruction = reconstruction
        self.feature = feature

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        """Beta * forward (reconstruction) + (1 - beta) * backward (task)."""
        degraded, clean = batch["degraded"], batch["clean"]
        analysis = model.analyse(degraded)
        speech = model.features.complete(analysis.features, degraded)
        again = model.degrade(model.vocoder(speech, degraded), analysis.channel_features)
        reconstruction = self.reconstruction(again, degraded)
        task = self._task(model, clean, analysis.channel_features)
        beta = self.config.beta
        total = beta * reconstruction + (1 - beta) * task
        yield StepLosses(total, {"reconstruction": reconstruction, "task": task})

    def _task(self, model: Model, clean: Tensor, channel_features: Tensor) -> Tensor:
        """Undo the learned damage of clean speech; each wave gets the sound of some recording."""
        chosen = channel_features.detach()[torch.arange(len(clean)) % len(channel_features)]
        with torch.no_grad():
            damaged = model.degrade(clean, chosen)
        wanted = model.features.predicted(model.features(clean))
        task: Tensor = self.feature(model.predict(damaged), wanted)
        return task
