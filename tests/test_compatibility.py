"""What `compat` fills in, what it leaves alone, and the published experiments."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from selfremaster.core.corpora import entries_from, paired
from selfremaster.core.errors import ExperimentError
from selfremaster.core.experiments import Experiment
from selfremaster.registry.assembling import resolve
from selfremaster.registry.building import build, configure
from tests.cli import run, write_tone

PAPERS = sorted((Path(__file__).parents[1] / "examples" / "experiments").glob("paper-*.yaml"))
UTTERANCES = 4950  # of JSUT BASIC5000, for training


def resolved(**given: Any) -> Experiment:
    return resolve(Experiment.from_mapping(given))


def settings(experiment: Experiment, path: str) -> Any:
    """A value inside the resolved experiment, by its dotted path."""
    value: Any = experiment.model_dump(mode="json")
    for name in path.split("."):
        value = value[name]
    return value


V1, V2 = "official-v1", "official-v2"
FILLED: list[tuple[str, str, str, Any]] = [
    (V1, "ssl-dual", "model.peak_db", -3),
    (V2, "ssl-dual", "model.peak_db", 0),
    (V1, "ssl-dual", "model.analyzer.preset", "paper"),
    (V1, "ssl-dual", "model.analyzer.frame_padding", "zero"),
    (V1, "ssl-dual", "model.analyzer.top_band", "drop"),
    (V1, "ssl-dual", "model.analyzer.norm", "batch"),
    (V1, "ssl-dual", "model.channel.last_sample", "drop"),
    (V1, "ssl-dual", "model.vocoder.lag_samples", 0),
    (V1, "ssl-dual", "objective.beta", 0.001),
    (V1, "ssl-dual", "objective.feature", "feature-l1"),
    (V2, "ssl-dual", "objective.feature", "feature-l2"),
    (V1, "ssl-dual", "objective.reconstruction.eps", 1e-10),
    (V2, "ssl-dual", "objective.reconstruction.eps", 1e-5),
    (V1, "ssl-dual", "objective.reconstruction.sizes", [2048, 512, 256, 128, 64]),
    (V2, "semi", "objective.reconstruction.sizes", [2048, 1024, 512, 256, 128, 64]),
    (V2, "semi", "objective.feature", "feature-l2"),
    (V1, "ssl-step", "objective.reconstruction.eps", 1e-10),
    (V1, "pretrain", "objective.alpha", 0.1),
    (V2, "pretrain", "objective.alpha", 0.01),
    (V1, "pretrain", "objective.reconstruction.linear", False),
    (V1, "pretrain", "objective.reconstruction.eps", 1e-10),
    (V2, "pretrain", "objective.feature", "feature-l1"),
    (V1, "pretrain", "train.learning_rate", 5e-3),
    (V1, "pretrain", "data.batch_size", 8),
    (V1, "supervised", "train.learning_rate", 5e-3),
    (V1, "supervised", "data.batch_size", 8),
    (V1, "supervised", "objective.degradation.mode", "companded"),
    (V1, "ssl-dual", "train.learning_rate", 1e-3),
    (V1, "ssl-dual", "data.batch_size", 4),
    (V1, "ssl-dual", "data.segment_seconds", 2),
    (V1, "ssl-dual", "train.clip_gradient", 1),
    (V1, "ssl-dual", "train.weight_decay", 0),
    (V1, "ssl-dual", "train.schedule.factor", 0.5),
    (V1, "ssl-dual", "train.schedule.patience", 10),
]


@pytest.mark.parametrize(("version", "objective", "path", "value"), FILLED)
def test_a_published_version_fills_in(version: str, objective: str, path: str, value: Any) -> None:
    assert settings(resolved(compat=version, objective=objective), path) == value


def test_what_is_said_stays_said() -> None:
    mine = resolved(
        compat=V1,
        objective={
            "name": "ssl-dual",
            "beta": 0.5,
            "reconstruction": "multiscale-spectral:eps=0.1",
        },
        model={"analyzer": "unet2d:norm=group", "channel": None, "peak_db": -6},
        train={"learning_rate": 0.5, "schedule": {"name": "cosine"}},
        data={"batch_size": 3},
    )
    told = {
        "objective.beta": 0.5,
        "objective.reconstruction.eps": 0.1,
        "objective.reconstruction.preset": "v1",
        "model.analyzer.norm": "group",
        "model.analyzer.preset": "paper",
        "model.channel": None,
        "model.peak_db": -6,
        "train.learning_rate": 0.5,
        "train.schedule.name": "cosine",
        "data.batch_size": 3,
    }
    assert {path: settings(mine, path) for path in told} == told


@pytest.mark.parametrize("name", ["ssl-dual", "semi", "pretrain"])
@pytest.mark.parametrize(("compat", "preset"), [(V1, "v2"), (V2, "v1"), (V1, "v1"), (V2, "v2")])
def test_a_preset_that_is_named_is_whole(name: str, compat: str, preset: str) -> None:
    """What is learned is that of the version of the preset, and nothing of the other one's."""
    mine = resolved(compat=compat, objective=f"{name}:preset={preset}")
    of_preset = resolved(compat=f"official-{preset}", objective=name)
    assert mine.objective == of_preset.objective
    assert mine.model.peak_db == (-3 if compat == V1 else 0)
    assert resolve(mine) == mine


