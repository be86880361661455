"""Parts that go wrong at work: each is named, its file fails, and nobody else hears of it."""

# ruff: noqa: D102  # the broken parts' methods are those of the interfaces

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from selfremaster import cli
from selfremaster.core import guards
from selfremaster.core.degrading import Step, degrade
from selfremaster.core.errors import AudioError, ComponentError, one_line
from selfremaster.core.interfaces import (
    AnalysisOutput,
    ComponentConfig,
    Degradation,
    Metric,
)
from selfremaster.core.models import Model
from selfremaster.core.promises.stubs import stub_model
from selfremaster.plugins import COMPONENTS
from selfremaster.registry.building import build
from tests.cli import ROOT, left_behind, run, tone, with_plugins, write_tiny_bundle, write_tone

RATE = 16000


class OddError(BaseException):
    """No Exception."""


class MuteError(Exception):
    """Has no words."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class GoneError(Exception):
    """Ends the process where it is told."""

    def __str__(self) -> str:
        raise SystemExit(3)


def raising(error: BaseException) -> Callable[..., Any]:
    def wrong(made: Any, *given: Tensor) -> Any:
        raise error

    return wrong


def changing(made: Tensor, *given: Tensor) -> Tensor:
    given[0].mul_(0.5)
    return made


def growing(made: Tensor, *given: Tensor) -> Tensor:
    given[0].resize_(given[0].numel() + 1)
    return made


def not_finite(value: float) -> Callable[..., Tensor]:
    def wrong(made: Tensor, *given: Tensor) -> Tensor:
        spoilt = made.clone()
        spoilt.view(-1)[0] = value
        return spoilt

    return wrong


FAULTS: dict[str, tuple[Callable[..., Any], str]] = {
    "nan": (not_finite(math.nan), " in which 1 numbers are not finite; try `selfremaster check`"),
    "infinity": (not_finite(-math.inf), " in which 1 numbers are not finite; "),
    "too short": (lambda made, *given: made[..., :-1], " of shape (1, "),
    "of fewer axes": (lambda made, *given: made[0], " of shape ("),
    "empty": (lambda made, *given: made[:0], " of shape (0, "),
    "double": (lambda made, *given: made.double(), " of torch.float64, not torch.float32; "),
    "whole": (lambda made, *given: made.long(), " of torch.int64, not torch.float32; "),
    "complex": (lambda made, *given: made.to(torch.complex64), " of torch.complex64, not "),
    "elsewhere": (lambda made, *given: made.to("meta"), " on the device meta, not cpu; "),
    "nothing": (lambda made, *given: None, " gives a NoneType, not a"),
    "numpy": (lambda made, *given: made.detach().numpy(), " gives a ndarray, not a"),
    "changes": (changing, " changes what it is given in place; "),
    "grows": (growing, " changes what it is given in place; "),
    "raises": (raising(ValueError("out of\norder")), " raises ValueError: out of order; "),
    "quits": (raising(SystemExit(0)), " raises SystemExit: 0; "),
    "is odd": (raising(OddError("odd")), " raises OddError: odd; "),
    "has no words": (raising(MuteError()), " raises MuteError; "),
    "ends by its words": (raising(GoneError()), " raises GoneError; "),
    "stops": (raising(StopIteration(1)), " raises StopIteration: 1; "),
    "is on the disk": (raising(OSError(28, "No space")), " raises OSError: [Errno 28] No space; "),
    "refuses": (raising(ComponentError("does not like it")), ": does not like it"),
    "is of no file": (raising(AudioError("no sound")), ": no sound"),
}
WORK = {"features": "log_mel", "analyzer": "predict", "vocoder": "forward", "channel": "forward"}


def broken(kind: str, work: str, fault: str) -> Model:
    """A model of which one part goes wrong."""
    model = stub_model("analyzer", "vocoder", "channel")
    part = getattr(model, kind)
    right, spoil = getattr(part, work), FAULTS[fault][0]
    part.origin = f"{kind} 'odd' of odd-parts 1.0"
    setattr(part, work, lambda *given: spoil(right(*given), *given))
    return model


def use(model: Model, kind: str) -> None:
    wave = tone(3000, 1, model.sample_rate)
    if kind == "channel":
        with torch.no_grad():
            model.degrade(wave, torch.zeros(1, 3))
    else:
        model.restore(wave, model.sample_rate)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", WORK)
def test_what_goes_wrong_in_a_model_is_named(kind: str, fault: str) -> None:
    with pytest.raises(ComponentError) as raised:
        use(broken(kind, WORK[kind], fault), kind)
    told = str(raised.value)
    assert told.startswith(f"{kind} 'odd' of odd-parts 1.0")
    assert FAULTS[fault][1] in told
    assert "\n" not in told


@pytest.mark.parametrize("fault", ["nan", "double", "too short", "changes", "quits"])
def test_the_source_rows_of_features_are_looked_at_too(fault: str) -> None:
    with pytest.raises(ComponentError, match="features 'odd' of odd-parts"):
        use(broken("features", "complete", fault), "features")


@pytest.mark.parametrize("fault", ["nan", "double", "too short", "changes", "quits", "nothing"])
@pytest.mark.parametrize("which", [0, 1])
def test_channel_features_are_looked_at_too(fault: str, which: int) -> None:
    model = stub_model("analyzer", "channel")
    analyzer: Any = model.analyzer
    right, spoil = analyzer.forward, FAULTS[fault][0]

    def forward(log_mel: Tensor) -> AnalysisOutput:
        found = [*right(log_mel)]
        found[which] = spoil(found[which], log_mel)
        return AnalysisOutput(*found)

    analyzer.forward = forward
    with torch.no_grad(), pytest.raises(ComponentError, match="analyzer StubAnalyzer of "):
        model.analyse(tone(3000, 1, model.sample_rate))
    analyzer.forward = lambda log_mel: tuple(right(log_mel))
    with torch.no_grad(), pytest.raises(ComponentError, match="a tuple, not an AnalysisOutput"):
        model.analyse(tone(3000, 1, model.sample_rate))


@pytest.mark.parametrize("kind", WORK)
def test_what_a_part_is_given_is_afterwards_what_it_was(kind: str) -> None:
    model = broken(kind, WORK[kind], "changes")
    wave, vector = tone(3000, 1, model.sample_rate), torch.ones(1, 3)
    kept = wave.clone()
    work = partial(model.degrade, wave, vector)
    if kind != "channel":
        work = partial(model.restore_segment, wave)
    with torch.no_grad(), pytest.raises(ComponentError, match="in place"):
        work()
    assert torch.equal(wave, kept)
    assert torch.equal(vector, torch.ones(1, 3))


def test_a_part_that_is_right_gives_what_it_gives_alone() -> None:
    model = stub_model("analyzer", "vocoder", "channel").eval()
    wave = tone(3000, 2, model.sample_rate)
    with torch.no_grad():
        log_mel = model.features.log_mel(wave)
        assert model.analyzer is not None
        wanted = model.vocoder(model.analyzer(log_mel).features)
        assert torch.equal(model.restore_segment(wave), wanted[:, : wave.shape[-1]])
    learned = model.restore_segment(wave)  # with gradients nothing stands between the parts
    learned.square().mean().backward()
    assert all(weight.grad is not None for weight in model.vocoder.parameters())


def test_in_mixed_precision_a_part_may_give_halves() -> None:
    model = stub_model("analyzer", "vocoder")
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.restore_segment(tone(3000, 1, model.sample_rate)).is_floating_point()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), torch.OutOfMemoryError()])
def test_what_is_no_fault_of_a_part_is_raised_as_it_is(error: BaseException) -> None:
    model = stub_model("analyzer", "vocoder")
    model.vocoder.forward = raising(error)  # type: ignore[method-assign]  # what is broken
    with torch.no_grad(), pytest.raises(type(error)):
        model.restore_segment(tone(3000, 1, model.sample_rate))


def test_a_full_memory_is_no_fault_of_a_part_either() -> None:
    model = stub_model("analyzer", "vocoder")
    model.vocoder.forward = lambda *_: torch.empty(1 << 60)  # type: ignore[method-assign]  # broken
    with torch.no_grad(), pytest.raises(MemoryError):
        model.restore_segment(tone(3000, 1, model.sample_rate))


class Spoiling(Degradation):
    """Damages as it is told to."""

    fault = ""
    at = "apply_each"

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        if self.at == "draw":
            FAULTS[self.fault][0](torch.ones(1), torch.ones(1))
        return {}

    def apply_each(self, wave: Tensor, parameters: Any, sample_rate: int) -> Tensor:
        made: Tensor = FAULTS[self.fault][0](wave.clone(), wave)
        return made


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in ("too short", "empty")])
def test_a_degradation_that_goes_wrong_is_named(fault: str) -> None:
    part = Spoiling(ComponentConfig())
    part.fault, part.origin = fault, "degradation 'odd' of odd-parts 1.0"
    wave = tone(1000)
    kept = wave.clone()
    with pytest.raises(
        ComponentError, match=r"^degradation ('odd' of odd-parts 1|odd: makes \(1000,\))"
    ):
        degrade(wave, RATE, [Step("odd", part)], Generator())
    assert torch.equal(wave, kept)


@pytest.mark.parametrize("fault", ["quits", "raises", "is odd"])
def test_a_degradation_that_goes_wrong_when_it_draws_is_named(fault: str) -> None:
    part = Spoiling(ComponentConfig())
    part.fault, part.at = fault, "draw"
    with pytest.raises(ComponentError, match=r"degradation Spoiling of tests\.test_guards raises"):
        degrade(tone(1000), RATE, [Step("odd", part)], Generator())


class Counting(Metric):
    """Gives what it is told to."""

    made: Any = None

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        if callable(self.made):
            self.made(None, estimate)
        result: dict[str, float] = self.made
        return result


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (None, "gives a NoneType, not a mapping"),
        ([1.0], "gives a list, not a mapping"),
        ({"odd": "high"}, "gives odd = str, not a mapping"),
        ({1: 1.0}, "gives 1 = float, not a mapping"),
        (raising(SystemExit("enough")), "raises SystemExit: enough"),
        (changing, "changes what it is given in place"),
    ],
    ids=["none", "list", "text", "number as name", "raises", "changes"],
)
def test_a_metric_that_goes_wrong_is_named(made: Any, words: str) -> None:
    metric = Counting(ComponentConfig())
    metric.made = made
    wave = tone(1000)[0]
    kept = wave.clone()
    with pytest.raises(ComponentError) as raised:
        guards.measured(metric, wave, RATE)
    assert str(raised.value).startswith(f"metric Counting of tests.test_guards {words}")
    assert torch.equal(wave, kept)


def test_numbers_of_a_metric_may_be_none() -> None:
    metric = Counting(ComponentConfig())
    metric.made = {"odd": math.nan, "even": 2}
    told = guards.measured(metric, tone(1000)[0], RATE)
    assert math.isnan(told["odd"])
    assert told["even"] == 2.0


def test_samples_that_are_no_numbers_are_not_taken_for_a_change() -> None:
    wave = torch.tensor([[0.0, math.nan, 1.0]])
    part = Spoiling(ComponentConfig())
    assert guards.called(part, lambda given: given.sum(), wave).isnan()


@pytest.mark.parametrize("samples", [1, 2, 7, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool])
def test_a_change_anywhere_is_seen(samples: int, dtype: torch.dtype) -> None:
    part = Spoiling(ComponentConfig())
    rows = torch.zeros(3, samples, dtype=dtype)
    for given in (*rows, *rows.T, rows, rows.T, rows[1, 0]):
        assert guards.called(part, lambda tensor: 1, given) == 1
        with pytest.raises(ComponentError, match="in place"):
            guards.called(part, lambda tensor: tensor.fill_(1), given)
        assert not rows.any()


def test_built_parts_know_where_they_come_from() -> None:
    assert build("vocoder", "griffin-lim").origin == "vocoder 'griffin-lim' of selfremaster"
    assert guards.name_of(Spoiling(ComponentConfig())) == (
        "degradation Spoiling of tests.test_guards"
    )


def test_errors_without_words_are_told_by_their_class() -> None:
    assert [one_line(error) for error in (MuteError(), GoneError(), OddError())] == [
        "MuteError",
        "GoneError",
        "OddError",
    ]


# what is printed


THREADS = """
import os, threading
from selfremaster.core.asides import prints_beside

