"""Networks that others than torch run: the same numbers, graphs that are kept, and what is said."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

import selfremaster as sr
from selfremaster.core import audio
from selfremaster.core.errors import ComponentError
from selfremaster.core.graph_caches import FOLDER_VARIABLE, SUFFIX
from selfremaster.core.promises.inputs import speech_like
from tests.cli import run, write_tiny_bundle

RATE = 22050


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where graphs are kept, for all tests: making one takes seconds."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv(FOLDER_VARIABLE, str(folder))
        yield folder


def graphs(cache: Path) -> list[Path]:
    return sorted(cache.rglob(f"*{SUFFIX}"))


def test_onnx_runtime_gives_the_numbers_of_torch(bundle: Path, cache: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    by_torch, by_onnx = sr.load(bundle), sr.load(bundle)
    told = by_onnx.run_by("onnx")
    assert "runtime onnx" in told
    assert graphs(cache)
    for samples in (RATE, 5000, 3 * RATE // 2):
        wave = speech_like(samples)
        expected, found = by_torch.restore(wave, RATE), by_onnx.restore(wave, RATE)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_graphs_are_kept_and_damaged_ones_made_anew(bundle: Path, cache: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    sr.load(bundle).run_by("onnx")
    assert "made" not in sr.load(bundle).run_by("onnx")
    path = graphs(cache)[0]
    path.write_bytes(path.read_bytes()[:-10] + b"0123456789")
    assert "made" in sr.load(bundle).run_by("onnx")
    assert "made" not in sr.load(bundle).run_by("onnx")


def test_the_command_says_what_runs(bundle: Path, cache: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    source = tmp_path / "a.wav"
    audio.write(source, speech_like(RATE), RATE)
    words = ("--model", bundle, "--device", "cpu")
    for runtime in ("torch", "onnx"):
        target = tmp_path / f"{runtime}.wav"
        done = run("restore", source, "--output", target, *words, "--runtime", runtime)
        assert done.code == 0, done.err
    assert "runtime onnx" in done.err
    by_torch, by_onnx = (audio.read(tmp_path / f"{one}.wav")[0] for one in ("torch", "onnx"))
    torch.testing.assert_close(by_onnx, by_torch, rtol=0, atol=1e-3)


def test_compiled_networks_give_the_numbers_of_torch(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By torch's own backend, which is quick; a compiler of C++ would take a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    by_torch, compiled = sr.load(bundle), sr.load(bundle)
    told = compiled.run_by("compile")
    assert "the analysis module UNet2d (compiled)" in told
    for samples in (RATE, 5000):
        wave = speech_like(samples)
        expected, found = by_torch.restore(wave, RATE), compiled.restore(wave, RATE)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert "torch" in compiled.run_by("torch")
    assert torch.equal(compiled.restore(wave, RATE), by_torch.restore(wave, RATE))


def test_what_cannot_be_compiled_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **settings: object) -> None:
        raise RuntimeError("no compiler was found\nand much else")

    monkeypatch.setattr(torch, "compile", lambda module, **settings: refuse)
    words = "runtime compile: the analysis module UNet2d: no compiler was found; .*--runtime torch"
    with pytest.raises(ComponentError, match=words):
        sr.load(bundle).run_by("compile")


def test_other_runtimes_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="abacus"):
        sr.load(bundle).run_by("abacus")
    source = tmp_path / "a.wav"
    audio.write(source, speech_like(RATE), RATE)
    words = ("--model", bundle, "--runtime", "abacus")
    done = run("restore", source, "--output", tmp_path / "b.wav", *words)
    assert done.code == 2
    assert "abacus" in done.error