def test_a_preset_of_no_version_is_not_filled() -> None:
    """Mended: the first version with the spectra of the second."""
    for compat in (V1, V2):
        mine = resolved(compat=compat, objective="ssl-dual:preset=mended")
        assert mine.objective == resolved(objective="ssl-dual:preset=mended").objective
        assert settings(mine, "objective.reconstruction.eps") == 1e-5
        assert settings(mine, "objective.feature") == "feature-l1"
        assert resolve(mine) == mine


def test_a_preset_of_a_nested_part_holds_in_that_part_alone() -> None:
    reconstruction = "multiscale-spectral:preset=v2"
    given = {"name": "ssl-dual", "reconstruction": reconstruction}
    mine = resolved(compat=V1, objective=given)
    assert settings(mine, "objective.preset") == "v1"
    assert settings(mine, "objective.reconstruction.eps") == 1e-5
    assert len(settings(mine, "objective.reconstruction.sizes")) == 6


def test_what_a_preset_leaves_open_is_still_filled() -> None:
    """HiFi-GAN's v2 is one of its sizes, and no version of what is published here."""
    vocoder = settings(resolved(compat=V1, model={"vocoder": "hifigan:preset=v2"}), "model.vocoder")
    assert (vocoder["preset"], vocoder["initial_channels"]) == ("v2", 128)
    assert vocoder["lag_samples"] == 0
    analyzer = settings(resolved(compat=V1, model={"analyzer": "unet2d:preset=small"}), "model")
    assert analyzer["analyzer"] == settings(
        resolved(model={"analyzer": "unet2d:preset=small"}), "model.analyzer"
    )


def test_pretraining_of_the_first_version_knows_its_features_whoever_names_the_preset() -> None:
    pytest.importorskip("pyworld")
    model = {"features": "source-filter"}
    linear = {
        (compat, preset): settings(
            resolved(compat=compat, objective=f"pretrain:preset={preset}", model=model),
            "objective.reconstruction.linear",
        )
        for compat in (V1, V2)
        for preset in ("v1", "v2")
    }
    assert linear == {(V1, "v1"): True, (V2, "v1"): True, (V1, "v2"): False, (V2, "v2"): False}


def test_parts_inside_of_parts_are_filled_too() -> None:
    steps = ["clip", {"name": "chain", "steps": ["clip:reference=absolute", "noise"]}]
    objective = {"name": "pretrain", "degradation": {"name": "chain", "steps": steps}}
    outer, inner = settings(resolved(compat=V1, objective=objective), "objective.degradation.steps")
    assert outer["reference"] == "signed"
    assert [step.get("reference") for step in inner["steps"]] == ["absolute", None]
    assert inner["steps"][1]["level"] == "magnitude"


@pytest.mark.parametrize("version", [V1, V2])
def test_what_is_newer_than_the_published_versions_stays_as_it_is(version: str) -> None:
    objective = {"name": "supervised", "degradation": "random-recording"}
    assert settings(resolved(compat=version, objective=objective), "objective.degradation") == (
        settings(resolved(objective=objective), "objective.degradation")
    )


