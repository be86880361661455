"""A plugin that declares a name of the toolkit's, and one of its own."""

from selfremaster import hookimpl
from selfremaster.core.hooks import Add


@hookimpl
def register_components(add: Add) -> None:
    """Declare both."""
    add("degradation", "clip", "sr_vintage_fx:Clip")
    add("degradation", "wobble", "sr_vintage_fx:Wobble")
