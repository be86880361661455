"""Parts as text and mappings, their settings, and what is said of bad ones."""

import math
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError, field_validator

from selfremaster.core.components import (
    ComponentConfig,
    ComponentSpec,
    DegradationSpec,
    LossSpec,
    VocoderSpec,
    default_part,
    describe,
    hint,
    nested_parts,
)
from selfremaster.core.errors import ComponentError

names = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)
keys = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True).filter(lambda key: key != "name")
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inside: (
        st.lists(inside, max_size=3) | st.dictionaries(keys | st.just("name"), inside, max_size=3)
    ),
    max_leaves=6,
)


def spec(text: Any) -> ComponentSpec:
    return ComponentSpec.parse(text)


@given(name=names, settings=st.dictionaries(keys, plain, max_size=4))
@example(name="a", settings={"b": math.inf, "c": "x, y", "d": "it's", "e": "no", "f": "1e-5"})
@example(name="a", settings={"b": ["[", {"c": "}\n"}], "d": "\x85", "e": "\U0001f399", "f": ""})
def test_a_spec_reads_back_from_its_text(name: str, settings: dict[str, Any]) -> None:
    part = spec({"name": name, **settings})
    assert spec(str(part)) == part


@given(name=names, settings=st.dictionaries(keys, plain, max_size=4))
def test_a_spec_reads_back_from_its_plain_form(name: str, settings: dict[str, Any]) -> None:
    part = spec({"name": name, **settings})
    assert spec(part.model_dump()) == part


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("a", {}),
        (" a : b = 1 , c = x y ", {"b": 1, "c": "x y"}),
        ("a:b=[1, 2],c=3", {"b": [1, 2], "c": 3}),
        ("a:b=[[1, 2], [3, 4]]", {"b": [[1, 2], [3, 4]]}),
        ("a:b={name: c, d: [1, {e: 2}]},f=1", {"b": {"name": "c", "d": [1, {"e": 2}]}, "f": 1}),
        ("a:b=c:d=1", {"b": "c:d=1"}),
        ("a:b='x, y',c=\"]\"", {"b": "x, y", "c": "]"}),
        ("a:b='it''s, so',c=1", {"b": "it's, so", "c": 1}),
        (r'a:b="say \"a, b\"",c=1', {"b": 'say "a, b"', "c": 1}),
        ("a:b=don't,c=isn't", {"b": "don't", "c": "isn't"}),
        ("a:b=", {"b": None}),
        ("a:b=true,c=-1.5,d=1.0e-5", {"b": True, "c": -1.5, "d": 1e-5}),
    ],
)
def test_values_are_yaml(text: str, settings: dict[str, Any]) -> None:
    assert spec(text) == ComponentSpec.model_construct(name="a", settings=settings)


def test_text_is_as_one_would_write_it() -> None:
    part = {"name": "blend", "first": {"name": "hifigan", "preset": "v2"}, "share": [0, 0.5]}
    assert str(spec(part)) == "blend:first={name: hifigan, preset: v2},share=[0, 0.5]"
    assert str(spec("clip")) == "clip"


def test_a_part_inside_a_part_is_written_out() -> None:
    assert str(spec({"name": "a", "inner": spec("b:c=1")})) == "a:inner={name: b, c: 1}"


def test_a_spec_is_taken_as_it_is() -> None:
    part = spec("clip:ratio=0.5")
    assert spec(part) is part
    assert TypeAdapter(LossSpec).validate_python(part) == part


@pytest.mark.parametrize(
    ("given_text", "message"),
    [
        ("", "'' is not a part; write NAME or NAME:key=value,key=value"),
        ("a b", "'a b' is not a part; write NAME or NAME:key=value,key=value"),
        ("a:b", "'b' in 'a:b' is not key=value"),
        ("a:b=1,", "'' in 'a:b=1,' is not key=value"),
        ("a:=1", "'=1' in 'a:=1' is not key=value"),
        ("a:b=1,b=2", "'b' is set twice in 'a:b=1,b=2'"),
        ("a:name=b", "'name' in 'a:name=b' is the part itself, not a setting"),
        ("a:b=[1", "the brackets in 'b=[1' do not match; put text that holds any in quotes"),
        ("a:b=1],c=2", "the brackets in 'b=1],c=2' do not match"),
        ("a:b='x", 'the value in "b=\'x" cannot be read as YAML'),
        ("a:b=2024-13-01", "the value in 'b=2024-13-01' cannot be read as YAML"),
        (3, "3 is not a part; write NAME, NAME:key=value or {name: NAME}"),
        ({"ratio": 1}, "{'ratio': 1} has no name; write {name: PART, setting: value}"),
    ],
)
def test_what_is_no_part_is_said(given_text: Any, message: str) -> None:
    with pytest.raises(ComponentError) as raised:
        spec(given_text)
    assert str(raised.value).startswith(message)


