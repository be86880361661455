"""Hostile files, wherever they are read: nothing is executed, and each is refused in one line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfremaster.benchmarks.grids import Grid
from selfremaster.core import audio, manifests
from selfremaster.core.checkpoints import CHECKPOINT_NAME, read_checkpoint
from selfremaster.core.components import ComponentSpec
from selfremaster.core.errors import (
    BundleError,
    ComponentError,
    ExperimentError,
    SelfRemasterError,
)
from selfremaster.core.experiments import Experiment
from selfremaster.core.plain import load_yaml
from selfremaster.core.profiles import load_profile
from selfremaster.registry.assembling import load, resolve
from selfremaster.registry.hub import PINS_VARIABLE, HubReference
from tests import hostile, tiny
from tests.cli import ROOT, left_behind, run, write_tone
from tests.hostile import Maker

LONGEST_LINE = 4000
MOST_GROWTH_KIB = 300 << 10
FOR_ALL = (hostile.reduced, hostile.safetensors_and_zip, hostile.a_deep_state)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that is whole."""
    return tiny.write_model(tmp_path_factory.mktemp("whole") / "whole.safetensors", 1)


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tone(tmp_path_factory.mktemp("tone") / "a.wav")


@pytest.fixture(scope="module")
def tape(whole: Path, tone: Path) -> Path:
    """A profile that is whole."""
    sound, rate = audio.read(tone)
    path = tone.with_name("tape.json")
    load(whole).profile(sound, rate, "tape").save(path)
    return path


def check_line(told: str, path: Path) -> None:
    """One line that names the file and can be shown on any terminal."""
    assert str(path) in told
    assert "\n" not in told
    assert told.isprintable()
    assert len(told) < LONGEST_LINE
    assert "internal error" not in told


def refused(function: Callable[[], object], path: Path) -> str:
    with pytest.raises(SelfRemasterError) as raised:
        function()
    check_line(str(raised.value), path)
    return str(raised.value)


@pytest.mark.filterwarnings("ignore")  # torch and zipfile warn of what they are given
@pytest.mark.parametrize("maker", hostile.MODELS, ids=lambda maker: maker.__name__)
def test_a_hostile_model_is_refused_by_everything_that_reads_models(
    maker: Maker, whole: Path, tone: Path, tape: Path, tmp_path: Path
) -> None:
    path, canary = hostile.make(maker, tmp_path, whole)
    there = left_behind(tmp_path)
    out = tmp_path / "out"
    experiment = tone.with_name("tiny.yaml")
    experiment.write_text(tiny.experiment(tone.parent, start={}).to_yaml())
    told = refused(lambda: load(path), path)
    assert "; " in told or "should" in told  # what is to be done, or is allowed
    readers: list[tuple[Any, ...]] = [
        ("restore", tone, "--output", out / "a.wav", "--model", path),
        ("convert", path, "--output", out / "a.safetensors"),
        ("train", experiment, "--output", out / "run", "--init", path),
    ]
    if maker in FOR_ALL:  # the others are read by the same function
        readers += [
            ("profile", tone, "--output", out / "a.json", "--model", path),
            ("transfer", tone, "--output", out / "a.wav", "--model", path, "--profile", tape),
            ("adapt", tone, "--output", out / "adapted", "--model", path, "--steps", "1"),
            ("show", "bundle", path),
        ]
    for words in readers:
        if words[0] == "train" and maker in hostile.WHOLE_MODULES:
            continue
        told = run(*words).error
        if "no speech was found" not in told:  # by adapt, which reads weights when it learns
            check_line(told, path)
    assert not canary.exists()
    assert left_behind(tmp_path) == there


@pytest.mark.parametrize("maker", [*hostile.FRAMES, *hostile.BUNDLES], ids=lambda m: m.__name__)
def test_a_hostile_file_is_no_profile_and_no_checkpoint(
    maker: Maker, whole: Path, tmp_path: Path
) -> None:
    path, canary = hostile.make(maker, tmp_path, whole)
    refused(lambda: load_profile(path), path)
    place = tmp_path / CHECKPOINT_NAME
    os.rename(path, place)
    refused(lambda: read_checkpoint(tmp_path, tiny.experiment(tmp_path)), place)
    assert not canary.exists()


