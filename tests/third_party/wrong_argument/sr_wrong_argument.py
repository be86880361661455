"""A plugin that asks the hook for an argument that it does not give."""

from selfremaster import hookimpl


@hookimpl
def register_components(registry: object) -> None:
    """Declare by another toolkit's rules."""
