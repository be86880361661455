"""What every part has in common: its settings, its nested parts, and how it is written as text.

Nothing here imports torch, so that the command line can list and check parts quickly.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from selfremaster.core.errors import ComponentError
from selfremaster.core.plain import load_yaml, shown

KINDS: Mapping[str, str] = {
    "features": "what speech is described by, for the analysis module and the vocoder",
    "analyzer": "the analysis module: clean speech features and channel features of a recording",
    "vocoder": "the synthesis module: a wave from speech features",
    "channel": "the channel module: puts the damage of a recording onto a clean wave",
    "degradation": "simulated damage, drawn from a generator and replayable",
    "loss": "how far two waves or two feature maps are apart",
    "objective": "what is learned from a batch, and which modules are trained",
    "metric": "named numbers that say how good a wave is",
    "restorer": "anything that takes a degraded wave and gives a better one",
}
"""Every kind of part with one line on what it is for."""

NAME_PATTERN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_SHOWN = 60  # characters of a bad value that a message repeats
MOST_SHOWN = 8  # faults of settings that one message tells
API_VERSION = 1
"""The version of the interfaces; a plugin may state the one it was written for."""

YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises: the others for values that are none of their type, such as 2024-13-01."""


class ComponentInfo(NamedTuple):
    """One registered part: its kind, name, first docstring line, owner and the owner's version."""

    kind: str
    name: str
    summary: str
    owner: str
    version: str


class ComponentConfig(BaseModel):
    """Settings of a part: immutable, unknown keys refused, each field with its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named groups of settings; a class that has any also has a field ``preset``."""

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        if not cls.presets or not isinstance(given, Mapping):
            return given
        name = given.get("preset", cls.model_fields["preset"].default)
        if not isinstance(name, str) or name not in cls.presets:
            raise ValueError(f"no preset {name!r}{hint(str(name), cls.presets)}")
        return {**cls.presets[name], **given, "preset": name}

    def starts_from(self, found: "ComponentConfig") -> bool:
        """Whether a part with these settings may start from weights learned with those found.

        Only where they are the same, unless a part knows better.
        """
        return self == found


