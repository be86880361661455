"""Bundles: read back as written, half as large as float16, and every fault by its words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from selfremaster.core.bundles import (
    BUNDLE_NAME,
    count_weights,
    describe_bundle,
    load_weights,
    read_bundle,
    write_bundle,
)
from selfremaster.core.errors import BundleError
from selfremaster.core.experiments import Experiment
from selfremaster.core.models import Model
from selfremaster.core.tensorfiles import FORMAT, STATE_KEY, read_tensors, write_tensors
from selfremaster.registry.assembling import assemble, load, resolve
from tests import tiny

EXPERIMENT = resolve(
    Experiment.from_mapping(
        {
            "name": "tiny",
            "model": {
                "vocoder": {**tiny.VOCODER, "initial_channels": 64},
                "analyzer": tiny.ANALYZER,
                "channel": tiny.CHANNEL,
            },
        }
    )
)


@pytest.fixture(scope="module")
def model() -> Model:
    return assemble(EXPERIMENT).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def bundle(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / BUNDLE_NAME
    write_bundle(path, model, EXPERIMENT, training={"steps": 7})
    return path


def bytes_of(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def test_a_bundle_reads_back_with_its_experiment_and_notes(bundle: Path, model: Model) -> None:
    found = read_bundle(bundle.parent)
    assert found.experiment == EXPERIMENT
    assert found.header["training"] == {"steps": 7}
    assert describe_bundle(bundle) == found.header
    counted = {name: 0 for name in count_weights(bundle)}
    for name, tensor in found.tensors.items():
        counted[name.partition(".")[0]] += tensor.numel()
    assert count_weights(bundle) == counted
    wave = tiny.speech_like(0.2, 1)
    torch.testing.assert_close(load(bundle).restore(wave, tiny.RATE), model.restore(wave, 22050))


def test_a_bundle_of_half_precision_has_half_the_size_and_sounds_the_same(
    bundle: Path, model: Model, tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    write_bundle(tmp_path / "half", model, EXPERIMENT, half=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    whole, half = read_bundle(bundle), read_bundle(tmp_path / "half")
    floating = {name for name, tensor in whole.tensors.items() if tensor.is_floating_point()}
    assert {half.tensors[name].dtype for name in floating} == {torch.float16}
    assert bytes_of(half.tensors) <= 0.51 * bytes_of(whole.tensors)
    assert (tmp_path / "half").stat().st_size < 0.6 * bundle.stat().st_size
    loaded = load(tmp_path / "half")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    wave = tiny.speech_like(0.5, 1)
    wanted, found = (each.restore(wave, tiny.RATE) for each in (load(bundle), loaded))
    assert (found - wanted).square().mean() < 1e-4 * wanted.square().mean()  # 40 dB below it


def with_header(bundle: Path, path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The same weights under another header, whose hash is right."""
    tensors, header = read_tensors(bundle)
    change(header)
    write_tensors(path, tensors, header)


def with_text(bundle: Path, path: Path, text: str) -> None:
    """The same weights under any text as their header."""
    save_file(load_file(bundle), path, {STATE_KEY: text})


def header_text(bundle: Path) -> str:
    with safe_open(bundle, framework="pt") as opened:
        return str(opened.metadata()[STATE_KEY])


def truncated(bundle: Path, path: Path) -> None:
    path.write_bytes(bundle.read_bytes()[:-1000])


def truncated_in_the_header(bundle: Path, path: Path) -> None:
    path.write_bytes(bundle.read_bytes()[:100])


def empty(bundle: Path, path: Path) -> None:
    path.touch()


def foreign(bundle: Path, path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, path, {"format": "pt"})


def with_another_weight(bundle: Path, path: Path) -> None:
    tensors = load_file(bundle)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name] = tensors[name] + 1e-3
    save_file(tensors, path, {STATE_KEY: header_text(bundle)})


def with_other_notes(bundle: Path, path: Path) -> None:
    assert '"steps": 7' in header_text(bundle)
    with_text(bundle, path, header_text(bundle).replace('"steps": 7', '"steps": 700'))


def with_a_damaged_header(bundle: Path, path: Path) -> None:
    with_text(bundle, path, "{")


