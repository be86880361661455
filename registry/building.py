"""Build parts from text or mappings, nested parts first."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from selfremaster.core.asides import prints_beside
from selfremaster.core.components import (
    ComponentConfig,
    ComponentInfo,
    ComponentSpec,
    describe,
    hint,
    nested_parts,
)
from selfremaster.core.diaries import at_work
from selfremaster.core.errors import STOPS, ComponentError, SelfRemasterError, one_line
from selfremaster.registry.loading import Loaded, loaded_plugins
from selfremaster.registry.tables import info, load_class

if TYPE_CHECKING:
    from selfremaster.core.interfaces import Component

DEFAULT_FEATURES = "mel"
DEFAULT_CHANNEL_DIM = 128
CONTEXT = ("channel_dim", "features")
_left_out: ContextVar[tuple[str, ...]] = ContextVar("left_out", default=())


@contextmanager
def leaving_out(*plugins: str) -> Iterator[None]:
    """Leave plugins out of every look-up inside the block, besides those left out already."""
    token = _left_out.set(tuple(sorted({*_left_out.get(), *plugins})))
    try:
        yield
    finally:
        _left_out.reset(token)


def current() -> Loaded:
    """The plugins of this context."""
    return loaded_plugins(_left_out.get())


def list_components(kind: str | None = None) -> list[ComponentInfo]:
    """Every registered part, or those of one kind; imports none of them."""
    return [info(entry) for entry in current().table.entries(kind)]


def component_class(kind: str, name: str) -> "type[Component]":
    """The class behind a name, checked to be of its kind; raises `ComponentError`."""
    from selfremaster.core.interfaces import BASES

    entry = current().table.find(kind, name)
    found = load_class(entry)
    if not issubclass(found, BASES[kind]):
        raise ComponentError(
            f"{kind} {name!r} of {entry.owner}: {entry.target} is not a {BASES[kind].__name__}; "
            f"derive it from selfremaster.core.interfaces.{BASES[kind].__name__}"
        )
    if not issubclass(found.Config, ComponentConfig):
        raise ComponentError(
            f"{kind} {name!r} of {entry.owner}: {entry.target}.Config is not a ComponentConfig; "
            "derive it from selfremaster.core.interfaces.ComponentConfig"
        )
    return found


def configure(kind: str, spec: "str | Mapping[str, Any] | ComponentSpec") -> ComponentConfig:
    """The checked settings of a part; raises `ComponentError` naming the part and the setting."""
    parsed = ComponentSpec.parse(spec)
    config_class = component_class(kind, parsed.name).Config
    try:
        return config_class.model_validate(dict(parsed.settings))
    except ValidationError as error:
        raise ComponentError(f"{kind} {parsed.name}: {describe(error, config_class)}") from None


def smallest(kind: str, name: str) -> ComponentSpec:
    """A part in its preset ``small``, and so its nested parts, where they have one: for trying it.

    Raises `ComponentError` for a part that does not exist or cannot be imported.
    """
    config_class = component_class(kind, name).Config
    settings: dict[str, Any] = {"preset": "small"} if "small" in config_class.presets else {}
    for setting, nested_kind in nested_parts(config_class).items():
        default = config_class.model_fields[setting].get_default()
        if isinstance(default, ComponentSpec):
            nested = smallest(nested_kind, default.name).settings
            if nested:
                settings[setting] = {"name": default.name, **nested, **default.settings}
    return ComponentSpec.parse({"name": name, **settings})


def build(kind: str, spec: "str | Mapping[str, Any] | ComponentSpec", **context: Any) -> Any:
    """One part from text (``clip:ratio=0.25``) or a mapping (``{name: clip, ratio: 0.25}``).

    Analyzers and vocoders are built for a features object (``features=``; by default `mel`, or
    those that a vocoder speaks from), channel modules for a number of channel features
    (``channel_dim=``; by default 128).
    Raises `ComponentError` for an unknown name, a bad setting, or a part that fails to be built.
    """
    for word in context:
        if word not in CONTEXT:
            raise ComponentError(f"nothing is built with {word!r}{hint(word, CONTEXT)}")
    parsed = ComponentSpec.parse(spec)
    config = configure(kind, parsed)
    entry = current().table.find(kind, parsed.name)
    arguments = _arguments(kind, parsed.name, context)
    nested = nested_parts(type(config))
    for field in sorted(nested, key=lambda field: nested[field] != "model"):
        arguments[field] = _build_nested(nested[field], getattr(config, field), context)
        if nested[field] == "model" and hasattr(arguments[field], "features"):
            # a vocoder beside a model speaks the model's features
            context = {**context, "features": arguments[field].features}
    part_class: Any = component_class(kind, parsed.name)
    origin = f"{kind} {parsed.name!r} of {entry.owner}"
    try:
        with at_work(origin), prints_beside():
            part = part_class(config, **arguments)
            part.origin = origin
        return part
    except SelfRemasterError as error:
        raise type(error)(f"{kind} {parsed.name}: {error}") from error.__cause__
    except STOPS:
        raise
    except BaseException as error:
        raise ComponentError(f"{origin} cannot be built: {one_line(error)}") from error


def _arguments(kind: str, name: str, context: Mapping[str, Any]) -> dict[str, Any]:
    if kind in {"analyzer", "vocoder"}:
        part_class = component_class(kind, name)
        default = getattr(part_class, "default_features", DEFAULT_FEATURES)
        return {"features": context.get("features") or build("features", default)}
    if kind == "channel":
        return {"channel_dim": context.get("channel_dim", DEFAULT_CHANNEL_DIM)}
    return {}


def _build_nested(kind: str, value: Any, context: Mapping[str, Any]) -> Any:
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [_build_nested(kind, item, context) for item in value]
    if isinstance(value, Mapping):
        return {name: _build_nested(kind, item, context) for name, item in value.items()}
    if kind == "model":
        from selfremaster.registry.assembling import load

        return load(value)
    return build(kind, value, **context)