def test_source_filter_is_filled_with_what_was_published_of_it() -> None:
    pytest.importorskip("pyworld")
    mine = resolved(compat=V1, objective="pretrain", model={"features": "source-filter"})
    assert settings(mine, "model.features.pitch") == "linear"
    assert settings(mine, "model.vocoder.preset") == "v1-source-filter"
    assert settings(mine, "objective.reconstruction.linear") is True
    assert build("features", mine.model.features).channels == 42


@pytest.mark.parametrize("version", [V1, V2])
def test_resolving_twice_changes_nothing(version: str) -> None:
    once = resolved(compat=version, objective="pretrain")
    assert resolve(once) == once
    assert resolve(Experiment.from_mapping(once.model_dump(mode="json"))) == once


def test_without_compat_nothing_is_filled() -> None:
    plain = resolved()
    assert settings(plain, "model.analyzer.preset") == "small"
    assert settings(plain, "train.schedule.patience") == 3


def test_an_unknown_version_is_told() -> None:
    with pytest.raises(ExperimentError, match=r"compat=official-v3: .*'official-v1' or"):
        Experiment.from_mapping({"compat": "official-v3"})


def test_every_published_objective_has_an_experiment() -> None:
    assert {path.stem for path in PAPERS} >= {
        "paper-v1-supervised",
        "paper-v1-pretrain",
        "paper-v1-pretrain-source-filter",
        "paper-v1-ssl-dual",
        "paper-v1-ssl-dual-gst",
        "paper-v1-ssl-dual-source-filter",
        "paper-v1-ssl-step",
        "paper-v2-pretrain",
        "paper-v2-pretrain-source-filter",
        "paper-v2-ssl-dual",
        "paper-v2-ssl-dual-source-filter",
        "paper-v2-ssl-step",
        "paper-v2-semi",
    }


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_a_published_experiment_says_all_that_its_version_would_fill_in(path: Path) -> None:
    read = Experiment.from_file(path)
    assert read.name == path.stem
    assert read.compat == f"official-{path.stem.split('-')[1]}"
    whole = resolve(read)
    alone = resolve(read.model_copy(update={"compat": None}))
    assert alone.model_dump(exclude={"compat"}) == whole.model_dump(exclude={"compat"})
    for kind in ("features", "analyzer", "vocoder", "channel"):
        part = getattr(whole.model, kind)
        assert part is None or configure(kind, part).model_dump()
    objective = configure("objective", whole.objective)
    assert getattr(objective, "preset", path.stem.split("-")[1]) == path.stem.split("-")[1]


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_the_steps_of_a_published_experiment_are_fifty_epochs(path: Path) -> None:
    read = Experiment.from_file(path)
    epoch = -(-UTTERANCES // read.data.batch_size)
    assert read.train.steps == 50 * epoch
    assert read.train.validate_every == 3 * epoch
    if read.objective.name == "ssl-step":
        assert read.objective.settings["channel_steps"] == 25 * epoch


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_a_published_experiment_names_the_speech_that_its_objective_needs(path: Path) -> None:
    read = Experiment.from_file(path)
    needed = set(build("objective", resolve(read).objective).streams)
    assert set(read.data.streams()) == set(read.data.held_out()) == needed


def test_the_pairs_of_the_semi_supervised_experiment_are_found_as_its_header_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = (path for path in PAPERS if path.stem == "paper-v2-semi")
    lines = [line.removeprefix("#").strip() for line in path.read_text("utf-8").splitlines()]
    for number in range(30):
        write_tone(tmp_path / f"JSUT/basic5000/wav/BASIC5000_{number:04}.wav", 2000)
    monkeypatch.chdir(tmp_path)
    for line in lines:
        if line.startswith("selfremaster") and "JSUT" in line:
            assert run(*shlex.split(line, comments=True)[1:]).code == 0
    data = Experiment.from_file(path).data
    for streams in (data.streams(), data.held_out()):
        degraded, clean = (
            entries_from(**streams[name].model_dump(include={"manifest", "split"}))
            for name in ("paired_degraded", "paired_clean")
        )
        found = paired(degraded, clean)
        assert len(found[0]) == len(clean) == len(degraded)
        assert [one.path.name for one in found[0]] == [one.path.name for one in found[1]]
        assert {one.path.parts[0] for one in found[0]} == {"JSUT-degraded"}


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_experiments_with_kept_rows_say_so(path: Path) -> None:
    assert ("6 of 173" in path.read_text("utf-8")) == path.stem.endswith("source-filter")
