"""The memory of a process that restores files does not grow with their length."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfremaster.core import audio
from selfremaster.core.promises.inputs import noise
from tests import tiny
from tests.cli import ROOT

SHORT_SECONDS, LONG_SECONDS = 120, 720  # of pieces of 24
HELD_BYTES = 4 * tiny.RATE * (LONG_SECONDS - SHORT_SECONDS)  # what more of one float32 copy takes
MOST_PART = 1.05
# what is given back leaves the process at once, so that its peak is what it needs
GIVING_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}

RESTORING = """
import sys
from pathlib import Path

from selfremaster.core import keeping
from selfremaster.core.jobs import Job
from selfremaster.core.restoring import Restored, restore_files
from selfremaster.registry.assembling import load

keeping.MOST_VALUES_HELD = 0  # longer sounds than those of a test wait on the disk
model, source, target = map(Path, sys.argv[1:])
(done,) = restore_files(load(str(model)), [Job(source, Path(source.name), target, target.stem)])
if not isinstance(done, Restored):
    sys.exit(str(done))
told = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in told if line.startswith("VmHWM:")))
"""


def peak_bytes(folder: Path, model: Path, seconds: int) -> int:
    """The most memory that a process had that restored so much noise."""
    source, target = folder / f"{seconds}.wav", folder / "new.wav"
    audio.write(source, noise(1, seconds * tiny.RATE, level=0.1), tiny.RATE)
    told = subprocess.run(
        [sys.executable, "-c", RESTORING, model, source, target],
        cwd=ROOT,
        env={**os.environ, **GIVING_BACK},
        capture_output=True,
        text=True,
        check=True,
    )
    assert audio.inspect(target).samples == seconds * tiny.RATE
    return 1024 * int(told.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell of memory elsewhere")
def test_six_times_as_long_takes_no_more_memory(tmp_path: Path) -> None:
    model = tiny.write_model(tmp_path / "model.safetensors", 3)
    short, long = (
        peak_bytes(tmp_path, model, seconds) for seconds in (SHORT_SECONDS, LONG_SECONDS)
    )
    assert long < MOST_PART * short
    assert long - short < 0.5 * HELD_BYTES
