"""Places that files name: what lies elsewhere is never written, whatever a manifest or log says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from selfremaster.benchmarks import records
from selfremaster.benchmarks.corpora import read_corpus
from selfremaster.benchmarks.grids import CorpusSettings
from selfremaster.benchmarks.records import RESULTS_NAME, Result, read_outcome
from selfremaster.benchmarks.sounds import Damage, keep_damaged
from selfremaster.core.errors import ExperimentError
from selfremaster.registry.building import build
from tests import tiny
from tests.cli import left_behind, run
from tests.odd_parts import installed, quick_benchmarks, write_grid, write_speech


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("plugin")), quick_benchmarks():
        yield


OUT = ["../", "/", "a/../../", "a\\..\\..\\", "C:", "..\\"]


def result(**changes: object) -> dict[str, object]:
    """A line of results."""
    names = ("cell", "condition", "corpus", "restorer", "file")
    return {name: name for name in names} | {"seed": 0, "seconds": 1, "sample_rate": 1} | changes


@pytest.mark.parametrize("out", OUT)
def test_results_name_no_sounds_outside_of_their_folder(out: str) -> None:
    with pytest.raises(ValidationError, match="leads out of the benchmark's folder"):
        Result.model_validate(result(sounds={"input": f"{out}secret.wav"}))
    kept = Result.model_validate(result(sounds={"input": "sounds/damaged/ab..flac"}))
    assert kept.sounds == {"input": "sounds/damaged/ab..flac"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark on files that lie beside their manifest's folder; and all that it left."""
    folder = tmp_path_factory.mktemp("bench")
    write_speech(folder / "speech")
    rows = [f"../speech/{path}" for path in left_behind(folder / "speech")]
    (folder / "lists").mkdir()
    table = "path,split\n" + "".join(f"{row},test\n" for row in rows)
    (folder / "lists" / "corpus.csv").write_text(table)
    corpora = {"read": {"manifest": str(folder / "lists" / "corpus.csv")}}
    grid = write_grid(folder / "grid.yaml", folder / "speech", corpora=corpora)
    before = left_behind(folder)
    assert run("benchmark", grid, "--output", folder / "out", "--quiet").code == 0
    assert [path for path in left_behind(folder) if not path.startswith("out/")] == before
    return folder


def test_a_manifest_may_name_files_elsewhere_and_nothing_is_written_there(finished: Path) -> None:
    outcome = read_outcome(finished / "out")
    assert {one.file for one in outcome.results} == {
        "../speech/ann/0.flac",
        "../speech/bob/1.flac",
    }
    places = {place for one in outcome.results for place in one.sounds.values()}
    assert places
    assert all((finished / "out" / place).is_file() for place in places)


def test_a_folder_whose_results_lead_out_of_it_is_refused(finished: Path) -> None:
    path = finished / "out" / RESULTS_NAME
    kept = path.read_text()
    first, *others = kept.splitlines()
    changed = json.loads(first)
    changed["sounds"]["input"] = "../../../etc/passwd"
    path.write_text("\n".join([json.dumps(changed), *others]) + "\n")
    with pytest.raises(ExperimentError, match="leads out of the benchmark's folder; give the ben"):
        read_outcome(finished / "out")
    path.write_text(kept)


def test_a_log_that_names_another_sound_is_made_anew(tmp_path: Path) -> None:
    write_speech(tmp_path / "speech")
    corpus = read_corpus("read", CorpusSettings(folder=tmp_path / "speech"))
    damage = Damage("clipped", "read", 0, build("degradation", "clip"), "clip")
    kept, drawn = keep_damaged(tmp_path / "out", corpus.pieces[0], damage)
    log = (tmp_path / "out" / kept).with_suffix(".json")
    told = json.loads(log.read_text())
    for place in ("../speech/ann/0.flac", str(tmp_path / "speech" / "ann" / "0.flac"), 3):
        log.write_text(json.dumps({**told, "sound": place}))
        assert keep_damaged(tmp_path / "out", corpus.pieces[0], damage) == (kept, drawn)
        assert json.loads(log.read_text()) == told


@pytest.mark.parametrize("label", ["../up", "a/b", "/etc", "a\nb"])
def test_labels_of_a_grid_are_no_places(label: str, tmp_path: Path) -> None:
    write_speech(tmp_path / "speech")
    grid = write_grid(tmp_path / "grid.yaml", tmp_path / "speech", restorers={label: "odd-half"})
    there = left_behind(tmp_path)
    code = run("benchmark", grid, "--output", tmp_path / "out", "--quiet").code
    assert code in (0, 2)
    outside = [path for path in left_behind(tmp_path) if not path.startswith("out/")]
    assert outside == there


@pytest.mark.parametrize("name", ["../../up", "/up", "..", "a\\up"])
def test_a_name_of_an_experiment_is_no_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    given = tiny.experiment(tmp_path).model_dump(mode="json")
    Path("a.yaml").write_text(yaml.safe_dump({**given, "name": name}))
    told = run("train", "a.yaml").error
    assert told == f"error: {name!r} is no name of a folder; give --output"
    assert left_behind(tmp_path) == ["here/a.yaml"]


def test_the_fields_of_a_record_are_those_that_are_checked() -> None:
    assert [name for name in Result.model_fields if "sound" in name] == ["sounds"]
    assert not [name for name in records.CellCost.model_fields if "path" in name]
