"""Read files whose headers were changed by chance: python -m tests.mutated_headers FIRST LAST.

Each seed changes bytes of one of some forty files. Reading it, and writing it as a result with its
tags, must end in sound or in `AudioError`, within the memory that is declared here, whatever the
file declares.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from selfremaster.benchmarks.machines import peak_memory_bytes
from selfremaster.core import audio
from selfremaster.core.errors import AudioError
from selfremaster.core.jobs import Job
from selfremaster.core.keeping import check_result, keep
from selfremaster.core.streaming import Altered, Filed
from tests.encoded import RECIPES
from tests.odd_bytes import encoded, id3, mp3, sound, wav, without_xing
from tests.odd_containers import track

ROOT = Path(__file__).parents[1]
HEADER_BYTES = 200
MEMORY_CAP = 256 << 20  # bytes, beside what the libraries take
BATCH = 250
HANG_SECONDS = 120  # a batch takes a tenth of it
LISTED = 64
WRITTEN = (
    *(("WAV", kind) for kind in ("PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
    *(("WAV", kind) for kind in ("IMA_ADPCM", "MS_ADPCM", "GSM610")),
    *(("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("AU", "PCM_16")),
    *(("AIFF", "PCM_16"), ("AIFF", "FLOAT"), ("CAF", "PCM_16"), ("CAF", "ALAC_16")),
    *(("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS")),
)
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Came(NamedTuple):
    """What came of a range of seeds."""

    read: int
    refused: int
    wrong: dict[int, str]  # by seed: what ended otherwise than in sound or in AudioError
    died: dict[int, str]  # by seed: signals that ended the process, which a library's fault does
    peak_bytes: int  # of memory, beside what the libraries take


@cache
def originals() -> list[bytes]:
    """A short file of every container and kind of samples."""
    wave = sound(2000)
    found = [encoded(container, kind, wave, 8000) for container, kind in WRITTEN]
    found += [mp3(3000), without_xing(mp3(3000)), id3() + mp3(3000), id3() + wav(wave)]
    if find_spec("av"):
        found += [track(kind) for kind in RECIPES]
    return found


def mutated(seed: int) -> bytes:
    """One of the files with one to eight changes, most of them in its header."""
    chance = np.random.default_rng(seed)
    files = originals()
    content = bytearray(files[seed % len(files)])
    for _ in range(int(chance.integers(1, 9))):
        near = min(HEADER_BYTES if chance.random() < 0.8 else len(content), len(content))
        place = int(chance.integers(0, max(near, 1)))
        change = int(chance.integers(0, 6))
        if change == 0:
            content[place : place + 1] = bytes([(content[place] ^ 1 << int(chance.integers(0, 8)))])
        elif change == 1:
            content[place : place + 1] = chance.bytes(1)
        elif change == 2:
            content[place:place] = chance.bytes(int(chance.integers(1, 17)))
        elif change == 3:
            del content[place : place + int(chance.integers(1, 17))]
        else:
            number = NUMBERS[int(chance.integers(0, len(NUMBERS)))]
            order = "little" if change == 4 else "big"
            content[place : place + 4] = number.to_bytes(4, order)  # type: ignore[arg-type]  # two words
        if not content:
            break
    return bytes(content[: int(chance.integers(0, len(content) + 1))] if change == 5 else content)


def try_to_read(path: Path) -> bool:
    """Read a file in every way; whether it could be. Raises what should not be."""
    try:
        info = audio.inspect(path, strict=False, repair=True)
        wave, _ = audio.read(path, strict=False, repair=True)
    except AudioError as error:
        message = str(error)
        if "\n" in message or not message.startswith(str(path)):
            raise ValueError(f"not in one line about the file: {message!r}") from None
        return False
    if wave.shape != (info.channels, info.samples) or not wave.isfinite().all():
        raise ValueError(f"{tuple(wave.shape)} is not what {info} says, or not finite")
    try:
        audio.check(path)
    except AudioError:
        pass
    try_to_keep(path, info)
    return True


def try_to_keep(path: Path, info: audio.AudioInfo) -> None:
    """Write the sound half as loud as a result, with all that the file says of it."""
    target = path.with_name(f"kept{audio.writable_suffix(path)}")
    job = Job(path, Path(path.name), target, target.with_suffix(""))
    recording = Filed(path, info, strict=False, repair=True)
    try:
        check_result(job, info, info.channels, None, None)
        keep(job, Altered(recording, lambda block: 0.5 * block, info.channels), info)
    except AudioError as error:
        if "\n" in str(error).replace(str(path), ""):
            raise ValueError(f"not in one line: {str(error)!r}") from None
        return
    made = audio.check(target).samples
    target.unlink()
    if made != info.samples:
        raise ValueError(f"{made} samples are kept of {info.samples}")


def read_all(first: int, last: int, report: Path) -> None:
    """Read a range of seeds in this process, and note before each one that it comes."""
    originals()
    base = peak_memory_bytes()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 2 * MEMORY_CAP
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with report.open("a", buffering=1) as lines, tempfile.TemporaryDirectory() as folder:
        for seed in range(first, last):
            lines.write(json.dumps({"seed": seed}) + "\n")
            # by the second name PyAV is asked, too, where libsndfile knows nothing
            path = Path(folder, f"{seed}{'.m4a' if seed // 2 % 2 else '.wav'}")
            path.write_bytes(mutated(seed))
            came: dict[str, object] = {"seed": seed}
            try:
                came["read"] = try_to_read(path)
            except Exception as error:  # which there must be none of
                came["wrong"] = f"{type(error).__name__}: {error}"
            path.unlink()
            lines.write(json.dumps({**came, "peak": peak_memory_bytes() - base}) + "\n")


def read_in_batches(first: int, last: int, batch: int = BATCH) -> Came:
    """Read a range of seeds in other processes; where one dies, the next begins behind it."""
    came = Came(0, 0, {}, {}, 0)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        seed = first
        while seed < last:
            report.write_text("")
            end = min(seed + batch, last)
            ended = _run(seed, end, report)
            lines = [json.loads(line) for line in report.read_text().splitlines()]
            came = _added(came, lines)
            if ended:
                seed = lines[-1]["seed"] if lines else seed
                came.died[seed] = ended
                seed += 1
            else:
                seed = end
    return came


def _run(first: int, last: int, report: Path) -> str:
    """Run a batch; what ended it before its time, if anything did."""
    command = [sys.executable, "-m", "tests.mutated_headers", str(first), str(last), str(report)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=HANG_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"hangs for {HANG_SECONDS} seconds"
    if done.returncode < 0:
        return signal.Signals(-done.returncode).name
    return "" if done.returncode == 0 else done.stderr.decode(errors="replace")[-500:]


def _added(came: Came, lines: list[dict[str, object]]) -> Came:
    told = [line for line in lines if "peak" in line]
    return Came(
        came.read + sum(line.get("read") is True for line in told),
        came.refused + sum(line.get("read") is False for line in told),
        came.wrong
        | {int(str(line["seed"])): str(line["wrong"]) for line in told if "wrong" in line},
        came.died,
        max([came.peak_bytes, *(int(str(line["peak"])) for line in told)]),
    )


def _lines(came: Came) -> Iterator[str]:
    yield f"{came.read} read, {came.refused} refused, {len(came.wrong)} wrong"
    yield f"{len(came.died)} died, at most {came.peak_bytes / 2**20:.0f} MiB"
    for seed, what in [*came.wrong.items(), *came.died.items()][:LISTED]:
        yield f"seed {seed}: {what}"


if __name__ == "__main__":
    if len(sys.argv) == 4:
        read_all(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    else:
        print("\n".join(_lines(read_in_batches(int(sys.argv[1]), int(sys.argv[2])))))
