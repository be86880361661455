"""Files that hang or end their process, two runs in one folder, and what other processes know."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from selfremaster.commands import engines
from selfremaster.core import crews, locks
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.limits import TimeLimit
from tests.cli import ROOT, left_behind, run, write_tiny_bundle
from tests.odd_speakers import SECONDS, installed, write_tapes

SPEAKER = ("--vocoder", "odd-speaker")
WAITS = 60  # seconds, which a machine that is busy otherwise may take for what takes two


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stranger's plugin, and where its vocoder tells that it hangs."""
    with installed(tmp_path_factory.mktemp("plugin")) as told:
        yield told


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def await_(path: Path) -> None:
    """Wait until a file is there and holds something."""
    until = time.monotonic() + WAITS
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < until, f"{path} does not come"
        time.sleep(0.05)


def test_a_file_that_hangs_or_ends_its_process_fails_alone(
    log: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tapes = write_tapes(tmp_path / "tapes", "plain", "hanging", "ending", "plain")
    began = time.monotonic()

    def seconds(limit: TimeLimit, sound_seconds: float) -> float:
        """The one that hangs has until it does that, and then its time is over."""
        assert limit == (None, engines.LEAST_SECONDS, "--file-minutes")
        hangs = abs(sound_seconds - SECONDS["hanging"]) < 0.1 and log.exists()
        return 0.06 if hangs else time.monotonic() - began + 0.1

    monkeypatch.setattr(TimeLimit, "seconds", seconds)
    new = tmp_path / "new"
    words = ("restore", tapes, "--output", new, "--model", bundle, *SPEAKER, "--provenance")
    told = run(*words)  # one process: parts of others take one of their own
    assert told.code == 1
    assert told.err.splitlines() == [
        f"failed: {tapes}/1-hanging.wav: took longer than 0.001 minutes and was ended while "
        "vocoder 'odd-speaker' of odd-speakers 1.0 was at work; give it more by --file-minutes, "
        "or 0 for no limit",
        f"failed: {tapes}/2-ending.wav: vocoder 'odd-speaker' of odd-speakers 1.0 ended the "
        "process (EXIT(3)); try `selfremaster check`, or leave the plugin out",
        "error: 2 of 4 files failed, the others are done",
    ]
    assert told.out.splitlines() == [
        f"{tapes}/{name}.wav -> {new}/{name}.wav" for name in ("0-plain", "3-plain")
    ]
    assert left_behind(new) == [
        f"{name}{suffix}"
        for name in ("0-plain", "3-plain")
        for suffix in (".provenance.json", ".wav")
    ]
    assert not any(is_there(int(pid)) for pid in log.read_text().split())


def test_a_plugin_that_is_left_out_is_left_out_in_every_process(
    log: Path, bundle: Path, tmp_path: Path
) -> None:
    tapes = write_tapes(tmp_path / "tapes", "plain", "plain")
    words = ("restore", tapes, "--output", tmp_path / "new", "--model", bundle, *SPEAKER)
    told = run(*words, "--file-minutes", "5", "--without", "odd-speakers")
    assert "no vocoder named 'odd-speaker'" in told.error
    assert left_behind(tmp_path / "new") == []


def test_what_is_ours_alone_stays_in_this_process(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = write_tapes(tmp_path / "tapes", "plain") / "0-plain.wav"

    def worker(*_: object) -> None:
        raise SelfRemasterError("a process begins")

    monkeypatch.setattr(crews, "Worker", worker)
    words = ("restore", tape, "--output", tmp_path / "new.wav", "--model", bundle, "--overwrite")
    assert run(*words).code == 0
    assert run(*words, "--jobs", "1", "--file-minutes", "0").code == 0
    assert run(*words, "--file-minutes", "5").error == "error: a process begins"
    assert run(*words, "--jobs", "2").error == "error: a process begins"


INTERRUPTED = """
import signal
import sys
from selfremaster.cli import main
from selfremaster.core import crews

signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background would ignore it
crews.GRACE_SECONDS = 0.2
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are those of Unix")
def test_ctrl_c_ends_what_hangs_and_the_record_tells_what_is_done(
    log: Path, bundle: Path, tmp_path: Path
) -> None:
    tapes = write_tapes(tmp_path / "tapes", "plain", "hanging", "plain")
    new = tmp_path / "new"
    log.unlink(missing_ok=True)
    words = ["restore", tapes, "--output", new, "--model", bundle, *SPEAKER]
    batch = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *map(str, words)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    await_(log)
    assert "another run is writing into it" in run(*words, "--resume").error
    os.killpg(batch.pid, signal.SIGINT)
    _, told = batch.communicate(timeout=WAITS)
    assert (batch.returncode, told) == (130, "interrupted; 1 of 3 files are restored\n")
    assert not any(is_there(int(pid)) for pid in log.read_text().split())
    assert left_behind(new) == ["0-plain.wav"]
    (tapes / "1-hanging.wav").unlink()
    told_again = run(*words, "--resume", "--file-minutes", "0")
    assert told_again.err == "1 of 2 files were done before\n"
    assert left_behind(new) == ["0-plain.wav", "2-plain.wav"]


# one run at a time


def test_a_second_run_in_a_folder_is_refused_in_one_line(bundle: Path, tmp_path: Path) -> None:
    tapes = write_tapes(tmp_path / "tapes", "plain")
    new = tmp_path / "new"
    words = ("restore", tapes, "--output", new, "--model", bundle)
    with locks.locked(new):
        assert run(*words).error == (
            f"error: {new}: another run is writing into it; wait until that has ended, or name "
            "another --output"
        )
        assert left_behind(new) == [locks.LOCK_NAME]
    assert left_behind(new) == []
    (new / locks.LOCK_NAME).touch()  # as a run leaves it that was killed
    assert run(*words).code == 0
    assert left_behind(new) == ["0-plain.wav"]


def test_a_lock_is_made_where_it_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SelfRemasterError, match="cannot write"), locks.locked(tmp_path / "file"):
        pass


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--engine", "rai"), "error: no engine named 'rai'; known: local, ray"),
        (("--jobs", "-1"), "error: invalid value for '--jobs': "),
        (("--file-minutes", "-1"), "error: invalid value for '--file-minutes': "),
    ],
)
def test_what_cannot_be_meant_is_told(
    bundle: Path, tmp_path: Path, words: tuple[str, str], error: str
) -> None:
    tapes = write_tapes(tmp_path / "tapes", "plain")
    told = run("restore", tapes, "--output", tmp_path / "new", "--model", bundle, *words)
    assert told.error.startswith(error)
    assert not (tmp_path / "new").exists()


def test_what_another_run_wrote_meanwhile_is_not_written_over(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tapes = write_tapes(tmp_path / "tapes", "plain")
    new = tmp_path / "new"
    held = locks.locked

    @contextmanager
    def locked_late(folder: Path) -> Iterator[None]:
        new.mkdir()
        (new / "0-plain.wav").write_text("of another run")
        with held(folder):
            yield

    monkeypatch.setattr(locks, "locked", locked_late)
    told = run("restore", tapes, "--output", new, "--model", bundle)
    assert told.error == (
        f"error: {new / '0-plain.wav'}: exists already; add --overwrite, or name another output"
    )
    assert (new / "0-plain.wav").read_text() == "of another run"
    assert left_behind(new) == ["0-plain.wav"]
