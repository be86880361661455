"""A plugin as it should be: one part, imported on first use."""

import selfremaster.core.hooks
from selfremaster import hookimpl

SELFREMASTER_API_VERSION = 1


@hookimpl
def register_components(add: selfremaster.core.hooks.Add) -> None:
    """Declare the part."""
    add("degradation", "turned-down", "sr_good_parts:TurnedDown")