def with_a_header_that_is_a_list(bundle: Path, path: Path) -> None:
    with_text(bundle, path, "[1]")


def without_a_hash(bundle: Path, path: Path) -> None:
    with_text(bundle, path, header_text(bundle).replace("sha256", "sha"))


def of_another_format(bundle: Path, path: Path) -> None:
    with_header(bundle, path, lambda header: header.update(format=FORMAT + 1))


def without_an_experiment(bundle: Path, path: Path) -> None:
    with_header(bundle, path, lambda header: header.pop("experiment"))


def with_a_bad_experiment(bundle: Path, path: Path) -> None:
    with_header(bundle, path, lambda header: header.update(experiment={"modle": {}}))


def a_checkpoint(bundle: Path, path: Path) -> None:
    write_tensors(path, {"weight": torch.zeros(2)}, {"kind": "checkpoint"})


def an_empty_folder(bundle: Path, path: Path) -> None:
    path.mkdir()


def nothing(bundle: Path, path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (truncated, "is not a safetensors file, or a damaged one"),
        (truncated_in_the_header, "is not a safetensors file, or a damaged one"),
        (empty, "is not a safetensors file, or a damaged one"),
        (foreign, "a safetensors file, but not written by selfremaster"),
        (with_another_weight, "does not fit its own hash; the file was damaged or changed"),
        (with_other_notes, "does not fit its own hash; the file was damaged or changed"),
        (without_a_hash, "does not fit its own hash; the file was damaged or changed"),
        (with_a_damaged_header, "its header is damaged"),
        (
            with_a_header_that_is_a_list,
            f"written in format None; this version reads format {FORMAT}",
        ),
        (of_another_format, f"written in format {FORMAT + 1}; this version reads format {FORMAT}"),
        (without_an_experiment, "its experiment cannot be read: 'experiment'"),
        (with_a_bad_experiment, "no setting 'modle'; did you mean 'model'?"),
        (a_checkpoint, f"is a checkpoint, not a bundle; give {BUNDLE_NAME}"),
        (an_empty_folder, f"a folder without {BUNDLE_NAME}; has its training ended?"),
        (nothing, "no such file"),
    ],
)
def test_what_is_no_bundle_says_why(
    bundle: Path, tmp_path: Path, make: Callable[[Path, Path], None], message: str
) -> None:
    path = tmp_path / "b"
    make(bundle, path)
    with pytest.raises(BundleError) as raised:
        read_bundle(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def write_changed(bundle: Path, path: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    """A bundle that is whole, and does not fit the model of its experiment."""
    found = read_bundle(bundle)
    change(found.tensors)
    write_tensors(path, found.tensors, found.header)


def an_analyzer_weight(tensors: dict[str, Tensor]) -> str:
    return min(name for name in tensors if name.startswith("analyzer.") and tensors[name].ndim > 1)


@pytest.mark.parametrize("fault", ["missing", "unknown", "misshapen"])
def test_weights_that_do_not_fit_are_named(bundle: Path, tmp_path: Path, fault: str) -> None:
    name = an_analyzer_weight(read_bundle(bundle).tensors)

    def change(tensors: dict[str, Tensor]) -> None:
        if fault == "unknown":
            tensors["analyzer.extra"] = torch.zeros(1)
        else:
            weight = tensors.pop(name)
            if fault == "misshapen":
                tensors[name] = torch.zeros(*weight.shape, 2)

    write_changed(bundle, tmp_path / "b", change)
    with pytest.raises(BundleError) as raised:
        load(tmp_path / "b")
    told = {
        "missing": f"the weights do not fit: missing {name}",
        "unknown": "the weights do not fit: unknown analyzer.extra",
        "misshapen": f"size mismatch for {name}",
    }
    assert str(raised.value).startswith(f"{tmp_path / 'b'}: {told[fault]}")
    assert "\n" not in str(raised.value)


def test_of_many_faults_the_first_are_named() -> None:
    module = torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(4)))
    with pytest.raises(BundleError) as raised:
        load_weights(module, {}, "old")
    assert str(raised.value) == (
        "old: the weights do not fit: missing 0.weight; missing 0.bias; missing 1.weight; "
        "missing 1.bias and 4 more; take a bundle of such a model"
    )
