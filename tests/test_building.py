"""Plugins loaded, left out and refused, and parts built from what they declare."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from pydantic import Field
from torch import nn

from selfremaster.core.components import ComponentConfig, DegradationSpec
from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.hooks import Add, hookimpl
from selfremaster.core.interfaces import Degradation
from selfremaster.registry import loading
from selfremaster.registry.building import (
    build,
    component_class,
    configure,
    current,
    leaving_out,
    list_components,
)
from selfremaster.registry.loading import BUILTIN, Loaded, load_plugins
from selfremaster.registry.tables import Owner


class HalfConfig(ComponentConfig):
    """Settings of `Half`."""

    inner: Annotated[DegradationSpec | None, Field(description="what comes first")] = None
    chain: Annotated[tuple[DegradationSpec, ...], Field(description="what follows")] = ()
    named: Annotated[
        dict[str, DegradationSpec], Field(description="the rest", default_factory=dict)
    ]
    audible: Annotated[bool, Field(description="whether it works")] = True


class Half(Degradation):
    """Keep the parts that it is given."""

    Config = HalfConfig

    def __init__(self, config: HalfConfig, **parts: Any) -> None:
        super().__init__(config)
        if not config.audible:
            raise AudioError("nothing is heard")
        self.parts = parts


class NoConfig(Degradation):
    """Have settings of a foreign class."""

    Config = dict  # type: ignore[assignment]  # a wrong class, on purpose


class Plugin:
    """A plugin that is an object, not a module."""

    @hookimpl
    def register_components(self, add: Add) -> None:
        """Declare parts of this module."""
        add("degradation", "half", f"{__name__}:Half")
        add("degradation", "no-config", f"{__name__}:NoConfig")


class Point(SimpleNamespace):
    """An installed entry point, as `importlib.metadata` gives it."""

    def load(self) -> Any:
        """What it points to."""
        return self.plugin


def point(name: str, plugin: Any, version: str = "0.1") -> Point:
    return Point(
        name=name,
        value=name,
        plugin=plugin,
        dist=SimpleNamespace(name=f"{name}-{version}", version=version),
    )


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Point]]:
    """Entry points that seem to be installed; add to them before the first look-up."""
    points: list[Point] = []
    monkeypatch.setattr(loading, "_entry_points", lambda: points)
    loading.loaded_plugins.cache_clear()
    yield points
    loading.loaded_plugins.cache_clear()


@pytest.fixture
def halves(installed: list[Point]) -> list[Point]:
    installed.append(point("halves", Plugin()))
    return installed


@pytest.mark.usefixtures("halves")
def test_parts_inside_a_part_are_built_first() -> None:
    part = build("degradation", "half:inner=clip,chain=[clip, {name: half, inner: clip}]")
    assert type(part.parts["inner"]) is component_class("degradation", "clip")
    assert [type(inner).__name__ for inner in part.parts["chain"]] == ["Clip", "Half"]
    assert type(part.parts["chain"][1].parts["inner"]).__name__ == "Clip"
    assert part.parts["named"] == {}


@pytest.mark.usefixtures("halves")
def test_parts_in_a_mapping_keep_their_names() -> None:
    part = build("degradation", {"name": "half", "named": {"a": "clip:ratio=0.1"}})
    assert part.parts["named"]["a"].config.ratio == 0.1


@pytest.mark.usefixtures("halves")
def test_an_optional_part_may_be_missing() -> None:
    assert build("degradation", "half").parts["inner"] is None


@pytest.mark.usefixtures("halves")
def test_an_error_inside_says_where() -> None:
    with pytest.raises(ComponentError, match=r"^degradation clip: ratio=2: Input should be less"):
        build("degradation", {"name": "half", "inner": "clip:ratio=2"})


@pytest.mark.usefixtures("halves")
def test_an_error_of_ours_keeps_its_class() -> None:
    with pytest.raises(AudioError, match=r"^degradation half: nothing is heard$"):
        build("degradation", "half:audible=false")


@pytest.mark.usefixtures("halves")
def test_foreign_settings_are_refused() -> None:
    with pytest.raises(ComponentError, match=r"NoConfig\.Config is not a ComponentConfig; derive"):
        configure("degradation", "no-config")


def test_what_nothing_is_built_with_is_refused() -> None:
    with pytest.raises(ComponentError, match="'feature'; did you mean 'features'"):
        build("degradation", "clip", feature=nn.Identity())


def test_a_vocoder_is_built_for_the_features_given(installed: list[Point]) -> None:
    class Vocoders:
        @hookimpl
        def register_components(self, add: Add) -> None:
            add("vocoder", "mute", "selfremaster.core.interfaces:Vocoder")
            add("channel", "mute", "selfremaster.core.interfaces:Channel")

    installed.append(point("mutes", Vocoders()))
    features = build("features", "mel:bands=20,hop_samples=128")
    assert build("vocoder", "mute", features=features).channels == 20
    assert build("vocoder", "mute").channels == 80
    assert build("channel", "mute", channel_dim=7).channel_dim == 7
    assert build("channel", "mute").channel_dim == 128


class Declares:
    """A plugin that declares one part."""

    def __init__(self, name: str) -> None:
        self.name = name

    @hookimpl
    def register_components(self, add: Add) -> None:
        """Declare it."""
        add("degradation", self.name, "a.b:C")


def owners(loaded: Loaded) -> list[str]:
    return [owner.name for owner in loaded.owners]


def test_plugins_come_after_the_built_in_ones(installed: list[Point]) -> None:
    installed += [point("a", Declares("one")), point("b", Declares("two"))]
    loaded = load_plugins()
    assert owners(loaded) == [BUILTIN, "a", "b"]
    assert loaded.problems == []
    assert loaded.table.find("degradation", "two").owner == Owner("b", "0.1")


def test_a_block_leaves_plugins_out_and_blocks_add_up(installed: list[Point]) -> None:
    installed += [point("a", Declares("one")), point("b", Declares("two"))]
    with leaving_out("a"):
        assert owners(current()) == [BUILTIN, "b"]
        with leaving_out("b"):
            assert owners(current()) == [BUILTIN]
            assert current().blocked == ["a", "b"]
        assert owners(current()) == [BUILTIN, "b"]
    assert owners(current()) == [BUILTIN, "a", "b"]


def test_a_block_ends_with_its_error(installed: list[Point]) -> None:
    installed.append(point("a", Declares("one")))
    with pytest.raises(AudioError), leaving_out("a"):
        raise AudioError
    assert owners(current()) == [BUILTIN, "a"]


@pytest.mark.parametrize("disabled", ["0", "1"])
def test_an_unknown_plugin_cannot_be_left_out(
    installed: list[Point], monkeypatch: pytest.MonkeyPatch, disabled: str
) -> None:
    monkeypatch.setenv(loading.DISABLE_VARIABLE, disabled)
    installed.append(point("vintage", Declares("one")))
    with pytest.raises(ComponentError) as raised:
        load_plugins(["vintag"])
    assert str(raised.value) == (
        "no plugin named 'vintag' to leave out; did you mean 'vintage'? "
        "known: selfremaster, vintage"
    )
    assert "vintage" not in owners(load_plugins(["vintage"]))


@pytest.mark.parametrize(
    ("value", "strangers"), [("1", []), ("yes", []), ("0", ["a"]), ("", ["a"])]
)
def test_the_variable_leaves_all_strangers_out(
    installed: list[Point],
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    strangers: list[str],
) -> None:
    monkeypatch.setenv(loading.DISABLE_VARIABLE, value)
    installed.append(point("a", Declares("one")))
    assert owners(load_plugins()) == [BUILTIN, *strangers]


def test_two_strangers_with_one_name_are_both_named(installed: list[Point]) -> None:
    installed += [point("a", Declares("same")), point("b", Declares("same"), "2.0")]
    loaded = load_plugins()
    (problem,) = loaded.problems
    assert problem == (
        "b",
        "degradation 'same' is declared by a 0.1 and by b 2.0; leave one out with --without b",
    )
    assert len([entry for entry in loaded.table.entries() if entry.name == "same"]) == 2


def test_one_plugin_under_two_names_is_used_once(installed: list[Point]) -> None:
    plugin = Declares("one")
    installed += [point("a", plugin), point("b", plugin)]
    loaded = load_plugins()
    assert owners(loaded) == [BUILTIN, "a"]
    (problem,) = loaded.problems
    assert problem.plugin == "b"
    assert problem.reason.startswith("cannot be registered: ValueError:")


def test_nobody_takes_the_name_of_the_toolkit(installed: list[Point]) -> None:
    installed.append(point(BUILTIN, Declares("one"), "6.6"))
    loaded = load_plugins()
    assert owners(loaded) == [BUILTIN]
    assert loaded.problems == [
        (BUILTIN, "has the name of selfremaster, which is used; uninstall one of the two")
    ]


def test_look_ups_load_the_plugins_once(installed: list[Point]) -> None:
    installed.append(point("a", Declares("one")))
    assert current() is current()
    assert list_components("degradation") == list_components("degradation")
