"""`selfremaster train`: an experiment to its bundle, Ctrl-C, and experiments that make no sense."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import selfremaster as sr
from selfremaster.core.training import Trainer
from tests.cli import ROOT, left_behind, run, write_tone

EXPERIMENT = """
name: tiny
model:
  analyzer: null
  channel: null
  vocoder: {name: hifigan, preset: v3, initial_channels: 8}
objective: {name: vocoder, adversarial: null}
data:
  clean: {folder: speech}
  held_out_clean: {folder: speech}
  segment_seconds: 0.05
  batch_size: 1
  held_out_segments: 1
train: {steps: 3, device: cpu}
"""


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment of a few steps, in the folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    write_tone(Path("speech") / "a.wav")
    path = Path("tiny.yaml")
    path.write_text(EXPERIMENT)
    return path


def test_a_process_trains_without_chatter(experiment: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "selfremaster", "train", str(experiment), "--set", "train.steps=2"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert [line.split(",")[0] for line in lines] == ["step 1/2", "step 2/2"]
    assert all("reconstruction" in line for line in lines)
    assert done.stdout.splitlines()[:2] == ["bundle: runs/tiny/model.safetensors", "steps: 2"]
    assert not any(path.endswith(".part") for path in left_behind(Path("runs")))


def test_the_result_in_json_and_what_comes_after(experiment: Path) -> None:
    words = ("train", experiment, "--output", "run")
    result = json.loads(run(*words, "--json", "--quiet").out)
    assert (result["bundle"], result["steps"], result["stopped"]) == (
        "run/model.safetensors",
        3,
        "steps",
    )
    assert result["losses"]["total/model"] > 0
    assert result["held_out"]["total"] > 0
    assert sr.load("run").analyzer is None
    assert run("check", "run").code == 0
    assert "holds a run already; go on with --resume" in run(*words).error
    told = run("train", experiment, "--output", "run", "--resume", "--set", "train.steps=4")
    assert told.code == 0
    assert "steps: 4" in told.out
    alone = run("restore", "speech/a.wav", "--output", "o.wav", "--model", "run")
    assert "a vocoder alone: it has no analysis module" in alone.error


def test_ctrl_c_ends_after_the_step_and_says_how_to_go_on(
    experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer._step

    def interrupted(trainer: Trainer, batch: object) -> None:
        if trainer.state.step == 1:
            signal.raise_signal(signal.SIGINT)
        step(trainer, batch)  # type: ignore[arg-type]  # the original method of the class

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupted)
        told = run("train", experiment, "--set", "seed=4", "--output", "my run")
    assert signal.getsignal(signal.SIGINT) is before
    assert told.code == 130
    last = told.err.splitlines()[-1]
    again = last.removeprefix("interrupted; step 2 is saved, go on with: selfremaster ")
    assert shlex.split(again) == [
        *("train", "tiny.yaml", "--set", "seed=4", "--output", "my run", "--resume")
    ]
    assert not Path("my run/model.safetensors").exists()
    assert run(*shlex.split(again)).code == 0
    assert run("train", experiment, "--set", "seed=4", "--output", "whole").code == 0
    first, second = (sr.load(name).vocoder.state_dict() for name in ("my run", "whole"))
    assert all(bool((first[name] == second[name]).all()) for name in first)


def test_ctrl_c_before_the_first_step_says_so(
    experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "_prepare", interrupted)
    told = run("train", experiment)
    assert (told.code, told.err) == (130, "interrupted; nothing was saved yet\n")


def spoil(text: str, becomes: str) -> Callable[[Path], None]:
    def change(experiment: Path) -> None:
        assert text in EXPERIMENT
        experiment.write_text(EXPERIMENT.replace(text, becomes))

    return change


@pytest.mark.parametrize(
    ("change", "words", "error"),
    [
        (spoil("steps: 3", "stps: 3"), (), "no setting 'train.stps'; did you mean 'steps'? known"),
        (
            spoil("preset", "presett"),
            (),
            "vocoder hifigan: no setting 'presett'; did you mean 'pre",
        ),
        (spoil("hifigan", "hifigna"), (), "no vocoder named 'hifigna'; did you mean 'hifigan'?"),
        (spoil("name: tiny", "name: [tiny"), (), "tiny.yaml, line 3: is not YAML"),
        (spoil(EXPERIMENT, "just text"), (), "tiny.yaml: holds no settings"),
        (spoil("folder: speech", "folder: none"), (), "data.clean: none: no such file or folder"),
        (spoil("name: vocoder", "name: ssl-dual, beta: 2"), (), "beta=2: Input should be less"),
        (Path.unlink, (), "tiny.yaml: no such file; give the path of an experiment"),
        (None, ("--set", "train.steps"), "--set 'train.steps' is not a.b=c"),
        (None, ("--set", "train.steps=0"), "train.steps=0: Input should be greater"),
        (
            spoil("steps: 3", "steps: 2024-13-01"),
            (),
            "tiny.yaml: a value cannot be read as YAML (ValueError: month must be in 1..12); put",
        ),
        (spoil("steps: 3", "steps: !!bool x"), (), "tiny.yaml: a value cannot be read as YAML"),
        (None, ("--set", "train.steps=2024-13-01"), "2024-13-01': the value cannot be read as"),
        (None, ("--set", "train.steps=!!float ''"), "the value cannot be read as YAML"),
        (None, ("--set", "train.betas=[0.9, 1]"), "train.betas.1=1: Input should be less than 1"),
        (None, ("--set", "train.betas=[-0.1, 0]"), "train.betas.0=-0.1: Input should be greater"),
        (None, ("--set", "train.weight_decay=.inf"), "weight_decay=inf: Input should be a finite"),
        (
            None,
            ("--set", "train.precision=16-mixed"),
            "train.precision=16-mixed: Input should be '32-true' or 'bf16-mixed'",
        ),
        (None, ("--set", "train.device=gpu"), "no device named 'gpu'"),
        (
            None,
            ("--set", "start.vocoder=none"),
            "no bundle 'none': neither a file nor a built-in name",
        ),
        (None, ("--output", "tiny.yaml/run"), "tiny.yaml"),
    ],
)
def test_a_wrong_experiment_is_one_line_and_leaves_nothing(
    experiment: Path,
    change: Callable[[Path], None] | None,
    words: tuple[str, ...],
    error: str,
) -> None:
    if change is not None:
        change(experiment)
    before = left_behind(Path.cwd())
    assert error in run("train", experiment, *words).error
    assert left_behind(Path.cwd()) == before
