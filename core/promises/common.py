"""What parts of every kind promise: to say what they are and what their settings mean."""

from typing import Any

from pydantic import ValidationError

from selfremaster.core.components import describe
from selfremaster.core.errors import ComponentError
from selfremaster.core.promises.judging import demand


def describes_itself(part: Any) -> None:
    """Says in one line what it does, and what each of its settings means."""
    lines = (type(part).__doc__ or "").strip().splitlines()
    demand(lines and lines[0].strip(), f"{type(part).__name__} has no docstring")
    silent = [
        name for name, field in type(part).Config.model_fields.items() if not field.description
    ]
    demand(not silent, f"settings without Field(description=...): {', '.join(silent)}")


def keeps_its_settings(part: Any) -> None:
    """Holds settings of its own class, which read back from JSON as they were."""
    config_class, config = type(part).Config, getattr(part, "config", None)
    if config is None or not isinstance(config, config_class):
        raise ComponentError(
            f"config is a {type(config).__name__}, not a {config_class.__name__}; "
            f"call super().__init__(config)"
        )
    try:
        read_back = config_class.model_validate_json(config.model_dump_json())
    except ValidationError as error:
        raise ComponentError(
            f"its settings do not read back from JSON: {describe(error, config_class)}"
        ) from None
    demand(read_back == config, "its settings read back from JSON as other settings")


PROMISES = (describes_itself, keeps_its_settings)
