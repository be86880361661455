"""A full disk, no rights, an input that goes away, a signal: old files stay, and one line tells."""

import importlib.util
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.adaptations import make_quick
from tests.cli import Outcome, left_behind, run
from tests.odd_parts import installed, quick_benchmarks
from tests.writing import (
    Command,
    contents,
    full_disk,
    no_rights,
    signalled,
    taken_away,
    torn,
    write_inputs,
)

COMMANDS = (
    "restore",
    "degrade",
    "transfer",
    "profile",
    "manifest",
    "convert",
    "export",
    "train",
    "adapt",
    "benchmark",
)
ONCE = {"train", "adapt", "benchmark", "export"}
"""Commands that go on with what is there or begin anew, and one that is slow."""

LOOKS = {"manifest": (1, 1), "adapt": (1, 4), "train": (1, 6)}
"""How often a sound is looked at before it is taken away; elsewhere once and twice."""

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals are those of Unix")


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Command]]:
    folder = tmp_path_factory.mktemp("given")
    with installed(tmp_path_factory.mktemp("plugin")), quick_benchmarks():
        yield write_inputs(folder)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


def chosen(commands: Mapping[str, Command], name: str) -> Command:
    if name == "export" and not importlib.util.find_spec("onnx"):
        pytest.skip("needs onnx")
    return commands[name]


def told_in_words(told: Outcome, *codes: int) -> str:
    """What a command says that failed."""
    text = told.out + told.err
    assert told.code in codes, told
    for words in ("Traceback", "internal error"):
        assert words not in text, text
    return told.err


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_old_files_stay(
    name: str, commands: Mapping[str, Command], tmp_path: Path
) -> None:
    command = chosen(commands, name)
    words = command.on(tmp_path, "--quiet")
    with full_disk(100):
        told = run(*words)
    assert "make room" in told_in_words(told, 1, 2)
    assert torn(tmp_path) == []
    if name in ONCE:
        return
    assert run(*words, "--overwrite").code == 0
    old = contents(tmp_path)
    with full_disk(100):
        told = run(*words, "--overwrite")
    assert "make room" in told_in_words(told, 1, 2)
    assert contents(tmp_path) == old


@pytest.mark.parametrize("name", COMMANDS)
def test_where_nobody_may_write_nothing_is_written(
    name: str, commands: Mapping[str, Command], tmp_path: Path
) -> None:
    command = chosen(commands, name)
    (tmp_path / "mine").touch()
    with no_rights(tmp_path):
        told = run(*command.on(tmp_path, "--quiet"))
    assert "permission denied" in told_in_words(told, 1, 2)
    assert left_behind(tmp_path) == ["mine"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("convert", "export")])
def test_a_sound_that_goes_away_is_named(
    name: str,
    late: bool,
    commands: Mapping[str, Command],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command, at = commands[name], LOOKS.get(name, (1, 2))[late]
    with taken_away(monkeypatch, command.given, at) as seen:
        told = run(*command.on(tmp_path, "--quiet"))
    assert seen[0] >= at
    named = f"{command.given.name}: cannot be read: no such file"
    assert re.search(named, told_in_words(told, 1, 2)) or name == "benchmark", told
    assert torn(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_ends_a_command_as_ctrl_c_does(
    name: str,
    number: signal.Signals,
    commands: Mapping[str, Command],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = chosen(commands, name)
    with signalled(monkeypatch, number, 1):
        told = run(*command.on(tmp_path, "--quiet"))
    assert told.code == 128 + number, told
    assert f"ended by {number.name}" in told.err
    assert torn(tmp_path) == []
    assert signal.getsignal(number) is signal.SIG_DFL
