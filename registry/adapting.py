"""Adapt a trained model to recordings of one's own: survey, cut, learn, keep the best moment."""

import csv
import json
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from selfremaster.core.bundles import BUNDLE_NAME, Bundle
from selfremaster.core.checkpoints import CHECKPOINT_NAME
from selfremaster.core.devices import choose_device, choose_precision
from selfremaster.core.errors import BundleError, ExperimentError
from selfremaster.core.experiments import MODULES, Experiment
from selfremaster.core.files import write_atomically
from selfremaster.core.jobs import check_writable
from selfremaster.core.judges import TOTAL, Judge
from selfremaster.core.pieces import HELD_OUT, MANIFEST_NAME, TRAIN
from selfremaster.core.runlogs import CSV_NAME
from selfremaster.core.training import EXPERIMENT_NAME, Progress, TrainingResult
from selfremaster.registry.assembling import builtin_bundles, find_bundle
from selfremaster.registry.criteria import PACKAGES, Criterion, find_quality
from selfremaster.registry.materials import (
    CLEAN_NAME,
    SPEECH,
    Told,
    find_recordings,
    gather_material,
    judged_waves,
)
from selfremaster.registry.runs import train

SETTINGS_NAME = "adaptation.json"

MINUTES = 15.0
SEGMENT_SECONDS, BATCH_SIZE, HELD_OUT_SEGMENTS = 1.5, 4, 16
VALIDATE_EVERY = 25
PATIENCE = 10
MOST_STEPS = 20_000

NUMBERS = {
    "total": "criterion ↓",
    "reconstruction": "recordings explained, error ↓",
    "task": "learned damage undone, error ↓",
    "quality": "quality, no reference ↑",
    "content": "agreement with what is said ↑",
    "level_db": "level, dB",
}
"""What the criterion measures, in words."""

BY_LOSSES = "quality is not measured: the losses alone chose the moment"

REASONS = {
    "patience": "nothing improved any more",
    "minutes": "time was up",
    "steps": "all steps were done",
    "diverged": "the losses were no numbers any more",
}

OURS = (SETTINGS_NAME, CLEAN_NAME, CHECKPOINT_NAME, CSV_NAME, EXPERIMENT_NAME, BUNDLE_NAME)
"""What an adaptation leaves in its folder, besides its report."""


class Wanted(NamedTuple):
    """What is asked for."""

    recordings: Sequence[Path]
    output: Path
    model: str = "default"
    clean: Path | None = None
    minutes: float = MINUTES
    steps: int | None = None
    device: str = "auto"
    seed: int = 0
    by_losses: bool = False  # where no metric of quality is installed

    @property
    def model_name(self) -> str:
        """The model by its built-in name, if it has one."""
        named = {str(path): name for name, path in builtin_bundles().items()}
        return named.get(self.model, self.model)


@dataclass(frozen=True)
class Prepared:
    """All that learning needs, and what is to be said before it begins."""

    wanted: Wanted
    experiment: Experiment
    survey: str  # in words
    notes: tuple[str, ...]
    measured: tuple[str, ...]  # the numbers of the metrics of quality


class Judged(NamedTuple):
    """What the criterion said after a step."""

    step: int
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Adapted:
    """What came of it."""

    prepared: Prepared
    result: TrainingResult
    course: tuple[Judged, ...]  # the first is the model as it was

    @property
    def start(self) -> Judged:
        """The model as it was."""
        return self.course[0]

    @property
    def best(self) -> Judged:
        """The moment that is kept."""
        return next(one for one in self.course if one.step == (self.result.best_step or 0))

    @property
    def improved(self) -> bool:
        """Whether anything was better than the model as it was."""
        return bool(self.result.best_step)

    def words(self) -> str:
        """What was learned, in one line."""
        result, wanted = self.result, self.prepared.wanted
        spent = f"{result.steps} steps in {result.seconds / 60:.1f} minutes"
        spent += f", until {REASONS[result.stopped]}"
        if not self.improved:
            return (
                f"nothing was better than the model as it was ({spent}): what is written equals "
                f"{wanted.model_name}; more speech, or --clean with voices like those of the "
                "recordings, may help"
            )
        gain = f"{self.start.numbers[TOTAL] - self.best.numbers[TOTAL]:.2f}"
        unit = " points of opinion" if self.prepared.measured else ""
        return f"adapted: {spent}; kept is step {self.best.step}, better by {gain}{unit}"

    def numbers(self) -> list[tuple[str, float, float]]:
        """What the criterion measured: in words, before, and after."""
        old, new = self.start.numbers, self.best.numbers
        return [
            (words, old[name], new[name])
            for name, words in NUMBERS.items()
            if name in old and name in new
        ]

    def next_command(self) -> str:
        """How to restore the recordings now."""
        wanted = self.prepared.wanted
        words = ["selfremaster", "restore", *map(str, wanted.recordings)]
        return shlex.join([*words, "--model", str(wanted.output), "--output", "restored"])


