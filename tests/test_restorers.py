"""Restorers: what each listens to, and what speaks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import selfremaster as sr
from selfremaster.core.bundles import write_bundle
from selfremaster.core.components import nested_parts
from selfremaster.core.errors import BundleError, ComponentError, SelfRemasterError
from selfremaster.core.experiments import Experiment
from selfremaster.core.promises import check
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.plugins.restorers.selfremaster import SelfRemaster, SelfRemasterConfig
from selfremaster.registry.assembling import assemble, load, resolve
from selfremaster.registry.building import component_class
from tests.tiny import ANALYZER

RATE = 16000
# neither the default's rate nor its hop, so that a vocoder for other features would not fit
FEATURES = "mel:sample_rate=16000,size=512,hop_samples=128,bands=20"
NAMES = [info.name for info in sr.list_components("restorer")]
OF_A_MODEL = [
    name
    for name in NAMES
    if "model" in nested_parts(config := component_class("restorer", name).Config).values()
    and not any(field.is_required() for field in config.model_fields.values())
]


def write_model(path: Path, **parts: Any) -> str:
    model = {"features": FEATURES, "vocoder": "griffin-lim:iterations=2", "channel": None, **parts}
    experiment = resolve(Experiment.from_mapping({"name": path.stem, "model": model}))
    write_bundle(path, assemble(experiment), experiment)
    return str(path)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(
        tmp_path_factory.mktemp("bundles") / "tiny.safetensors",
        analyzer=ANALYZER,
        output="input-phase:max_gain_db=0",
    )


@pytest.fixture(scope="module")
def vocoder_alone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("bundles") / "voice.safetensors", analyzer=None)


def build(name: str, **settings: Any) -> Any:
    return sr.build("restorer", {"name": name, **settings})


def damaged(clean: Tensor) -> Tensor:
    return clean.clamp(-0.1, 0.1) + noise(1, clean.shape[-1], level=0.01)


@pytest.mark.parametrize("name", OF_A_MODEL)
def test_restorers_of_a_model_keep_their_promises(name: str, bundle: str) -> None:
    check("restorer", build(name, model=bundle))


def test_input_gives_a_copy() -> None:
    wave = noise(2, 100)
    restored = build("input").restore(wave, RATE)
    assert torch.equal(restored, wave)
    assert restored.data_ptr() != wave.data_ptr()


def test_copy_synthesis_speaks_the_original_alone(vocoder_alone: str) -> None:
    clean = speech_like(RATE, sample_rate=RATE)
    restorer = build("copy-synthesis", model=vocoder_alone)
    spoken = restorer.restore(damaged(clean), RATE, clean)
    assert torch.equal(spoken, load(vocoder_alone).copy_synthesis(clean, RATE))
    assert torch.equal(spoken, restorer.restore(0 * clean, RATE, clean))
    longer = torch.cat([clean, noise(1, 500)], dim=-1)
    assert restorer.restore(longer, RATE, clean).shape == longer.shape


def test_copy_synthesis_wants_an_original_that_fits(vocoder_alone: str) -> None:
    restorer = build("copy-synthesis", model=vocoder_alone)
    wave = noise(2, 1000)
    with pytest.raises(ComponentError, match="speaks what the clean original says; give reference"):
        restorer.restore(wave, RATE)
    with pytest.raises(
        ComponentError, match=r"reference of shape \(1, 1000\) for a wave of \(2, 1000\)"
    ):
        restorer.restore(wave, RATE, wave[:1])


def test_selfremaster_restores_as_its_model_does(bundle: str) -> None:
    wave = damaged(speech_like(RATE, sample_rate=RATE))
    model = load(bundle)
    assert torch.equal(
        build("selfremaster", model=bundle).restore(wave, RATE), model.restore(wave, RATE)
    )
    model.output = None
    through_vocoder = build("selfremaster", model=bundle, use_output=False).restore(wave, RATE)
    assert torch.equal(through_vocoder, model.restore(wave, RATE))
    assert not torch.allclose(through_vocoder, wave, atol=1e-3)


def test_another_vocoder_is_built_for_the_model_s_features(bundle: str) -> None:
    restorer = build("selfremaster", model=bundle, vocoder="input-phase:max_gain_db=6")
    output = restorer.model.output
    assert (output.config.max_gain_db, output.hop_samples, output.channels) == (6, 128, 20)
    assert output.mel is restorer.model.features
    wave = damaged(speech_like(RATE, sample_rate=RATE))
    assert restorer.restore(wave, RATE).shape == wave.shape


def test_a_model_that_is_given_stays_as_it_is(bundle: str) -> None:
    model = load(bundle)
    own = model.output
    restorer = SelfRemaster(SelfRemasterConfig(), model, model.vocoder)
    assert model.output is own
    assert restorer.model.output is model.vocoder
    assert restorer.model.peak_db == model.peak_db


def test_a_model_that_cannot_restore_is_refused(vocoder_alone: str, bundle: str) -> None:
    with pytest.raises(
        ComponentError,
        match=r"^restorer selfremaster: model '.*voice.safetensors' is a vocoder alone",
    ):
        build("selfremaster", model=vocoder_alone)
    with pytest.raises(
        BundleError, match=r"^no bundle 'nowhere': neither a file nor a built-in name"
    ):
        build("copy-synthesis", model="nowhere")
    with pytest.raises(
        ComponentError, match="takes the place of the output vocoder; leave use_output"
    ):
        build("selfremaster", model=bundle, vocoder="input-phase", use_output=False)
    with pytest.raises(SelfRemasterError, match="no device named 'tpu'; known: auto, cpu"):
        build("selfremaster", model=bundle, device="tpu")
