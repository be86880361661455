"""Audio effect transfer, measured: how near the sound of clean speech comes to that of a channel.

For each condition the channel is known from recordings of another speaker alone. It is put onto
clean speech, and the long-term average spectrum compared with that of the same speech damaged by
the condition itself.
"""

import json
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from selfremaster.benchmarks.method_runs import Plan, Run, damage_all, make_recordings
from selfremaster.core import audio, manifests
from selfremaster.core.files import write_atomically
from selfremaster.core.profiles import ChannelProfile
from selfremaster.core.spectra import (
    Sound,
    apply_gain,
    gain_between,
    ltas_distance,
    mean_levels,
    paired_gain,
)
from selfremaster.core.transferring import Heard, hear_files, identify, make_profile
from selfremaster.registry.assembling import load

NAME = "transfer.jsonl"
FILES = 12  # that the sound is put onto
RECORDINGS = 20  # that the channel is known from
SIZE = 2048

Effect = Callable[[Tensor, int], Tensor]


def measure_all(plan: Plan, conditions: Sequence[str]) -> None:
    """Measure what is not measured yet, a line of JSON for each condition and way."""
    rows = read(plan)
    done = {(row["condition"], row["way"]) for row in rows}
    for condition in conditions:
        make_recordings(plan, condition)
        clean = _files(plan, plan.clean, "test", FILES)
        folder = plan.work / "transfer" / condition
        twins = [clip.degraded for clip in damage_all(clean, condition, folder / "target")]
        target = [_sound(path) for path in twins]
        source = [_sound(path) for _, path in clean]
        for way, effect in _ways(plan, condition).items():
            if (condition, way) in done:
                continue
            print(f"measuring: transfer, {condition}, {way}", file=sys.stderr)
            made = [(effect()(wave, rate), rate) for wave, rate in source]
            for (name, _), (wave, rate) in zip(clean, made, strict=True):
                audio.write(
                    folder / way.replace(" ", "-") / name, wave[None], rate, subtype="FLOAT"
                )
            distance = ltas_distance(made, target)
            rows.append({"condition": condition, "way": way, "ltas_db": round(distance, 4)})
            _write(plan, rows)


def read(plan: Plan) -> list[dict[str, Any]]:
    """What was measured up to now."""
    path = plan.work / NAME
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write(plan: Plan, rows: Sequence[dict[str, Any]]) -> None:
    with write_atomically(plan.work / NAME) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _ways(plan: Plan, condition: str) -> dict[str, Callable[[], Effect]]:
    """The ways to put the sound on, each made when it is used."""
    ways: dict[str, Callable[[], Effect]] = {
        "source": lambda: lambda wave, rate: wave,
        "mean-spectrum": lambda: _mean_spectrum(plan, condition),
        "mean-spectrum, published": lambda: _published(plan, condition),
    }
    for variant in plan.vocoders:
        for stage in ("ssl-dual", "pretrain + ssl-dual"):
            run = Run(variant, stage, condition)
            ways[f"{variant}, {stage}"] = lambda run=run: _ours(plan, run)  # type: ignore[misc]  # bound now
    return ways


def _ours(plan: Plan, run: Run) -> Effect:
    model = load(plan.folder(run))
    recordings = [path for _, path in _recordings(plan, run.condition)]
    heard = [one for one in hear_files(model, recordings) if isinstance(one, Heard)]
    profile: ChannelProfile = make_profile(heard, identify(model))
    return lambda wave, rate: model.transfer(wave, rate, profile)


def _mean_spectrum(plan: Plan, condition: str) -> Effect:
    rate = 22050
    recordings = mean_levels(
        map(_sound, (path for _, path in _recordings(plan, condition))), rate, SIZE
    )
    clean = [_sound(path) for _, path in _files(plan, plan.clean, "train", RECORDINGS)]
    gain = gain_between(recordings, mean_levels(clean, rate, SIZE))
    return lambda wave, sample_rate: apply_gain(wave[None], sample_rate, gain)[0]


def _published(plan: Plan, condition: str) -> Effect:
    originals = dict(_files(plan, plan.recordings, "train", RECORDINGS))
    pairs = [
        (_sound(path)[0], _sound(originals[name])[0]) for name, path in _recordings(plan, condition)
    ]
    gain = paired_gain(pairs, 22050, SIZE)
    return lambda wave, sample_rate: apply_gain(wave[None], sample_rate, gain)[0]


def _recordings(plan: Plan, condition: str) -> list[tuple[str, Path]]:
    read_manifest = manifests.read(plan.degraded(condition))
    items = (item for item in read_manifest.items if item.split == "train")
    return [(Path(item.path).stem, read_manifest.file(item)) for item in islice(items, RECORDINGS)]


def _files(plan: Plan, speaker: str, split: str, count: int) -> list[tuple[str, Path]]:
    read_manifest = manifests.read(plan.manifest)
    items = (one for one in read_manifest.items if (one.speaker, one.split) == (speaker, split))
    return [
        (Path(item.path).stem + ("" if split == "train" else ".wav"), read_manifest.file(item))
        for item in islice(items, count)
    ]


def _sound(path: Path) -> Sound:
    wave, rate = audio.read(path)
    return wave.mean(dim=0), rate
