"""Every part of this plugin is declared, and keeps the promises of its kind."""

import pytest

import selfremaster as sr

PARTS = [(part.kind, part.name) for part in sr.list_components() if part.owner == "vintage"]


def test_the_plugin_is_installed_and_declares_its_parts() -> None:
    assert PARTS == [("vocoder", "noise-carrier"), ("degradation", "telephone")]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_promises(kind: str, name: str) -> None:
    features = sr.build("features", "mel")
    part = sr.build(kind, name, features=features)
    sr.promises.check(kind, part, sr.promises.Context(features=features))


@pytest.mark.parametrize("text", ["telephone:mu_law=false", "telephone:low_hz=300,high_hz=20000"])
def test_other_settings_keep_them_too(text: str) -> None:
    sr.promises.check("degradation", sr.build("degradation", text))
