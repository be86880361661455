"""The folder of a benchmark: one run at a time, nothing deleted that nobody asked for."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfremaster.benchmarks import outputs
from selfremaster.benchmarks.grids import Grid
from selfremaster.benchmarks.planning import plan
from selfremaster.benchmarks.records import read_outcome
from selfremaster.core import locks
from tests.cli import ROOT, Outcome, left_behind, run
from tests.odd_parts import installed, quick_benchmarks, write_grid, write_speech

HOLDS = """
import sys, time
from pathlib import Path
from selfremaster.benchmarks import outputs

with outputs.opened(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module", autouse=True)
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The stranger's parts, and what benchmarks do beside measuring left out."""
    with installed(tmp_path_factory.mktemp("plugin")), quick_benchmarks():
        yield


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of clean speech."""
    return write_speech(tmp_path_factory.mktemp("speech"))


@pytest.fixture
def grid(speech: Path, tmp_path: Path) -> Path:
    """A small grid."""
    return write_grid(tmp_path / "grid.yaml", speech)


def benchmark(grid: Path, output: Path, *words: str) -> Outcome:
    """Run the command."""
    return run("benchmark", grid, "--output", output, *words)


# one at a time


def test_a_second_run_in_the_same_folder_is_refused(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = (
        f"error: {out}: another run is writing into it; wait until that has ended, or name "
        "another --output"
    )
    with outputs.opened(out):
        assert benchmark(grid, out).error == words
        assert left_behind(out) == [locks.LOCK_NAME]
    assert benchmark(grid, out).code == 0
    before = left_behind(out)
    with outputs.opened(out, resume=True):
        for word in ("--resume", "--overwrite"):
            assert benchmark(grid, out, word).error == words
        assert benchmark(grid, out, "--check").code == 0
    assert left_behind(out) == before
    assert benchmark(grid, out, "--overwrite").code == 0


def test_a_run_that_is_killed_leaves_no_lock(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(out)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        assert "another run is writing into it" in benchmark(grid, out).error
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert benchmark(grid, out).code == 0


def test_a_run_that_ended_before_its_grid_was_written_is_none(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "cells").mkdir(parents=True)
    (out / ".grid.0123abcd.part.yaml").touch()
    assert benchmark(grid, out).code == 0
    assert locks.LOCK_NAME not in left_behind(out)


def test_nothing_is_put_into_a_folder_of_other_things(grid: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").touch()
    assert "holds other things" in benchmark(grid, tmp_path / "mine").error
    assert left_behind(tmp_path / "mine") == ["letter"]


def test_to_keep_and_to_delete_is_refused(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = "--resume keeps what is done, and --overwrite deletes it; give one of them"
    for _ in range(2):
        assert benchmark(grid, out, "--resume", "--overwrite").error == f"error: {words}"
        assert not out.exists()
    words = "--check runs nothing, and --sweep deletes; give one of them"
    assert words in benchmark(grid, out, "--check", "--sweep").error


# what is told at the end


def test_the_last_line_says_how_long_it_took(grid: Path, tmp_path: Path) -> None:
    told = benchmark(grid, tmp_path / "out").out.splitlines()
    assert re.fullmatch(r"took \d+\.\d s: 2 cells, 4 files", told[-1])
    again = benchmark(grid, tmp_path / "out", "--resume", "--json").out
    assert 0 < json.loads(again)["seconds"] < 600
    kept = (tmp_path / "out" / "results.jsonl").read_text()
    assert "took" not in kept
    assert "seconds" in json.loads(kept.splitlines()[0])  # of sound


def test_what_earlier_grids_left_is_told_and_deleted_when_asked_for(
    grid: Path, speech: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    grid = write_grid(
        grid,
        speech,
        conditions={"clipped": "clip:ratio=0.3", "noisy": "noise"},
        restorers={"input": "input", "half": "odd-half"},
    )
    assert "earlier grids" not in benchmark(grid, out).out
    whole = (out / "results.jsonl").read_bytes()
    for name in ("runs/old-0123", "recordings/4567", "features"):  # as training leaves them
        (out / name).mkdir(parents=True)
        (out / name / "file").write_bytes(bytes(3 * 2**20))
    (out / "sounds" / "damaged" / ".x.0123abcd.part.flac").touch()
    fewer = ("--resume", "--set", "conditions={clipped: 'clip:ratio=0.3'}", "--set")
    fewer = (*fewer, "restorers={input: input}")
    sounds = left_behind(out / "sounds")
    told = benchmark(grid, out, *fewer)
    line = "left of earlier grids: 3 cells and 1 training run, 9 MiB; --resume --sweep deletes them"
    assert line in told.out.splitlines()
    assert left_behind(out / "sounds") == sounds
    found = json.loads(benchmark(grid, out, *fewer, "--json").out)["earlier"]
    assert (found["cells"], found["training_runs"], found["deleted"]) == (3, 1, False)
    assert found["bytes"] > 9 * 2**20
    # whoever goes back finds everything
    assert benchmark(grid, out, "--resume").code == 0
    assert (out / "results.jsonl").read_bytes() == whole
    swept = benchmark(grid, out, *fewer, "--sweep")
    line = "deleted of earlier grids: 3 cells and 1 training run, 9 MiB"
    assert line in swept.out.splitlines()
    assert not any((out / name).exists() for name in ("runs/old-0123", "recordings/4567"))
    assert "earlier grids" not in benchmark(grid, out, *fewer).out
    # what is left is what the smaller grid needs, and no more
    assert benchmark(grid, tmp_path / "fresh", *fewer[1:]).code == 0
    assert left_behind(out) == left_behind(tmp_path / "fresh")
    assert read_outcome(out).results == read_outcome(tmp_path / "fresh").results
    planned = plan(Grid.from_file(grid), out)
    assert outputs.leftovers(planned).paths == ()
