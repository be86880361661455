"""What `benchmark --check` says is what the run does, before it is done."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfremaster.benchmarks.records import Outcome as Kept
from selfremaster.benchmarks.records import read_outcome
from selfremaster.core import audio
from tests.cli import run, write_tiny_bundle
from tests.odd_parts import installed, quick_benchmarks, write_grid, write_speech

GONE = "no bundle 'gone.safetensors': neither a file nor a built-in name"


@pytest.fixture(scope="module", autouse=True)
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The stranger's parts, and what benchmarks do beside measuring left out."""
    with installed(tmp_path_factory.mktemp("plugin")), quick_benchmarks():
        yield


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of clean speech."""
    return write_speech(tmp_path_factory.mktemp("speech"))


def checked_and_run(grid: Path, out: Path, *words: str) -> tuple[dict[str, Any], Kept]:
    """What is said before, and what is kept afterwards; both agree on whether anything fails."""
    before = run("benchmark", grid, "--output", out, "--check", "--json", *words)
    assert not out.exists()
    said = json.loads(before.out)
    told = run("benchmark", grid, "--output", out, "--quiet", *words)
    missing = sum(gap["files"] for gap in said["missing"] if _is_restorer(gap, said))
    assert before.code == (1 if said["failing"] else 0)
    assert told.code == (1 if said["failing"] or missing else 0)
    kept = read_outcome(out)
    found: dict[tuple[str, str], int] = {}
    for one in kept.results:
        if one.reason:
            found[one.restorer, one.reason] = found.get((one.restorer, one.reason), 0) + 1
        for metric, gap in one.gaps.items():
            found[metric, gap] = found.get((metric, gap), 0) + 1
    lines = [*said["failing"], *said["missing"]]
    assert {(line["subject"], line["reason"]): line["files"] for line in lines} == found
    return said, kept


def _is_restorer(gap: dict[str, Any], said: dict[str, Any]) -> bool:
    return gap["subject"] in {cell["restorer"] for cell in said["cells"]}


def reasons(lines: list[dict[str, Any]]) -> dict[str, str]:
    """Why, by restorer or metric."""
    return {line["subject"]: line["reason"] for line in lines}


def test_bundles_that_are_not_there_or_do_not_load_are_named(speech: Path, tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("no bundle")
    bundle = write_tiny_bundle(tmp_path / "tiny.safetensors")
    models = {
        "gone": "gone.safetensors",
        "damaged": str(tmp_path / "text.safetensors"),
        "there": str(bundle),
    }
    restorers = {name: {"name": "selfremaster", "model": path} for name, path in models.items()}
    grid = write_grid(tmp_path / "grid.yaml", speech, restorers={**restorers, "input": "input"})
    said, _ = checked_and_run(grid, tmp_path / "out")
    found = reasons(said["failing"])
    assert set(found) == {"gone", "damaged"}
    assert GONE in found["gone"]
    assert "text.safetensors: " in found["damaged"]
    told = run("benchmark", grid, "--check")
    line = next(line for line in told.out.splitlines() if "gone.safetensors" in line)
    assert line.startswith(f"would fail: gone (2 of 2 files): {GONE}")
    assert told.err.splitlines() == ["error: 4 of 8 files would fail"]
    assert told.out.splitlines()[-1] == "4 cells, 8 files, 0 training runs"


def test_restorers_that_are_told_originals_are_named_where_there_are_none(
    speech: Path, tmp_path: Path
) -> None:
    wave, rate = audio.read(speech / "ann" / "0.flac")
    audio.write(tmp_path / "new" / "ann" / "0.flac", wave, rate)
    bundle = str(write_tiny_bundle(tmp_path / "tiny.safetensors"))
    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        corpora={
            "old": {"folder": str(speech)},
            "pairs": {"folder": str(speech), "clean": str(tmp_path / "new")},
        },
        conditions={
            "clipped": {"degradation": "clip:ratio=0.3", "corpora": ["old"]},
            "as they are": None,
        },
        restorers={"ceiling": {"name": "copy-synthesis", "model": bundle}, "input": "input"},
        metrics=["lsd", "bandwidth"],
    )
    said, _ = checked_and_run(grid, tmp_path / "out")
    told = "is told the clean original, and there is none"
    assert said["failing"] == [
        {"subject": "ceiling", "files": files, "of_files": 6, "reason": f"{told}{why}"}
        for files, why in (
            (2, "; leave it out here, or give the corpus clean"),
            (1, ": its clean original bob/1.flac is not there"),
        )
    ]
    assert [(gap["subject"], gap["files"]) for gap in said["missing"]] == [("lsd", 2), ("lsd", 1)]


def test_originals_of_another_length_are_none(speech: Path, tmp_path: Path) -> None:
    for name in ("ann/0.flac", "bob/1.flac"):
        wave, rate = audio.read(speech / name)
        audio.write(tmp_path / "new" / name, wave.repeat(1, 9), rate)
    corpora = {"pairs": {"folder": str(speech), "clean": str(tmp_path / "new")}}
    for task in ("restore", "transfer"):
        grid = write_grid(
            tmp_path / "grid.yaml",
            speech,
            corpora=corpora,
            conditions={"as they are": None},
            task=task,
        )
        said, _ = checked_and_run(grid, tmp_path / task)
        lines = said["missing" if task == "restore" else "failing"]
        assert "they are not the same speech" in lines[0]["reason"]


def test_what_is_not_installed_is_a_gap_with_the_command_that_mends_it(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("noisereduce", "pesq"):
        monkeypatch.setitem(sys.modules, package, None)
    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        restorers={"input": "input", "gate": "noisereduce", "strange": "odd-gone"},
        metrics=["lsd", "pesq"],
    )
    said, _ = checked_and_run(grid, tmp_path / "out")
    assert said["failing"] == []
    found = reasons(said["missing"])
    assert found.keys() == {"gate", "strange", "pesq"}
    assert found["pesq"].endswith("needs the package pesq; pip install 'selfremaster[metrics]'")
    assert found["gate"].endswith("the package noisereduce; pip install 'selfremaster[peers]'")
    told = run("benchmark", grid, "--check")
    assert (told.code, told.err) == (0, "")
    assert f"missing: pesq (2 of 2 files): {found['pesq']}" in told.out.splitlines()


def test_parts_that_cannot_be_built_are_named(speech: Path, tmp_path: Path) -> None:
    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        restorers={"absent": "odd-absent", "input": "input"},
        metrics=["lsd", "odd-missing"],
    )
    said, _ = checked_and_run(grid, tmp_path / "out")
    assert reasons(said["failing"]).keys() == {"absent"}
    assert reasons(said["missing"]).keys() == {"odd-missing"}


def test_runs_that_cannot_begin_fail_all_that_starts_from_them(
    speech: Path, tmp_path: Path
) -> None:
    model = {
        "features": "mel",
        "analyzer": "unet2d:preset=small",
        "vocoder": "griffin-lim:iterations=1,mel_iterations=1",
        "channel": "identity",
    }
    data = {"clean": {"folder": str(speech)}, "segment_seconds": 0.1, "batch_size": 1}
    first = {"model": model, "objective": "supervised", "data": data, "train": {"steps": 1}}
    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        runs={
            "base": {**first, "start": {"analyzer": "gone.safetensors"}},
            "next": {**first, "start": {"analyzer": "${run:base}"}},
            "sound": first,
            "fine": {**first, "start": {"analyzer": "${run:sound}"}},
        },
        restorers={
            name: {"name": "selfremaster", "model": f"${{run:{name}}}"}
            for name in ("base", "next", "fine")
        },
    )
    said, _ = checked_and_run(grid, tmp_path / "out")
    found = reasons(said["failing"])
    assert set(found) == {"base", "next"}
    assert found["base"].startswith(f"training run base failed: {GONE}")
    assert found["next"] == f"training run next failed: {found['base']}"
    again = run("benchmark", grid, "--output", tmp_path / "out", "--check", "--json")
    assert json.loads(again.out)["failing"] == said["failing"]
