"""Supervised pretraining: analysis and channel modules on speech damaged on purpose."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

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

PREPARED = "quantize-resample:levels=[64, 1024],rate_hz=[8000, 11025, 12000, 16000]"
"""The damage of the Interspeech version; half of the items of the journal version have it."""

CLIPPED = "clip:ratio=[0.06, 0.9]"
FILTERED = (
    "filter:high_hz=[850, 11025],order=[2, 9],zero_phase=true,"
    "kind=[butterworth, chebyshev1, chebyshev2, bessel, elliptic]"
)
NOISY = "noise:snr_db=[-5, 40],level=magnitude"


def _drawn(**chances: float) -> dict[str, Any]:
    steps = {"clip": CLIPPED, "filter": FILTERED, "noise": NOISY}
    return {
        "name": "chain",
        "steps": [
            {"name": "sometimes", "chance": chance, "degradation": steps[name]}
            for name, chance in chances.items()
        ],
    }


AUGMENTED: Mapping[str, Any] = {
    "name": "one-of",
    "weights": [0.5, 0.25, 0.25],
    "choices": [
        PREPARED,
        # the filter is on the noise in half of the cases
        _drawn(clip=0.25, filter=0.5, noise=0.5),
        _drawn(clip=0.25, noise=0.5, filter=0.5),
    ],
}
"""The damage of the journal version: half of the items prepared, half drawn."""


class PretrainConfig(ComponentConfig):
    """Settings of `Pretrain`; the defaults are those of the Interspeech version."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "v1": {},
        "v2": {
            "alpha": 0.01,
            "reconstruction": "multiscale-spectral:preset=v2,linear=false",
            "degradation": AUGMENTED,
        },
    }

    preset: Annotated[
        Literal["v1", "v2"],
        Field(description="v1: Interspeech 2022; v2: IEEE Access 2024, with more sorts of damage"),
    ] = "v1"
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
    ] = default_part(PREPARED)


class Pretrain(Objective):
    """Learn what damage sounds like from clean speech and simulated damage, before real recordings.

    The analysis module predicts the clean features of the damaged wave; the channel module, told
    the channel features found, damages the clean wave likewise. The vocoder is not used.

    Source: SelfRemaster (Interspeech 2022), section 3.3; preset v2: IEEE Access 2024.
    """

    Config = PretrainConfig
    config: PretrainConfig
    streams = ("clean",)
    needs = MappingProxyType({"clean": ("target",)})
    trained = ("analyzer", "channel")

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
        degraded = damaged(self.degradation, clean, model, context)
        analysis = model.analyse(degraded)
        feature = self.feature(analysis.features, model.target(batch, "clean"))
        again = model.degrade(clean, analysis.channel_features)
        reconstruction = self.reconstruction(again, degraded)
        alpha = self.config.alpha
        total = alpha * reconstruction + (1 - alpha) * feature
        yield StepLosses(total, {"reconstruction": reconstruction, "feature": feature})
