"""What the settings of a part or experiment are: name, type, default, what is allowed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydantic import BaseModel

LIMITS = {
    "exclusiveMinimum": "> {}",
    "minimum": ">= {}",
    "exclusiveMaximum": "< {}",
    "maximum": "<= {}",
    "minLength": "at least {} characters",
    "minItems": "at least {} long",
}
TYPES = {
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "string": "text",
}


class Setting(NamedTuple):
    """One setting, in words."""

    name: str
    type: str
    default: str
    allowed: str
    description: str


def settings_of(config_class: type[BaseModel], parts: Mapping[str, str]) -> list[Setting]:
    """Every setting of a pydantic class; ``parts`` are those that name a part, with its kind."""
    schema = config_class.model_json_schema(mode="validation")
    definitions = schema.get("$defs", {})
    told = []
    for name, described in schema.get("properties", {}).items():
        types, allowed = _alternatives(described, definitions)
        if name in parts:
            types, allowed = [parts[name]], []
        field = config_class.model_fields[name]
        default = "required" if field.is_required() else _shown(described.get("default"))
        told.append(
            Setting(name, " or ".join(types), default, "; ".join(allowed), field.description or "")
        )
    return told


def _alternatives(
    schema: Mapping[str, Any], definitions: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Type names and limits, of each alternative that a schema allows, without repetitions."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return _alternatives(definitions.get(name, {}), definitions)
    options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if options:
        types: list[str] = []
        limits: list[str] = []
        for option in options:
            inner_types, inner_limits = _alternatives(option, definitions)
            types += [each for each in inner_types if each not in types]
            limits += [each for each in inner_limits if each not in limits]
        return types, limits
    if "const" in schema:
        return ["choice"], [_shown(schema["const"])]
    if "enum" in schema:
        return ["choice"], [", ".join(_shown(value) for value in schema["enum"])]
    limits = [text.format(schema[key]) for key, text in LIMITS.items() if key in schema]
    together = [", ".join(limits)] if limits else []
    kind = schema.get("type")
    if kind == "null":
        return ["none"], []
    if kind == "array":
        return _array(schema, definitions, together)
    if kind == "object":
        return ["mapping"], together
    return [TYPES.get(str(kind), "anything")], together


def _array(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], limits: list[str]
) -> tuple[list[str], list[str]]:
    if "prefixItems" in schema:
        inner = [_alternatives(item, definitions) for item in schema["prefixItems"]]
        shape = ", ".join(" or ".join(types) for types, _ in inner)
        return [f"[{shape}]"], [limit for limit in inner[0][1] if inner]
    types, inner_limits = _alternatives(schema.get("items", {}), definitions)
    return [f"list of {' or '.join(types)}"], [*inner_limits, *limits]


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    return json.dumps(value)
