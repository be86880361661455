"""A plugin that forgets to mark its hook."""


def register_components(add: object) -> None:
    """Look like the hook, without `@hookimpl`."""
