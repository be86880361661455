"""The restorer that makes clean speech old: what it puts on, and what it needs for that."""

from pathlib import Path
from typing import Any

import pytest
import torch

import selfremaster as sr
from selfremaster.core import audio, manifests
from selfremaster.core.errors import AudioError, BundleError, ComponentError
from selfremaster.core.loudness import integrated_loudness
from selfremaster.core.manifests import Item, Manifest
from selfremaster.core.promises import check
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.core.spectra import ltas_distance
from selfremaster.registry.assembling import load
from tests.cli import write_tiny_bundle
from tests.tiny import write_model, write_vocoder

RATE = 22050


@pytest.fixture(scope="module")
def tapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Muffled recordings of two speakers with their originals, and a manifest of both."""
    folder = tmp_path_factory.mktemp("tapes")
    muffle = sr.build("degradation", "filter:high_hz=1000,order=4,zero_phase=true")
    items = []
    for number in range(4):
        clean = speech_like(RATE, seed=number) + noise(1, RATE, seed=number, level=0.02)
        old, _ = muffle(clean, torch.Generator().manual_seed(number), RATE)
        audio.write(folder / "clean" / f"{number}.wav", clean, RATE)
        audio.write(folder / "old" / f"{number}.wav", old, RATE)
        split, speaker = ("test" if number == 3 else "train"), f"s{number % 2}"
        others = {"clean": f"clean/{number}.wav"}
        items.append(Item(f"old/{number}.wav", split, speaker, 1.0, RATE, 1, others=others))
    manifests.write(Manifest(folder, tuple(items)), folder / "pairs.csv")
    listed = tuple(Item(f"clean/{n}.wav", "train", f"s{n % 2}") for n in range(4))
    manifests.write(Manifest(folder, listed), folder / "clean.csv")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("models") / "model.safetensors", 1))


def build(tapes: Path, **settings: Any) -> Any:
    given = {"recordings": str(tapes / "pairs.csv"), **settings}
    return sr.build("restorer", {"name": "transfer", **given})


def test_promises_are_kept_in_every_way(tapes: Path, model: str) -> None:
    check("restorer", build(tapes, model=model))
    check("restorer", build(tapes, method="spectrum", clean=str(tapes / "clean")))
    check("restorer", build(tapes, method="published"))


@pytest.mark.parametrize("method", ["spectrum", "published"])
def test_clean_speech_is_muffled_as_the_recordings_are(tapes: Path, method: str) -> None:
    clean, _ = audio.read(tapes / "clean" / "3.wav")
    target, _ = audio.read(tapes / "old" / "3.wav")
    more = {"clean": str(tapes / "clean.csv")} if method == "spectrum" else {}
    made = build(tapes, method=method, **more).restore(clean, RATE)
    before, after = (
        ltas_distance([(wave[0], RATE)], [(target[0], RATE)]) for wave in (clean, made)
    )
    assert after < before / 2
    assert integrated_loudness(made, RATE) == pytest.approx(
        integrated_loudness(clean, RATE), abs=0.1
    )


def test_the_channel_way_is_that_of_the_model(tapes: Path, model: str) -> None:
    wave = speech_like(RATE, seed=7)
    recording, _ = audio.read(tapes / "old" / "0.wav")
    loaded = load(model)
    expected = loaded.transfer(wave, RATE, loaded.profile(recording, RATE))
    one = build(tapes, model=model, recordings=str(tapes / "old" / "0.wav"))
    assert torch.allclose(one.restore(wave, RATE), expected, atol=1e-5)
    half = build(tapes, model=model, strength=0.5).restore(wave, RATE)
    assert not torch.allclose(half, one.restore(wave, RATE), atol=1e-3)
    none = build(tapes, model=model, strength=0).restore(wave, RATE)
    assert torch.equal(none, wave)


def test_only_the_files_asked_for_are_heard(tapes: Path, model: str) -> None:
    wave = speech_like(RATE, seed=7)
    folder = str(tapes / "old")
    first = build(tapes, model=model, files=1).restore(wave, RATE)
    assert torch.equal(
        first, build(tapes, model=model, recordings=folder, files=1).restore(wave, RATE)
    )
    train = build(tapes, model=model).restore(wave, RATE)
    every = build(tapes, model=model, split=None).restore(wave, RATE)
    assert not torch.equal(train, every)
    assert torch.equal(every, build(tapes, model=model, recordings=folder).restore(wave, RATE))
    both = {"method": "spectrum", "clean": str(tapes / "clean.csv")}
    of_one = build(tapes, **both, clean_speakers=["s0"]).restore(wave, RATE)
    assert not torch.equal(of_one, build(tapes, **both).restore(wave, RATE))


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({}, "method channel: give model"),
        ({"method": "spectrum"}, "method spectrum: give clean"),
        ({"method": "published", "clean": "x"}, "method published: leave out clean"),
        ({"method": "published", "recordings": "tapes"}, "give a manifest of pairs"),
        ({"method": "chanel"}, "Input should be 'channel', 'spectrum' or 'published'"),
    ],
)
def test_settings_of_another_method_are_refused(
    tapes: Path, settings: dict[str, Any], error: str
) -> None:
    with pytest.raises(ComponentError, match="restorer transfer: ") as told:
        build(tapes, **settings)
    assert error in str(told.value)


def test_what_cannot_be_heard_is_named(tapes: Path, model: str, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="recordings is missing"):
        sr.build("restorer", "transfer")
    (tmp_path / "a.wav").write_text("not a sound")
    with pytest.raises(AudioError, match=r"a\.wav"):
        build(tapes, model=model, recordings=str(tmp_path / "a.wav"))
    bundle = write_tiny_bundle(tmp_path / "identity.safetensors")
    vocoder = sr.build("restorer", {"name": "copy-synthesis", "model": str(bundle)}).model
    assert vocoder.channel is None
    with pytest.raises(BundleError, match="this model has no channel module"):
        build(tapes, model=str(write_vocoder(tmp_path / "vocoder.safetensors")))
