"""The paper's comparison, on speech of one's own: both feature variants, every way of training.

``python -m selfremaster.benchmarks.published_method --manifest SPEECH.csv --work FOLDER --output
REPORT.md`` damages the speech of one reader in four ways, trains what is not trained yet, restores
the test speech, measures, and writes the report. What is done is kept, so that the command can be
stopped and given again; ``--only`` takes one half of the work.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from selfremaster.benchmarks import method_report, method_transfer, pictures
from selfremaster.benchmarks.measuring import (
    Clip,
    Contestant,
    damage,
    directions,
    restore_all,
    score,
)
from selfremaster.benchmarks.method_runs import (
    CONDITIONS,
    STEPS,
    SYSTEMS,
    VARIANTS,
    Plan,
    Run,
    Variant,
    check_speakers,
    train_all,
)
from selfremaster.core import audio, manifests
from selfremaster.core.components import ComponentSpec
from selfremaster.core.degrading import Step
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.files import write_atomically
from selfremaster.registry.building import build

METRICS = ("lsd", "mel-l1", "pesq", "estoi")
SCORES_NAME = "scores.jsonl"
PICTURE_SECONDS = 5


class TestSet(NamedTuple):
    """Clean speech that is damaged, restored and compared with itself."""

    name: str
    speakers: str  # how their names begin
    each: int  # files of each speaker, at most


SETS = (TestSet("reader", "dc-tts-reader", 12), TestSet("strangers", "ls-", 1))


def clean_files(plan: Plan, chosen: TestSet) -> list[tuple[str, Path]]:
    """The test files of a set: the first ones of each speaker."""
    read = manifests.read(plan.manifest)
    files: list[tuple[str, Path]] = []
    taken: dict[str, int] = {}
    for item in read.items:
        if item.split != "test" or not item.speaker.startswith(chosen.speakers):
            continue
        taken[item.speaker] = taken.get(item.speaker, 0) + 1
        if taken[item.speaker] <= chosen.each:
            name = f"{item.speaker}-{Path(item.path).stem}.wav"
            files.append((name, read.file(item)))
    return files


def contestants(plan: Plan, condition: str) -> Iterator[Contestant]:
    """Nothing done, the ceilings of both vocoders, and every system."""
    yield Contestant("input", ComponentSpec.parse("input"))
    for variant in plan.vocoders:
        model = str(plan.folder(Run(variant, "supervised")))
        told = {"name": "copy-synthesis", "model": model}
        yield Contestant(f"{variant}, copy synthesis", ComponentSpec.parse(told), told=True)
        for system in SYSTEMS:
            run = Run(variant, system, "" if system == "supervised" else condition)
            spec = {"name": "selfremaster", "model": str(plan.folder(run))}
            yield Contestant(f"{variant}, {system}", ComponentSpec.parse(spec))


def measure_all(plan: Plan, conditions: Sequence[str]) -> None:
    """Restore and measure what is not measured yet, a line of JSON for each file."""
    done = {(row["condition"], row["set"], row["system"]) for row in read_scores(plan)}
    for condition in conditions:
        for chosen in SETS:
            clips = _clips(plan, condition, chosen)
            for one in contestants(plan, condition):
                if (condition, chosen.name, one.label) not in done:
                    _measure(plan, condition, chosen, clips, one)


def _clips(plan: Plan, condition: str, chosen: TestSet) -> list[Clip]:
    steps = [Step(condition, build("degradation", condition))]
    return damage(clean_files(plan, chosen), steps, 0, plan.work / "test" / condition / chosen.name)


def _measure(
    plan: Plan, condition: str, chosen: TestSet, clips: Sequence[Clip], one: Contestant
) -> None:
    print(f"measuring: {condition}, {chosen.name}, {one.label}", file=sys.stderr)
    folder = plan.work / "restored" / condition / chosen.name
    cost = restore_all(one, clips, folder)
    metrics = [build("metric", text) for text in METRICS]
    rows = [
        {
            "condition": condition,
            "set": chosen.name,
            "system": one.label,
            "file": clip.name,
            "seconds": round(clip.seconds, 3),
            "real_time_factor": round(cost.real_time_factor, 4),
            **{name: round(number, 5) for name, number in found.numbers.items()},
        }
        for clip, found in ((clip, score(one, clip, metrics, folder)) for clip in clips)
    ]
    write_scores(plan, [*read_scores(plan), *rows])


def read_scores(plan: Plan) -> list[dict[str, Any]]:
    """What was measured up to now."""
    path = plan.work / SCORES_NAME
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_scores(plan: Plan, rows: Sequence[dict[str, Any]]) -> None:
    """Keep what was measured."""
    with write_atomically(plan.work / SCORES_NAME) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def run(plan: Plan, given: argparse.Namespace) -> None:
    """Train, measure and report, as far as asked for.

    Raises `SelfRemasterError` for speech, bundles or files that cannot be used.
    """
    check_speakers(plan)
    if given.only in (None, "train"):
        train_all(plan, given.conditions)
    if given.only in (None, "measure"):
        measure_all(plan, given.conditions)
        method_transfer.measure_all(plan, given.conditions)
    if given.only in (None, "report", "measure"):
        metrics = directions([build("metric", text) for text in METRICS])
        text = method_report.report(plan, read_scores(plan), metrics, given)
        with write_atomically(given.output) as temporary:
            temporary.write_text(text, encoding="utf-8")
        with write_atomically(given.output.with_suffix(".csv")) as temporary:
            temporary.write_text(method_report.table(read_scores(plan)), encoding="utf-8")
        draw(plan, given.conditions[0], given.output.with_suffix(".png"))
        print(given.output)


def draw(plan: Plan, condition: str, path: Path) -> None:
    """Spectrograms of the first test file: clean, damaged, and restored by the last systems."""
    name, clean = clean_files(plan, SETS[0])[0]
    restored = plan.work / "restored" / condition / SETS[0].name
    shown = [
        one for one in contestants(plan, condition) if one.label.endswith(("input", SYSTEMS[-1]))
    ]
    places = {"clean": clean}
    places |= {one.label: restored / one.folder_name / f"{name}.wav" for one in shown}
    read = {label: audio.read(place) for label, place in places.items()}
    rate = read["clean"][1]
    waves = {label: wave[0, : PICTURE_SECONDS * rate] for label, (wave, _) in read.items()}
    pictures.write_small_spectrograms(path, waves, rate)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m selfremaster.benchmarks.published_method",
        description="Train the paper's systems on damaged speech, restore, measure, and report.",
    )
    add = made.add_argument
    add("--manifest", required=True, type=Path, help="clean speech with splits")
    add("--work", required=True, type=Path, help="folder that runs and sounds are kept in")
    add("--output", required=True, type=Path, help="the report (.md); the numbers go beside it")
    add("--recordings", default="dc-tts-reader", help="speaker whose damaged speech is learned")
    add("--clean", default="kathleen", help="speaker of the clean speech")
    add("--hifigan", default="hifigan-v3", help="bundle that speaks mel spectrograms")
    add("--ddsp", default="ddsp", help="bundle that speaks source-filter features")
    add("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    add("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    add("--steps", type=int, help="of every run, for a trial of the whole")
    add("--only", choices=("train", "measure", "report"), help="a part of the work")
    add("--caveats", type=Path, help="Markdown to put under the numbers: what limits them")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    given = parser().parse_args(words)
    vocoders = {
        "mel": Variant("mel", "hifigan:preset=v3", given.hifigan),
        "source-filter": Variant("source-filter", "ddsp", given.ddsp),
    }
    chosen = {variant: vocoders[variant] for variant in given.variants}
    steps = STEPS if given.steps is None else dict.fromkeys(STEPS, given.steps)
    plan = Plan(given.manifest, given.work, chosen, given.recordings, given.clean, steps=steps)
    try:
        run(plan, given)
    except (SelfRemasterError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
