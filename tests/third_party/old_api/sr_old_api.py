"""A plugin written for interfaces of long ago."""

from selfremaster import hookimpl
from selfremaster.core.hooks import Add

SELFREMASTER_API_VERSION = 0


@hookimpl
def register_components(add: Add) -> None:
    """Declare what the present interfaces would misread."""
    add("degradation", "ancient", "sr_old_api:Ancient")
