"""Training runs of benchmarks: once for each content, gone on with, and their failures told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from selfremaster.benchmarks.grids import Grid
from selfremaster.benchmarks.planning import Plan, plan
from selfremaster.benchmarks.records import read_outcome
from selfremaster.benchmarks.training_speech import first_minutes, make_speech
from selfremaster.core import audio, manifests
from selfremaster.core.bundles import BUNDLE_NAME
from selfremaster.core.checkpoints import CHECKPOINT_NAME
from selfremaster.core.errors import ExperimentError
from selfremaster.core.manifests import Item, Manifest
from selfremaster.registry import runs
from selfremaster.registry.building import build
from tests import tiny
from tests.cli import run
from tests.odd_parts import quick_benchmarks, write_grid


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_benchmarks():
        yield


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of three files, one of each split, and a vocoder."""
    folder = tiny.write_speech(tmp_path_factory.mktemp("speech"), seconds=0.6)
    rows = [Item(f"{k}.wav", split, "ann") for k, split in enumerate(["train", "val", "test"])]
    manifests.write(Manifest(folder, tuple(rows)), folder / "manifest.csv")
    return folder


@pytest.fixture
def grid(speech: Path, tmp_path: Path) -> Path:
    """Two conditions; a model that knows none of them, and one that learns each."""
    given = tiny.experiment(speech).model_dump(mode="json", exclude_none=True)
    clean = {"clean": {"manifest": "${clean}", "split": "train"}}
    data = {"segment_seconds": 0.2, "batch_size": 1, "held_out_segments": 1}
    base = {**given, "train": {**given["train"], "steps": 2, "save_every": 1}}
    apart = {
        **base,
        "name": "${corpus}",
        "objective": "pretrain",
        "data": {**data, **clean},
    }
    dual = {
        **base,
        "start": {**given["start"], "analyzer": "${run:apart}", "channel": "${run:apart}"},
        "data": {**data, **clean, "degraded": {"manifest": "${recordings}", "split": "train"}},
    }
    return write_grid(
        tmp_path / "grid.yaml",
        speech,
        corpora={"read": {"manifest": str(speech / "manifest.csv")}},
        recordings={"manifest": str(speech / "manifest.csv")},
        conditions={"clipped": "clip:ratio=0.3", "muffled": "band-limit:cutoff_hz=1000"},
        restorers={
            "apart": "selfremaster:model=${run:apart}",
            "dual": "selfremaster:model=${run:dual}",
            "input": "input",
        },
        runs={"dual": dual, "apart": apart},
        metrics=["lsd"],
    )


def planned(grid: Path, output: Path, *changes: str) -> Plan:
    return plan(Grid.from_file(grid, changes), output)


def test_runs_are_shared_where_they_are_the_same(grid: Path, tmp_path: Path) -> None:
    found = planned(grid, tmp_path / "out")
    names = [each.name for each in found.runs.values()]
    assert names == ["apart", "dual", "dual"]
    first, *others = found.runs
    assert [found.runs[other].needs for other in others] == [(first,), (first,)]
    assert [len(found.runs[each].speech) for each in found.runs] == [1, 2, 2]
    # neither the folder nor names are content
    again = planned(grid, tmp_path / "elsewhere", "runs.apart.name=other", "runs.dual.name=b")
    assert [*again.runs] == [*found.runs]
    assert [cell.address for cell in again.cells] == [cell.address for cell in found.cells]
    changed = planned(grid, tmp_path / "out", "runs.apart.train.steps=3")
    assert not {*changed.runs} & {*found.runs}
    same = [a.address == b.address for a, b in zip(found.cells, changed.cells, strict=True)]
    assert same == [False, False, True] * 2
    later = planned(grid, tmp_path / "out", "runs.dual.train.steps=3", "seeds=[1]")
    assert next(iter(later.runs)) == first
    assert not {*later.runs} & {*others}
    told = run("benchmark", grid, "--check").out.splitlines()
    assert told[-1] == "6 cells, 6 files, 3 training runs"


