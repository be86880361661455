"""A part that ends the process when it is built."""

import sys

from selfremaster.core.interfaces import ComponentConfig, Degradation


class QuitsWhenBuilt(Degradation):
    """Never come to be."""

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        sys.exit(3)
