"""Every objective in a training run: it resumes exactly, and learns alike on two processes."""

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.bundles import read_bundle
from selfremaster.core.checkpoints import checkpoint_step
from selfremaster.core.errors import ExperimentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.signals import resample_hann
from selfremaster.registry.runs import train
from tests import tiny

ROOT = Path(__file__).parents[1]
OBJECTIVES: dict[str, Any] = {
    "pretrain": "pretrain",
    "pretrain-v2": "pretrain:preset=v2,alpha=0.1",
    "semi": "semi:beta=0.1,paired_reconstruction=true,backward=channel-features",
    "ssl-dual": "ssl-dual:beta=0.1,backward=channel",
    "ssl-dual-apart": "ssl-dual:forward=channel,channel_steps=2,match_peaks=true,noise_floor=true",
    "ssl-step": "ssl-step:channel_steps=2",
    "supervised": "supervised",
    "supervised-pairs": {"name": "supervised", "degradation": None},
    "vocoder": {"name": "vocoder", "adversarial": None},
}
ON_TWO_PROCESSES = ("pretrain-v2", "semi", "ssl-step", "supervised", "vocoder")
"""Dual learning alone is tried in the tests of training."""

TRAIN: dict[str, Any] = {"steps": 3, "clip_gradient": None, "validate_every": 1}
SHORT: dict[str, Any] = {"segment_seconds": 0.1}
LABELLED = "ssl-dual:beta=0.1,label_weight=0.1,label_channel_dim=4"


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech-like sounds; in the folder ``muffled`` beside it the same, muffled and clipped."""
    folder = tiny.write_speech(tmp_path_factory.mktemp("corpora") / "speech")
    lines = ["path,split,tape"]
    for number, path in enumerate(sorted(folder.glob("*.wav"))):
        wave, rate = audio.read(path)
        low = resample_hann(resample_hann(wave, rate, 4410), 4410, rate)[:, : wave.shape[-1]]
        audio.write(folder.parent / "muffled" / path.name, low.clamp(-0.1, 0.1), rate)
        lines.append(f"{path.name},train,tape {number}")
    (folder.parent / "muffled" / "tapes.csv").write_text("\n".join(lines) + "\n")
    return folder


def experiment(speech: Path, objective: Any, **changes: Any) -> Experiment:
    clean, muffled = {"folder": str(speech)}, {"folder": str(speech.parent / "muffled")}
    streams = {
        "degraded": muffled,
        "clean": clean,
        "paired_degraded": muffled,
        "paired_clean": clean,
    }
    held_out = {f"held_out_{name}": source for name, source in streams.items()}
    data = {**streams, **held_out, "held_out_segments": 2, **changes.pop("data", {})}
    return tiny.experiment(speech, objective=objective, data=data, **changes)


def weights(folder: Path) -> dict[str, Tensor]:
    return read_bundle(folder).tensors


def log(folder: Path) -> list[list[str]]:
    with (folder / "log.csv").open(newline="") as opened:
        return [row for row in csv.reader(opened) if "gradient" not in row[2]]


def interrupt(progress: Any) -> None:
    if progress.step == 3:
        raise KeyboardInterrupt


def labelled(speech: Path) -> dict[str, Any]:
    source = {"manifest": str(speech.parent / "muffled" / "tapes.csv"), "label": "tape"}
    return {"degraded": source, "held_out_degraded": source}


@pytest.mark.parametrize("name", [*OBJECTIVES, "labelled"])
def test_an_interrupted_run_goes_on_to_the_same_bits(
    name: str, speech: Path, tmp_path: Path
) -> None:
    data = labelled(speech) if name == "labelled" else {}
    chosen = experiment(speech, OBJECTIVES.get(name, LABELLED), data=data)
    with pytest.raises(KeyboardInterrupt):
        train(chosen, tmp_path / "broken", report=interrupt)
    assert checkpoint_step(tmp_path / "broken") == 3
    train(chosen, tmp_path / "broken", resume=True)
    train(chosen, tmp_path / "whole")
    broken, whole = weights(tmp_path / "broken"), weights(tmp_path / "whole")
    assert broken.keys() == whole.keys()
    assert [key for key in whole if not torch.equal(broken[key], whole[key])] == []
    assert log(tmp_path / "broken") == log(tmp_path / "whole")


def test_labels_have_to_be_given(speech: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ExperimentError, match="learns labels of the degraded speech; set label to the column"
    ):
        train(experiment(speech, LABELLED), tmp_path)


def test_a_frozen_channel_module_has_to_be_trained_before(speech: Path, tmp_path: Path) -> None:
    train(experiment(speech, "pretrain"), tmp_path / "pretrained")
    fixed = "ssl-dual:fix_channel=true,backward=channel-features"
    with pytest.raises(ExperimentError, match="channel unet1d is used as it is, and nobody has"):
        train(experiment(speech, fixed), tmp_path / "fixed")
    start = {"vocoder": str(speech / tiny.BUNDLE), "channel": str(tmp_path / "pretrained")}
    train(experiment(speech, fixed, start=start), tmp_path / "fixed")
    before, after = weights(tmp_path / "pretrained"), weights(tmp_path / "fixed")
    channel = [name for name in before if name.startswith("channel.")]
    assert channel
    assert all(torch.equal(before[name], after[name]) for name in channel)


def start_process(folder: Path, rank: int, port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.two_processes", str(folder), str(rank), str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@pytest.fixture(scope="module")
def on_two_processes(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes have trained by every objective."""
    folder = tmp_path_factory.mktemp("processes")
    processes_too = {**TRAIN, "devices": 2, "strategy": "ddp"}
    for name in ON_TWO_PROCESSES:
        two = experiment(speech, OBJECTIVES[name], train=processes_too, data=SHORT)
        (folder / f"{name}.yaml").write_text(two.to_yaml())
    port = free_port()
    processes = [start_process(folder, rank, port) for rank in range(2)]
    try:
        for process in processes:
            _, messages = process.communicate(timeout=300)
            assert process.returncode == 0, messages.decode()
    finally:
        for process in processes:
            process.kill()
    return folder


@pytest.mark.parametrize("name", ON_TWO_PROCESSES)
def test_two_processes_learn_as_one_with_the_batch_of_both(
    name: str, speech: Path, on_two_processes: Path, tmp_path: Path
) -> None:
    one = experiment(speech, OBJECTIVES[name], train=TRAIN, data={**SHORT, "batch_size": 4})
    train(one, tmp_path)
    two = on_two_processes / "two" / name
    curves = [
        [float(row[3]) for row in log(folder) if row[1:3] == ["held_out", "total"]]
        for folder in (tmp_path, two)
    ]
    assert len(curves[0]) == 3
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    found = weights(two)
    for key, value in weights(tmp_path).items():
        torch.testing.assert_close(found[key], value, atol=2e-4, rtol=1e-3)
