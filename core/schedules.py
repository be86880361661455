"""Learning rates that change during a run: linear warm-up, then constant, cosine or plateau."""

import math
from typing import Any

from torch.optim import Optimizer

from selfremaster.core.experiments import TrainSettings


class Schedule:
    """Sets the learning rate of every optimizer before a step; kept whole in checkpoints."""

    def __init__(self, settings: TrainSettings) -> None:
        self.settings = settings
        self.scale = 1.0
        self.best = math.inf
        self.without_improvement = 0

    def rate(self, step: int, elapsed: float = 0.0) -> float:
        """The learning rate of a step, counted from 0; ``elapsed`` is the part of the minutes used.

        The cosine ends with the steps or with the minutes, whichever come first.
        """
        schedule, start = self.settings.schedule, self.settings.learning_rate
        lowest = min(schedule.minimum, start)
        if step < schedule.warmup_steps:
            return start * (step + 1) / schedule.warmup_steps
        if schedule.name == "cosine":
            length = max(1, self.settings.steps - schedule.warmup_steps)
            progress = min(1.0, max(elapsed, (step - schedule.warmup_steps) / length))
            return lowest + (start - lowest) * (1 + math.cos(math.pi * progress)) / 2
        return max(lowest, start * self.scale)

    def apply(self, optimizers: dict[str, Optimizer], step: int, elapsed: float = 0.0) -> float:
        """Set the rate of a step everywhere; gives it."""
        rate = self.rate(step, elapsed)
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        return rate

    def observe(self, value: float) -> None:
        """Tell the plateau schedule a loss that should fall; lowers the rate when it does not."""
        schedule = self.settings.schedule
        if schedule.name != "plateau":
            return
        if value < self.best * (1 - 1e-4):
            self.best, self.without_improvement = value, 0
            return
        self.without_improvement += 1
        if self.without_improvement > schedule.patience:
            self.scale *= schedule.factor
            self.without_improvement = 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "scale": self.scale,
            "best": self.best if math.isfinite(self.best) else None,
            "without_improvement": self.without_improvement,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.scale = float(state["scale"])
        self.best = math.inf if state["best"] is None else float(state["best"])
        self.without_improvement = int(state["without_improvement"])
