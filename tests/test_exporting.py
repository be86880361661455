"""`export` writes graphs that give torch's numbers, and says what it takes to use them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from selfremaster.core import exporting, graphs
from selfremaster.core.bundles import describe_bundle, write_bundle
from selfremaster.core.errors import ComponentError
from selfremaster.core.packages import require
from selfremaster.core.promises.inputs import speech_like
from selfremaster.plugins.vocoders.hifigan import HifiGan
from selfremaster.registry.assembling import assemble, load, resolve
from tests import tiny
from tests.cli import left_behind, run

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")


def session_of(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that speaks by a network, and hears by one with batch normalisation."""
    path = tmp_path_factory.mktemp("export") / "tiny.safetensors"
    changed = {"model": {"analyzer": {**tiny.ANALYZER, "widths": [4], "norm": "batch"}}}
    resolved = resolve(tiny.experiment(Path("nowhere"), **changed))
    model = assemble(resolved)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in (model.analyzer or model).parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    write_bundle(path, model, resolved)
    return path


@pytest.fixture(scope="module")
def whole(bundle: Path) -> Path:
    """The model as one graph."""
    told = run("export", bundle, "--output", bundle.parent / "tiny.onnx", "--json")
    assert told.code == 0, told.err
    (found,) = json.loads(told.out)["files"]
    assert found["difference"] <= graphs.TOLERANCE * found["largest"]
    assert found["least_frames"] == 1
    return bundle.parent / "tiny.onnx"


@pytest.mark.parametrize(("batch", "samples"), [(1, 300), (2, 7000), (1, 30001)])
def test_the_graph_restores_what_torch_restores(
    bundle: Path, whole: Path, batch: int, samples: int
) -> None:
    model = load(bundle)
    wave = speech_like(samples).expand(batch, -1)
    log_mel = model.features.log_mel(wave)
    found = session_of(whole).run(["wave", "channel_features"], {"log_mel": log_mel.numpy()})
    with torch.no_grad():
        wanted = model.vocoder(model.predict(wave)), model.analyse(wave).channel_features
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(torch.from_numpy(one), other, atol=1e-5, rtol=1e-4)


def test_the_file_says_what_it_takes_to_use_it(bundle: Path, whole: Path) -> None:
    session = session_of(whole)
    notes = session.get_modelmeta().custom_metadata_map
    assert notes["model_sha256"] == describe_bundle(bundle)["sha256"]
    assert (notes["sample_rate"], notes["hop_samples"], notes["part"]) == ("22050", "256", "model")
    assert json.loads(notes["features"])["fmax_hz"] == 8000.0
    shapes = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
    assert shapes == {
        "log_mel": ["batch", 80, "frames"],
        "features": ["batch", 80, "frames"],
        "channel_features": ["batch", 4],
        "wave": ["batch", "256*frames"],
    }
    onnx.checker.check_model(onnx.load(whole))


def test_a_folder_gets_what_can_be_exported(tmp_path: Path) -> None:
    changed = {"model": {"analyzer": "convnext:preset=tiny", "vocoder": "griffin-lim"}}
    changed["model"]["output"] = "input-phase"
    resolved = resolve(tiny.experiment(Path("nowhere"), **changed))
    write_bundle(tmp_path / "m.safetensors", assemble(resolved), resolved)
    told = run("export", tmp_path / "m.safetensors", "--output", tmp_path / "new")
    assert told.code == 0
    assert told.err.splitlines() == [
        "left out: the vocoder GriffinLim: is no network, but a calculation",
        "left out: the output InputPhase: it works on the recording itself",
    ]
    assert left_behind(tmp_path / "new") == ["analysis.onnx"]
    assert told.out.splitlines()[0] == f"analysis -> {tmp_path / 'new' / 'analysis.onnx'}"


def test_source_rows_are_an_input_of_their_own() -> None:
    pytest.importorskip("pyworld")
    changed = {"model": {"features": "source-filter", "analyzer": tiny.ANALYZER}}
    model = assemble(resolve(tiny.experiment(Path("nowhere"), **changed))).eval()
    ((whole, analysis),) = exporting.parts_of(model, single=True)
    assert dict(whole.inputs) == {"log_mel": 80, "source": 2}
    given = whole.example(2, 9, model.features.silence)
    features, _, wave = whole.module(*given)
    with torch.no_grad():
        assert torch.equal(features, analysis.module(given[0])[0])
        speech = model.features.complete(features, torch.zeros(2, 9 * 256), given[1])
        assert torch.equal(wave, model.vocoder(speech))


def test_numbers_that_differ_are_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocoder = tiny.write_vocoder(tmp_path / "v.safetensors")
    target = tmp_path / "new" / "v.onnx"
    monkeypatch.setattr(HifiGan, "rounding", -1.0)
    told = run("export", vocoder, "--output", target)
    assert "synthesis: ONNX Runtime and torch differ by " in told.error
    assert "nothing is written" in told.error
    assert not target.parent.exists()


def test_what_cannot_be_exported_at_all_is_one_line(tmp_path: Path) -> None:
    vocoder = tiny.write_vocoder(tmp_path / "g.safetensors", "griffin-lim:iterations=1")
    told = run("export", vocoder, "--output", tmp_path / "new")
    assert told.error.startswith(
        "error: nothing of this model can be exported: the vocoder GriffinLim: "
    )
    assert not (tmp_path / "new").exists()


def test_operations_that_onnx_lacks_are_named() -> None:
    inner = RuntimeError(
        "No ONNX function found for <OpOverload(op='aten.cummax', overload='default')>. Failure"
    )
    outer = ValueError("Failed to convert the exported program\n\nNext steps: ...")
    outer.__cause__ = inner
    assert graphs._reason(outer) == "ONNX lacks the operation aten.cummax"
    assert (
        graphs._reason(ValueError("\nno such size\nsee the report")) == "ValueError: no such size"
    )


def test_files_that_exist_are_kept(tmp_path: Path) -> None:
    vocoder = tiny.write_vocoder(tmp_path / "v.safetensors")
    (tmp_path / "synthesis.onnx").write_text("old")
    told = run("export", vocoder, "--output", tmp_path)
    assert told.error.endswith(
        "synthesis.onnx: exists already; add --overwrite, or name another file"
    )
    assert (tmp_path / "synthesis.onnx").read_text() == "old"


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(package: str, extra: str | None = None) -> Any:
        return require("onnxscript_is_nowhere" if package == "onnxscript" else package, extra)

    monkeypatch.setattr(exporting, "require", without)
    model = load(tiny.write_vocoder(tmp_path / "v.safetensors"))
    with pytest.raises(ComponentError, match=r"pip install 'selfremaster\[onnx\]'"):
        exporting.export(model, tmp_path / "v.onnx", {})
