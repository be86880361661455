"""Measuring restorers: damage clean speech, restore it, time that, and score what came out."""

import ctypes
import gc
import math
import multiprocessing
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.components import ComponentSpec
from selfremaster.core.degrading import Applied, Step, degrade, generator_for
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Metric, Restorer
from selfremaster.core.signals import fit_length
from selfremaster.registry.building import build

WARM_UP_SECONDS = 1


class Clip(NamedTuple):
    """A clean sound file and its damaged twin, which has the same length and rate."""

    name: str
    seconds: float  # of sound, over all channels
    clean: Path
    degraded: Path
    drawn: Sequence[Mapping[str, Any]]  # by each degradation


class Contestant(NamedTuple):
    """A restorer under the name that the report gives it."""

    label: str
    spec: ComponentSpec
    told: bool = False  # whether it is told the clean original

    @property
    def folder_name(self) -> str:
        """The folder that its versions lie in."""
        return re.sub(r"\W+", "-", self.label)

    def place(self, folder: Path, clip: Clip) -> Path:
        """Where its version of a clip lies."""
        return folder / self.folder_name / f"{clip.name}.wav"


class Cost(NamedTuple):
    """What restoring took, without reading, writing and a first run to warm up."""

    wall_seconds: float
    audio_seconds: float
    peak_bytes: int  # the most memory that the process ever held
    threads: int

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for each second of sound."""
        return self.wall_seconds / self.audio_seconds


class Score(NamedTuple):
    """The numbers of one restorer on one clip; what cannot be measured is not a number."""

    clip: Clip
    label: str
    numbers: Mapping[str, float]


def damage(
    files: Iterable[tuple[str, Path]], steps: Sequence[Step], seed: int, folder: Path
) -> list[Clip]:
    """Write damaged twins of clean files, by name, into the folder, as `selfremaster degrade` does.

    A lag that the degradations are known for is taken out. Raises `AudioError`.
    """
    lag = sum(step.part.delay_samples for step in steps)
    clips = []
    for name, path in files:
        info = audio.inspect(path)
        wave, rate = audio.read(path)
        damaged, applied, _ = degrade(wave, rate, steps, generator_for(seed, name))
        twin = folder / name
        audio.write(twin, fit_length(damaged[:, lag:], wave.shape[-1]), rate, like=info)
        drawn = [{"name": one.degradation, **_parameters(one)} for one in applied]
        clips.append(Clip(name, wave.numel() / rate, path, twin, drawn))
    return clips


def _parameters(applied: Applied) -> Mapping[str, Any]:
    told = applied.parameters
    return told if isinstance(told, dict) else {"channels": told}


def restore_all(
    contestant: Contestant, clips: Sequence[Clip], folder: Path, threads: int | None = None
) -> Cost:
    """Restore every clip and write it as floating-point WAV; gives what that took."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        restorer: Restorer = build("restorer", contestant.spec)
        _restore(restorer, contestant, clips[0], warm_up=True)
        wall_seconds = 0.0
        for clip in clips:
            restored, rate, seconds = _restore(restorer, contestant, clip)
            wall_seconds += seconds
            audio.write(contestant.place(folder, clip), restored, rate, subtype="FLOAT")
        total = sum(clip.seconds for clip in clips)
        return Cost(wall_seconds, total, peak_memory_bytes(), torch.get_num_threads())
    finally:
        torch.set_num_threads(before)


def _restore(
    restorer: Restorer, contestant: Contestant, clip: Clip, *, warm_up: bool = False
) -> tuple[Tensor, int, float]:
    """The restored clip, its rate, and the seconds that it took."""
    wave, rate = audio.read(clip.degraded)
    reference = audio.read(clip.clean)[0] if contestant.told else None
    if warm_up:
        samples = WARM_UP_SECONDS * rate
        wave, reference = wave[:, :samples], None if reference is None else reference[:, :samples]
    start = time.perf_counter()
    restored = restorer.restore(wave, rate, reference)
    return restored, rate, time.perf_counter() - start


def restore_apart(
    contestant: Contestant, clips: Sequence[Clip], folder: Path, threads: int | None = None
) -> Cost:
    """As `restore_all`, in a fresh process, whose memory is that of this restorer alone."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(restore_all, contestant, clips, folder, threads).result()


def peak_memory_bytes() -> int:
    """The most memory that this process ever held.

    On Linux from its own address space: what `getrusage` says there starts at the parent's peak.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak_memory() -> None:
    """Let `peak_memory_bytes` begin at what is held now, where the system can (Linux).

    What is no longer used is given back before, as far as the allocator does that.
    """
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def directions(metrics: Sequence[Metric]) -> dict[str, str]:
    """Every number that the metrics give, and whether "higher" or "lower" is better.

    Raises `ComponentError` when two of them give a number of the same name.
    """
    found: dict[str, str] = {}
    for metric in metrics:
        for name, direction in metric.directions.items():
            if name in found:
                raise ComponentError(f"two metrics give {name!r}; measure one after the other")
            found[name] = direction
    return found


def score(contestant: Contestant, clip: Clip, metrics: Sequence[Metric], folder: Path) -> Score:
    """The numbers of a restored clip against the clean one, averaged over channels."""
    clean, rate = audio.read(clip.clean)
    restored, _ = audio.read(contestant.place(folder, clip))
    collected: dict[str, list[float]] = {}
    for estimate, reference in zip(restored, clean, strict=True):
        for metric in metrics:
            for name, number in metric.compute(estimate, rate, reference).items():
                collected.setdefault(name, []).append(number)
    return Score(clip, contestant.label, {name: mean(found) for name, found in collected.items()})


def mean(numbers: Sequence[float]) -> float:
    """The mean of what is a number.

    >>> mean([1.0, float("nan"), 2.0])
    1.5
    """
    found = [number for number in numbers if not math.isnan(number)]
    return sum(found) / len(found) if found else math.nan


def standard_error(numbers: Sequence[float]) -> float:
    """How far the mean may be off: the standard deviation over the root of how many there are.

    >>> standard_error([1.0, 2.0, 3.0]) == (1 / 3) ** 0.5
    True
    """
    found = [number for number in numbers if not math.isnan(number)]
    if len(found) < 2:
        return math.nan
    centre = mean(found)
    variance = sum((number - centre) ** 2 for number in found) / (len(found) - 1)
    return math.sqrt(variance / len(found))