def test_models_are_trained_once_and_measured(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, begun = runs.train, []

    def stopped(experiment: Any, folder: Path, **settings: Any) -> Any:
        begun.append(folder.name)
        if len(begun) != 2:
            return original(experiment, folder, **settings)

        def report(progress: Any) -> None:
            raise KeyboardInterrupt

        return original(experiment, folder, **{**settings, "report": report})

    out = tmp_path / "out"
    monkeypatch.setattr(runs, "train", stopped)
    told = run("benchmark", grid, "--output", out, "--quiet")
    assert told.code == 130
    assert "0 of 6 cells are done, go on with:" in told.err
    half = out / "runs" / begun[1]
    assert (half / CHECKPOINT_NAME).is_file()
    assert not (half / BUNDLE_NAME).exists()
    assert run("benchmark", grid, "--output", out, "--quiet", "--resume").code == 0
    assert [name.partition("-")[0] for name in begun] == ["apart", "dual", "dual", "dual"]
    found = read_outcome(out)
    assert [one.status for one in found.results] == ["ok"] * 6
    assert [*found.provenance.runs] == [begun[0], begun[1], begun[3]]
    assert {note["steps"] for note in found.provenance.runs.values()} == {2}
    assert "features_folder" not in found.provenance.runs[begun[0]]
    minutes = {cost.restorer: cost.training_minutes for cost in found.costs}
    assert minutes["input"] is None
    assert minutes["dual"] is not None
    whole = tmp_path / "whole"
    monkeypatch.setattr(runs, "train", original)
    assert run("benchmark", grid, "--output", whole, "--quiet").code == 0
    assert (whole / "results.jsonl").read_bytes() == (out / "results.jsonl").read_bytes()


def test_recordings_are_damaged_with_their_splits(grid: Path, speech: Path, tmp_path: Path) -> None:
    found = planned(grid, tmp_path / "out")
    damaged = [each for each in found.speech.values() if each.pieces]
    assert len(damaged) == 2
    made = manifests.read(make_speech(damaged[0]))
    assert [item.split for item in made.items] == ["train", "val", "test"]
    for item in made.items:
        clean, rate = audio.read(made.folder / item.others["clean"])
        part = build("degradation", "clip:ratio=0.3")
        wave, _ = audio.read(made.file(item))
        torch.testing.assert_close(wave, part.apply(clean, {}, rate), atol=2**-23, rtol=0)
    before = made.file(made.items[0]).stat().st_mtime_ns
    make_speech(damaged[0])
    damaged[0].manifest.unlink()
    make_speech(damaged[0])
    assert made.file(made.items[0]).stat().st_mtime_ns == before


def test_so_many_minutes_are_those_of_the_training_split() -> None:
    splits = ["train", "val", "train", "test", "train"]
    items = tuple(Item(f"{k}.wav", split, "", 30.0) for k, split in enumerate(splits))
    kept = first_minutes(Manifest(Path(), items), 0.9)
    assert [item.path for item in kept.items] == ["0.wav", "1.wav", "2.wav", "3.wav"]


def test_minutes_have_runs_of_their_own(grid: Path, tmp_path: Path) -> None:
    words = [
        f"runs.dual.data.degraded.manifest=${{recordings:{minutes}}}" for minutes in ("5", "0.5")
    ]
    five, half = (planned(grid, tmp_path / "out", word) for word in words)
    assert len({*five.runs} & {*half.runs}) == 1  # the one that learns from no recordings
    (speech, *_) = [each for each in half.speech.values() if each.minutes]
    assert speech.manifest.name == "first-0.5-minutes.csv"
    assert len(manifests.read(make_speech(speech)).items) == 3


def test_runs_may_learn_from_the_recordings_of_another_condition(
    grid: Path, tmp_path: Path
) -> None:
    word = "runs.dual.data.degraded.manifest=${recordings:clipped}"
    found, own = planned(grid, tmp_path / "out", word), planned(grid, tmp_path / "out")
    assert len(found.runs) == 2
    assert {*found.runs} < {*own.runs}
    with pytest.raises(ExperimentError, match="no condition 'cliped'; did you mean 'clipped'"):
        planned(grid, tmp_path / "out", word.replace("clipped", "cliped"))


def test_a_run_that_fails_fails_its_cells_alone(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bad = "runs.dual.start.vocoder=no-such-bundle"
    told = run("benchmark", grid, "--output", out, "--quiet", "--set", bad)
    assert told.code == 1
    found = {(one.condition, one.restorer): one for one in read_outcome(out).results}
    assert found["clipped", "apart"].status == "ok"
    reason = found["muffled", "dual"].reason
    assert reason.startswith("training run dual failed: no bundle 'no-such-bundle'")
    provenance = read_outcome(out).provenance
    assert sum("failure" in note for note in provenance.runs.values()) == 2
    # mended, and gone on with
    assert run("benchmark", grid, "--output", out, "--quiet", "--resume").code == 0
    bad = "runs.apart.train.learning_rate=1"
    worse = run("benchmark", grid, "--output", tmp_path / "x", "--quiet", "--set", bad, "--check")
    assert worse.code == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("runs.apart.start.analyzer=${run:dual}", "runs wait for each other: apart -> dual"),
        ("runs.apart.objective=pretrian", "did you mean 'pretrain'?"),
        ("runs.apart.trian={}", "runs.apart: no setting 'trian'; did you mean 'train'?"),
        ("runs.apart.name=${run:apar}", "no run 'apar'; did you mean 'apart'?"),
        ("recordings.manifest=nowhere.csv", "nowhere.csv: cannot be read"),
    ],
)
def test_runs_that_cannot_be_meant_fail_at_once(
    change: str, words: str, grid: Path, tmp_path: Path
) -> None:
    told = run("benchmark", grid, "--output", tmp_path / "out", "--set", change)
    assert words in told.error
    assert not (tmp_path / "out").exists()


def test_a_folder_has_a_manifest_made_of_it(grid: Path, speech: Path, tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    for file in speech.glob("*.wav"):
        (tmp_path / "words" / file.name).write_bytes(file.read_bytes())
    corpora = f"corpora={{read: {{folder: {tmp_path / 'words'}}}}}"
    found = planned(grid, tmp_path / "out", corpora)
    (clean,) = [each for each in found.speech.values() if each.listed]
    made = manifests.read(make_speech(clean))
    assert sorted(item.split for item in made.items) == ["test", "train", "val"]
    assert made.file(made.items[0]).is_file()
    recordings = f"recordings={{folder: {tmp_path / 'words'}}}"
    found = planned(grid, tmp_path / "out", corpora, recordings)
    damaged = next(each for each in found.speech.values() if each.pieces)
    with pytest.raises(ExperimentError, match="is of no split"):
        make_speech(damaged)
