"""The first comparison: clean speech is damaged, restored in four ways and measured.

``python -m selfremaster.benchmarks.first_run --model RUN --clean MANIFEST --output REPORT.md``
writes a report in Markdown, with every number in a CSV and a picture beside it.
"""

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from selfremaster.benchmarks import descriptions, pictures, tables
from selfremaster.benchmarks.measuring import (
    Clip,
    Contestant,
    Cost,
    Score,
    damage,
    directions,
    restore_all,
    restore_apart,
    score,
)
from selfremaster.core import audio
from selfremaster.core.bundles import Bundle
from selfremaster.core.components import ComponentSpec
from selfremaster.core.corpora import entries_from
from selfremaster.core.degrading import Step
from selfremaster.core.errors import ExperimentError, SelfRemasterError
from selfremaster.core.files import write_atomically
from selfremaster.registry.assembling import find_bundle
from selfremaster.registry.building import build

INPUT = "input"
THROUGH_VOCODER = "selfremaster, its vocoder"
BY_INPUT_PHASE = "selfremaster, input-phase"
METRICS = ("lsd", "mel-l1", "pesq", "estoi")
PICTURE_SECONDS = 5


class Findings(NamedTuple):
    """What was measured."""

    clips: Sequence[Clip]
    costs: Mapping[str, Cost]
    scores: Sequence[Score]
    directions: Mapping[str, str]


@dataclass(frozen=True)
class Settings:
    """What is measured on what."""

    model: str  # built-in name, bundle or run
    clean: Path  # manifest or folder
    output: Path
    split: str | None = None
    speakers: tuple[str, ...] | None = None
    degradations: tuple[str, ...] = ("band-limit",)
    seed: int = 0
    metrics: tuple[str, ...] = METRICS
    training: tuple[str, ...] = ()  # more runs to tell the training time of
    limit: int | None = None  # so many files at most
    threads: int | None = None
    device: str = "cpu"
    caveats: Path | None = None  # Markdown: what a reader of the numbers must know
    sounds: Path | None = None  # where the sounds are kept
    apart: bool = True  # a process for each restorer, so that its memory is its own


def contestants(settings: Settings) -> list[Contestant]:
    """The four ways: nothing done, the vocoder's ceiling, and the model with two vocoders."""
    model = {"model": settings.model, "device": settings.device}
    told = {"name": "copy-synthesis", **model}
    own = {"name": "selfremaster", **model, "use_output": False}
    corrected = {"name": "selfremaster", **model, "vocoder": "input-phase"}
    return [
        Contestant(INPUT, ComponentSpec.parse("input")),
        Contestant("copy synthesis", ComponentSpec.parse(told), told=True),
        Contestant(THROUGH_VOCODER, ComponentSpec.parse(own)),
        Contestant(BY_INPUT_PHASE, ComponentSpec.parse(corrected)),
    ]


def run(settings: Settings) -> Path:
    """Damage, restore, measure, and write the report; gives its path.

    Raises `SelfRemasterError` for a model, part or file that cannot be used.
    """
    _caveats(settings)  # a missing file is told before the work
    bundles = {name: find_bundle(name) for name in (settings.model, *settings.training)}
    metrics = [build("metric", text) for text in settings.metrics]
    ways = directions(metrics)
    steps = [
        Step(ComponentSpec.parse(text).name, build("degradation", text))
        for text in settings.degradations
    ]
    files = _files(settings)
    work = restore_apart if settings.apart else restore_all
    with ExitStack() as stack:
        folder = settings.sounds or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clips = damage(files, steps, settings.seed, folder / "degraded")
        costs: dict[str, Cost] = {}
        scores: list[Score] = []
        for contestant in contestants(settings):
            print(f"restoring: {contestant.label}", file=sys.stderr)
            costs[contestant.label] = work(contestant, clips, folder, settings.threads)
            scores += [score(contestant, clip, metrics, folder) for clip in clips]
        picture = settings.output.with_suffix(".png")
        _draw(picture, settings, clips[0], folder)
    _write(settings.output.with_suffix(".csv"), tables.per_file(scores, ways))
    _write(settings.output, report(settings, bundles, Findings(clips, costs, scores, ways)))
    return settings.output


def _files(settings: Settings) -> list[tuple[str, Path]]:
    is_folder = settings.clean.is_dir()
    entries = entries_from(
        folder=settings.clean if is_folder else None,
        manifest=None if is_folder else settings.clean,
        split=settings.split,
        speakers=settings.speakers,
    )
    root = settings.clean if is_folder else settings.clean.parent
    named = [(os.path.relpath(entry.path, root), entry.path) for entry in entries]
    outside = [name for name, _ in named if name.startswith("..")]
    if outside:
        raise ExperimentError(f"{settings.clean}: {outside[0]} lies outside its folder; move it in")
    return named[: settings.limit]


def _draw(picture: Path, settings: Settings, clip: Clip, folder: Path) -> None:
    shown = [one for one in contestants(settings) if not one.told]
    sounds = {"clean": clip.clean} | {one.label: one.place(folder, clip) for one in shown}
    read = {label: audio.read(path) for label, path in sounds.items()}
    rate = read["clean"][1]
    waves = {label: wave[0, : PICTURE_SECONDS * rate] for label, (wave, _) in read.items()}
    pictures.write_small_spectrograms(picture, waves, rate)


