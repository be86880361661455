"""How long restoring takes, and how much memory, against the length of the recording."""

import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch

from selfremaster.benchmarks.performance import references
from selfremaster.benchmarks.performance.comparing import Options, Section, ratio
from selfremaster.benchmarks.tables import MEBIBYTE, NOTHING, markdown
from selfremaster.benchmarks.timing import apart_and_frugal, peak_growth
from selfremaster.core.bundles import fold
from selfremaster.core.experiments import Experiment
from selfremaster.core.models import Model
from selfremaster.core.promises.inputs import noise
from selfremaster.registry.assembling import assemble, resolve

MODEL = {
    "features": "mel",
    "analyzer": "unet2d",
    "channel": "unet1d",
    "vocoder": "hifigan:preset=v3",
}
MOST_OF_MEMORY = 0.6  # of what is free: what would need more is not tried
WARM_UP_SECONDS = 2.0


class Taken(NamedTuple):
    """What one recording took."""

    seconds: float
    peak_bytes: int


def measure(options: Options) -> Section:
    """The table of lengths."""
    rows = []
    known: dict[str, list[tuple[float, int]]] = {"ours": [], "reference": []}
    for length in options.lengths:
        taken = {way: _taken(way, length, before) for way, before in known.items()}
        for way, one in taken.items():
            if one is not None:
                known[way].append((length, one.peak_bytes))
        ours, reference = taken["ours"], taken["reference"]
        cells = [f"{length:g} s"]
        for one in (ours, reference):
            cells += [
                NOTHING if one is None else f"{one.seconds / length:.4f}",
                NOTHING if one is None else f"{one.peak_bytes / MEBIBYTE:.0f}",
            ]
        both = ours is not None and reference is not None
        cells += [
            ratio(ours.seconds, reference.seconds) if both and ours and reference else NOTHING
        ]
        rows.append(cells)
    heading = [
        "length",
        "real-time factor",
        "memory, MiB",
        "reference: real-time factor",
        "memory, MiB",
        "times as fast",
    ]
    about = (
        f"The small model (`{MODEL['vocoder']}`), one recording at 22,050 Hz. Memory is what the "
        "work takes on top of the model. The reference is the published forward pass: analysis "
        "with channel features, the vocoder with weight norm that is not folded and plain "
        "convolutions, and the channel module, at once on the whole file. `-`: would not fit into "
        f"{MOST_OF_MEMORY:.0%} of the free memory, by what shorter ones took."
    )
    return Section("Restoring", about, markdown(heading, rows))


def _taken(way: str, length: float, before: list[tuple[float, int]]) -> Taken | None:
    """Measure in a process of its own; none where it does not fit."""
    if before:
        seconds, peak = before[-1]
        free = free_bytes()
        if free is not None and peak * length / seconds > MOST_OF_MEMORY * free:
            return None
    with suppress(BrokenProcessPool):  # the system ended it: no memory
        return apart_and_frugal(restore_once, way, length)
    return None


def restore_once(way: str, length: float) -> Taken:
    """Restore noise of so many seconds, after a short one to warm up."""
    work = restorer_of(way)
    work(WARM_UP_SECONDS)
    with peak_growth() as grown:
        started = time.perf_counter()
        work(length)
        seconds = time.perf_counter() - started
    return Taken(seconds, grown[0])


def restorer_of(way: str) -> Callable[[float], torch.Tensor]:
    """What restores noise of a length in seconds in one of the two ways."""
    model: Model = assemble(resolve(Experiment.from_mapping({"model": MODEL}))).eval()
    if way == "ours":
        fold(model)
    else:
        references.with_plain_convolutions(model)

    def work(seconds: float) -> torch.Tensor:
        wave = noise(1, round(seconds * model.sample_rate))
        if way == "ours":
            restored: torch.Tensor = model.restore(wave, model.sample_rate)
            return restored
        with torch.no_grad():
            return references.restore(model, wave)

    return work


def free_bytes() -> int | None:
    """The memory that is free, where the system tells (Linux)."""
    place = Path("/proc/meminfo")
    if not place.is_file():
        return None
    for line in place.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