class Inner(ComponentConfig):
    """Settings with a limit."""

    size: Annotated[int, Field(ge=1, description="samples")] = 4


class Settings(ComponentConfig):
    """Settings of every sort."""

    ratio: Annotated[float, Field(gt=0, le=1, description="a part")] = 0.5
    inner: Annotated[Inner, Field(description="more settings")] = Inner()
    needed: Annotated[int, Field(description="must be given")]
    flag: Annotated[Literal["on", "off"], Field(description="a word")] = "on"

    @field_validator("needed")
    @classmethod
    def _refuse_thirteen(cls, given_number: int) -> int:
        if given_number == 13:
            raise ValueError("13 is bad luck;\nuse 12")
        return given_number


class Preset(ComponentConfig):
    """Settings in groups."""

    presets: ClassVar = {"small": {"width": 1, "depth": 2}, "large": {"width": 8, "depth": 9}}
    preset: Annotated[str, Field(description="group of settings")] = "small"
    width: Annotated[int, Field(description="channels")] = 0
    depth: Annotated[int, Field(description="layers")] = 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"needed": 1, "ratio": 2}, "ratio=2: Input should be less than or equal to 1"),
        ({"needed": 1, "ratoi": 2}, "no setting 'ratoi'; did you mean 'ratio'? known: flag,"),
        ({"needed": 1, "inner": {"siez": 2}}, "no setting 'inner.siez'; did you mean 'size'?"),
        ({"needed": 1, "inner": {"size": 0}}, "inner.size=0: Input should be greater"),
        ({}, "needed is missing"),
        ({"needed": 13}, "needed: 13 is bad luck; use 12"),
        ({"needed": [1, 2]}, "needed=[1, 2]: Input should be a valid integer"),
        ({"needed": "a\nb"}, "needed=a b: Input should be a valid integer"),
        ({"needed": "a" * 100}, "needed: Input should be a valid integer"),
        ({"needed": 1, "flag": "of"}, "flag=of: Input should be 'on' or 'off'"),
    ],
)
def test_a_bad_value_is_said_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate(values)
    told = describe(raised.value, Settings)
    assert told.startswith(message)
    assert len(told.splitlines()) == 1


def test_several_faults_are_said_together() -> None:
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate({"ratio": 0})
    assert describe(raised.value) == "ratio=0: Input should be greater than 0; needed is missing"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Inner().size = 3


@given(width=st.none() | st.integers(), preset=st.none() | st.sampled_from(["small", "large"]))
def test_a_preset_fills_what_is_not_given(width: int | None, preset: str | None) -> None:
    values = {"width": width, "preset": preset}
    config = Preset.model_validate({key: v for key, v in values.items() if v is not None})
    wanted = Preset.presets[preset or "small"]
    assert config.width == (wanted["width"] if width is None else width)
    assert config.depth == wanted["depth"]
    assert Preset.model_validate(config.model_dump()) == config


@pytest.mark.parametrize("preset", ["smal", ["small"], 3])
def test_an_unknown_preset_is_refused(preset: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        Preset.model_validate({"preset": preset})
    assert describe(raised.value).startswith(f"no preset {preset!r};")
    assert describe(raised.value).endswith("known: large, small")


def test_settings_that_are_parts_are_found_at_any_depth() -> None:
    class Parts(ComponentConfig):
        loss: Annotated[LossSpec, Field(description="plain")] = default_part("a")
        vocoder: VocoderSpec | None = None
        chain: tuple[DegradationSpec, ...] = ()
        named: dict[str, LossSpec] = Field(default_factory=dict)
        size: int = 1

    assert nested_parts(Parts) == {
        "loss": "loss",
        "vocoder": "vocoder",
        "chain": "degradation",
        "named": "loss",
    }
    assert Parts().model_dump(mode="json")["loss"] == "a"


def test_hints() -> None:
    assert hint("clp", ["clip", "band-limit"]) == "; did you mean 'clip'? known: band-limit, clip"
    assert hint("zebra", ["clip"]) == "; known: clip"
    assert hint("zebra", []) == "; known: none"
