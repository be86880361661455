"""`list`, `show`, `check` and `doctor`: true of whatever parts there are, and of broken ones."""

import json
from pathlib import Path

import pytest
import yaml

import selfremaster as sr
from selfremaster.core.components import KINDS
from selfremaster.core.experiments import Experiment
from selfremaster.registry.building import component_class
from tests.cli import ROOT, run, with_plugins, write_tiny_bundle

PARTS = [(info.kind, info.name) for info in sr.list_components()]
EXPERIMENTS = Path(__file__).parent.parent / "examples" / "experiments"
CLIP = "selfremaster.plugins.degradations.clip:Clip"

STRANGE = '''
"""Parts of a stranger."""

import torch

from selfremaster.core.interfaces import Degradation, Metric


class Loud(Degradation):
    """Ten times as loud, but for every second time."""

    calls = 0

    def draw(self, generator, sample_rate):
        return {}

    def apply_one(self, wave, parameters, sample_rate):
        Loud.calls += 1
        return wave * (10 if Loud.calls % 2 else 1)


class Lacking(Metric):
    """Needs what is not installed."""

    def __init__(self, config):
        super().__init__(config)
        import a_package_that_is_nowhere


class Refusing(Metric):
    """Cannot be built."""

    def __init__(self, config):
        raise RuntimeError("out of order")
'''


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The module of a stranger's parts."""
    (tmp_path / "strange_parts.py").write_text(STRANGE)
    monkeypatch.syspath_prepend(tmp_path)
    return "strange_parts"


def test_list_shows_every_part_with_its_first_line() -> None:
    told = run("list")
    assert (told.code, told.err) == (0, "")
    rows = told.out.splitlines()[1:]
    assert [tuple(row.split()[:2]) for row in rows] == PARTS
    for info, row in zip(sr.list_components(), rows, strict=True):
        assert info.summary
        assert info.summary in row


@pytest.mark.parametrize("kind", KINDS)
def test_list_of_a_kind_in_markdown_and_json(kind: str) -> None:
    infos = sr.list_components(kind)
    heading, rule, *rows = run("list", kind, "--markdown").out.splitlines()
    assert (heading, rule) == ("| kind | name | what it does |", "|---|---|---|")
    assert rows == [
        f"| {kind} | `{info.name}` | {info.summary.replace('|', chr(92) + '|')} |" for info in infos
    ]
    told = json.loads(run("list", kind, "--json").out)
    assert told == [{**info._asdict(), "duplicate": False} for info in infos]


def test_an_unknown_kind_suggests_the_near_one() -> None:
    assert "no kind of part named 'vocodr'; did you mean 'vocoder'?" in run("list", "vocodr").error


def test_list_marks_what_is_declared_twice_and_hints_at_problems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twice = [(plugin, "degradation", "clip", CLIP) for plugin in ("selfremaster", "vintage-fx")]
    with with_plugins(monkeypatch, *twice, problems=("broken",)):
        told = run("list")
        assert told.code == 0
        assert told.out.count("clip (declared twice)") == 2
        assert "vintage-fx 1.0" in told.out
        assert told.err == "1 plugin has a problem; see selfremaster doctor\n"
        assert [part["duplicate"] for part in json.loads(run("list", "--json").out)] == [True, True]
        error = run("show", "degradation", "clip").error
        assert "declared by selfremaster and by vintage-fx 1.0; leave one out with" in error


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_show_tells_every_setting_and_preset(kind: str, name: str) -> None:
    config = component_class(kind, name).Config
    told = run("show", kind, name)
    assert (told.code, told.err) == (0, "")
    described = json.loads(run("show", kind, name, "--json").out)
    assert [setting["name"] for setting in described["settings"]] == list(config.model_fields)
    for setting in described["settings"]:
        assert setting["description"] in told.out
        assert setting["type"] != "anything"
    assert described["presets"].keys() == config.presets.keys()
    assert all(f"\n{preset}" in told.out for preset in config.presets)


