"""A server of the page in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

START_SECONDS = 180
ROOT = Path(__file__).parents[1]


@contextmanager
def served(folder: Path, *words: str) -> Iterator[str]:
    """The address; at the end, by Ctrl-C, nothing may be left in the folder, nor a traceback told.

    Where tests run in the background, Ctrl-C is ignored: then by SIGTERM.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    stop = signal.SIGTERM if ignored else signal.SIGINT
    ends = (143, ["ended by SIGTERM"]) if ignored else (130, ["interrupted"])
    pytest.importorskip("gradio", reason="needs the extra ui")
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-m", "selfremaster", "serve", *words, "--port", "0", "--device", "cpu"],
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+) \(Ctrl-C ends it\)", line)
        if found is None:
            process.kill()
            pytest.fail(line + process.stderr.read())
        try:
            _wait_for(found[1])
            yield found[1]
        finally:
            process.send_signal(stop)
            code = process.wait(START_SECONDS)
            told = process.stderr.read()
    assert (code, told.splitlines()[-1:]) == ends, told
    assert "Traceback" not in told, told
    assert [path.name for path in folder.iterdir() if path.name.startswith("selfremaster")] == []


def _wait_for(address: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            with urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"{address} does not answer")
