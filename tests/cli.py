"""Run a command line inside the test's own process, and what commands are run on."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from selfremaster.cli import main
from selfremaster.core import audio
from selfremaster.core.bundles import write_bundle
from selfremaster.core.experiments import Experiment
from selfremaster.core.ledgers import LEDGER_NAME
from selfremaster.registry import building
from selfremaster.registry.assembling import assemble, resolve
from selfremaster.registry.loading import Loaded, Problem
from selfremaster.registry.tables import Owner

ROOT = Path(__file__).parent.parent
SPEECH = ROOT / "examples" / "speech"


class Outcome(NamedTuple):
    """What a command leaves behind."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The only line on stderr of a command that failed as a whole."""
        lines = self.err.splitlines()
        assert self.code == 2, self
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        assert lines[0].startswith(("error: ", "internal error: "))
        return lines[0]


def run(*arguments: str | Path) -> Outcome:
    """Run `selfremaster` with these arguments."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = main([str(argument) for argument in arguments])
    return Outcome(code, out.getvalue(), err.getvalue())


def tone(
    samples: int = 4000, channels: int = 1, rate_hz: int = 22050, level: float = 0.5
) -> Tensor:
    """Two tones of different pitch and level, and as many channels as wanted."""
    time = torch.arange(samples) / rate_hz
    first, second = (torch.sin(2 * math.pi * hz * time) for hz in (220, 1400))
    return torch.stack([level * (first + second / (2 + n)) / 1.6 for n in range(channels)])


def write_tone(path: Path, samples: int = 4000, rate_hz: int = 22050) -> Path:
    """A mono file with 16 bits."""
    audio.write(path, tone(samples, rate_hz=rate_hz), rate_hz)
    return path


def write_tiny_bundle(path: Path, output: str | None = None) -> Path:
    """A model that was never trained, small enough to run in no time."""
    experiment = resolve(
        Experiment.from_mapping(
            {
                "name": "tiny",
                "model": {
                    "analyzer": "unet2d:preset=small",
                    "vocoder": "griffin-lim:iterations=1,mel_iterations=1",
                    "channel": "identity",
                    "output": output,
                },
            }
        )
    )
    write_bundle(path, assemble(experiment), experiment)
    return path


def left_behind(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too, but for the record of what was restored."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LEDGER_NAME
    )


@contextmanager
def with_plugins(
    monkeypatch: pytest.MonkeyPatch,
    *parts: tuple[str, str, str, str],
    problems: tuple[str, ...] = (),
) -> Iterator[Loaded]:
    """A table of these parts alone: plugin, kind, name and target of each."""
    loaded = Loaded()
    for plugin, kind, name, target in parts:
        owner = Owner(plugin, "1.0")
        if owner not in loaded.owners:
            loaded.owners.append(owner)
        loaded.table.add(kind, name, target, owner)
    loaded.problems += [
        Problem(plugin, "does not import: ImportError: gone") for plugin in problems
    ]
    with monkeypatch.context() as patch:
        patch.setattr(building, "current", lambda: loaded)
        yield loaded
