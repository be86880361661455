"""Supervised learning: the analysis module alone, on pairs of damaged and clean speech."""

from collections.abc import Iterator, Mapping
from typing import Annotated

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
from selfremaster.core.models import Model
from selfremaster.plugins.objectives.damaging import damaged
from selfremaster.plugins.objectives.pretrain import PREPARED


class SupervisedConfig(ComponentConfig):
    """Settings of `Supervised`."""

    feature: Annotated[
        LossSpec, Field(description="features found against those of the clean speech")
    ] = default_part("feature-l1")
    degradation: Annotated[
        DegradationSpec | None,
        Field(
            description="the damage of clean speech, drawn anew for each wave; none: learn from "
            "given pairs"
        ),
    ] = default_part(PREPARED)


class Supervised(Objective):
    """Learn from pairs to hear the clean speech in damaged speech; the vocoder is trained apart.

    The way that the paper compares with. Where pairs are made by a degradation, clean speech is
    enough; with ``degradation=null`` they are the streams paired_degraded and paired_clean.

    Source: Liu et al., "VoiceFixer" (2021), its analysis stage; the baseline of SelfRemaster
    (Interspeech 2022), section 4.
    """

    Config = SupervisedConfig
    config: SupervisedConfig
    trained = ("analyzer",)

    def __init__(
        self, config: SupervisedConfig, feature: Loss, degradation: Degradation | None = None
    ) -> None:
        super().__init__(config)
        self.feature = feature
        self.degradation = degradation
        self.clean = "clean" if degradation is not None else "paired_clean"
        self.streams = ("clean",) if degradation is not None else ("paired_degraded", self.clean)
        self.needs = {self.clean: ("target",)}

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        """The feature loss alone."""
        if self.degradation is None:
            degraded = batch["paired_degraded"]
        else:
            degraded = damaged(self.degradation, batch["clean"], model, context)
        feature = self.feature(model.predict(degraded), model.target(batch, self.clean))
        yield StepLosses(feature, {"feature": feature})