def test_show_says_what_is_allowed() -> None:
    described = json.loads(run("show", "degradation", "clip", "--json").out)
    ratio, reference, peak_db = described["settings"]
    assert ratio["type"] == "number or [number, number]"
    assert (ratio["default"], ratio["allowed"]) == ("0.25", "> 0, <= 1")
    assert (reference["type"], reference["allowed"]) == ("choice", "absolute, signed")
    assert (peak_db["type"], peak_db["default"]) == ("number or none", "none")
    objective = json.loads(run("show", "objective", "ssl-dual", "--json").out)
    kinds = {setting["name"]: setting["type"] for setting in objective["settings"]}
    assert kinds["feature"] == "loss"


def test_show_grid_is_the_schema_of_what_benchmark_reads() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(run("show", "grid").out)
    assert {"corpora", "conditions", "restorers", "metrics"} == set(schema["required"])
    judge = jsonschema.Draft202012Validator(schema)
    for suite in sorted((ROOT / "benchmarks" / "suites").glob("*.yaml")):
        judge.validate(yaml.safe_load(suite.read_text(encoding="utf-8")))


def test_show_experiment_is_the_schema_of_what_train_reads() -> None:
    schema = json.loads(run("show", "experiment").out)
    assert schema["properties"].keys() == Experiment.model_fields.keys()


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_schema_allows_the_examples_as_written_and_as_saved(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    judge = jsonschema.Draft202012Validator(json.loads(run("show", "experiment").out))
    judge.check_schema(judge.schema)
    saved = yaml.safe_load(Experiment.from_file(path).to_yaml())
    for given in (yaml.safe_load(path.read_text(encoding="utf-8")), saved):
        assert [error.message for error in judge.iter_errors(given)] == []
        for part in (7, {"beta": 0.1}, {"name": 7}):
            assert not judge.is_valid({**given, "objective": part})


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("degradation",), "show degradation needs a name: "),
        (("bundle",), "show bundle needs a name: a file"),
        (("degradation", "clp"), "no degradation named 'clp'; did you mean 'clip'?"),
        (("degradatio", "clip"), "nothing named 'degradatio'; did you mean 'degradation'?"),
        (("experiment", "x.yaml"), "show experiment takes no 'x.yaml'"),
        (("bundle", "none.safetensors"), "none.safetensors: no such file"),
    ],
)
def test_show_of_nothing_is_one_line(words: tuple[str, ...], error: str) -> None:
    assert error in run("show", *words).error


def test_show_and_check_a_bundle(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny.safetensors")
    described = json.loads(run("show", "bundle", bundle, "--json").out)
    model = sr.load(bundle)
    assert model.analyzer is not None
    count = sum(tensor.numel() for tensor in model.analyzer.state_dict().values())
    assert described["parameters"] == {"analyzer": count}
    assert described["experiment"]["model"]["vocoder"]["iterations"] == 1
    assert described["versions"].keys() == {"selfremaster", "torch", "python"}
    told = run("show", "bundle", bundle)
    assert (told.code, told.err) == (0, "")
    assert f"analyzer: {count}" in told.out
    told = run("check", bundle)
    assert (told.code, told.err) == (0, "")
    assert [row.split()[-1] for row in told.out.splitlines()[1:]] == ["kept"] * 3


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("degradation/clip:ratio=0.5", True),
        ("loss/feature-l1", True),
        ("vocoder/griffin-lim", True),
    ],
)
def test_check_of_a_part_shows_each_promise(target: str, kept: bool) -> None:
    told = run("check", target, "--json")
    findings = json.loads(told.out)
    assert (told.code, told.err) == (0, "")
    assert len(findings) > 4
    assert {finding["state"] for finding in findings} == {"kept"}
    assert {finding["subject"] for finding in findings} == {target}


