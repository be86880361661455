"""Semi-supervised learning: dual learning, and pairs where there are some."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field
from torch import Tensor

from selfremaster.core.domains import in_domain
from selfremaster.core.interfaces import Loss, StepContext, StepLosses
from selfremaster.core.models import Model
from selfremaster.plugins.objectives.ssl_dual import SslDual, SslDualConfig, Weight


class SemiConfig(SslDualConfig):
    """Settings of `Semi`: those of `SslDual`, and how pairs count."""

    paired_weight: Annotated[Weight, Field(description="factor of the loss on pairs")] = 1.0
    paired_reconstruction: Annotated[
        bool,
        Field(
            description="on pairs, beta * reconstruction of the degraded wave from the clean one "
            "+ (1 - beta) * feature loss, instead of the feature loss alone"
        ),
    ] = False


class Semi(SslDual):
    """Learn from recordings by dual learning, and from pairs of degraded and clean speech beside.

    The loss of `ssl-dual` and, on the pairs, the distance of the features found in the degraded
    waves from those of the clean ones. With ``paired_reconstruction`` the channel module has to
    damage the clean waves of the pairs likewise.

    Source: SelfRemaster, journal version (IEEE Access 2024), semi-supervised learning.
    """

    Config = SemiConfig
    config: SemiConfig

    def __init__(
        self,
        config: SemiConfig,
        reconstruction: Loss,
        feature: Loss,
        perceptual: Loss | None = None,
    ) -> None:
        super().__init__(config, reconstruction, feature, perceptual)
        self.streams = (*self.streams, "paired_degraded", "paired_clean")
        self.needs = {**self.needs, "paired_clean": ("target",)}

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        """The loss of dual learning + paired_weight * that of the pairs."""
        for dual in super().losses(model, batch, context):
            paired = self._paired(model, batch)
            parts = {**dual.parts, **paired}
            total = paired["paired_feature"]
            if "paired_reconstruction" in paired:
                beta = self.config.beta
                total = beta * paired["paired_reconstruction"] + (1 - beta) * total
            yield StepLosses(dual.total + self.config.paired_weight * total, parts)

    def _paired(self, model: Model, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The losses on pairs, by name; pairs are no recordings of the kind to be restored."""
        degraded, clean = batch["paired_degraded"], batch["paired_clean"]
        with in_domain("simulated"):
            analysis = model.analyse(degraded)
            feature = self.feature(analysis.features, model.target(batch, "paired_clean"))
            if not self.config.paired_reconstruction:
                return {"paired_feature": feature}
            again = model.degrade(clean, analysis.channel_features)
        return {
            "paired_feature": feature,
            "paired_reconstruction": self.reconstruction(again, degraded),
        }
