"""Training with F0 and mel-cepstra: real speech is learned by heart, and runs resume exactly."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.bundles import read_bundle, write_bundle
from selfremaster.core.checkpoints import checkpoint_step
from selfremaster.core.errors import ComponentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.levels import normalise_peak, resample
from selfremaster.core.models import Model
from selfremaster.core.promises.objectives import set_to_work
from selfremaster.core.signals import resample_hann
from selfremaster.registry.assembling import assemble, resolve
from selfremaster.registry.building import build
from selfremaster.registry.runs import train
from tests import tiny
from tests.teaching import ALONE, context, only

SPEECH = Path(__file__).parent.parent / "examples" / "speech" / "heart" / "heart-1.flac"
VOCODER = {"name": "ddsp", "width": 32}
DUAL = "ssl-dual:beta=0.001"
PARTS = {
    "features": "source-filter",
    "vocoder": VOCODER,
    "analyzer": tiny.ANALYZER,
    "channel": tiny.CHANNEL,
}


def speech(seconds: float = 2.0) -> Tensor:
    """Real speech, (1, samples)."""
    wave, rate_hz = audio.read(SPEECH)
    cut = resample(wave.float(), rate_hz, tiny.RATE)[:1, 5000 : 5000 + round(seconds * tiny.RATE)]
    return normalise_peak(cut, peak_db=-3)


def muffled(wave: Tensor) -> Tensor:
    """The wave without what is above 2 kHz, clipped."""
    low = resample_hann(resample_hann(wave, tiny.RATE, 4410), 4410, tiny.RATE)
    return low[:, : wave.shape[-1]].clamp(-0.3, 0.3)


def two_seconds(model: Model) -> dict[str, Tensor]:
    """Two seconds in halves, with all rows of their features."""
    clean = speech().reshape(2, -1)
    batch = {"clean": clean, "degraded": muffled(clean)}
    for stream in ("clean", "degraded"):
        batch[f"{stream}/source"] = model.features.source(batch[stream])
        batch[f"{stream}/target"] = model.features.target(batch[stream])
    return batch


# by heart


@pytest.mark.parametrize(
    ("spec", "rate", "parts"),
    [(DUAL, 5e-3, ("reconstruction", "task")), (ALONE, 3e-3, ("reconstruction",))],
    ids=str,
)
def test_two_seconds_of_speech_are_learned_by_heart_from_rows_that_are_kept(
    spec: Any, rate: float, parts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def computed(wave: Tensor) -> Tensor:
        raise ComponentError("computes what is known")

    objective = build("objective", spec)
    model = assemble(Experiment.from_mapping({"model": PARTS, "seed": 3}))
    batch = two_seconds(model)
    for name in ("source", "target", "forward"):
        monkeypatch.setattr(model.features, name, computed)
    (group,) = set_to_work(objective, model).values()
    optimizer = torch.optim.Adam(group, lr=rate)
    curves: dict[str, list[float]] = {part: [] for part in parts}
    for step in range(24):
        losses = only(objective.losses(model, batch, context(step)))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        for part in parts:
            curves[part].append(losses.parts[part].item())
    fallen = {part: sum(curve[-3:]) / sum(curve[:3]) for part, curve in curves.items()}
    assert max(fallen.values()) < 0.8, fallen


# in a run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of speech in two files, the same muffled in ``muffled``, and a vocoder."""
    folder = tmp_path_factory.mktemp("corpora")
    for number, wave in enumerate(speech().reshape(2, 1, -1)):
        audio.write(folder / "clean" / f"{number}.wav", wave, tiny.RATE)
        audio.write(folder / "muffled" / f"{number}.wav", muffled(wave), tiny.RATE)
    voice = resolve(Experiment.from_mapping({"model": only_vocoder()}))
    write_bundle(folder / tiny.BUNDLE, assemble(voice), voice)
    return folder


def only_vocoder() -> dict[str, Any]:
    return {**PARTS, "analyzer": None, "channel": None}


def experiment(corpus: Path, objective: Any) -> Experiment:
    dual = objective == DUAL
    streams = {"degraded": "muffled", "clean": "clean"}
    sources = {name: {"folder": str(corpus / folder)} for name, folder in streams.items()}
    held_out = {f"held_out_{name}": source for name, source in sources.items()}
    return Experiment.from_mapping(
        {
            "name": "tiny",
            "model": PARTS if dual else only_vocoder(),
            "start": {"vocoder": str(corpus / tiny.BUNDLE)} if dual else {},
            "objective": objective,
            "data": {
                **sources,
                **held_out,
                "held_out_segments": 2,
                "segment_seconds": 0.3,
                "batch_size": 2,
            },
            "train": {
                "steps": 4,
                "device": "cpu",
                "validate_every": 2,
                "save_every": 2,
                "log_every": 1,
            },
        }
    )


def log(folder: Path) -> list[list[str]]:
    with (folder / "log.csv").open(newline="") as opened:
        return list(csv.reader(opened))


@pytest.mark.parametrize("objective", [DUAL, ALONE], ids=str)
def test_an_interrupted_run_goes_on_to_the_same_bits(
    objective: Any, corpus: Path, tmp_path: Path
) -> None:
    def interrupt(progress: Any) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    chosen = experiment(corpus, objective)
    with pytest.raises(KeyboardInterrupt):
        train(chosen, tmp_path / "broken", report=interrupt)
    assert checkpoint_step(tmp_path / "broken") == 3
    train(chosen, tmp_path / "broken", resume=True)
    train(chosen, tmp_path / "whole")
    broken, whole = (read_bundle(tmp_path / name).tensors for name in ("broken", "whole"))
    assert broken.keys() == whole.keys()
    assert [name for name in whole if not torch.equal(broken[name], whole[name])] == []
    assert log(tmp_path / "broken") == log(tmp_path / "whole")
