"""Content addresses of benchmarks: what makes a cell another one, and what does not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from selfremaster.benchmarks import running
from selfremaster.benchmarks.grids import Grid
from selfremaster.benchmarks.planning import Plan, plan
from selfremaster.benchmarks.records import read_outcome
from selfremaster.benchmarks.stores import known_cell
from selfremaster.benchmarks.training_speech import make_speech
from selfremaster.core import audio, files, manifests
from selfremaster.core.checkpoints import CHECKPOINT_NAME
from selfremaster.core.errors import ExperimentError
from selfremaster.core.manifests import Item, Manifest
from selfremaster.registry import runs
from selfremaster.registry.building import current
from selfremaster.registry.tables import Entry, Table
from tests import tiny
from tests.cli import run, write_tiny_bundle
from tests.odd_parts import quick_benchmarks, write_grid, write_speech


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_benchmarks():
        yield


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Two files of clean speech, a manifest of them, and a model that has learned nothing."""
    folder = write_speech(tmp_path / "speech")
    write_tiny_bundle(folder / "model.safetensors")
    rows = [
        Item("ann/0.flac", "train", "ann", others={"said": "one"}),
        Item("bob/1.flac", "test", "bob", others={"said": "two"}),
    ]
    manifests.write(Manifest(folder, tuple(rows)), folder / "speech.csv")
    return folder


def grid_of(path: Path, speech: Path, **changes: Any) -> Path:
    """Two restorers on one corpus; one of them from a bundle, of which another is trained."""
    settings = {
        "model": {"analyzer": "unet2d:preset=small", "vocoder": "griffin-lim", "channel": None},
        "objective": "pretrain",
        "data": {"clean": {"manifest": str(speech / "speech.csv"), "split": "train"}},
    }
    given = {
        "corpora": {"read": {"folder": str(speech)}},
        "restorers": {
            "input": "input",
            "model": f"selfremaster:model={speech / 'model.safetensors'}",
            "trained": "selfremaster:model=${run:learns}",
        },
        "runs": {"learns": settings},
        **changes,
    }
    return write_grid(path, speech, **given)


def planned(grid: Path, output: Path | None = None, *changes: str) -> Plan:
    """The plan of a grid."""
    return plan(Grid.from_file(grid, changes), output or grid.parent / "out")


def of_cells(found: Plan) -> dict[str, str]:
    """The addresses by restorer."""
    return {cell.place.restorer: cell.address for cell in found.cells}


