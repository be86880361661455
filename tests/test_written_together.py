"""A sound and its log are both there, or both as they were, whatever happens between them."""

import errno
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfremaster.core import files
from selfremaster.core.degrading import Degraded, Step, degrade_files, read_log
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.files import write_together
from selfremaster.core.jobs import Failure, plan
from selfremaster.registry.building import build
from tests.cli import left_behind, write_tone

MOST_CALLS = 12
BOTH = ["log.json", "sound.wav"]


def write(folder: Path, text: str) -> None:
    """Two files that belong together."""
    paths = (folder / name for name in BOTH)
    with write_together(*paths) as temporaries:
        for temporary in temporaries:
            temporary.write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in left_behind(folder)}


def raising_at(number: int, call: Callable[..., Any], error: BaseException) -> Callable[..., Any]:
    """The function, but for one call."""
    calls = iter(range(1, 1000))

    def called(*arguments: Any) -> Any:
        if next(calls) == number:
            raise error
        return call(*arguments)

    return called


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "gone")])
@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("before", [{}, dict.fromkeys(BOTH, "old")])
def test_an_error_anywhere_leaves_both_old_or_both_new(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, str],
    name: str,
    error: BaseException,
) -> None:
    seen = set()
    for number in range(1, MOST_CALLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        for file, text in before.items():
            (folder / file).write_text(text)
        with monkeypatch.context() as patch:
            patch.setattr(files.os, name, raising_at(number, getattr(os, name), error))
            try:
                write(folder, "new")
            except (KeyboardInterrupt, SelfRemasterError, OSError):
                seen.add(tuple(content(folder).values()))
        assert content(folder) in (before, dict.fromkeys(BOTH, "new"))
    assert tuple(before.values()) in seen
    assert content(tmp_path / str(MOST_CALLS - 1)) == dict.fromkeys(BOTH, "new")


@pytest.mark.parametrize("before", [{}, dict.fromkeys(BOTH, "old")])
def test_a_sudden_end_leaves_no_sound_beside_the_log_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: dict[str, str]
) -> None:
    states = []

    def watched(source: Path, target: Path) -> None:
        states.append(visible(tmp_path))
        rename(source, target)
        states.append(visible(tmp_path))

    def visible(folder: Path) -> dict[str, str]:
        return {name: text for name, text in content(folder).items() if name in BOTH}

    for file, text in before.items():
        (tmp_path / file).write_text(text)
    rename = os.replace
    monkeypatch.setattr(files.os, "replace", watched)
    write(tmp_path, "new")
    assert len(states) == 4 + 2 * len(before)
    for state in states:
        assert len(set(state.values())) <= 1
        assert "sound.wav" not in state or "log.json" in state


@pytest.mark.skipif(os.name != "posix", reason="a process cannot interrupt itself elsewhere")
def test_ctrl_c_between_the_names_is_heard_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(source: Path, target: Path) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        rename(source, target)

    rename = os.replace
    monkeypatch.setattr(files.os, "replace", interrupted)
    # processes that were begun in the background ignore it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, "new")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert content(tmp_path) == dict.fromkeys(BOTH, "new")


def test_another_thread_writes_as_well(tmp_path: Path) -> None:
    thread = threading.Thread(target=write, args=(tmp_path, "new"))
    thread.start()
    thread.join()
    assert content(tmp_path) == dict.fromkeys(BOTH, "new")


@pytest.mark.parametrize("number", range(1, 6))
def test_a_damaged_file_that_is_not_written_keeps_its_old_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write_tone(tmp_path / "in" / "a.wav")

    def damaged(seed: int) -> list[Degraded | Failure]:
        planned = plan([tmp_path / "in"], tmp_path / "out", overwrite=True, beside=(".json",))
        return list(degrade_files(planned, [Step("hiss", build("degradation", "hiss"))], seed))

    damaged(1)
    sound = (tmp_path / "out" / "a.wav").read_bytes()
    with monkeypatch.context() as patch:
        error = OSError(errno.ENOSPC, "no space left on device")
        patch.setattr(files.os, "replace", raising_at(number, os.replace, error))
        (result,) = damaged(2)
    assert left_behind(tmp_path / "out") == ["a.json", "a.wav"]
    kept = (tmp_path / "out" / "a.wav").read_bytes() == sound
    assert read_log(tmp_path / "out" / "a.json").seed == (1 if kept else 2)
    assert kept == isinstance(result, Failure) == (number < 5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    """A result in place of /dev/null would be the end of it."""
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    with (
        pytest.raises(
            SelfRemasterError, match=r"pipe\.json: it is a device or a pipe; name a file"
        ),
        files.write_atomically(pipe),
    ):
        pass
    assert pipe.is_fifo()
    assert left_behind(tmp_path) == []
