"""How bad a wave sounds, by the judgement of a network that predicts listeners' opinions."""

from collections.abc import Callable
from typing import Annotated, Any, Self

import torch
from pydantic import Field
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import (
    ComponentConfig,
    Loss,
    Metric,
    MetricSpec,
    QualityPredictor,
    default_part,
)

RATE_HZ = 22050


class PerceptualConfig(ComponentConfig):
    """Settings of `Perceptual`."""

    predictor: Annotated[
        MetricSpec, Field(description="what judges: a metric that gradients pass through")
    ] = default_part("distillmos")
    sample_rate: Annotated[
        int, Field(ge=1000, le=192000, description="rate of the waves that are judged, Hz")
    ] = RATE_HZ


class Perceptual(Loss):
    """Hear how far a wave is from the best that a predictor of opinions could hear.

    The predictor's top score less its mean score of the estimates. It stays in evaluation mode, is
    not trained, and is not part of the saved state. The published loss, -0.1 * mean score, has the
    same gradient with a weight of 0.1; this one is at least 0. Of the target only the length is
    used.

    Shape: two waves (batch, samples), the longer one cut to the shorter -> scalar.
    Source: SelfRemaster, journal version (IEEE Access 2024), the perceptual loss.
    Raises `ComponentError` for a metric that is no `QualityPredictor`.

    A predictor that counts the level as quality, up to 5:

    >>> class Loudness(QualityPredictor):
    ...     best = 5.0
    ...     def score(self, wave, sample_rate):
    ...         return wave.abs().mean(dim=-1)
    >>> loss = Perceptual(PerceptualConfig(), Loudness(ComponentConfig()))
    >>> loss(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), torch.zeros(2, 2)).item()
    4.25
    """

    Config = PerceptualConfig
    config: PerceptualConfig
    needs_target = False

    def __init__(self, config: PerceptualConfig, predictor: Metric) -> None:
        super().__init__(config)
        self.sample_rate = config.sample_rate
        if not isinstance(predictor, QualityPredictor):
            raise ComponentError(
                f"predictor {type(predictor).__name__} lets no gradient through; take a metric "
                f"that is a QualityPredictor, such as distillmos"
            )
        # in a tuple no module looks for it: not trained, not saved, not put into training mode
        self._judges = (predictor.eval().requires_grad_(False),)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any) -> Self:
        """Take the predictor along to another device or type."""
        moves: tuple[Callable[..., Any], ...] = (self._judges[0]._apply, super()._apply)
        for move in moves:  # typed in some versions of torch only
            move(fn, *args)
        return self

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The top score less the mean score of the estimates."""
        (judge,) = self._judges
        samples = min(estimate.shape[-1], target.shape[-1])
        with torch.autocast(estimate.device.type, enabled=False):
            heard = estimate[..., :samples].float()
            return judge.best - judge.score(heard, self.config.sample_rate).mean()
