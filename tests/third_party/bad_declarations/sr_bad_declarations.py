"""A plugin that declares what cannot be, and one part that can."""

from selfremaster import hookimpl
from selfremaster.core.hooks import Add


@hookimpl
def register_components(add: Add) -> None:
    """Declare a kind, a name and a target that are wrong, a part, the part again, and give up."""
    add("degradaton", "rustle", "sr_bad_declarations:Rustle")
    add("degradation", "Rustle Pop", "sr_bad_declarations:Rustle")
    add("degradation", "rustle-pop", "sr_bad_declarations.Rustle")
    add("degradation", "rustle", "sr_bad_declarations:Rustle")
    add("degradation", "rustle", "sr_bad_declarations:Rustle")
    raise KeyError("snap")
