"""`selfremaster convert` as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import selfremaster as sr
from selfremaster.core.bundles import read_bundle
from selfremaster.core.errors import BundleError
from selfremaster.core.experiments import Experiment
from selfremaster.registry.assembling import assemble, resolve
from selfremaster.registry.building import build
from selfremaster.registry.runs import start_from_bundles
from tests import checkpoints
from tests.cli import left_behind, run, tone
from tests.published import FOLDER, given


def small() -> dict[str, Tensor]:
    """The smallest published generator, with some weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights: dict[str, Tensor] = build("vocoder", "hifigan:preset=v3").state_dict()
    return weights


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    """A file of the smallest published generator."""
    torch.save({"generator": small()}, tmp_path / "g_03")
    return tmp_path / "g_03"


@torch.no_grad()
def test_the_published_vocoder_sounds_as_published(tmp_path: Path) -> None:
    weights = checkpoints.generator("melspec", filled=True)
    torch.save({"generator": weights}, tmp_path / "g_02500000")
    bundle = tmp_path / "universal.safetensors"
    done = run("convert", tmp_path / "g_02500000", "--keep-lag", "--output", bundle)
    assert (done.code, done.err) == (0, "")
    first, *rows = done.out.splitlines()
    assert first == f"HiFi-GAN v1, mel -> {bundle}"
    assert rows[-1].split() == ["converted", "vocoder", "234", "13936130"]
    spoken = sr.load(bundle).vocoder(given("mel", "hifigan", (1, 80, 20)))
    with np.load(FOLDER / "hifigan.npz") as stored:
        np.testing.assert_allclose(spoken, stored["mel/wave"], rtol=0, atol=1e-5)


def test_a_whole_model_becomes_a_bundle_that_restores(tmp_path: Path) -> None:
    name = "SSLDualLightningModule melspec normal with channel loss [v2]"
    path = checkpoints.save(
        tmp_path / "last.ckpt",
        checkpoints.remaster(name, "encoder.", "channelfeats."),
        optimizer_states=[],
    )
    done = run("convert", path, "--output", tmp_path / "v2", "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert told["what"] == "SelfRemaster v2, mel, normal, channel kernel 3"
    assert told["tensors"] == {"analyzer": 590, "channel": 558, "vocoder": 156}
    assert told["ignored"] == {
        "predictor of channel labels, used in training only": 9,
        "window and mel filterbank": 2,
        "windows of the losses": 6,
    }
    assert told["other"] == ["epoch", "optimizer_states"]
    assert told["model"]["peak_db"] == 0
    model = sr.load(tmp_path / "v2")
    assert model.restore(tone(3000), 22050).shape == (1, 3000)


def test_the_bundle_says_what_it_was_made_of(generator: Path) -> None:
    bundle = generator.parent / "v3.safetensors"
    assert run("convert", generator, "--output", bundle, "--quiet").out == ""
    read = read_bundle(bundle)
    assert read.header["converted"]["from"] == "HiFi-GAN v3, mel"
    assert len(read.header["converted"]["sha256"]) == 64
    assert read.experiment.name == "g_03"
    assert read.experiment.model.vocoder.settings["lag_samples"] == 128
    assert run("convert", generator, "--output", bundle, "--keep-lag", "--overwrite").code == 0
    assert read_bundle(bundle).experiment.model.vocoder.settings["lag_samples"] == 0


def test_a_converted_vocoder_is_late_by_half_a_hop_if_that_is_kept(generator: Path) -> None:
    speech = torch.randn(1, 80, 20, generator=torch.Generator().manual_seed(1)) - 5
    waves = []
    for option in ("--quiet", "--keep-lag"):
        bundle = generator.parent / option
        assert run("convert", generator, option, "--output", bundle).code == 0
        waves.append(sr.load(bundle).vocoder(speech))
    # one more frame at the end is heard in the second half
    torch.testing.assert_close(waves[0][:, :2000], waves[1][:, 128:2128], rtol=0, atol=1e-6)


def test_a_compatible_experiment_starts_from_a_vocoder_that_keeps_its_lag(generator: Path) -> None:
    late, mended = generator.parent / "late", generator.parent / "mended"
    assert run("convert", generator, "--keep-lag", "--output", late).code == 0
    assert run("convert", generator, "--output", mended).code == 0
    parts = {"vocoder": "hifigan:preset=v3", "analyzer": None, "channel": None}

    def begin(bundle: Path) -> None:
        given = {"compat": "official-v1", "model": parts, "start": {"vocoder": str(bundle)}}
        experiment = resolve(Experiment.from_mapping(given))
        start_from_bundles(assemble(experiment), experiment)

    begin(late)
    with pytest.raises(BundleError, match="lag_samples=128"):
        begin(mended)


def test_misfits_are_listed_on_one_line(generator: Path) -> None:
    weights = small()
    weights["ups.0.gain"] = weights.pop("ups.0.bias")
    torch.save({"generator": weights}, generator)
    failed = run("convert", generator, "--output", generator.parent / "bundle")
    assert failed.error == (
        f"error: {generator}: its tensors do not fit: missing ups.0.bias; extra ups.0.gain"
    )
    assert left_behind(generator.parent) == ["g_03"]


def test_wrong_use_is_told(generator: Path) -> None:
    folder = generator.parent
    (folder / "bundle").write_text("mine", encoding="utf-8")
    for arguments, words in (
        ([generator, "--output", folder], "is a folder; name a file, such as"),
        ([generator, "--output", folder / "bundle"], "exists already; add --overwrite"),
        ([folder / "none", "--output", folder / "new"], "none: no such file; name a checkpoint"),
        ([generator, "--output", folder / "new", "--features", "mell"], "did you mean 'mel'"),
        (
            [generator, "--output", folder / "new", "--features", "mel:bands=40"],
            "mel:bands=40 has mel_bands 40, the weights are made for 80",
        ),
    ):
        assert words in run("convert", *arguments).error
    assert left_behind(folder) == ["bundle", "g_03"]


@pytest.mark.parametrize("through", ["itself", "symlink", "hard link", "other spelling"])
def test_the_checkpoint_is_never_overwritten(generator: Path, through: str) -> None:
    before = generator.read_bytes()
    output = generator if through == "itself" else generator.parent / "link"
    if through == "symlink":
        output.symlink_to(generator)
    elif through == "hard link":
        output.hardlink_to(generator)
    elif through == "other spelling":
        output = generator.parent / ".." / generator.parent.name / generator.name
    for options in ((), ("--overwrite",)):
        error = run("convert", generator, "--output", output, *options).error
        assert "is an input itself; originals are never overwritten" in error
    assert generator.read_bytes() == before


def test_a_checkpoint_that_is_not_there_is_told_before_a_bundle_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("mine", encoding="utf-8")
    options = ("--output", tmp_path / "bundle", "--overwrite")
    assert "no such file" in run("convert", tmp_path / "none", *options).error
    assert (tmp_path / "bundle").read_text(encoding="utf-8") == "mine"
