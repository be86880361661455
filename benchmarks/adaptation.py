"""How near adaptation comes to its best moment, where the truth is known.

``python -m selfremaster.benchmarks.adaptation --speech manifest.csv --output FOLDER`` damages the
speech of some speakers, adapts a model to the damaged recordings alone, as `selfremaster adapt`
does, and compares what is restored with the clean originals at every moment at which the criterion,
which never sees those, judges the model too.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from selfremaster.benchmarks.tables import markdown
from selfremaster.core import audio, manifests
from selfremaster.core.degrading import Step, degrade
from selfremaster.core.errors import ExperimentError, SelfRemasterError
from selfremaster.core.experiments import Experiment, override_setting
from selfremaster.core.files import write_atomically
from selfremaster.core.interfaces import Metric
from selfremaster.core.judges import Judge
from selfremaster.core.manifests import Item, Manifest
from selfremaster.core.models import Model
from selfremaster.core.pieces import evenly
from selfremaster.registry.adapting import Wanted, learn, prepare
from selfremaster.registry.building import build
from selfremaster.registry.criteria import restored

PEAK_DB = -3.0  # of the clean speech, before it is damaged
CONDITIONS = ("band-limit", "clip", "quantize-resample", "overdrive")
SPEAKERS = 3
HEARD = 6  # recordings of each run that are compared with their originals
STEPS = 500
RESULTS = "moments.json"
TRUTH = {"distillmos": "DistillMOS", "mel-l1": "mel-l1"}
"""Metrics that are taken with the truth at hand, each with one number of its own name; in words."""
RISING = frozenset({"distillmos"})
MOMENTS = ("before", "kept", "best", "last")


class Pair(NamedTuple):
    """A damaged recording and its original, (samples,), at one rate."""

    damaged: Tensor
    clean: Tensor


class Witness(Judge):
    """Lets a criterion judge, and writes down beside it what only the originals can tell."""

    def __init__(self, judge: Judge, pairs: Sequence[Pair]) -> None:
        self.judge = judge
        self.pairs = pairs
        self.metrics: dict[str, Metric] = {name: build("metric", name) for name in TRUTH}

    def __call__(self, model: Model, losses: Mapping[str, float]) -> Mapping[str, float]:
        """The numbers of the criterion, and the truth."""
        numbers = dict(self.judge(model, losses))
        heard = [(restored(model, pair.damaged), pair.clean) for pair in self.pairs]
        for name, metric in self.metrics.items():
            numbers[f"true {name}"] = statistics.fmean(
                metric.compute(wave, model.sample_rate, clean)[name] for wave, clean in heard
            )
        return numbers

    def state(self) -> Mapping[str, Any]:
        """That of the criterion."""
        return self.judge.state()

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.judge.load(state)


class Moments(BaseModel):
    """One adaptation: what the criterion and the truth said, at each moment."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    condition: str
    speaker: str
    minutes: float  # of speech
    kept: int  # step
    course: tuple[dict[str, float], ...]  # with ``step``

    def numbers(self, name: str) -> list[float]:
        """The true number before, at the moment that was kept, at the best of all, and at last.

        >>> course = [{"step": step, "true mel-l1": step / 10} for step in (3, 1, 2)]
        >>> told = Moments(condition="clip", speaker="a", minutes=1, kept=2, course=course)
        >>> told.numbers("mel-l1")
        [0.3, 0.2, 0.1, 0.2]
        """
        by_step = {int(moment["step"]): moment[f"true {name}"] for moment in self.course}
        values = list(by_step.values())
        best = max(values) if name in RISING else min(values)
        return [values[0], by_step[self.kept], best, values[-1]]

    def row(self) -> list[str]:
        """The run as a row of the table."""
        last = int(self.course[-1]["step"])
        cells = [self.condition, self.speaker, f"{self.minutes:.1f}", f"{self.kept} of {last}"]
        for name in TRUTH:
            digits = 2 if name in RISING else 3
            cells += [f"{number:.{digits}f}" for number in self.numbers(name)]
        return cells


HEADING = (
    "condition",
    "speaker",
    "minutes",
    "kept step",
    *(f"{words} {moment}" for words in TRUTH.values() for moment in MOMENTS),
)


def summary(found: Sequence[Moments]) -> str:
    """How often what was kept is better or worse than the model as it was, by the truth."""
    gains = [kept - before for before, kept, _, _ in (one.numbers("distillmos") for one in found)]
    missed = [best - kept for _, kept, best, _ in (one.numbers("distillmos") for one in found)]
    fell = [last - before for before, _, _, last in (one.numbers("distillmos") for one in found)]
    changed = [gain for gain, one in zip(gains, found, strict=True) if one.kept]
    return (
        f"{len(found)} runs; something was kept in {len(changed)}, of which "
        f"{sum(gain > 0 for gain in changed)} are better than the model as it was and "
        f"{sum(gain < 0 for gain in changed)} worse by DistillMOS (the worst by "
        f"{max(0.0, -min(gains)):.2f}); mean gain {statistics.fmean(gains):+.3f}, short of the "
        f"best moment by {statistics.fmean(missed):.3f} on average and {max(missed):.2f} at most; "
        f"the last moment would have gained {statistics.fmean(fell):+.3f}, {min(fell):+.2f} at "
        "worst."
    )