def test_check_of_a_kind_has_a_line_a_part_and_skips_what_needs_a_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from selfremaster.registry import assembling

    monkeypatch.setattr(assembling, "builtin_bundles", dict)
    told = run("check", "restorer")
    assert (told.code, told.err) == (0, "")
    rows = [row.split() for row in told.out.splitlines()[1:]]
    assert [row[0] for row in rows] == [
        f"restorer/{info.name}" for info in sr.list_components("restorer")
    ]
    skipped = next(row for row in rows if row[0] == "restorer/selfremaster")
    assert "skipped" in skipped
    assert "needs a model" in " ".join(skipped)


def test_check_of_a_plugin_names_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, strange: str
) -> None:
    parts = [
        ("odd", "degradation", "loud", f"{strange}:Loud"),
        ("odd", "metric", "lacking", f"{strange}:Lacking"),
        ("odd", "metric", "refusing", f"{strange}:Refusing"),
        ("odd", "loss", "nowhere", f"{strange}:Nowhere"),
        ("other", "degradation", "clip", CLIP),
    ]
    with with_plugins(monkeypatch, *parts, problems=("odd",)):
        told = run("check", "odd", "--json")
        findings = {(found["subject"], found["promise"]): found for found in json.loads(told.out)}
        assert told.code == 2
        assert told.err.startswith("error: ")
        assert told.err.endswith("promises are broken\n")
        loud = findings["degradation/loud", "repeats itself"]
        assert loud["state"] == "broken"
        assert "two different sounds" in loud["reason"]
        assert findings["metric/lacking", "can be built"]["state"] == "skipped"
        assert findings["metric/refusing", "can be built"]["state"] == "broken"
        assert "out of order" in findings["metric/refusing", "can be built"]["reason"]
        assert findings["loss/nowhere", "can be imported"]["state"] == "broken"
        assert findings["odd", "can be loaded"]["state"] == "broken"
        assert not any(subject == "degradation/clip" for subject, _ in findings)
        assert run("check", "other").code == 0
        assert run("check", "degradation").code == 2


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("degradation/clp", "no degradation named 'clp'; did you mean 'clip'?"),
        ("degradation/clip:ratio=7", "degradation clip: ratio=7: Input should be less"),
        ("degradatio/clip", "no kind of part named 'degradatio'; did you mean 'degradation'?"),
        ("vocodr", "nothing to check named 'vocodr', and no such file; did you mean 'vocoder'?"),
        ("none/model.safetensors", "nothing to check named 'none/model.safetensors'"),
    ],
)
def test_check_of_nothing_is_one_line(target: str, error: str) -> None:
    assert error in run("check", target).error


def test_doctor_finds_no_problem_in_our_own_parts() -> None:
    told = run("doctor", "--json")
    report = json.loads(told.out)
    assert [item for item in report["problems"] if item["about"] == "selfremaster"] == []
    assert report["packages"]["torch"]
    assert ".flac" in report["formats"]
    assert any(device.startswith("cpu") for device in report["devices"])
    own = next(plugin for plugin in report["plugins"] if plugin["name"] == "selfremaster")
    assert own["parts"] == sum(info.owner == "selfremaster" for info in sr.list_components())


def test_doctor_tells_what_is_broken_and_what_is_lacking(
    monkeypatch: pytest.MonkeyPatch, strange: str
) -> None:
    parts = [
        ("odd", "metric", "lacking", f"{strange}:Lacking"),
        ("odd", "loss", "nowhere", f"{strange}:Nowhere"),
        ("selfremaster", "degradation", "clip", CLIP),
    ]
    with with_plugins(monkeypatch, *parts, problems=("broken",)):
        told = run("doctor")
        assert told.code == 1
        assert "does not import: ImportError: gone" in told.out
        assert "a_package_that_is_nowhere" in told.out
        report = json.loads(run("doctor", "--json").out)
        assert [item["about"] for item in report["problems"]] == ["broken", "loss nowhere"]
        assert report["missing_packages"][0]["package"] == "a_package_that_is_nowhere"
        assert [plugin["parts"] for plugin in report["plugins"]] == [2, 1]
    with with_plugins(monkeypatch, parts[-1]):
        told = run("doctor")
        assert (told.code, told.out.splitlines()[-1]) == (0, "no problems")
