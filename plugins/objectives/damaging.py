"""Chance of each item: what objectives draw is the same on one process and on several."""

from torch import Tensor

from selfremaster.core.interfaces import Degradation, StepContext
from selfremaster.core.levels import normalise_peak
from selfremaster.core.models import Model


def damaged(degradation: Degradation, clean: Tensor, model: Model, context: StepContext) -> Tensor:
    """Clean waves damaged as drawn for each, at the level that the model hears.

    Shape: (batch, samples) -> (batch, samples).
    """
    rate = model.sample_rate
    drawn = [degradation.draw(chance, rate) for chance in context.item_generators(len(clean))]
    return normalise_peak(degradation.apply(clean, drawn, rate), model.peak_db)