class ComponentSpec(BaseModel):
    """A part by name and settings, not built yet.

    Read from text, ``clip:ratio=0.5``, or from a mapping, ``{name: clip, ratio: 0.5}``. Written
    back as a plain mapping, or as the bare name when there are no settings.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    name: str
    settings: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_text_or_mapping(cls, given: Any) -> Any:
        if isinstance(given, str):
            name, settings = split_text(given)
        elif isinstance(given, Mapping):
            if not isinstance(given.get("name"), str):
                raise ValueError(
                    f"{dict(given)!r} has no name; write {{name: PART, setting: value}}"
                )
            name = given["name"]
            settings = {str(key): value for key, value in given.items() if key != "name"}
        else:
            raise ValueError(
                f"{given!r} is not a part; write NAME, NAME:key=value or {{name: NAME}}"
            )
        return {"name": name, "settings": settings}

    @model_serializer
    def _as_plain(self) -> str | dict[str, Any]:
        return {"name": self.name, **self.settings} if self.settings else self.name

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """A part as it is read and written, not as it is kept."""
        del core_schema, handler
        return {
            "title": "Part",
            "description": "NAME, NAME:key=value,key=value, or a mapping {name: NAME, key: value}",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"name": {"type": "string"}},
                    "required": ["name"],
                    "additionalProperties": True,
                },
            ],
        }

    @classmethod
    def parse(cls, given: "str | Mapping[str, Any] | ComponentSpec") -> Self:
        """Read a part from text or a mapping; raises `ComponentError`."""
        if isinstance(given, cls):
            return given
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise ComponentError(describe(error)) from None

    def __str__(self) -> str:
        """Text that `parse` reads back, as far as the settings are plain values."""
        if not self.settings:
            return self.name
        plain = self.model_dump(mode="json")
        del plain["name"]
        return f"{self.name}:" + ",".join(f"{key}={_as_text(plain[key])}" for key in plain)


class _TextDumper(yaml.SafeDumper):
    """YAML on one line, with quotes around every string that holds more than a word."""


def _represent_text(dumper: _TextDumper, text: str) -> yaml.ScalarNode:
    style = None if re.fullmatch(r"[\w./+-]+", text, re.ASCII) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_TextDumper.add_representer(str, _represent_text)


def _as_text(value: Any) -> str:
    text = yaml.dump(
        value, Dumper=_TextDumper, default_flow_style=True, width=float("inf"), sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def split_text(text: str) -> tuple[str, dict[str, Any]]:
    """Take ``NAME:key=value,key=value`` apart; values are read as YAML.

    Commas inside brackets or quotes belong to the value. Raises ValueError with what was wrong.

    >>> split_text("band-limit:cutoff_hz=[300, 3400],order=4")
    ('band-limit', {'cutoff_hz': [300, 3400], 'order': 4})
    """
    name, colon, rest = text.strip().partition(":")
    name = name.strip()
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"{text!r} is not a part; write NAME or NAME:key=value,key=value")
    settings: dict[str, Any] = {}
    for piece in _split_at_commas(rest) if colon else ():
        key, equals, value = piece.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ValueError(f"{piece.strip()!r} in {text!r} is not key=value")
        if key == "name":
            raise ValueError(f"'name' in {text!r} is the part itself, not a setting")
        if key in settings:
            raise ValueError(f"{key!r} is set twice in {text!r}")
        try:
            settings[key] = load_yaml(value)
        except YAML_ERRORS:
            raise ValueError(f"the value in {piece.strip()!r} cannot be read as YAML") from None
    return name, settings


_QUOTED_OR_MARK = re.compile(
    r"""(?<=[=\[{(,:\s])(?:'(?:[^']|'')*'|"(?:[^"\\]|\\.)*")|[\[\]{}(),]""", re.DOTALL
)


def _split_at_commas(text: str) -> list[str]:
    """Split at the commas that no bracket or quote holds."""
    pieces, depth, start = [], 0, 0
    for mark in _QUOTED_OR_MARK.finditer(text):
        if mark.group() in {"[", "{", "("}:
            depth += 1
        elif mark.group() in {"]", "}", ")"}:
            depth -= 1
            if depth < 0:
                break
        elif mark.group() == "," and depth == 0:
            pieces.append(text[start : mark.start()])
            start = mark.end()
    if depth:
        raise ValueError(
            f"the brackets in {text!r} do not match; put text that holds any in quotes"
        )
    return [*pieces, text[start:]]


class PartOf(NamedTuple):
    """Marks a setting that names another part: built first, then handed to the constructor."""

    kind: str


LossSpec = Annotated[ComponentSpec, PartOf("loss")]
AnalyzerSpec = Annotated[ComponentSpec, PartOf("analyzer")]
ChannelSpec = Annotated[ComponentSpec, PartOf("channel")]
FeaturesSpec = Annotated[ComponentSpec, PartOf("features")]
MetricSpec = Annotated[ComponentSpec, PartOf("metric")]
ObjectiveSpec = Annotated[ComponentSpec, PartOf("objective")]
VocoderSpec = Annotated[ComponentSpec, PartOf("vocoder")]
DegradationSpec = Annotated[ComponentSpec, PartOf("degradation")]
RestorerSpec = Annotated[ComponentSpec, PartOf("restorer")]
ModelReference = Annotated[str, PartOf("model")]


def nested_parts(config_class: type[ComponentConfig]) -> dict[str, str]:
    """Names of the settings that are parts themselves, or hold some, with their kinds.

    A part may be optional (``LossSpec | None``), in a list or the values of a mapping.
    """
    found = {
        name: next(filter(None, map(_marked_kind, (*field.metadata, field.annotation))), None)
        for name, field in config_class.model_fields.items()
    }
    return {name: kind for name, kind in found.items() if kind}


def _marked_kind(annotation: Any) -> str | None:
    """The kind that the mark in an annotation gives, at any depth."""
    if isinstance(annotation, PartOf):
        return annotation.kind
    return next(filter(None, map(_marked_kind, get_args(annotation))), None)


def default_part(given: str | Mapping[str, Any]) -> Any:
    """A pydantic default that is a part, from its text or mapping."""
    return ComponentSpec.parse(given)


def hint(given: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the near miss, then all that is known."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    suggestion = f"; did you mean {near[0]!r}?" if near else ";"
    shown = [repr(name) if "," in name else name for name in names]
    return f"{suggestion} known: {', '.join(shown) or 'none'}"


def describe(error: ValidationError, root: type[BaseModel] | None = None) -> str:
    """Pydantic's report as one line: where, what was given, what is allowed, the near miss."""
    found = error.errors(include_url=False, include_context=False)
    told = [_describe_one(dict(item), root) for item in found[:MOST_SHOWN]]
    more = [f"and {len(found) - MOST_SHOWN} more"] if len(found) > MOST_SHOWN else []
    return " ".join("; ".join([*told, *more]).split())


def _describe_one(item: dict[str, Any], root: type[BaseModel] | None) -> str:
    unknown = item["type"] == "extra_forbidden"
    *around, last = item["loc"] or ("",)
    location = [part for part in around if not _is_pydantic_label(part)]
    if last != "" and (unknown or not _is_pydantic_label(last)):  # a key may look like a label
        location.append(last)
    where = shown(".".join(str(part) for part in location))
    if unknown:
        known = _fields_at(root, location[:-1])
        return (
            f"no setting {where!r}{hint(shown(last), known)}" if known else f"no setting {where!r}"
        )
    if item["type"] == "missing":
        return f"{where} is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    if not where:
        return message
    given = str(item["input"])
    if item["type"] == "value_error" or len(given) > LONGEST_SHOWN:
        return f"{where}: {message}"
    return f"{where}={given}: {message}"


def _is_pydantic_label(part: Any) -> bool:
    """Union branches and validators add labels to the location that no user wrote."""
    return isinstance(part, str) and ("[" in part or part in {"int", "float", "str", "bool"})


def _fields_at(root: type[BaseModel] | None, location: list[Any]) -> list[str]:
    current: Any = root
    for part in location:
        field = current.model_fields.get(part) if _is_model(current) else None
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        current = next((candidate for candidate in candidates if _is_model(candidate)), None)
    return list(current.model_fields) if _is_model(current) else []


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)