@pytest.mark.parametrize("name", hostile.YAML)
def test_hostile_yaml_is_refused_by_everything_that_reads_yaml(name: str, tmp_path: Path) -> None:
    path, canary = tmp_path / "hostile.yaml", tmp_path / "canary"
    path.write_text(hostile.YAML[name].replace("{canary}", str(canary)))
    refused(lambda: resolve(Experiment.from_file(path)), path)
    refused(lambda: Grid.from_file(path), path)
    for command in ("train", "benchmark"):
        check_line(run(command, path, "--output", tmp_path / "out").error, path)
    assert left_behind(tmp_path) == ["hostile.yaml"]


@pytest.mark.parametrize("name", hostile.PROFILES)
def test_a_hostile_profile_is_refused_by_everything_that_reads_profiles(
    name: str, whole: Path, tone: Path, tape: Path, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.json"
    path.write_text(hostile.PROFILES[name](tape.read_text()))
    refused(lambda: load_profile(path), path)
    words = ("--output", tmp_path / "a.wav", "--model", whole, "--profile", path)
    check_line(run("transfer", tone, *words).error, path)
    again = ("--redegraded", tmp_path / "b.wav")
    check_line(run("restore", tone, *words, *again).error, path)
    assert left_behind(tmp_path) == ["hostile.json"]


READING = """
import resource, sys, warnings
warnings.simplefilter("ignore")
from selfremaster.cli import main
from selfremaster.core.profiles import load_profile
from selfremaster.core.experiments import Experiment
from selfremaster.core.errors import (
    BundleError,
    ComponentError,
    ExperimentError,
    SelfRemasterError,
)
from selfremaster.registry.assembling import assemble, find_bundle, load
from selfremaster.registry.converting import read_tensors

whole, *paths = sys.argv[1:]
load(whole)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
readers = {".yaml": [Experiment.from_file], ".json": [load_profile]}
from pathlib import Path
for path in paths:
    for read in readers.get(Path(path).suffix, [load, lambda path: read_tensors(Path(path))]):
        try:
            read(path)
        except SelfRemasterError:
            pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other units")
def test_hostile_files_take_little_memory(whole: Path, tape: Path, tmp_path: Path) -> None:
    paths = []
    for maker in hostile.MODELS:
        (tmp_path / maker.__name__).mkdir()
        paths.append(hostile.make(maker, tmp_path / maker.__name__, whole)[0])
    for kind, texts in (
        (".yaml", hostile.YAML),
        (".json", {name: make(tape.read_text()) for name, make in hostile.PROFILES.items()}),
    ):
        for number, text in enumerate(texts.values()):
            paths.append(tmp_path / f"{number}{kind}")
            paths[-1].write_text(text)
    told = subprocess.run(
        [sys.executable, "-c", READING, whole, *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(told.stdout) < MOST_GROWTH_KIB


def test_python_refuses_settings_of_yaml_that_grow(tmp_path: Path) -> None:
    laughs = ", ".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9))
    grown = f"{{l0: &l0 [lol], {laughs}}}"
    with pytest.raises(ComponentError, match="cannot be read as YAML"):
        ComponentSpec.parse(f"clip:ratio={grown}")
    told = run("train", tmp_path / "none.yaml", "--set", f"model={grown}")
    assert told.code == 2
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: {steps: 1, steps: 2}", "line 1: steps comes a second time"),
        ("name: a\nname: b", "line 2: name comes a second time"),
        ("a: &a [*a]", "line 1: an anchor holds itself"),
        ("model: " + "[" * 70 + "]" * 70, "line 1: lies deeper than 64 levels"),
        ("a: &a [1, 2]\n" + "b: [" + "*a, " * 60_000 + "]", "stands for more than 100000 values"),
        ("# " + "x" * (1 << 20), "is longer than 1 MiB; is it an experiment at all?"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_refused_in_yaml_is_told(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ExperimentError) as raised:
        Experiment.from_file(path)
    assert words in str(raised.value)


def test_keys_that_look_like_labels_are_told() -> None:
    with pytest.raises(ExperimentError, match=r"no setting 'a\[b'; known: "):
        Experiment.from_mapping({"a[b": 1})
    with pytest.raises(ExperimentError, match=r"no setting 'model\.int'; known: analyzer"):
        Experiment.from_mapping({"model": {"int": 1}})
    with pytest.raises(ExperimentError, match=r"and 12 more$"):
        Experiment.from_mapping({f"odd{number}": 1 for number in range(20)})


def test_a_merged_key_may_come_again() -> None:
    assert load_yaml("a: &a {x: 1}\nb: {<<: *a, x: 2}") == {"a": {"x": 1}, "b": {"x": 2}}


LOGS = {
    "deep": hostile.NESTED,
    "long": "[" + "0," * (9 << 20) + "0]",
    "a part by its path": '{"source": "a", "sample_rate": 8000, "seed": 1, "degradations": '
    '[{"degradation": "os:system", "settings": {}, "parameters": {}}]}',
    "a place": '{"source": "a", "sample_rate": 8000, "seed": 1, "degradations": '
    '[{"degradation": "../../clip", "settings": {}, "parameters": {}}]}',
    "no number": '{"source": "a", "sample_rate": 8000, "seed": 1, "gain": NaN, "degradations": '
    '[{"degradation": "clip", "settings": {"ratio": NaN}, "parameters": {}}]}',
}


@pytest.mark.parametrize("name", LOGS)
def test_a_hostile_log_is_not_replayed(name: str, tone: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(LOGS[name])
    words = ("--output", tmp_path / "out.wav", "--replay", path)
    check_line(run("degrade", tone, *words).error, path)
    assert left_behind(tmp_path) == ["log.json"]


def test_where_a_log_says_that_its_source_was_nothing_is_read_or_written(
    tone: Path, tmp_path: Path
) -> None:
    words = ("degrade", tone, "--output")
    assert run(*words, tmp_path / "a.wav", "--degradation", "clip:ratio=0.3").code == 0
    log = tmp_path / "a.json"
    told = json.loads(log.read_text())
    log.write_text(json.dumps({**told, "source": "../../../escaped.wav"}))
    assert run(*words, tmp_path / "out" / "b.wav", "--replay", log).code == 0
    assert left_behind(tmp_path) == ["a.json", "a.wav", "out/b.json", "out/b.wav"]
    assert json.loads((tmp_path / "out" / "b.json").read_text())["source"] == "a.wav"


PINS = {
    "deep": hostile.NESTED,
    "long": '{"a": "' + "x" * (17 << 20) + '"}',
    "twice": '{"some-org/tapes": "a", "some-org/tapes": "b"}',
    "numbers": '{"some-org/tapes": 1}',
    "a place": '{"some-org/tapes": "../../../etc/passwd"}',
    "another": '{"some-org/tapes": "other-org/tapes@main#sha256=' + "0" * 64 + '"}',
}


@pytest.mark.parametrize("name", PINS)
def test_hostile_pins_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = tmp_path / "pins.json"
    pins.write_text(PINS[name])
    monkeypatch.setenv(PINS_VARIABLE, str(pins))
    refused(lambda: load("some-org/tapes"), pins)


@pytest.mark.parametrize(
    "text",
    [
        "hf://../../etc",
        "hf://org/..",
        "hf://org/name/../../../x.safetensors",
        "hf://org/name/x.safetensors@../../y",
        "hf://org/name@/etc/passwd",
        "hf://org/name/.hidden.safetensors",
        "hf://org/na\nme",
    ],
)
def test_ids_of_the_hub_lead_nowhere_else(text: str) -> None:
    assert HubReference.parse(text) is None
    with pytest.raises(BundleError, match="is not an id of a bundle on the Hugging Face Hub"):
        load(text)


ROWS = {
    "absolute": "path,split\n/etc/hostname,train\n",
    "of another system": "path,split\na\0b.wav,train\n",
    "the folder itself": "path,split\n,train\n",
    "a column twice": "path,path,split\na.wav,b.wav,train\n",
    "a long cell": f"path,split\n{'a' * (1 << 18)},train\n",
    "an open quote": 'path,split\n"a.wav,train\n',
    "numbers without end": "path,split,seconds\na.wav,train,1e999\n",
    "a million columns": "path,split" + ",x" * 10**5 + "\na.wav,train\n",
}


@pytest.mark.parametrize("name", ROWS)
def test_a_hostile_manifest_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.csv"
    path.write_text(ROWS[name])
    refused(lambda: manifests.read(path), path)
