"""A plugin that goes by the name of another one."""

from selfremaster import hookimpl
from selfremaster.core.hooks import Add


@hookimpl
def register_components(add: Add) -> None:
    """Declare a part that nobody sees."""
    add("degradation", "unseen", "sr_same_plugin_name:Unseen")
