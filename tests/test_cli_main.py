"""The command line as such: quick to start, one line for every error, exit codes."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

import selfremaster
from selfremaster.cli import app
from selfremaster.core import jobs
from tests.cli import ROOT, run, write_tone

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # click names its commands so

STARTED = """
import sys
from selfremaster.cli import main

for words in (["--version"], ["--help"], *([name, "--help"] for name in sys.argv[1].split())):
    assert main(words) == 0, words
assert main(["list"]) == 0 and main(["list", "vocoder", "--json"]) == 0
heavy = {"torch", "numpy", "scipy", "lightning", "matplotlib", "soundfile"} & set(sys.modules)
print(f"loaded: {sorted(heavy)}", file=sys.stderr)
"""


def python(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        **options,  # type: ignore[call-overload]  # options are of several types
    )


def test_help_and_list_load_nothing_heavy() -> None:
    done = python("-c", STARTED, " ".join(COMMANDS))
    assert done.returncode == 0, done.stderr
    assert done.stderr == "loaded: []\n"
    assert "griffin-lim" in done.stdout


def test_the_process_ends_with_one_line_and_code_2(tmp_path: Path) -> None:
    done = python("-m", "selfremaster", "restore", "none.wav", "--output", "a.wav", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: none.wav: no such file or folder; check the path\n"
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "selfremaster", "list"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    told = run(command, "--help")
    assert told.code == 0
    assert f"Example: selfremaster {command} " in " ".join(told.out.split())
    assert "..." not in run("--help").out.partition("Commands:")[2]


def test_no_command_shows_the_help() -> None:
    told = run()
    assert told.code == 2
    assert told.out == run("--help").out


def test_version() -> None:
    assert run("--version").out == f"selfremaster {selfremaster.__version__}\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["restore"], "missing argument 'INPUT'; see selfremaster restore --help"),
        (["restore", "a.wav"], "missing option '--output'; see selfremaster restore --help"),
        (["restore", "--outptu"], "no such option: --outptu (Possible options: --output)"),
        (["rstore"], "no such command 'rstore'. Did you mean 'restore'?; see selfremaster --help"),
        (["degrade", "a.wav", "--output", "b.wav", "--seed", "x"], "invalid value for '--seed'"),
        (["manifest", ".", "--output", "m.csv", "--val", "2"], "invalid value for '--val'"),
        (["list", "--markdown", "--json"], "two formats; give one of them"),
        (["--without", "nobody", "list"], "no plugin named 'nobody' to leave out"),
        (["list", "--without", "nobody"], "no plugin named 'nobody' to leave out"),
    ],
)
def test_wrong_use_is_one_line(words: list[str], error: str) -> None:
    assert error in run(*words).error


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (
            TypeError("no\nway"),
            "internal error: TypeError: no way; run with --debug for the traceback",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "error: no space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "b"), "error: b: permission denied"),
        (MemoryError(), "error: not enough memory; work on shorter files, or a smaller batch"),
        (selfremaster.AudioError("a\nb"), "error: a b"),
    ],
)
def test_whatever_is_raised_is_one_line(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, line: str
) -> None:
    monkeypatch.setattr(jobs, "plan", raising(raised))
    words = ["degrade", "a.wav", "--output", "b.wav", "--degradation", "clip"]
    assert run(*words).error == line
    for told in (run("--debug", *words), run(*words, "--debug")):
        assert told.code == 2
        assert told.err.startswith("Traceback")
        assert told.err.endswith(line + "\n")


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jobs, "plan", raising(KeyboardInterrupt()))
    told = run("degrade", "a.wav", "--output", "b.wav", "--degradation", "clip")
    assert (told.code, told.err) == (130, "interrupted\n")


def test_ctrl_c_says_how_much_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_tone(tmp_path / "in" / f"{name}.wav")
    from selfremaster.core import degrading

    original = degrading._degrade

    def interrupted(
        recipe: degrading.Recipe, seed: int | None, job: jobs.Job
    ) -> degrading.Degraded:
        if job.source.stem == "b":
            raise KeyboardInterrupt
        return original(recipe, seed, job)

    monkeypatch.setattr(degrading, "_degrade", interrupted)
    told = run("degrade", tmp_path / "in", "--output", tmp_path / "out", "--degradation", "clip")
    assert (told.code, told.err) == (130, "interrupted; 1 of 3 files are degraded\n")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.json", "a.wav"]
