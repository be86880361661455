"""Networks that others than torch run: the same numbers, graphs that are kept, and what is said."""

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


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


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
    assert "made" in sr.load(bundle).run_by("onnx")
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


def test_other_runtimes_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="abacus"):
        sr.load(bundle).run_by("abacus")
    source = tmp_path / "a.wav"
    audio.write(source, speech_like(RATE), RATE)
    words = ("--model", bundle, "--runtime", "abacus")
    done = run("restore", source, "--output", tmp_path / "b.wav", *words)
    assert done.code == 2
    assert "abacus" in done.error
