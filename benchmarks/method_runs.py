"""The training runs of the paper's comparison: which there are, and how each of them goes."""

import csv
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from selfremaster.benchmarks.measuring import Clip, damage
from selfremaster.core import manifests
from selfremaster.core.bundles import BUNDLE_NAME
from selfremaster.core.components import ComponentSpec, hint
from selfremaster.core.degrading import Step
from selfremaster.core.errors import ExperimentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.files import write_atomically
from selfremaster.core.training import Progress
from selfremaster.registry.building import build
from selfremaster.registry.runs import train

CONDITIONS = ("band-limit", "clip", "quantize-resample", "overdrive")
VARIANTS = ("mel", "source-filter")
STAGES = ("supervised", "pretrain", "ssl-dual", "pretrain + ssl-dual")
SYSTEMS = ("supervised", "ssl-dual", "pretrain + ssl-dual")
APART = ("supervised", "pretrain")  # stages that know no condition
STEPS = {"supervised": 600, "pretrain": 600, "ssl-dual": 300, "pretrain + ssl-dual": 300}

FORWARD = {"name": "ssl-dual", "beta": 0.1, "reconstruction": "multiscale-spectral:linear=false"}
OBJECTIVES: Mapping[str, Mapping[str, Any]] = {
    "supervised": {"name": "supervised"},
    "pretrain": {"name": "pretrain", "preset": "v2"},
    "ssl-dual": FORWARD,
    "pretrain + ssl-dual": FORWARD,
}


class Variant(NamedTuple):
    """A feature variant with the vocoder that speaks it, and the bundle of its weights."""

    features: str
    vocoder: str
    bundle: str


@dataclass(frozen=True)
class Plan:
    """What is learned from which speech, and for how long."""

    manifest: Path  # of clean speech, with splits
    work: Path  # runs, damaged speech and sounds are kept here
    vocoders: Mapping[str, Variant]  # by variant
    recordings: str = "dc-tts-reader"  # whose damaged speech is learned from
    clean: str = "kathleen"  # whose clean speech is
    seed: int = 1
    steps: Mapping[str, int] = field(default_factory=lambda: STEPS)  # by stage

    def runs(self) -> Iterator["Run"]:
        """Every run, those first that others start from."""
        for variant in self.vocoders:
            for stage in APART:
                yield Run(variant, stage)
            for condition in CONDITIONS:
                yield Run(variant, "ssl-dual", condition)
                yield Run(variant, "pretrain + ssl-dual", condition)

    def folder(self, run: "Run") -> Path:
        """Where a run lies."""
        words = (run.variant, run.stage.replace(" + ", "-"), run.condition)
        return self.work / "runs" / "-".join(word for word in words if word)

    def degraded(self, condition: str) -> Path:
        """The manifest of the recordings, damaged in one way."""
        return self.work / "recordings" / condition / "manifest.csv"


class Run(NamedTuple):
    """One training run; of those that learn from recordings, each condition has its own."""

    variant: str
    stage: str
    condition: str = ""


def experiment(plan: Plan, run: Run) -> Experiment:
    """What a run is made of."""
    variant = plan.vocoders[run.variant]
    start = {"vocoder": variant.bundle}
    if run.stage == "pretrain + ssl-dual":
        pretrained = str(plan.folder(Run(run.variant, "pretrain")))
        start |= {"analyzer": pretrained, "channel": pretrained}
    clean = {"manifest": str(plan.manifest), "speakers": [plan.clean]}
    data: dict[str, Any] = {
        "clean": {**clean, "split": "train"},
        "held_out_clean": {**clean, "split": "val"},
        "segment_seconds": 1.5,
        "batch_size": 4,
        "held_out_segments": 8,
        "features_folder": str(plan.work / "features"),
    }
    if run.condition:
        recordings = {"manifest": str(plan.degraded(run.condition))}
        data["degraded"] = {**recordings, "split": "train"}
        data["held_out_degraded"] = {**recordings, "split": "val"}
    return Experiment.from_mapping(
        {
            "name": plan.folder(run).name,
            "seed": plan.seed,
            "model": {
                "features": variant.features,
                "analyzer": "unet2d",
                "vocoder": variant.vocoder,
                "channel": None if run.stage == "supervised" else "unet1d",
            },
            "start": start,
            "objective": dict(OBJECTIVES[run.stage]),
            "data": data,
            "train": {
                "steps": plan.steps[run.stage],
                "precision": "bf16-mixed",
                "schedule": {"name": "cosine", "warmup_steps": 20},
                "validate_every": 100,
                "save_every": 50,
            },
        }
    )


def check_speakers(plan: Plan) -> None:
    """Raise `ExperimentError` where a speaker of the plan is not in its manifest."""
    known = manifests.read(plan.manifest).speakers()
    for speaker in (plan.recordings, plan.clean):
        if speaker not in known:
            raise ExperimentError(
                f"{plan.manifest}: has no speech of {speaker!r}{hint(speaker, known)}"
            )


def make_recordings(plan: Plan, condition: str) -> None:
    """Damage all speech of the recordings' speaker in one way, and write its manifest."""
    target = plan.degraded(condition)
    if target.is_file():
        return
    read = manifests.read(plan.manifest)
    items = [item for item in read.items if item.speaker == plan.recordings]
    files = [(f"{Path(item.path).stem}.wav", read.file(item)) for item in items]
    damage_all(files, condition, target.parent)
    with write_atomically(target) as temporary, temporary.open("w", newline="") as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow(["path", "seconds", "speaker", "split"])
        for (name, _), item in zip(files, items, strict=True):
            table.writerow([name, item.seconds or "", item.speaker, item.split])


def damage_all(files: list[tuple[str, Path]], condition: str, folder: Path) -> list[Clip]:
    """Damaged twins of clean files, as published, in a folder."""
    part = build("degradation", condition)
    return damage(files, [Step(ComponentSpec.parse(condition).name, part)], 0, folder)


def train_all(plan: Plan, conditions: Collection[str]) -> None:
    """Train what is not trained yet; a run that was cut off goes on."""
    for run in plan.runs():
        if run.condition and run.condition not in conditions:
            continue
        folder = plan.folder(run)
        if (folder / BUNDLE_NAME).is_file():
            continue
        if run.condition:
            make_recordings(plan, run.condition)
        print(f"training: {folder.name}", file=sys.stderr)
        train(experiment(plan, run), folder, resume=True, report=_tell)


def _tell(progress: Progress) -> None:
    if progress.step % 100 == 0:
        losses = {name: value for name, value in progress.losses.items() if "/" not in name}
        told = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
        print(f"  step {progress.step} of {progress.steps}: {told}", file=sys.stderr)