begun, ended = threading.Event(), threading.Event()

def other():
    with prints_beside():
        begun.set()
        ended.wait(5)
        print("other")

thread = threading.Thread(target=other)
print("before")
with prints_beside():
    thread.start()
    begun.wait(5)
    print("first")
    os.write(1, b"by a library\\n")
print("between")
ended.set()
thread.join()
print("after")
"""


def test_prints_of_several_threads_go_aside_until_the_last_is_done() -> None:
    words = [sys.executable, "-c", THREADS]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "before\nafter\n"
    assert sorted(told.stderr.split()) == sorted("first by a library between other".split())


SOURCE = '''
"""Parts of a stranger that print wherever they can, and one that goes wrong where it is told."""

import os
import sys

import torch

from selfremaster import hookimpl
from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Degradation, Metric, Vocoder

print("at import, by Python")
os.write(1, b"at import, by a library\\n")


def shout(where):
    print(where, "by Python")
    sys.__stdout__.write(where + " by the first stdout\\n")
    sys.__stdout__.flush()
    os.system(f"echo {where} by another program")


@hookimpl
def register_components(add):
    shout("when it registers")
    add("vocoder", "odd", "printing_parts:Odd")
    add("metric", "odd-peak", "printing_parts:Peak")
    add("degradation", "odd", "printing_parts:Louder")


class Settings(ComponentConfig):
    """Settings."""

    fault: str = ""


class Odd(Vocoder):
    """Goes wrong with long sounds."""

    Config = Settings

    def __init__(self, config, features):
        super().__init__(config, features)
        shout("when it is built")

    def forward(self, features, source=None):
        shout("when it speaks")
        wave = torch.zeros(len(features), features.shape[-1] * self.hop_samples) + 0.1
        if features.shape[-1] < 20:
            return wave
        if self.config.fault == "nan":
            return wave / 0 * 0
        if self.config.fault == "quit":
            sys.exit("enough")
        if self.config.fault == "in-place":
            features.zero_()
        if self.config.fault == "double":
            return wave.double()
        return wave


class Peak(Metric):
    """The peak."""

    directions = {"odd-peak": "higher"}
    needs_reference = False

    def compute(self, estimate, sample_rate, reference=None):
        shout("when it measures")
        return {"odd-peak": float(estimate.abs().max())}


class Louder(Degradation):
    """Quits."""

    def draw(self, generator, sample_rate):
        shout("when it draws")
        return {}

    def apply_one(self, wave, parameters, sample_rate):
        shout("when it damages")
        return 0.5 * wave
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin, as pip would leave it."""
    folder = tmp_path_factory.mktemp("site")
    about = folder / "printing_parts-1.0.dist-info"
    about.mkdir()
    (folder / "printing_parts.py").write_text(SOURCE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: printing-parts\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[selfremaster]\nprinting-parts = printing_parts\n")
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


def command(site: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, whose stdout is that of the system."""
    paths = os.pathsep.join([str(site), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "selfremaster", *words],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


def test_json_stays_json_whatever_a_plugin_prints(site: Path, bundle: Path, tmp_path: Path) -> None:
    write_tone(tmp_path / "in" / "a.wav", 4000)
    words = ("--model", bundle, "--vocoder", "odd", "--metric", "odd-peak", "--json")
    told = command(site, "restore", tmp_path / "in", "--output", tmp_path / "out", *words)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("{"), told.stdout
    (restored,) = json.loads(told.stdout)["restored"]
    assert restored["output_metrics"]["odd-peak"] > 0
    for where in ("when it registers", "when it is built", "when it speaks", "when it measures"):
        for by in ("Python", "the first stdout", "another program"):
            assert f"{where} by {by}" in told.stderr
    assert "at import, by a library" in told.stderr


def test_json_of_other_commands_stays_json_too(site: Path, tmp_path: Path) -> None:
    listed = json.loads(command(site, "list", "vocoder", "--json").stdout)
    assert ("odd", "printing-parts") in {(info["name"], info["owner"]) for info in listed}
    sound = write_tone(tmp_path / "a.wav", 4000)
    words = ("--output", tmp_path / "b.wav", "--degradation", "odd", "--json")
    told = command(site, "degrade", sound, *words)
    assert json.loads(told.stdout)["failed"] == []
    assert "when it damages by another program" in told.stderr


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("nan", "gives a wave in which 10240 numbers are not finite"),
        ("quit", "raises SystemExit: enough"),
        ("in-place", "changes what it is given in place"),
        ("double", "gives a wave of torch.float64, not torch.float32"),
    ],
)
def test_a_file_that_a_part_goes_wrong_with_has_failed_and_the_others_are_done(
    fault: str,
    words: str,
    site: Path,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(site)
    for name, samples in (("a", 4000), ("b", 10_000), ("c", 4000)):
        write_tone(tmp_path / "in" / f"{name}.wav", samples)
    part = ("odd-parts", "vocoder", "odd", "printing_parts:Odd")
    ours = [("selfremaster", *declared) for declared in COMPONENTS]
    with with_plugins(monkeypatch, part, *ours):
        given = ("--model", bundle, "--vocoder", f"odd:fault={fault}", "--json")
        told = run("restore", tmp_path / "in", "--output", tmp_path / "out", *given)
    assert told.code == 1
    found = json.loads(told.out)
    (failed,) = found["failed"]
    assert failed["input"].endswith("b.wav")
    assert f"{tmp_path}/in/b.wav: vocoder 'odd' of printing-parts 1.0 {words}; " in failed["reason"]
    assert left_behind(tmp_path / "out") == ["a.wav", "c.wav"]
    assert "error: 1 of 3 files failed, the others are done" in told.err


@pytest.mark.parametrize("error", [SystemExit(0), OddError("odd"), MuteError()])
def test_whatever_ends_a_command_is_one_line(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_run", raising(error))
    told = run("list").error
    assert told.startswith(f"internal error: {type(error).__name__}")