def _write(path: Path, text: str) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def report(settings: Settings, bundles: Mapping[str, Bundle], found: Findings) -> str:
    """The report as Markdown."""
    name = bundles[settings.model].experiment.name
    sections = [
        f"# First run: {name}",
        _what(settings, found),
        "## Quality",
        _quality(settings, found),
        *_caveats(settings),
        "## Cost",
        _cost(settings, found),
        "## Model",
        descriptions.modules(bundles[settings.model]),
        descriptions.training(list(bundles.values())),
        "## How it was measured",
        descriptions.settings_of("metric", settings.metrics),
        descriptions.made_by(bundles[settings.model]),
        f"```sh\n{command(settings)}\n```",
    ]
    return "\n\n".join(sections) + "\n"


def _caveats(settings: Settings) -> list[str]:
    if settings.caveats is None:
        return []
    return ["## Caveats", settings.caveats.read_text(encoding="utf-8").strip()]


def _what(settings: Settings, found: Findings) -> str:
    minutes = sum(clip.seconds for clip in found.clips) / 60
    spoken = f" of {', '.join(settings.speakers)}" if settings.speakers else ""
    split = f" (split {settings.split})" if settings.split else ""
    return f"""\
{len(found.clips)} clean files{spoken}{split}, {minutes:.2f} minutes, were damaged, restored in four
ways, and compared with the clean files. What damaged them (seed {settings.seed}):

{descriptions.settings_of("degradation", settings.degradations)}"""


def _quality(settings: Settings, found: Findings) -> str:
    four = contestants(settings)
    numbers, picture = (settings.output.with_suffix(end).name for end in (".csv", ".png"))
    return f"""\
Mean ± standard error over files; bold is the best of those that are not told the clean original.
Copy synthesis is told: it is the most that the vocoder can give.

{tables.quality(found.scores, four, found.directions)}

Change from the input, file by file, and in brackets for how many files it is an improvement:

{tables.improvements(found.scores, four, found.directions, INPUT)}

Every number is in [{numbers}]({numbers}). The first seconds of `{found.clips[0].name}`:

![Spectrograms: clean, input, restored]({picture})"""


def _cost(settings: Settings, found: Findings) -> str:
    threads = next(iter(found.costs.values())).threads
    memory = "a process of its own" if settings.apart else "the whole run up to then"
    return f"""\
On {settings.device}, threads: {threads} ({descriptions.processor()}). The real-time factor is
seconds of work for each second of sound, after a warm-up, without reading and writing; peak memory
is that of {memory}, Python and torch included.

{tables.costs(found.costs)}"""


def command(settings: Settings) -> str:
    """The command that measures this; of absolute paths, only the name is told."""
    words = ["python", "-m", "selfremaster.benchmarks.first_run", "--model", _told(settings.model)]
    words += ["--clean", _told(settings.clean)]
    if settings.split:
        words += ["--split", settings.split]
    if settings.speakers:
        words += ["--speakers", *settings.speakers]
    words += ["--degradation", *settings.degradations, "--seed", str(settings.seed)]
    if settings.metrics != METRICS:
        words += ["--metrics", *settings.metrics]
    if settings.training:
        words += ["--training", *map(_told, settings.training)]
    if settings.caveats is not None:
        words += ["--caveats", _told(settings.caveats)]
    for option in ("limit", "threads"):
        value = getattr(settings, option)
        words += [f"--{option}", str(value)] if value is not None else []
    if settings.device != "cpu":
        words += ["--device", settings.device]
    return shlex.join([*words, "--output", _told(settings.output)])


def _told(path: str | Path) -> str:
    place = Path(path)
    return place.name if place.is_absolute() or ".." in place.parts else str(path)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m selfremaster.benchmarks.first_run",
        description="Damage clean speech, restore it in four ways, measure, and write a report.",
    )
    add = made.add_argument
    add("--model", required=True, help="built-in name, bundle, or folder of a run")
    add("--clean", required=True, type=Path, help="manifest, or folder of sound files")
    add("--output", required=True, type=Path, help="the report (.md); CSV and PNG go beside it")
    add("--split", help="files of this split alone")
    add("--speakers", nargs="+", help="files of these speakers alone")
    add(
        "--degradation",
        nargs="+",
        default=("band-limit",),
        dest="degradations",
        help="what damages, as NAME:key=value; several are applied in order",
    )
    add("--seed", type=int, default=0, help="of what the degradation draws")
    add("--metrics", nargs="+", default=METRICS, help="what measures, as NAME:key=value")
    add("--training", nargs="+", default=(), help="more runs to tell the training time of")
    add("--limit", type=int, help="so many files at most")
    add("--threads", type=int, help="threads of the processor")
    add("--device", default="cpu", help="auto, cpu, cuda or mps")
    add("--caveats", type=Path, help="Markdown to put under the numbers: what limits them")
    add("--sounds", type=Path, help="keep the damaged and restored files in this folder")
    add("--same-process", action="store_true", help="measure memory for all of them together")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    given = vars(parser().parse_args(words))
    given["apart"] = not given.pop("same_process")
    for name in ("speakers", "degradations", "metrics", "training"):
        given[name] = None if given[name] is None else tuple(given[name])
    try:
        print(run(Settings(**given)))
    except (SelfRemasterError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