def prepare(wanted: Wanted, *, resume: bool = False, told: Told | None = None) -> Prepared:
    """Look at the recordings, cut the speech out of them, and plan what is learned.

    With ``resume`` what was cut before is used again. Raises `AudioError` where there is nothing to
    learn from, `BundleError` for a model that cannot be adapted, `ExperimentError` for a clean
    corpus that cannot be used, for a folder that an adaptation of something else lies in, and
    where no metric of quality is installed.
    """
    tell = told or (lambda *_: None)
    bundle, files, measured = check(wanted)
    given = {**_given(wanted, files), "measured": list(measured)}
    known = _earlier(wanted.output, given) if resume else None
    if known is None:
        known = gather_material(files, wanted.output, _sample_rate(bundle), wanted.clean, tell)
        _write_settings(wanted.output, {"given": given, **known})
    return Prepared(
        wanted,
        _experiment(wanted, bundle),
        known["survey"],
        tuple(known["notes"]),
        measured,
    )


def check(wanted: Wanted) -> tuple[Bundle, list[Path], tuple[str, ...]]:
    """The model, the recordings and the metrics of quality; raises as `prepare` does."""
    bundle = find_bundle(wanted.model)
    _check_model(bundle, wanted.model)
    measured = tuple(name for _, name in find_quality())
    if not measured and not wanted.by_losses:
        raise ExperimentError(
            "no metric of quality is installed, and nothing else tells when to stop; "
            f"`pip install '{PACKAGES}'`, or go by the losses alone with --by-losses, which may "
            "end in a worse model"
        )
    files = find_recordings(wanted.recordings, wanted.output)
    if wanted.output.resolve() in (
        Path(wanted.model).resolve(),
        *Path(wanted.model).resolve().parents,
    ):
        raise BundleError(f"{wanted.model}: lies in the output; name another output")
    return bundle, files, measured


def learn(
    prepared: Prepared,
    *,
    resume: bool = False,
    report: Callable[[Progress], None] | None = None,
    minutes: float | None = None,
    watch: Callable[[Judge], Judge] | None = None,
) -> Adapted:
    """Learn from what was prepared; the bundle is in the output folder.

    ``minutes`` is what is left of those that were asked for; ``watch`` may put a judge around the
    criterion. Raises what `train` does.
    """
    experiment = prepared.experiment
    if minutes is not None and experiment.train.minutes is not None:
        update = {"minutes": minutes}
        settings = experiment.train.model_copy(update=update)
        experiment = experiment.model_copy(update={"train": settings})
    output = prepared.wanted.output
    judge: Judge = Criterion(judged_waves(output, experiment.model.peak_db), find_quality())
    if watch is not None:
        judge = watch(judge)
    result = train(experiment, output, resume=resume, report=report, judge=judge)
    return Adapted(prepared, result, tuple(read_course(output)))


def claim(output: Path, *reports: str, overwrite: bool = False, resume: bool = False) -> None:
    """Make sure that the folder is free; ``overwrite`` removes an adaptation, and nothing else.

    Raises `ExperimentError` for a folder in which something lies that would be written, and
    `AudioError` for one that cannot be written into.
    """
    if output.exists() and not output.is_dir():
        raise ExperimentError(f"{output}: is a file; name a folder for the model and its report")
    check_writable(output)
    names = (*OURS, SPEECH, *reports)
    there = [name for name in names if (output / name).exists()]
    ours = (output / SETTINGS_NAME).is_file()
    if not there or (resume and ours):
        return
    if not ours:
        raise ExperimentError(
            f"{output / there[0]}: is there, and not of an adaptation; name another folder"
        )
    if not overwrite:
        raise ExperimentError(
            f"{output}: holds an adaptation already; go on with --resume, begin anew with "
            "--overwrite, or name another folder"
        )
    for name in (*OURS[1:], *reports):
        (output / name).unlink(missing_ok=True)
    for name in (SPEECH, "tensorboard"):
        shutil.rmtree(output / name, ignore_errors=True)
    (output / SETTINGS_NAME).unlink()


