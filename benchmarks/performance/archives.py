"""How long the command takes for files of any length, in how much memory, and for many files."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from selfremaster.benchmarks.performance.comparing import Options, Section, ratio
from selfremaster.benchmarks.performance.sizes import SMALL, drawn
from selfremaster.benchmarks.tables import MEBIBYTE, NOTHING, markdown
from selfremaster.core.bundles import write_bundle
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.experiments import Experiment
from selfremaster.core.gallery import example_speech
from selfremaster.core.levels import resample
from selfremaster.core.writing import write_blocks
from selfremaster.registry.assembling import resolve

BUILTIN = "default"
PROCESSES = (1, 2)
LOOK_SECONDS = 0.05
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


class Taken(NamedTuple):
    """What a command took."""

    seconds: float
    peak_bytes: int | None  # of all its processes together


def measure(options: Options) -> Section:
    """Two tables: long files, and many."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = [long_files(folder, options), many_files(folder, options)]
    files, seconds = options.batch
    about = (
        "`selfremaster restore` from its start to its end, one thread a process. Long files: the "
        f"model `{BUILTIN}`. Many: {files} files of {seconds:g} s by the small "
        "model with `hifigan:preset=v3`, whose weights are drawn. Memory is the most that its "
        "processes held, the libraries included."
    )
    return Section("The command", about, "\n\n".join(tables))


def long_files(folder: Path, options: Options) -> str:
    """The table of lengths."""
    rows = []
    for minutes, rate, channels in options.files:
        source = write_speech(folder / "long.wav", 60 * minutes, rate, channels)
        taken = restored(source, folder / "long-restored.wav", "--model", BUILTIN)
        pace = f"{taken.seconds / (60 * minutes):.4f}"
        about = f"{minutes:g} min, {rate:,} Hz, " + ("mono" if channels == 1 else f"{channels} ch.")
        rows.append([about, f"{taken.seconds:.1f}", pace, _mebibytes(taken)])
    return markdown(["recording", "seconds", "real-time factor", "memory, MiB"], rows)


def many_files(folder: Path, options: Options) -> str:
    """The table of processes."""
    files, seconds = options.batch
    bundle = write_small(folder / "small.safetensors")
    first = write_speech(folder / "tapes" / "0.wav", seconds)
    for number in range(1, files):
        os.link(first, first.with_name(f"{number}.wav"))
    rows, alone = [], None
    for processes in PROCESSES:
        target = folder / f"restored-{processes}"
        taken = restored(first.parent, target, "--model", str(bundle), "--jobs", str(processes))
        made = len(list(target.glob("*.wav")))
        if made != files:
            raise SelfRemasterError(f"{made} of {files} files were restored; none is to be missing")
        alone = alone or taken.seconds
        pace = f"{taken.seconds / (files * seconds):.4f}"
        faster = ratio(taken.seconds, alone)
        rows.append(
            [f"--jobs {processes}", f"{taken.seconds:.1f}", pace, _mebibytes(taken), faster]
        )
    heading = ["", "seconds", "real-time factor", "memory, MiB", "times as fast"]
    return markdown(heading, rows)


def write_speech(
    path: Path, seconds: float, sample_rate: int | None = None, channels: int = 1
) -> Path:
    """A file of one sentence, over and over, each channel a little softer than the one before."""
    wave, rate = example_speech()
    if sample_rate is not None:
        wave, rate = resample(wave[None], rate, sample_rate)[0], sample_rate
    sentence = torch.stack([wave * 0.9**channel for channel in range(channels)])
    samples = round(seconds * rate)
    starts = range(0, samples, sentence.shape[1])
    blocks = (sentence[:, : samples - start] for start in starts)
    write_blocks(path, blocks, rate, channels, samples)
    return path


def write_small(path: Path) -> Path:
    """A bundle of the small model."""
    (given,) = SMALL.values()
    write_bundle(path, drawn(given), resolve(Experiment.from_mapping({"model": given})))
    return path


def restored(source: Path, target: Path, *options: str) -> Taken:
    """Run the command, and look at its memory while it works."""
    words = ["restore", str(source), "--output", str(target), "--overwrite", "--quiet", *options]
    places = os.pathsep.join(place for place in sys.path if place)
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "selfremaster", *words],
        env={**os.environ, **THREADS, "PYTHONPATH": places},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        peaks: dict[int, int] = {}
        while process.poll() is None:
            for number in family(process.pid):
                peaks[number] = max(peaks.get(number, 0), _peak_bytes(number))
            time.sleep(LOOK_SECONDS)
        said = process.stderr.read() if process.stderr else ""
    seconds = time.perf_counter() - started
    if process.returncode:
        last = (said.strip().splitlines() or ["nothing was said"])[-1]
        raise SelfRemasterError(f"selfremaster {' '.join(words)} failed: {last}")
    return Taken(seconds, sum(peaks.values()) or None)


def family(number: int) -> list[int]:
    """A process and all that it began, where the system tells (Linux)."""
    found = [number]
    for one in found:
        for listed in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += [int(child) for child in listed.read_text().split()]
            except OSError:  # it ended meanwhile
                continue
    return found


def _peak_bytes(number: int) -> int:
    try:
        lines = Path(f"/proc/{number}/status").read_text().splitlines()
    except OSError:
        return 0
    sizes: Sequence[int] = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return sizes[0] * 1024 if sizes else 0


def _mebibytes(taken: Taken) -> str:
    return NOTHING if taken.peak_bytes is None else f"{taken.peak_bytes / MEBIBYTE:.0f}"
