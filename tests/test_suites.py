"""The suites that are shipped: each reads, can be planned, and has what its runs need."""

import shutil
from pathlib import Path

import pytest

import selfremaster as sr
from selfremaster.benchmarks.grids import CorpusSettings, Grid, placeholders
from selfremaster.benchmarks.planning import Plan, plan
from selfremaster.benchmarks.training_speech import clean_speech, make_speech
from selfremaster.core import audio, manifests
from selfremaster.core.errors import ExperimentError, SelfRemasterError
from selfremaster.core.experiments import Experiment
from selfremaster.core.manifests import Item, Manifest
from selfremaster.core.models import Model
from selfremaster.registry.assembling import assemble, builtin_bundles
from selfremaster.registry.runs import start_from_bundles
from tests.tiny import RATE, speech_like

ROOT = Path(__file__).parents[1]
SUITES = sorted((ROOT / "benchmarks" / "suites").glob("*.yaml"))
NAMES = [suite.stem for suite in SUITES]
SPEAKERS = ("dc-tts-reader", "jfk", "kathleen", "ls-1")


def write_corpus(path: Path, splits: tuple[str, ...] = ("train", "val", "test")) -> None:
    """A manifest of made sounds, one of each speaker in each split, each its own original."""
    items = []
    for number, speaker in enumerate(SPEAKERS):
        for split in splits:
            name = f"{speaker}/{split}.wav"
            audio.write(path.parent / name, speech_like(0.5, number), RATE)
            others = {"clean": name}
            items.append(Item(name, split, speaker, 0.5, RATE, 1, others=others))
    manifests.write(Manifest(path.parent, tuple(items)), path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every suite finds its speech."""
    folder = tmp_path_factory.mktemp("suites")
    write_corpus(folder / "speech.csv")
    write_corpus(folder / "recordings.csv")
    write_corpus(folder / "runs" / "telephone" / "manifest.csv")
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def planned(name: str, place: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> Plan:
    monkeypatch.chdir(place)
    suite = ROOT / "benchmarks" / "suites" / f"{name}.yaml"
    return plan(Grid.from_file(suite, overrides), place / "output")


def test_the_suites_are_those_that_are_told_of() -> None:
    assert NAMES == [
        "components",
        "data-size",
        "default-model",
        "default-real",
        "effect-transfer",
        "paper-real",
        "paper-simulated",
        "smoke",
        "telephone-gsm",
        "unseen-degradation",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_suites_can_be_planned(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = planned(name, place, monkeypatch)
    assert found.exclusions == []
    assert len(found.cells) == len(list(found.grid.cells()))
    assert all(cell.pieces for cell in found.cells)
    assert {run.name for run in found.runs.values()} == set(found.grid.runs)
    assert not (place / "output").exists()


@pytest.mark.parametrize("name", NAMES)
def test_suites_say_what_they_answer_and_where_speech_is_given(name: str) -> None:
    text = (ROOT / "benchmarks" / "suites" / f"{name}.yaml").read_text(encoding="utf-8")
    head = " ".join(line[1:] for line in text.splitlines() if line.startswith("#"))
    assert "?" in head
    assert "--set corpora." in head
    grid = Grid.from_file(ROOT / "benchmarks" / "suites" / f"{name}.yaml")
    assert grid.about
    assert grid.caveats


def test_runs_of_suites_have_what_their_objectives_need(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: dict[str, Model] = {}
    for name in NAMES:
        for run in planned(name, place, monkeypatch).runs.values():
            experiment = run.experiment
            objective = sr.build("objective", experiment.objective)
            assert set(objective.streams) <= set(experiment.data.streams()), run.name
            held_out = set(experiment.data.held_out())
            assert not held_out or set(objective.streams) <= held_out, run.name
            model = experiment.model.model_dump_json()
            built[model] = built.get(model) or assemble(experiment)
            for module in {*objective.uses, *objective.trained}:
                assert getattr(built[model], module) is not None, run.name
            assert {"vocoder"} <= set(experiment.start) <= {"vocoder", "analyzer", "channel"}


def test_what_runs_start_from_fits_their_models(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [
        run.experiment for name in NAMES for run in planned(name, place, monkeypatch).runs.values()
    ]
    for name in ("first", "dual", "dual-source-filter"):
        wanted.append(Experiment.from_file(ROOT / "examples" / "experiments" / f"{name}.yaml"))
    own = builtin_bundles()
    tried: set[str] = set()
    for experiment in wanted:
        start = {module: name for module, name in experiment.start.items() if name in own}
        key = f"{experiment.model.model_dump_json()} {start}"
        if key not in tried:
            tried.add(key)
            hashes = start_from_bundles(
                assemble(experiment), experiment.model_copy(update={"start": start})
            )
            assert set(hashes) == {"vocoder"}


@pytest.mark.parametrize("name", NAMES)
def test_overrides_reach_every_corpus(name: str) -> None:
    suite = ROOT / "benchmarks" / "suites" / f"{name}.yaml"
    grid = Grid.from_file(suite)
    for corpus, chosen in grid.corpora.items():
        setting = "folder" if chosen.folder else "manifest"
        changed = Grid.from_file(suite, [f"corpora.{corpus}.{setting}=elsewhere"])
        assert getattr(changed.corpora[corpus], setting) == Path("elsewhere")
    for run in grid.runs:
        changed = Grid.from_file(suite, [f"runs.{run}.train.steps=7"])
        steps = {name: given["train"]["steps"] for name, given in changed.runs.items()}
        assert [name for name, count in steps.items() if count == 7] == [run]


def test_no_run_learns_from_what_is_measured(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        for run in planned(name, place, monkeypatch).runs.values():
            data = run.experiment.data
            for stream, source in {**data.streams(), **data.held_out()}.items():
                wanted = "val" if source in data.held_out().values() else "train"
                real = name == "paper-real" and stream == "degraded"  # without originals
                folder = source.folder is not None
                assert source.split == (None if real or folder else wanted), (name, run.name)


def test_runs_of_unseen_damage_know_one_condition(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = planned("unseen-degradation", place, monkeypatch)
    counted = [run.name for run in found.runs.values()]
    assert counted.count("band-limit") == counted.count("eras") == counted.count("supervised") == 1
    # each condition has its own, and in two of them it is what another run is
    assert counted.count("itself") == len(found.grid.conditions) - 2


def test_sizes_of_data_are_what_their_names_say() -> None:
    grid = Grid.from_file(ROOT / "benchmarks" / "suites" / "data-size.yaml")
    minutes = {
        name: [place for place in placeholders(given["data"]["degraded"])]
        for name, given in grid.runs.items()
        if name != "pretrain"
    }
    assert minutes == {name: [f"recordings:{name}"] for name in ("1", "5", "15", "60")}


def test_a_suite_without_its_speech_says_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExperimentError, match=r"speech\.csv: cannot be read: no such file"):
        planned("components", tmp_path, monkeypatch)


def test_clean_speech_of_another_corpus_is_that_of_its_speakers(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = planned("telephone-gsm", place, monkeypatch)
    (supervised,) = [run for run in found.runs.values() if run.name == "supervised"]
    (speech,) = [found.speech[address] for address in supervised.speech]
    made = manifests.read(make_speech(speech))
    assert made.speakers() == ["kathleen"]
    assert made.splits() == {"train": 1, "val": 1, "test": 1}
    for item in made.items:
        assert made.file(item).samefile(place / f"kathleen/{item.split}.wav")
    shutil.rmtree(place / "output")


def test_originals_are_found_where_the_manifest_is_written_anew(tmp_path: Path) -> None:
    write_corpus(tmp_path / "speech.csv")
    settings = CorpusSettings(
        manifest=tmp_path / "speech.csv", speakers=("k*",), clean="clean", split=None
    )
    made = manifests.read(make_speech(clean_speech("pairs", settings, tmp_path / "out")))
    assert [item.speaker for item in made.items] == ["kathleen"] * 3
    for item in made.items:
        assert (made.folder / item.others["clean"]).samefile(made.file(item))


@pytest.mark.parametrize(
    ("override", "error"),
    [
        (
            "runs.supervised.data.clean.manifest=${clean:voices}",
            "runs.supervised: no corpus 'voices'; did you mean 'voice'?",
        ),
        ("restorers.input=inptu", "did you mean 'input'?"),
        ("metrics=[lsdd]", "did you mean 'lsd'?"),
    ],
)
def test_wrong_overrides_are_told(
    override: str, error: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SelfRemasterError) as told:
        planned("telephone-gsm", place, monkeypatch, override)
    assert error in str(told.value)