def read_course(output: Path) -> list[Judged]:
    """What the criterion said at each validation, out of the log of the run."""
    found: dict[int, dict[str, float]] = {}
    with (output / CSV_NAME).open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            if row["phase"] == "judged":
                found.setdefault(int(row["step"]), {})[row["name"]] = float(row["value"])
    return [Judged(step, numbers) for step, numbers in sorted(found.items())]


def _check_model(bundle: Bundle, reference: str) -> None:
    own = bundle.experiment.model
    if own.analyzer is None:
        raise BundleError(
            f"{reference}: is a vocoder alone; give a model that restores, such as default"
        )
    if own.channel is None:
        raise BundleError(
            f"{reference}: has no channel module, which what learns from recordings begins with; "
            "give a model that has, such as default, or train one by the objective pretrain"
        )


def _given(wanted: Wanted, files: Sequence[Path]) -> dict[str, Any]:
    """What the cut pieces depend on, to tell whether they may be used again."""
    return {
        "recordings": [[str(file.resolve()), file.stat().st_size] for file in files],
        "clean": None if wanted.clean is None else str(wanted.clean.resolve()),
        "model": wanted.model,
    }


def _earlier(output: Path, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was found out before; none where nothing was, or not to its end."""
    path = output / SETTINGS_NAME
    if not path.is_file():
        return None
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        before = known["given"]
    except (ValueError, KeyError, TypeError):
        raise ExperimentError(f"{path}: is damaged; begin anew with --overwrite") from None
    for name, what in (
        ("recordings", "recordings"),
        ("clean", "--clean"),
        ("model", "--model"),
        ("measured", "metrics of quality"),
    ):
        if before.get(name) != given[name]:
            raise ExperimentError(
                f"{output}: was begun with other {what}; give the same, or begin anew with "
                "--overwrite"
            )
    return known


def _write_settings(output: Path, settings: Mapping[str, Any]) -> None:
    with write_atomically(output / SETTINGS_NAME) as temporary:
        temporary.write_text(json.dumps(settings, indent=2, ensure_ascii=True), encoding="utf-8")


def _sample_rate(bundle: Bundle) -> int:
    from selfremaster.registry.building import build

    rate: int = build("features", bundle.experiment.model.features).sample_rate
    return rate


def _experiment(wanted: Wanted, bundle: Bundle) -> Experiment:
    """Dual learning on the recordings, from every module that the bundle has."""
    own = bundle.experiment.model
    model = own.model_dump(mode="json")
    speech = {"manifest": str(wanted.output / SPEECH / MANIFEST_NAME)}
    clean = {"manifest": str(wanted.output / CLEAN_NAME)}
    steps = MOST_STEPS if wanted.steps is None else wanted.steps
    every = min(VALIDATE_EVERY, steps)
    return Experiment.from_mapping(
        {
            "name": "adapted",
            "seed": wanted.seed,
            "model": model,
            "start": {
                module: wanted.model for module in MODULES if getattr(own, module) is not None
            },
            "objective": {
                "name": "ssl-dual",
                "reconstruction": "multiscale-spectral:linear=false",
                "forward": "channel",
                "match_peaks": True,
            },
            "data": {
                "degraded": {**speech, "split": TRAIN},
                "clean": {**clean, "split": TRAIN},
                "held_out_degraded": {**speech, "split": HELD_OUT},
                "held_out_clean": {**clean, "split": HELD_OUT},
                "segment_seconds": SEGMENT_SECONDS,
                "batch_size": BATCH_SIZE,
                "held_out_segments": HELD_OUT_SEGMENTS,
            },
            "train": {
                "steps": steps,
                "minutes": None if wanted.steps is not None else wanted.minutes,
                "learning_rate": 1e-4,
                "weight_decay": 0.01,
                "schedule": {"name": "constant", "warmup_steps": 20},
                "average": 0.99,
                "precision": choose_precision(choose_device(wanted.device)),
                "device": wanted.device,
                "keep": "best",
                "patience": PATIENCE,
                "validate_every": every,
                "save_every": every,
            },
        },
        "adapt",
    )
