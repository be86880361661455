"""Benchmarks: every cell once; what goes wrong is named, what is cut off is gone on with."""

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from selfremaster.benchmarks import addresses, engines
from selfremaster.benchmarks.grids import Grid
from selfremaster.benchmarks.planning import plan
from selfremaster.benchmarks.provenances import provenance_of
from selfremaster.benchmarks.records import Outcome as Kept
from selfremaster.benchmarks.records import Result, read_outcome
from selfremaster.core import audio
from selfremaster.core.errors import ExperimentError
from selfremaster.registry.building import build
from tests.cli import ROOT, Outcome, run
from tests.killed import killed
from tests.odd_parts import installed, quick_benchmarks, write_grid, write_speech

KILLS = 10
BESIDE = engines._beside


@pytest.fixture(scope="module", autouse=True)
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The stranger's parts, and what benchmarks do beside measuring left out."""
    with installed(tmp_path_factory.mktemp("plugin")), quick_benchmarks():
        yield


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of clean speech."""
    return write_speech(tmp_path_factory.mktemp("speech"))


def benchmark(grid: Path, output: Path, *words: str | Path) -> Outcome:
    """Run the command, quietly."""
    return run("benchmark", grid, "--output", output, "--quiet", *words)


def results(output: Path) -> dict[tuple[str, str], Result]:
    """The results by restorer and file."""
    return {(one.restorer, one.file): one for one in read_outcome(output).results}


def lines(output: Path) -> bytes:
    """The file of results."""
    return (output / "results.jsonl").read_bytes()


# what is measured


def test_a_benchmark_measures_what_it_keeps(speech: Path, tmp_path: Path) -> None:
    grid = write_grid(tmp_path / "grid.yaml", speech)
    assert benchmark(grid, tmp_path / "out").code == 0
    found = read_outcome(tmp_path / "out")
    assert [(one.restorer, one.file, one.speaker) for one in found.results] == [
        (restorer, file, file[:3])
        for restorer in ("input", "half")
        for file in ("ann/0.flac", "bob/1.flac")
    ]
    assert found.grid["restorers"] == {"input": "input", "half": "odd-half"}
    for one in found.results:
        waves = {name: audio.read(found.folder / file)[0] for name, file in one.sounds.items()}
        clean, rate = audio.read(speech / one.file)
        assert torch.equal(waves["reference"], clean)
        damaged = build("degradation", "clip:ratio=0.3").apply(clean, {}, rate)
        torch.testing.assert_close(waves["input"], damaged, atol=2**-23, rtol=0)
        gain = 0.5 if one.restorer == "half" else 1.0
        torch.testing.assert_close(waves["restored"], gain * waves["input"], atol=2**-23, rtol=0)
        for name, score in one.scores.items():
            told = build("metric", name).compute(waves["restored"][0], rate, clean[0])
            assert score == pytest.approx(told[name], rel=1e-8)
        assert one.degradation[0]["parameters"]["ratio"] == 0.3
        assert one.seconds == pytest.approx(clean.shape[1] / rate)
    inputs = [one.sounds["input"] for one in found.results]
    assert inputs[:2] == inputs[2:]
    (cost, _) = found.costs
    assert cost.audio_seconds == pytest.approx(sum(one.seconds for one in found.results) / 2)
    assert (cost.wall_seconds > 0, cost.parameters, cost.threads) == (True, 22050, 1)
    assert cost.peak_memory_bytes is not None
    assert 2**20 < cost.peak_memory_bytes < 2**40
    told = found.provenance
    assert told.plugins == {"odd-parts": "1.0"}
    assert told.restorers["half"] == {"part": "odd-half", "owner": "odd-parts 1.0", "told": False}
    assert [note.directions for note in told.metrics] == [{"lsd": "lower"}, {"si-sdr": "higher"}]


def test_chance_belongs_to_files_and_seeds(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        conditions={"noisy": "noise"},
        restorers={"drawing": "odd-drawing", "input": "input"},
        seeds=[0, 1],
    )
    assert benchmark(grid, tmp_path / "one").code == 0
    monkeypatch.setattr(engines, "_beside", BESIDE)
    assert benchmark(grid, tmp_path / "two", "--jobs", "2").code == 0
    assert lines(tmp_path / "one") == lines(tmp_path / "two")
    for name in ("sounds/damaged", "sounds/restored"):
        first, second = (
            {path.name: path.read_bytes() for path in (tmp_path / run / name).rglob("*.flac")}
            for run in ("one", "two")
        )
        assert first == second
    found = read_outcome(tmp_path / "one").results
    drawn = {json.dumps(one.degradation) for one in found}
    assert len(drawn) == 4  # two files, two seeds, and the same for both restorers
    assert len({one.sounds["restored"] for one in found}) == 8


def test_lags_are_taken_out_and_files_are_cut(speech: Path, tmp_path: Path) -> None:
    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        corpora={"read": {"folder": str(speech), "seconds": 0.1, "speakers": ["a*"]}},
        conditions={"late": "azimuth:summed=true,spacing_mm=2,minutes=40"},
        restorers={"input": "input"},
        metrics=["si-sdr"],
    )
    assert benchmark(grid, tmp_path / "out").code == 0
    (one,) = read_outcome(tmp_path / "out").results
    assert (one.speaker, round(one.seconds, 3)) == ("ann", 0.1)
    wave, clean = (
        audio.read(tmp_path / "out" / one.sounds[name])[0] for name in ("input", "reference")
    )
    assert wave.shape == clean.shape == (1, 2205)
    lag = build("degradation", grid_part(grid, "late")).delay_of(
        one.degradation[0]["parameters"], 22050
    )
    assert lag > 0
    by_hand = build("degradation", grid_part(grid, "late")).apply(
        clean, one.degradation[0]["parameters"], 22050
    )
    torch.testing.assert_close(wave[:, :-lag], by_hand[:, lag:], atol=1e-5, rtol=0)


def grid_part(grid: Path, condition: str) -> Any:
    return yaml.safe_load(grid.read_text())["conditions"][condition]


def test_pairs_that_are_there_are_left_as_they_are(speech: Path, tmp_path: Path) -> None:
    for file in ("ann/0.flac", "bob/1.flac"):
        wave, rate = audio.read(speech / file)
        audio.write(tmp_path / "old" / file, 0.5 * wave, rate)
    (tmp_path / "new" / "ann").mkdir(parents=True)
    wave, rate = audio.read(speech / "ann/0.flac")
    audio.write(tmp_path / "new" / "ann" / "0.wav", audio.resample(wave, rate, 2 * rate), 2 * rate)
    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        corpora={"real": {"folder": str(tmp_path / "old"), "clean": str(tmp_path / "new")}},
        conditions={"as they are": None},
    )
    assert benchmark(grid, tmp_path / "out").code == 0
    found = results(tmp_path / "out")
    assert found["input", "ann/0.flac"].scores["si-sdr"] > 20
    missing = found["input", "bob/1.flac"]
    reason = "no reference: its clean original bob/1.flac is not there"
    assert missing.gaps == {"lsd": reason, "si-sdr": reason}
    assert (missing.status, missing.scores) == ("ok", {})
    assert "reference" not in missing.sounds
    old, _ = audio.read(tmp_path / "old" / "bob" / "1.flac")
    assert torch.equal(audio.read(tmp_path / "out" / missing.sounds["input"])[0], old)


def test_transfer_hears_clean_speech_and_is_measured_by_its_twin(
    speech: Path, tmp_path: Path
) -> None:
    grid = write_grid(tmp_path / "grid.yaml", speech, task="transfer")
    assert benchmark(grid, tmp_path / "out").code == 0
    one = results(tmp_path / "out")["input", "ann/0.flac"]
    assert one.sounds["input"].startswith("sounds/clean/")
    assert one.sounds["reference"].startswith("sounds/damaged/")
    clean, twin = (audio.read(tmp_path / "out" / one.sounds[k])[0] for k in ("input", "reference"))
    assert torch.equal(audio.read(speech / one.file)[0], clean)
    assert twin.abs().max() < 0.5 * clean.abs().max()


# what goes wrong


ODD = {
    "odd-short": "mismatched lengths: 5502 samples for 5512",
    "odd-silent": "silent output, and the input was not",
    "odd-nan": "NaN output: sample 7 of channel 0",
    "odd-double": "wrong type: torch.float64 for torch.float32",
    "odd-flat": "wrong shape: (5512,) for (1, 5512) (channels, samples)",
    "odd-raising": "does not like it",
    "odd-absent": "restorer odd-absent: needs the package absent; install selfremaster[peers]",
    "odd-gone": "restorer 'odd-gone' of odd-parts 1.0 cannot be imported: ModuleNotFoundError: "
    "No module named 'there_is_no_such_module'",
}


def test_whatever_goes_wrong_is_named_and_the_rest_is_done(speech: Path, tmp_path: Path) -> None:
    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        restorers={**{name: name for name in ODD}, "broken": "odd-broken", "input": "input"},
        metrics=["odd-shaky", "lsd", "odd-missing", "odd-peak"],
    )
    told = run("benchmark", grid, "--output", tmp_path / "out", "--json")
    assert told.code == 1
    said = json.loads(told.out)
    assert (said["cells"], said["files"], len(said["failed"])) == (10, 20, 17)
    assert told.err.splitlines()[-1] == "error: 17 of 20 files failed"
    found = results(tmp_path / "out")
    for name, reason in ODD.items():
        one = found[name, "ann/0.flac"]
        assert (one.status, one.reason) == ("failed", reason)
        assert one.scores == {}
        assert ("input" in one.sounds) == (name not in ("odd-absent", "odd-gone"))
    broken = found["broken", "bob/1.flac"]
    assert broken.reason == "RuntimeError: no idea of <object object at 0x...>"
    assert found["broken", "ann/0.flac"].status == "ok"
    good = found["input", "ann/0.flac"]
    missing = "metric odd-missing: needs the package absent; install selfremaster[metrics]"
    assert good.gaps == {"odd-shaky": "ValueError: out of order", "odd-missing": missing}
    assert sorted(good.scores) == ["lsd", "lsd (odd-peak)", "mean", "none"]
    assert good.scores["none"] is None
    assert good.scores["mean"] == pytest.approx(good.scores["lsd (odd-peak)"] / 3, rel=1e-8)
    provenance = read_outcome(tmp_path / "out").provenance
    assert provenance.restorers["odd-gone"]["told"] is None  # nobody can know
    assert provenance.restorers["odd-absent"]["told"] is False
    notes = {note.metric: note for note in provenance.metrics}
    assert notes["odd-missing"].missing == missing
    assert notes["odd-peak"].directions == {
        "lsd (odd-peak)": "higher",
        "mean": "higher",
        "none": "higher",
    }


def test_a_restorer_that_ends_its_process_or_hangs_is_a_failure(
    speech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    restorers = {name: f"odd-{name}" for name in ("hanging", "ending", "loud")}
    grid = write_grid(tmp_path / "grid.yaml", speech, restorers={**restorers, "input": "input"})
    log, out = tmp_path / "processes", tmp_path / "out"
    monkeypatch.setenv("ODD_PARTS_LOG", str(log))
    monkeypatch.setattr(engines, "_beside", BESIDE)
    began = time.monotonic()

    def seconds(_: engines.Limits, cell: Any) -> float:
        """The one that hangs has until it does that, and then its time is over."""
        if cell.place.restorer != "hanging":
            return math.inf
        return 0.06 if log.exists() else time.monotonic() - began + 0.1

    monkeypatch.setattr(engines.Limits, "seconds", seconds)
    told = benchmark(grid, out, "--jobs", "2", "--cell-minutes", "0.001", "--json")
    assert (told.code, json.loads(told.out)["cells"]) == (1, 4)
    printed = capfd.readouterr()
    assert "by" not in printed.out
    assert {"by Python", "by a library"} <= {*printed.err.splitlines()}
    found = results(out)
    assert "ended from outside" in found["ending", "ann/0.flac"].reason
    assert found["hanging", "ann/0.flac"].reason == (
        "took longer than 0.001 minutes and was ended; give it more by --cell-minutes, or 0 for "
        "no limit"
    )
    assert found["input", "bob/1.flac"].status == "ok"
    assert found["loud", "bob/1.flac"].status == "ok"
    assert "--cell-minutes 0.001" in read_outcome(out).provenance.command
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)


def test_a_cell_has_four_hours_or_thirty_times_its_sound(speech: Path, tmp_path: Path) -> None:
    (cell, _) = plan(Grid.from_file(write_grid(tmp_path / "grid.yaml", speech)), tmp_path).cells
    assert engines.Limits().seconds(cell) == 4 * 3600
    (piece, *_) = cell.pieces
    hour = piece._replace(samples=3600 * piece.sample_rate, channels=2)
    assert engines.Limits().seconds(replace(cell, pieces=(hour, hour))) == 30 * 4 * 3600
    assert engines.Limits(0.5).seconds(cell) == 30
    assert math.isinf(engines.Limits(0).seconds(cell))


def test_what_is_no_speech_is_left_out_by_name(speech: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "text.wav").write_text("no sound")
    corpora: dict[str, Any] = {
        "read": {"folder": str(speech)},
        "empty": {"folder": str(tmp_path / "empty")},
        "odd": {"folder": str(tmp_path / "odd")},
    }
    grid = write_grid(tmp_path / "grid.yaml", speech, corpora=corpora)
    told = benchmark(grid, tmp_path / "out")
    assert told.code == 1
    found = read_outcome(tmp_path / "out")
    assert {one.corpus for one in found.results} == {"read"}
    first, second = found.provenance.exclusions
    assert first == f"corpus empty: no sound file in {tmp_path}/empty"
    assert "text.wav: not audio, or damaged" in second
    assert [f"left out: {first}", f"left out: {second}"] == told.err.splitlines()
    del corpora["read"]
    nothing = benchmark(write_grid(grid, speech, corpora=corpora), tmp_path / "none")
    assert f"no sound file in {tmp_path}/empty" in nothing.error
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"restorers": {"a": "inptu"}}, "no restorer named 'inptu'; did you mean 'input'?"),
        ({"restorers": {"a": "odd-half:gian=1"}}, "no setting 'gian'; did you mean 'gain'?"),
        ({"metrics": ["lsdd"]}, "no metric named 'lsdd'; did you mean 'lsd'?"),
        ({"metrics": ["lsd", "lsd"]}, "metrics: lsd comes twice"),
        ({"conditions": {"a": "clp"}}, "no degradation named 'clp'; did you mean 'clip'?"),
        ({"corpora": {"a": {"folder": "nowhere"}}}, "corpus a: nowhere: no such folder"),
        ({"corpora": {"a": {}}}, "corpora.a: give either folder or manifest"),
        ({"restorer": {}}, "no setting 'restorer'; did you mean 'restorers'?"),
        ({"baseline": "inptu"}, "no restorer 'inptu'; did you mean 'input'?"),
        ({"task": "transfer", "conditions": {"a": None}}, "there is no sound to transfer"),
        ({"restorers": {"a": "odd-half:gain=${run:x}"}}, "no run 'x'"),
        ({"restorers": {"a": "odd-half:gain=${recordings}"}}, "give recordings"),
        ({"restorers": {"a": "odd-half:gain=${sede}"}}, "did you mean 'seed'?"),
    ],
)
def test_a_grid_that_cannot_be_meant_fails_at_once(
    changes: dict[str, Any], words: str, speech: Path, tmp_path: Path
) -> None:
    grid = write_grid(tmp_path / "grid.yaml", speech, **changes)
    assert words in benchmark(grid, tmp_path / "out").error
    assert not (tmp_path / "out").exists()


def test_clean_originals_are_not_damaged_again(speech: Path, tmp_path: Path) -> None:
    corpora = {"real": {"folder": str(speech), "clean": str(speech)}}
    grid = write_grid(tmp_path / "grid.yaml", speech, corpora=corpora)
    assert "real holds recordings with clean originals" in benchmark(grid, tmp_path / "out").error
    corpora = {"real": {"folder": str(speech), "speakers": ["eve"]}}
    grid = write_grid(tmp_path / "grid.yaml", speech, corpora=corpora)
    assert "no speaker 'eve'; known: ann, bob" in benchmark(grid, tmp_path / "out").error


# once


def test_nothing_is_done_twice(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD_PARTS_LOG", str(tmp_path / "log"))

    def calls() -> int:
        size = (tmp_path / "log").stat().st_size
        (tmp_path / "log").write_text("")
        return size

    out = tmp_path / "out"
    grid = write_grid(tmp_path / "grid.yaml", speech)
    assert benchmark(grid, out).code == 0
    once = calls()
    assert once >= 3  # two files, one to warm up, and what counting takes
    assert "go on with --resume, begin anew with --overwrite" in benchmark(grid, out).error
    before = lines(out)
    assert benchmark(grid, out, "--resume").code == 0
    assert (calls(), lines(out)) == (0, before)
    # another metric: measured anew, but not restored again
    assert benchmark(grid, out, "--resume", "--set", "metrics=[lsd, mel-l1]").code == 0
    assert calls() == 0
    assert set(results(out)["half", "ann/0.flac"].scores) == {"lsd", "mel-l1"}
    # another name for the same; another condition beside
    names = ("--set", "restorers={again: odd-half}", "--set", "conditions.more=clip:ratio=0.1")
    assert benchmark(grid, out, "--resume", *names).code == 0
    assert calls() == once
    assert [(one.condition, one.restorer) for one in read_outcome(out).results] == [
        (condition, "again") for condition in ("clipped", "more") for _ in range(2)
    ]
    # what is damaged is done again
    cell = next(path for path in (out / "cells").iterdir() if b'"half"' in path.read_bytes())
    cell.write_bytes(cell.read_bytes()[:-20])
    assert benchmark(grid, out, "--resume").code == 0
    assert (calls(), lines(out)) == (0, before)
    next((out / "sounds" / "restored").rglob("*.flac")).unlink()
    assert benchmark(grid, out, "--resume").code == 0
    assert lines(out) == before
    assert benchmark(grid, out, "--overwrite").code == 0
    assert lines(out) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("")
    for word in ("--resume", "--overwrite"):
        assert "holds other things" in benchmark(grid, tmp_path / "mine", word).error


def test_an_added_metric_is_all_that_is_measured(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, out = tmp_path / "measured", tmp_path / "out"
    monkeypatch.setenv("ODD_PARTS_MEASURED", str(log))

    def measured() -> int:
        size = log.stat().st_size
        log.write_text("")
        return size

    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        restorers={"input": "input", "short": "odd-short"},
        metrics=["odd-peak", "odd-shaky"],
    )
    assert benchmark(grid, out).code == 1
    assert measured() == 2  # the two files that could be restored
    # beside another that gives a number of the same name, which renames its own
    added = ("--set", "metrics=[lsd, odd-peak, odd-shaky, si-sdr]")
    assert benchmark(grid, out, "--resume", *added).code == 1
    assert measured() == 0
    assert benchmark(grid, tmp_path / "fresh", *added).code == 1
    assert measured() == 2
    assert lines(out) == lines(tmp_path / "fresh")
    assert set(results(out)["input", "ann/0.flac"].scores) == {
        "lsd",
        "lsd (odd-peak)",
        "mean",
        "none",
        "si-sdr",
    }
    # another setting is another metric, and going back finds what was measured
    other = ("--set", "metrics=[odd-peak:gain=2]")
    for words, count in ((other, 2), ((), 0), (other, 0)):
        assert benchmark(grid, out, "--resume", *words).code == 1
        assert measured() == count
    # sounds that are restored anew are measured anew, and so is what cannot be read
    next((out / "sounds" / "restored").rglob("*.flac")).unlink()
    assert benchmark(grid, out, "--resume", *added).code == 1
    assert (measured(), lines(out)) == (2, lines(tmp_path / "fresh"))
    for kept in (*out.rglob("scores.json"), *(out / "cells").iterdir()):
        kept.write_text("{}\n")
    assert benchmark(grid, out, "--resume", *added).code == 1
    assert (measured(), lines(out)) == (2, lines(tmp_path / "fresh"))


def test_a_benchmark_that_is_stopped_says_how_to_go_on(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, out = write_grid(tmp_path / "grid.yaml", speech), tmp_path / "out"
    original = engines.run_cell

    def interrupted(cell: Any) -> Any:
        if cell.place.restorer == "half":
            raise KeyboardInterrupt
        return original(cell)

    with monkeypatch.context() as patch:
        patch.setattr(engines, "run_cell", interrupted)
        told = benchmark(grid, out, "--set", "examples=2")
    assert told.code == 130
    assert told.err.splitlines() == [
        "interrupted; 1 of 2 cells are done, go on with: selfremaster benchmark "
        f"{grid} --set examples=2 --output {out} --resume"
    ]
    assert len(read_outcome(out).results) == 2
    assert benchmark(grid, out, "--set", "examples=2", "--resume").code == 0
    assert len(read_outcome(out).results) == 4


def test_killed_at_ten_moments_the_results_are_the_same(speech: Path, tmp_path: Path) -> None:
    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        corpora={
            "examples": {
                "folder": str(ROOT / "examples" / "speech"),
                "seconds": 0.3,
                "files_per_speaker": 2,
            }
        },
        conditions={"noisy": "noise"},
        restorers={"mean": "mean-spectrum", "half": "odd-half"},
        metrics=["lsd"],
    )
    (moments,) = killed(tmp_path / "out", 5, KILLS, benchmark=grid)
    assert moments >= 10 * KILLS
    whole, *others = sorted((tmp_path / "out" / "benchmark").iterdir(), reverse=True)
    assert len(read_outcome(whole).results) == 8
    assert 1 <= len(others) <= KILLS
    for other in others:
        assert lines(other) == lines(whole)


def test_a_plan_is_shown_without_running_anything(speech: Path, tmp_path: Path) -> None:
    grid = write_grid(tmp_path / "grid.yaml", speech)
    told = run("benchmark", grid, "--output", tmp_path / "out", "--check")
    assert told.code == 0
    assert told.out.splitlines()[-1] == "2 cells, 4 files, 0 training runs"
    assert not (tmp_path / "out").exists()
    said = json.loads(run("benchmark", grid, "--dry-run", "--json").out)
    assert [cell["restorer"] for cell in said["cells"]] == ["input", "half"]


def test_another_version_of_what_restores_is_another_cell(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorers = {"input": "input", "gate": "noisereduce"}
    grid = Grid.from_file(write_grid(tmp_path / "grid.yaml", speech, restorers=restorers))
    planned: dict[str, set[str]] = {"input": set(), "gate": set()}
    for version in ("1.0", "2.0"):
        monkeypatch.setattr(addresses, "package_version", {"noisereduce": version}.get)
        made = plan(grid, tmp_path)
        for cell in made.cells:
            planned[cell.place.restorer].add(cell.address)
        told = provenance_of(made, "", "").restorers
        assert told["gate"]["packages"] == f"noisereduce {version}"
        assert "packages" not in told["input"]
    assert (len(planned["input"]), len(planned["gate"])) == (1, 2)


def test_a_grid_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    told = benchmark(tmp_path / "gird.yaml", tmp_path / "out").error
    assert "gird.yaml: no such file; give a grid in YAML, or a suite by name" in told


def test_a_corpus_lies_as_it_unpacks(speech: Path, tmp_path: Path) -> None:
    folder = tmp_path / "LJSpeech-1.1"
    wave, rate = audio.read(speech / "ann" / "0.flac")
    for number in range(1, 5):
        audio.write(folder / "wavs" / f"LJ001-000{number}.wav", wave, rate)
    corpora = {"lj": {"folder": str(folder), "layout": "ljspeech"}}
    grid = write_grid(tmp_path / "grid.yaml", speech, corpora=corpora)
    said = json.loads(run("benchmark", grid, "--check", "--json").out)
    assert 1 <= said["cells"][0]["files"] < 4
    corpora["lj"]["layout"] = "vctk"
    grid = write_grid(tmp_path / "grid.yaml", speech, corpora=corpora)
    assert "is not vctk as it unpacks" in run("benchmark", grid, "--check").error


def test_what_is_left_out_is_left_out_in_every_process(speech: Path, tmp_path: Path) -> None:
    grid = write_grid(tmp_path / "grid.yaml", speech)
    told = benchmark(grid, tmp_path / "out", "--without", "odd-parts")
    assert "no restorer named 'odd-half'" in told.error


def test_ray_gives_the_same_results(speech: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        restorers={"input": "input", "drawing": "odd-drawing", "raising": "odd-raising"},
    )
    assert benchmark(grid, tmp_path / "local").code == 1
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    try:
        assert benchmark(grid, tmp_path / "ray", "--engine", "ray").code == 1
    finally:
        ray.shutdown()
    assert lines(tmp_path / "ray") == lines(tmp_path / "local")


def test_without_ray_one_line_says_what_to_install(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    grid = write_grid(tmp_path / "grid.yaml", speech)
    told = benchmark(grid, tmp_path / "out", "--engine", "ray")
    assert "--engine ray needs the package ray; pip install 'selfremaster[ray]'" in told.error
    assert "no engine named 'rai'" in benchmark(grid, tmp_path / "out", "--engine", "rai").error


def test_kept_results_are_what_reports_read(speech: Path, tmp_path: Path) -> None:
    grid = write_grid(tmp_path / "grid.yaml", speech)
    assert benchmark(grid, tmp_path / "out", "--set", "about=\u00e9").code == 0
    found: Kept = read_outcome(tmp_path / "out")
    assert found.grid["about"] == "\u00e9"
    assert found.provenance.command.startswith("selfremaster benchmark ")
    assert found.provenance.corpora["read"]["files"] == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": [1, 1]}, "a seed is there twice"),
        ({"conditions": {"c": ["clip"]}}, r"give a degradation, or \{degradation: "),
        ({"restorers": {"a|b": "input"}}, r"a name of 1 to 80 characters, none of which is \|"),
        ({"restorers": {"": "input"}}, "a name of 1 to 80 characters"),
    ],
)
def test_grids_that_cannot_be_meant_are_refused_in_words(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    grid = {
        "corpora": {"s": {"folder": "examples/speech"}},
        "conditions": {"c": "clip"},
        "restorers": {"input": "input"},
        "metrics": ["lsd"],
    }
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(grid | change), encoding="utf-8")
    with pytest.raises(ExperimentError, match=words):
        Grid.from_file(path)


def test_a_folder_as_a_grid_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="is a folder; give a grid in YAML"):
        Grid.from_file(tmp_path)
