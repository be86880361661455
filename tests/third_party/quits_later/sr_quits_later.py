"""A plugin that ends the process: in its hook, in the module of a part, and in a constructor."""

import sys

from selfremaster import hookimpl
from selfremaster.core.hooks import Add


@hookimpl
def register_components(add: Add) -> None:
    """Declare two parts, and quit."""
    add("degradation", "quits-when-imported", "sr_quits_later_lazily:Anything")
    add("degradation", "quits-when-built", "sr_quits_later_parts:QuitsWhenBuilt")
    sys.exit("no licence\nfor the rest")
