"""What tells which weights of a run are to be kept, where the held-out loss alone does not."""

from collections.abc import Mapping
from typing import Any

from selfremaster.core.models import Model

TOTAL = "total"  # the number of a judgement that is to be small


class Judge:
    """Judges a model at every validation, beginning with that before the first step.

    Where a run has a judge, its ``total`` stands in the place of the held-out loss: for the
    schedule, for ``train.keep: best``, and for ``train.patience``. Since the model is judged before
    the first step too, a run that keeps the best never ends worse than it began, by its judge.

    A judge is to be a function of the model and of its own state alone, so that a resumed run
    equals an uninterrupted one.
    """

    def __call__(self, model: Model, losses: Mapping[str, float]) -> Mapping[str, float]:
        """Named numbers, of which the lower ``total`` is the better; it may be infinite.

        The model is in evaluation mode and holds the weights that would be kept (their running
        mean, with ``train.average``); ``losses`` are its held-out losses, if there are any.
        """
        raise NotImplementedError

    def state(self) -> Mapping[str, Any]:
        """What a checkpoint keeps: plain numbers, text, lists and mappings of them."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        del state
