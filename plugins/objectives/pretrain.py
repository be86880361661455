"""Supervised pretraining: analysis and channel modules on speech damaged on purpose."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from selfremaster.core.components import DegradationSpec
from selfremaster.core.interfaces import (
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


class PretrainConfig(ComponentConfig):
    """Settings of `Pretrain`; the defaults are those of the Interspeech version."""

    alpha: Annotated[
        float,
        Field(
            ge=0, le=1, description="weight of the reconstruction; the feature loss has the rest"
        ),
    ] = 0.1
    reconstruction: Annotated[
        LossSpec, Field(description="channel module's wave against the damaged one")
    ] = default_part("multiscale-spectral:linear=false")
    feature: Annotated[
        LossSpec, Field(description="analysis module's features against the clean ones")
    ] = default_part("feature-l1")
    degradation: Annotated[
        DegradationSpec, Field(description="the damage, drawn anew for each wave")
    ] = default_part("quantize-resample:levels=[64, 1024],rate_hz=[8000, 11025, 12000, 16000]")


class Pretrain(Objective):
    """Learn what damage sounds like from clean speech and simulated damage, before real recordings.

    The analysis module predicts the clean features of the damaged wave; the channel module, told
    the channel features found, damages the clean wave likewise. The vocoder is not used.

    Source: SelfRemaster (Interspeech 2022), section 3.3.
    """

    Config = PretrainConfig
    config: PretrainConfig
    streams: ClassVar[tuple[str, ...]] = ("clean",)
    trained: ClassVar[tuple[str, ...]] = ("analyzer", "channel")

    def __init__(
        self, config: PretrainConfig, reconstruction: Loss, feature: Loss, degradation: Degradation
    ) -> None:
        super().__init__(config)
        self.reconstruction = reconstruction
        self.feature = feature
        self.degradation = degradation

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        """Alpha * reconstruction + (1 - alpha) * feature loss."""
        clean = batch["clean"]
        damaged, _ = self.degradation(clean, context.generator, model.sample_rate)
        degraded = normalise_peak(damaged, model.peak_db)
        analysis = model.analyse(degraded)
        wanted = model.features.predicted(model.features(clean))
        feature = self.feature(analysis.features, wanted)
        again = model.degrade(clean, analysis.channel_features)
        reconstruction = self.reconstruction(again, degraded)
        alpha = self.config.alpha
        total = alpha * reconstruction + (1 - alpha) * feature
        yield StepLosses(total, {"reconstruction": reconstruction, "feature": feature})
