"""Every command that writes, on inputs small enough for no time, and what gets in its way."""

import errno
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml

from selfremaster.core import audio
from tests import checkpoints, tiny
from tests.adaptations import write_tape
from tests.cli import left_behind, write_tiny_bundle, write_tone
from tests.odd_parts import write_grid, write_speech

HIDDEN = ".part"


class Command(NamedTuple):
    """Words before the output, what it is called, words behind it, and an input of it."""

    words: tuple[str, ...]
    output: str
    more: tuple[str, ...]
    given: Path

    def on(self, folder: Path, *others: str) -> list[str]:
        """The words with an output in a folder."""
        return [*self.words, "--output", str(folder / self.output), *self.more, *others]


def write_inputs(folder: Path) -> dict[str, Command]:
    """What all of them are given, and the commands by name."""
    tape = write_tone(folder / "tapes" / "a.wav")
    write_tone(folder / "tapes" / "deep" / "b.wav", 3000)
    tapes = str(folder / "tapes")
    restorer = write_tiny_bundle(folder / "restorer.safetensors")
    model = str(tiny.write_model(folder / "model.safetensors", 3))
    experiment = tiny.experiment(tiny.write_speech(folder / "speech"))
    plan = folder / "plan.yaml"
    plan.write_text(yaml.safe_dump(experiment.model_dump(mode="json")))
    published = folder / "g_1"
    torch.save({"generator": checkpoints.generator("melspec", filled=True)}, published)
    long = write_tape(folder / "long")
    grid = write_grid(folder / "grid.yaml", write_speech(folder / "spoken"))
    profile = folder / "tape.json"
    quick = ("--steps", "4", "--device", "cpu", "--by-losses", "--model", model)
    return {
        "restore": Command(("restore", tapes), "new", ("--model", str(restorer)), tape),
        "degrade": Command(("degrade", tapes), "new", ("--degradation", "hiss"), tape),
        "transfer": Command(
            ("transfer", tapes), "new", ("--from", str(tape), "--model", model), tape
        ),
        "profile": Command(("profile", tapes), profile.name, ("--model", model), tape),
        "manifest": Command(("manifest", tapes), "list.csv", (), tape),
        "convert": Command(("convert", str(published)), "new.safetensors", (), published),
        "export": Command(("export", model), "parts", (), Path(model)),
        "train": Command(("train", str(plan)), "run", (), folder / "speech" / "0.wav"),
        "adapt": Command(("adapt", str(long)), "run", quick, long / "side-a.wav"),
        "benchmark": Command(
            ("benchmark", str(grid)), "bench", (), folder / "spoken" / "ann" / "0.flac"
        ),
    }


def contents(folder: Path) -> Mapping[str, bytes]:
    """Every file below a folder."""
    return {name: (folder / name).read_bytes() for name in left_behind(folder)}


def torn(folder: Path) -> list[str]:
    """Files that were not brought to their end."""
    return [name for name in left_behind(folder) if HIDDEN in name]


@contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """No file grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class _Guard:
    """Nothing below a folder may be written, whoever asks for it, root included."""

    def __init__(self) -> None:
        self.below = ""
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.below or event not in ("open", "os.mkdir", "os.rename", "os.remove"):
            return
        writes = event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        place = arguments[0]
        if isinstance(place, bytes):
            place = os.fsdecode(place)
        if writes and isinstance(place, (str, os.PathLike)) and str(place).startswith(self.below):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))


_guard: list[_Guard] = []


@contextmanager
def no_rights(folder: Path) -> Iterator[None]:
    """Let nobody write below a folder."""
    if not _guard:
        _guard.append(_Guard())
    _guard[0].below = str(folder)
    try:
        yield
    finally:
        _guard[0].below = ""


@contextmanager
def taken_away(patch: pytest.MonkeyPatch, path: Path, at: int) -> Iterator[list[int]]:
    """Remove a sound when it is looked at for so many times; tells how often it was."""
    head, kept, seen = audio._head, path.read_bytes(), [0]

    def looked(place: Path) -> bytes:
        if place == path:
            seen[0] += 1
            if seen[0] == at:
                path.unlink()
        return head(place)

    with patch.context() as context:
        context.setattr(audio, "_head", looked)
        yield seen
    path.write_bytes(kept)


@contextmanager
def signalled(patch: pytest.MonkeyPatch, number: int, at: int) -> Iterator[None]:
    """Send this process a signal when so many files have been written, before they are named."""
    sync, done = os.fsync, [0]

    def synced(descriptor: int) -> None:
        done[0] += 1
        if done[0] == at:
            os.kill(os.getpid(), number)
        sync(descriptor)

    with patch.context() as context:
        context.setattr(os, "fsync", synced)
        yield
