"""Adapt a trained model to recordings of one's own: survey, cut, learn, keep the best moment."""

import csv
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from selfremaster.core.bundles import Bundle
from selfremaster.core.checkpoints import has_validated
from selfremaster.core.errors import BundleError, ExperimentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.files import real_path
from selfremaster.core.interfaces import Metric
from selfremaster.core.judges import TOTAL, Judge
from selfremaster.core.runlogs import CSV_NAME
from selfremaster.core.training import Progress, TrainingResult
from selfremaster.registry.adaptation_folders import Kept, begin, claim
from selfremaster.registry.adaptation_plans import Wanted, plan
from selfremaster.registry.assembling import find_bundle
from selfremaster.registry.criteria import PACKAGES, Criterion, find_quality
from selfremaster.registry.materials import (
    Told,
    find_material,
    find_recordings,
    judged_waves,
    write_material,
)
from selfremaster.registry.runs import check_parts, train

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


@dataclass(frozen=True)
class Prepared:
    """All that learning needs, and what is to be said before it begins."""

    wanted: Wanted
    experiment: Experiment
    survey: str  # in words
    notes: tuple[str, ...]
    quality: tuple[tuple[Metric, str], ...]  # the metrics of it, each with its number

    @property
    def measured(self) -> tuple[str, ...]:
        """The numbers of the metrics of quality."""
        return tuple(name for _, name in self.quality)


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
        if math.isinf(self.start.numbers[TOTAL]):
            return (
                "the model as it was could not be judged: what it makes of the recordings has no "
                f"quality that can be told ({spent}); what is written equals {wanted.model_name}"
            )
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


def prepare(
    wanted: Wanted,
    *,
    resume: bool = False,
    overwrite: bool = False,
    beside: Sequence[str] = (),
    told: Told | None = None,
) -> Prepared:
    """Look at the recordings, plan what is learned, and cut the speech out of them.

    With ``resume`` what was cut before is used again; ``overwrite`` removes an adaptation from the
    output folder, with the files ``beside`` that are written afterwards. Nothing is removed or
    written before all is found that learning needs.

    Raises `AudioError` where there is nothing to learn from, `BundleError` for a model that cannot
    be adapted, `ExperimentError` for a clean corpus that cannot be used, for a folder that is not
    free (`claim`), and where no metric of quality is installed.
    """
    if resume and overwrite:
        raise ExperimentError("--resume goes on, and --overwrite begins anew; give one of them")
    tell = told or (lambda *_: None)
    bundle, files, quality = _check(wanted)
    experiment = plan(wanted, bundle)
    check_parts(experiment)
    output = wanted.output
    given = _given(wanted, bundle, files, [name for _, name in quality])
    known = claim(output, given, beside, overwrite=overwrite, resume=resume)
    if known is None:
        material = find_material(files, output, wanted.clean, tell)
        begin(output, given, material.to_cut, beside)
        write_material(material, output, _sample_rate(bundle), tell)
        known = Kept(
            given=given, pieces=material.to_cut, survey=material.survey, notes=material.notes
        )
        known.write(output)
    return Prepared(wanted, experiment, known.survey or "", known.notes, tuple(quality))


def _check(wanted: Wanted) -> tuple[Bundle, list[Path], list[tuple[Metric, str]]]:
    """The model, the recordings and the metrics of quality; raises as `prepare` does."""
    bundle = find_bundle(wanted.model)
    _check_model(bundle, wanted.model)
    quality = find_quality()
    if not quality and not wanted.by_losses:
        raise ExperimentError(
            "no metric of quality is installed, and nothing else tells when to stop; "
            f"`pip install '{PACKAGES}'`, or go by the losses alone with --by-losses, which may "
            "end in a worse model"
        )
    files = find_recordings(wanted.recordings, wanted.output)
    place = Path(wanted.model)
    if place.exists() and real_path(wanted.output) in (real_path(place), *real_path(place).parents):
        raise BundleError(f"{wanted.model}: lies in the output; name another output")
    return bundle, files, quality


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
    criterion. Raises what `train` does, and `ExperimentError` for a run without its log.
    """
    experiment = prepared.experiment
    if minutes is not None and experiment.train.minutes is not None:
        update = {"minutes": minutes}
        settings = experiment.train.model_copy(update=update)
        experiment = experiment.model_copy(update={"train": settings})
    output = prepared.wanted.output
    if resume and has_validated(output):
        _course(output)  # before hours go by
    judge: Judge = Criterion(judged_waves(output, experiment.model.peak_db), prepared.quality)
    if watch is not None:
        judge = watch(judge)
    result = train(experiment, output, resume=resume, report=report, judge=judge)
    return Adapted(prepared, result, _course(output, result.best_step or 0))


def read_course(output: Path) -> list[Judged]:
    """What the criterion said at each validation, out of the log of the run."""
    found: dict[int, dict[str, float]] = {}
    with (output / CSV_NAME).open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            if row["phase"] == "judged":
                found.setdefault(int(row["step"]), {})[row["name"]] = float(row["value"])
    return [Judged(step, numbers) for step, numbers in sorted(found.items())]


def _course(output: Path, *steps: int) -> tuple[Judged, ...]:
    """What the criterion said, at the start and at these steps at least."""
    course = tuple(read_course(output)) if (output / CSV_NAME).is_file() else ()
    if not {0, *steps} <= {one.step for one in course if TOTAL in one.numbers}:
        raise ExperimentError(
            f"{output / CSV_NAME}: no longer tells how the model was judged; begin anew with "
            "--overwrite"
        )
    return course


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


def _given(
    wanted: Wanted, bundle: Bundle, files: Sequence[Path], measured: Sequence[str]
) -> dict[str, Any]:
    """What a run hangs on, to tell whether it may go on, however it is spelled."""
    return {
        "recordings": [[str(real_path(file)), _size(file)] for file in files],
        "clean": None if wanted.clean is None else str(real_path(wanted.clean)),
        "model": str(bundle.header["sha256"]),
        "measured": list(measured),
    }


def _size(file: Path) -> int:
    """In bytes; of a link that leads nowhere, 0."""
    return file.stat().st_size if file.exists() else 0


def _sample_rate(bundle: Bundle) -> int:
    from selfremaster.registry.building import build

    rate: int = build("features", bundle.experiment.model.features).sample_rate
    return rate