def damage(
    manifest: Manifest, items: Sequence[Item], condition: str, folder: Path, seed: int = 1
) -> list[Path]:
    """Write the recordings of a speaker through one channel, which is drawn once for all."""
    part = build("degradation", condition)
    generator = torch.Generator().manual_seed(seed)
    step = Step(condition, part)
    paths = []
    for item in items:
        wave, rate = audio.read(manifest.file(item))
        wave = audio.normalise_peak(wave[:1], PEAK_DB)
        if step.parameters is None:
            step = step._replace(parameters=part.draw(generator, rate))
        damaged, _, _ = degrade(wave, rate, [step], generator)
        path = folder / Path(item.path).with_suffix(".wav").as_posix().replace("/", "-")
        audio.write(path, damaged, rate, subtype="FLOAT")
        paths.append(path)
    return paths


def pairs_of(
    manifest: Manifest,
    items: Sequence[Item],
    paths: Sequence[Path],
    sample_rate: int,
    peak_db: float,
) -> list[Pair]:
    """Some recordings and their originals at the rate and the level of a model."""
    pairs = []
    for item, path in evenly(list(zip(items, paths, strict=True)), HEARD):
        waves = []
        for file in (path, manifest.file(item)):
            wave, rate = audio.read(file)
            waves.append(audio.normalise_peak(audio.resample(wave[0], rate, sample_rate), peak_db))
        samples = min(len(wave) for wave in waves)
        pairs.append(Pair(*(wave[:samples] for wave in waves)))
    return pairs


class Asked(NamedTuple):
    """What every run does."""

    speech: Manifest
    steps: int
    settings: Sequence[str]


def run(asked: Asked, speaker: str, condition: str, folder: Path) -> Moments:
    """Damage, adapt, and look at every moment; what stands in the folder is not done again."""
    place = folder / RESULTS
    if place.is_file():
        return Moments.model_validate_json(place.read_text(encoding="utf-8"))
    items = [item for item in asked.speech.items if item.speaker == speaker]
    paths = damage(asked.speech, items, condition, folder / "recordings")
    wanted = Wanted([folder / "recordings"], folder / "adapted", steps=asked.steps)
    prepared = prepare(wanted)
    given = prepared.experiment.model_dump(mode="json")
    for setting in ("train.patience=null", *asked.settings):  # to see what comes after the best
        override_setting(given, setting)
    experiment = Experiment.from_mapping(given)
    rate = build("features", experiment.model.features).sample_rate
    pairs = pairs_of(asked.speech, items, paths, rate, experiment.model.peak_db)
    adapted = learn(
        replace(prepared, experiment=experiment), watch=lambda judge: Witness(judge, pairs)
    )
    found = Moments(
        condition=condition,
        speaker=speaker,
        minutes=sum(item.seconds or 0.0 for item in items) / 60,
        kept=adapted.best.step,
        course=tuple({"step": float(one.step), **one.numbers} for one in adapted.course),
    )
    with write_atomically(place) as temporary:
        temporary.write_text(found.model_dump_json(), encoding="utf-8")
    return found


def longest(manifest: Manifest, count: int) -> list[str]:
    """The speakers of whom there is most."""
    seconds: dict[str, float] = {}
    for item in manifest.items:
        seconds[item.speaker] = seconds.get(item.speaker, 0.0) + (item.seconds or 0.0)
    return sorted(seconds, key=lambda speaker: -seconds[speaker])[:count]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m selfremaster.benchmarks.adaptation",
        description="Compare the moment that adaptation keeps with the best one, by the truth.",
    )
    made.add_argument("--speech", required=True, type=Path, help="manifest of clean speech")
    made.add_argument("--split", default="test", help="of the manifest")
    made.add_argument(
        "--speakers", nargs="+", help=f"by default the {SPEAKERS} of whom there is most"
    )
    made.add_argument("--conditions", nargs="+", default=CONDITIONS, help="degradations")
    made.add_argument("--steps", type=int, default=STEPS, help="of each run")
    made.add_argument(
        "--set", action="append", default=[], metavar="SETTING=VALUE", help="of the experiment"
    )
    made.add_argument("--output", required=True, type=Path, help="folder of the runs")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    given = parser().parse_args(words)
    found = []
    try:
        whole = manifests.read(given.speech)
        items = tuple(item for item in whole.items if item.split == given.split)
        speech = Manifest(whole.folder, items)
        speakers = given.speakers or longest(speech, SPEAKERS)
        unknown = set(speakers) - {item.speaker for item in items}
        if unknown or not items:
            what = f"nobody called {min(unknown)}" if unknown else "nothing"
            raise ExperimentError(f"{given.speech}: {what} in the split {given.split}")
        asked = Asked(speech, given.steps, given.set)
        for speaker in speakers:
            for condition in given.conditions:
                found.append(run(asked, speaker, condition, given.output / speaker / condition))
                print(markdown(HEADING, [found[-1].row()]).splitlines()[-1], flush=True)
    except (SelfRemasterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\n{markdown(HEADING, [one.row() for one in found])}\n\n{summary(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
