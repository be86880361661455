"""A plugin whose parts are declared well, and cannot be had all the same."""

from selfremaster import hookimpl
from selfremaster.core.hooks import Add


@hookimpl
def register_components(add: Add) -> None:
    """Declare parts, each of which fails in its own way."""
    add("degradation", "breaks-when-built", "sr_brittle_parts:BreaksWhenBuilt")
    add("degradation", "is-a-loss", "sr_brittle_parts:IsALoss")
    add("degradation", "is-nowhere", "sr_brittle_parts:IsNowhere")
    add("degradation", "does-not-import", "sr_brittle_nowhere:Anything")