def test_what_is_no_content_changes_no_address(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = grid_of(tmp_path / "grid.yaml", speech)
    before = of_cells(planned(grid))
    assert len({*before.values()}) == 3
    assert of_cells(planned(grid, tmp_path / "another")) == before
    words = ("about=words", "examples=1", "baseline=model", "name=another", "caveats=none")
    assert of_cells(planned(grid, None, *words)) == before
    assert of_cells(plan(Grid.from_file(grid), tmp_path / "out", threads=3)) == before
    grid.write_text(f"# a comment\n{grid.read_text()}")
    assert of_cells(planned(grid)) == before
    # the order of restorers, and one more of them
    given = yaml.safe_load(grid.read_text())
    more = {"more": "mean-spectrum", **dict(reversed(given["restorers"].items()))}
    grid.write_text(yaml.safe_dump({**given, "restorers": more}, sort_keys=False))
    found = of_cells(planned(grid))
    assert {name: found[name] for name in before} == before
    # all speech somewhere else, and asked for from there
    moved = tmp_path / "elsewhere" / "read"
    moved.parent.mkdir()
    speech.rename(moved)
    assert of_cells(planned(grid_of(tmp_path / "moved.yaml", moved))) == before
    monkeypatch.chdir(moved.parent)
    assert of_cells(planned(grid_of(tmp_path / "moved.yaml", Path("read")))) == before


def _lower(speech: Path) -> None:
    wave, rate = audio.read(speech / "ann" / "0.flac")
    audio.write(speech / "ann" / "0.flac", 0.5 * wave, rate)


def _other_weights(speech: Path) -> None:
    write_tiny_bundle(speech / "model.safetensors", output="input-phase")


def _other_words(speech: Path) -> None:
    listed = speech / "speech.csv"
    listed.write_text(listed.read_text().replace(",one", ",three"))


CONTENT: dict[str, tuple[Callable[[Path], None] | str, set[str]]] = {
    "a file": (_lower, {"input", "model", "trained"}),
    "weights": (_other_weights, {"model"}),
    "words of what is learned": (_other_words, {"trained"}),
    "a metric": ("metrics=[lsd, {name: si-sdr}, mel-l1]", {"input", "model", "trained"}),
    "a setting of damage": ("conditions.clipped=clip:ratio=0.2", {"input", "model", "trained"}),
    "the seed": ("seeds=[1]", {"input", "model", "trained"}),
    "the length": ("corpora.read.seconds=0.2", {"input", "model", "trained"}),
    "steps": ("runs.learns.train.steps=7", {"trained"}),
    "the experiment's seed": ("runs.learns.seed=7", {"trained"}),
}


@pytest.mark.parametrize("name", CONTENT)
def test_what_is_content_changes_the_cells_that_it_is_in(
    name: str, speech: Path, tmp_path: Path
) -> None:
    change, touched = CONTENT[name]
    grid = grid_of(tmp_path / "grid.yaml", speech)
    before = of_cells(planned(grid))
    if callable(change):
        change(speech)
    after = of_cells(planned(grid, None, *([change] if isinstance(change, str) else [])))
    assert {label for label in before if after[label] != before[label]} == touched


def test_sounds_that_a_manifest_has_no_hash_of_are_content_of_what_learns_from_them(
    speech: Path, tmp_path: Path
) -> None:
    corpora = {"read": {"folder": str(speech / "bob")}}
    grid = grid_of(tmp_path / "grid.yaml", speech, corpora=corpora)
    before = of_cells(planned(grid))
    _lower(speech)
    after = of_cells(planned(grid))
    assert {label for label in before if after[label] != before[label]} == {"trained"}
    as_clean = "runs.learns.data.clean.manifest=${clean}"
    listed = f"corpora={{read: {{manifest: {speech / 'speech.csv'}}}}}"
    (first,) = planned(grid, None, listed, as_clean).runs
    wave, rate = audio.read(speech / "ann" / "0.flac")
    audio.write(speech / "ann" / "0.flac", 0.5 * wave, rate)
    (second,) = planned(grid, None, listed, as_clean).runs
    assert first != second


def test_the_version_of_a_plugin_is_content(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for version in ("1.0", "2.0"):
        with monkeypatch.context() as patch:
            entry = current().table.find("restorer", "mean-spectrum")
            owner = entry.owner._replace(version=version)
            patch.setattr(Table, "find", _finds(entry._replace(owner=owner)))
            grid = write_grid(tmp_path / "grid.yaml", speech, restorers={"a": "mean-spectrum"})
            found += [cell.address for cell in planned(grid).cells]
    assert len({*found}) == 2


def _finds(entry: Entry) -> Callable[..., Entry]:
    original = Table.find

    def find(self: Table, kind: str, name: str) -> Entry:
        return entry if (kind, name) == (entry.kind, entry.name) else original(self, kind, name)

    return find


# runs


def test_the_same_run_by_two_names_is_trained_once(speech: Path, tmp_path: Path) -> None:
    grid = grid_of(tmp_path / "grid.yaml", speech)
    given = yaml.safe_load(grid.read_text())
    given["runs"]["again"] = given["runs"]["learns"]
    given["restorers"]["again"] = "selfremaster:model=${run:again}"
    grid.write_text(yaml.safe_dump(given, sort_keys=False))
    found = planned(grid)
    (only,) = found.runs.values()
    models = [cell.restorer.settings.get("model") for cell in found.cells if cell.needs]
    assert models == [str(only.folder)] * 2
    # renamed, it is still there
    only.folder.mkdir(parents=True)
    del given["runs"]["learns"], given["restorers"]["trained"]
    grid.write_text(yaml.safe_dump(given, sort_keys=False))
    assert next(iter(planned(grid).runs.values())).folder == only.folder


def test_a_run_with_a_long_name_has_a_folder(speech: Path, tmp_path: Path) -> None:
    grid = grid_of(tmp_path / "grid.yaml", speech)
    text = grid.read_text().replace("learns", "語" * 80)
    grid.write_text(text)
    (only,) = planned(grid).runs.values()
    only.folder.mkdir(parents=True)


def test_the_speech_of_another_corpus_is_learned_from(speech: Path, tmp_path: Path) -> None:
    write_speech(tmp_path / "other", files=4)
    corpora = {"read": {"folder": str(speech)}, "far": {"folder": str(tmp_path / "other")}}
    conditions = {"clipped": {"degradation": "clip", "corpora": ["read"]}, "asis": None}
    grid = grid_of(tmp_path / "grid.yaml", speech, corpora=corpora, conditions=conditions)
    word = "runs.learns.data.clean.manifest=${{clean:{}}}"
    found = planned(grid, None, word.format("far"))
    (only,) = found.runs.values()  # the same, whatever corpus it is then tried on
    (listed,) = found.speech.values()
    assert only.speech == (listed.address,)
    assert only.experiment.data.clean is not None
    assert only.experiment.data.clean.manifest == listed.manifest
    made = manifests.read(make_speech(listed))
    names = [made.file(item).resolve() for item in made.items]
    assert names == sorted(path.resolve() for path in (tmp_path / "other").rglob("*.flac"))
    own = planned(grid, None, word.format("read"))
    assert not {*own.runs} & {*found.runs}
    with pytest.raises(ExperimentError, match="no corpus 'faar'; did you mean 'far'"):
        planned(grid, None, word.format("faar"))
    with pytest.raises(ExperimentError, match="no corpus ''"):
        planned(grid, None, word.format(""))


# folders that are moved


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Path]:
    """A grid that learns from recordings, and where all of it lies."""
    place = tmp_path / "here"
    speech = tiny.write_speech(place / "speech", seconds=0.6)
    splits = ("train", "val", "test")
    rows = [Item(f"../speech/{k}.wav", split, "ann", 0.6) for k, split in enumerate(splits)]
    (place / "lists").mkdir()
    manifests.write(Manifest(place / "lists", tuple(rows)), place / "lists" / "speech.csv")
    given = tiny.experiment(speech).model_dump(mode="json", exclude_none=True)
    listed = {"split": "train"}
    settings = {
        **given,
        "train": {**given["train"], "steps": 3, "save_every": 1},
        "data": {
            "segment_seconds": 0.2,
            "batch_size": 1,
            "held_out_segments": 1,
            "degraded": {"manifest": "${recordings}", **listed},
            "clean": {"manifest": "${clean}", **listed},
        },
    }
    grid = write_grid(
        place / "grid.yaml",
        speech,
        corpora={"read": {"folder": str(speech)}},
        recordings={"manifest": str(place / "lists" / "speech.csv")},
        restorers={"dual": "selfremaster:model=${run:dual}"},
        conditions={"clipped": "clip:ratio=0.3", "muffled": "band-limit:cutoff_hz=1000"},
        runs={"dual": settings},
        metrics=["lsd"],
    )
    return place, grid


def test_recordings_beside_their_manifest_are_damaged_apart(trained: tuple[Path, Path]) -> None:
    place, grid = trained
    before = {path for path in place.rglob("*") if path.is_file()}
    found = planned(grid, place / "out")
    damaged = [each for each in found.speech.values() if each.pieces]
    waves = []
    for each in damaged:
        made = manifests.read(make_speech(each))
        for item in made.items:
            assert made.file(item).resolve().is_relative_to(each.manifest.parent.resolve())
        waves.append(audio.read(made.file(made.items[0]))[0])
    assert not torch.equal(*waves)
    new = {path for path in place.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(place / "out") for path in new)


def test_a_benchmark_that_was_moved_goes_on(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, grid = trained
    original = runs.train

    def stopped(experiment: Any, folder: Path, **settings: Any) -> Any:
        def report(progress: Any) -> None:
            raise KeyboardInterrupt

        return original(experiment, folder, **{**settings, "report": report})

    with monkeypatch.context() as patch:
        patch.setattr(runs, "train", stopped)
        assert run("benchmark", grid, "--output", place / "out", "--quiet").code == 130
    (checkpoint,) = (place / "out").rglob(CHECKPOINT_NAME)
    moved = tmp_path / "farther" / "away"
    moved.parent.mkdir()
    place.rename(moved)
    there = moved / "grid.yaml"
    there.write_text(there.read_text().replace(str(place), str(moved)))
    told = run("benchmark", there, "--output", moved / "out", "--quiet", "--resume")
    assert (told.code, told.err) == (0, "")
    assert (moved / checkpoint.relative_to(place)).is_file()
    found = read_outcome(moved / "out")
    assert {one.status for one in found.results} == {"ok"}
    assert len(found.provenance.runs) == 2
    assert all(cost.training_minutes is not None for cost in found.costs)


# what is kept


def test_what_is_kept_is_told_by_the_names_of_now(speech: Path, tmp_path: Path) -> None:
    listed = {"corpora": {"a\u2028b": {"manifest": str(speech / "speech.csv")}}}
    grid = write_grid(tmp_path / "grid.yaml", speech, **listed, restorers={"i\u0085n": "input"})
    out = tmp_path / "out"
    assert run("benchmark", grid, "--output", out, "--quiet").code == 0
    (one,) = read_outcome(out).results
    assert (one.corpus, one.restorer, one.speaker) == ("a\u2028b", "i\u0085n", "bob")
    manifest = speech / "speech.csv"
    manifest.write_text(manifest.read_text().replace("bob,test", "eve,test"))
    (cell,) = planned(grid).cells
    kept = known_cell(cell)
    assert kept is not None
    assert [one.speaker for one in kept.results] == ["eve"]


def test_a_restorer_is_counted_once(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []

    def count(restorer: Any, rate: int) -> dict[str, Any]:
        counted.append(rate)
        return {"parameters": 5, "multiply_adds": 2.0}

    monkeypatch.setattr(running, "_counted", count)
    conditions = {"clipped": "clip:ratio=0.3", "asis": None}
    grid = write_grid(
        tmp_path / "grid.yaml", speech, conditions=conditions, restorers={"input": "input"}
    )
    assert run("benchmark", grid, "--output", tmp_path / "out", "--quiet").code == 0
    assert counted == [tiny.RATE]
    costs = read_outcome(tmp_path / "out").costs
    assert [(cost.parameters, cost.multiply_adds) for cost in costs] == [(5, 2.0)] * 2


def test_a_full_disk_is_nobodys_failure(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = write_grid(tmp_path / "grid.yaml", speech, restorers={"input": "input"})
    out = tmp_path / "out"
    original = files._force_to_disk

    def full(path: Path) -> None:
        if path.suffix == ".flac":
            raise OSError(28, "No space left on device")
        original(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_force_to_disk", full)
        told = run("benchmark", grid, "--output", out, "--quiet")
    assert "no space left on device; make room" in told.error
    assert [*(out / "cells").iterdir()] == []
    assert run("benchmark", grid, "--output", out, "--quiet", "--resume").code == 0


# grids and places that cannot be meant


def test_a_name_that_comes_twice_is_refused(speech: Path, tmp_path: Path) -> None:
    grid = write_grid(tmp_path / "grid.yaml", speech)
    again = grid.read_text().replace("  half: odd-half", "  input: mean-spectrum")
    grid.write_text(again)
    told = run("benchmark", grid, "--output", tmp_path / "out")
    assert "input comes a second time; give it another name, or leave one out" in told.error
    assert "line 8: " in told.error
    grid.write_text("corpora: [\n")
    assert "is not YAML" in run("benchmark", grid, "--output", tmp_path / "out").error


def test_an_output_that_cannot_be_is_said_so(speech: Path, tmp_path: Path) -> None:
    grid = write_grid(tmp_path / "grid.yaml", speech, restorers={"input": "input"})
    (tmp_path / "file").write_text("mine")
    told = run("benchmark", grid, "--output", tmp_path / "file")
    assert "is a file; name a folder for the benchmark" in told.error
    assert "not a directory" in run("benchmark", grid, "--output", tmp_path / "file" / "in").error
    assert (tmp_path / "file").read_text() == "mine"
    within = run("benchmark", grid, "--output", speech / "out").error
    assert "own sounds" in within
    assert "name an --output outside of it" in within
    assert not (speech / "out").exists()


@pytest.mark.parametrize("seed", [-1, 2**70])
def test_any_seed_will_do(seed: int, speech: Path, tmp_path: Path) -> None:
    grid = write_grid(
        tmp_path / "grid.yaml",
        speech,
        restorers={"input": "input"},
        conditions={"noisy": "noise"},
        seeds=[seed],
    )
    assert run("benchmark", grid, "--output", tmp_path / "out", "--quiet").code == 0
    assert {one.seed for one in read_outcome(tmp_path / "out").results} == {seed}
