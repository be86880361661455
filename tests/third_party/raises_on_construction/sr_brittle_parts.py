"""The parts of the plugin `brittle`."""

from selfremaster.core.interfaces import ComponentConfig, Degradation, Loss


class BreaksWhenBuilt(Degradation):
    """Never come to be."""

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        raise RuntimeError("the impulse responses\nare missing")


class IsALoss(Loss):
    """Be of another kind than was declared."""
