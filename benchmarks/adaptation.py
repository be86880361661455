"""How near adaptation comes to its best moment, where the truth is known.

``python -m selfremaster.benchmarks.adaptation --speech manifest.csv --output FOLDER`` damages the
speech of some speakers, adapts a model to the damaged recordings alone, as `selfremaster adapt`
does, and compares what is restored with the clean originals at every moment at which the criterion,
which never sees those, judges the model too.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch

from selfremaster.benchmarks.moments import HEADING, Moments, Pair, Witness, read_moments, summary
from selfremaster.benchmarks.tables import markdown
from selfremaster.core import audio, manifests
from selfremaster.core.choices import evenly
from selfremaster.core.degrading import Step, degrade
from selfremaster.core.errors import ExperimentError, SelfRemasterError
from selfremaster.core.experiments import Experiment, override_setting
from selfremaster.core.files import folder_named, write_atomically
from selfremaster.core.manifests import Item, Manifest
from selfremaster.registry.adaptation_plans import Wanted
from selfremaster.registry.adapting import learn, prepare
from selfremaster.registry.assembling import find_bundle
from selfremaster.registry.building import build

PEAK_DB = -3.0  # of the clean speech, before it is damaged
CONDITIONS = ("band-limit", "clip", "quantize-resample", "overdrive")
SPEAKERS = 3
HEARD = 6  # recordings of each run that are compared with their originals
STEPS = 500
MODEL = "default"
RESULTS, ASKED = "moments.json", "asked.json"
INTERRUPTED = 130
LONGEST_NAME = 60  # of a folder, characters


def damage(
    manifest: Manifest, items: Sequence[Item], condition: str, folder: Path, seed: int = 1
) -> list[Path]:
    """Write the recordings of a speaker through one channel, which is drawn once for all."""
    part = build("degradation", condition)
    generator = torch.Generator().manual_seed(seed)
    step = Step(condition, part)
    paths = []
    for number, item in enumerate(items, start=1):
        wave, rate = audio.read(manifest.file(item))
        wave = audio.normalise_peak(wave[:1], PEAK_DB)
        if step.parameters is None:
            step = step._replace(parameters=part.draw(generator, rate))
        damaged, _, _ = degrade(wave, rate, [step], generator)
        path = folder / f"{number:04d}.wav"  # the manifest's names may lead anywhere
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
    settings: Sequence[str] = ()
    device: str = "auto"
    model: str = MODEL
    by_losses: bool = False  # where no metric of quality is installed

    def told(self, speaker: str, condition: str) -> dict[str, str]:
        """All that a run hangs on, in words."""
        items = tuple(item for item in self.speech.items if item.speaker == speaker)
        return {
            "speech": manifests.content_hash(Manifest(self.speech.folder, items)),
            "speaker": speaker,
            "condition": condition,
            "model": str(find_bundle(self.model).header["sha256"]),
            "steps": str(self.steps),
            "set": " ".join(self.settings),
        }


def place_of(output: Path, speaker: str, condition: str) -> Path:
    """The folder of a run; a name that is none of a folder leads nowhere else.

    >>> place_of(Path("runs"), "../anna", "clip").as_posix()
    'runs/anna-ec02c7/clip'
    """
    return folder_named(folder_named(output, _plain(speaker)), _plain(condition))


def _plain(name: str) -> str:
    """A name for a folder: the name itself, or what is left of it and a hash of the whole."""
    usual = all(mark.isalnum() or mark in "-_." for mark in name) and name.strip(".") == name
    if usual and 0 < len(name) <= LONGEST_NAME:
        return name
    left = "".join(mark if mark.isalnum() else "-" for mark in name)[:LONGEST_NAME].strip("-")
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:6]
    return f"{left}-{digest}" if left else digest


def claim(folder: Path, told: dict[str, str]) -> None:
    """Take a folder for a run, or go on in it; raises `ExperimentError` for that of another."""
    place = folder / ASKED
    if not place.is_file() and (folder / RESULTS).exists():
        raise ExperimentError(
            f"{folder / RESULTS}: does not say what it is the result of; name another --output"
        )
    if place.is_file():
        try:
            before = dict(json.loads(place.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise ExperimentError(f"{place}: is damaged; name another --output") from None
        others = sorted(name for name in told if before.get(name) != told[name])
        if others:
            raise ExperimentError(
                f"{folder}: was begun with other {' and '.join(others)}; give the same, or name "
                "another --output"
            )
        return
    with write_atomically(place) as temporary:
        temporary.write_text(json.dumps(told, indent=2), encoding="utf-8")


def run(asked: Asked, speaker: str, condition: str, folder: Path) -> Moments:
    """Damage, adapt, and look at every moment; what stands in the folder is not done again.

    A run that was interrupted goes on from its last checkpoint. Raises `ExperimentError` for the
    folder of a run that was asked for otherwise, and what `prepare` and `learn` do.
    """
    claim(folder, asked.told(speaker, condition))
    place = folder / RESULTS
    if place.is_file():
        return read_moments(place)
    items = [item for item in asked.speech.items if item.speaker == speaker]
    paths = damage(asked.speech, items, condition, folder / "recordings")
    wanted = Wanted(
        [folder / "recordings"],
        folder / "adapted",
        asked.model,
        steps=asked.steps,
        device=asked.device,
        by_losses=asked.by_losses,
    )
    prepared = prepare(wanted, resume=True)
    given = prepared.experiment.model_dump(mode="json")
    for setting in ("train.patience=null", *asked.settings):  # to see what comes after the best
        override_setting(given, setting)
    experiment = Experiment.from_mapping(given)
    rate = build("features", experiment.model.features).sample_rate
    pairs = pairs_of(asked.speech, items, paths, rate, experiment.model.peak_db)
    adapted = learn(
        replace(prepared, experiment=experiment),
        resume=True,
        watch=lambda judge: Witness(judge, pairs),
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
    made.add_argument("--model", default=MODEL, help="that is adapted")
    made.add_argument("--device", default="auto", help="auto, cpu, cuda, mps, cuda:1, ...")
    made.add_argument(
        "--by-losses", action="store_true", help="where no metric of quality is installed"
    )
    made.add_argument("--output", required=True, type=Path, help="folder of the runs")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    given = parser().parse_args(words)
    found: list[Moments] = []
    wanted: list[tuple[str, str]] = []
    try:
        whole = manifests.read(given.speech)
        items = tuple(item for item in whole.items if item.split == given.split)
        speech = Manifest(whole.folder, items)
        speakers = given.speakers or longest(speech, SPEAKERS)
        unknown = set(speakers) - {item.speaker for item in items}
        if unknown or not items:
            what = f"nobody called {min(unknown)}" if unknown else "nothing"
            raise ExperimentError(f"{given.speech}: {what} in the split {given.split}")
        asked = Asked(speech, given.steps, given.set, given.device, given.model, given.by_losses)
        wanted = list(product(speakers, given.conditions))
        for speaker, condition in wanted:
            place = place_of(given.output, speaker, condition)
            found.append(run(asked, speaker, condition, place))
            print(markdown(HEADING, [found[-1].row()]).splitlines()[-1], flush=True)
    except (SelfRemasterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        done = f"{len(found)} of {len(wanted)} runs are done, the same command goes on"
        print(f"interrupted; {done}", file=sys.stderr)
        return INTERRUPTED
    print(f"\n{markdown(HEADING, [one.row() for one in found])}\n\n{summary(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
