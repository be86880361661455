"""A plugin of parts that go wrong, as if it were installed, and small speech to try them on."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml

from selfremaster.benchmarks import benchmarking, engines, running
from selfremaster.benchmarks.engines import Limits
from selfremaster.benchmarks.planning import Cell
from selfremaster.benchmarks.stores import Finished
from selfremaster.core import audio
from selfremaster.registry.loading import loaded_plugins
from tests.tiny import RATE, speech_like

SOURCE = '''
"""Parts of a stranger."""

import os
import random
import signal
import time

import torch

from selfremaster import hookimpl
from selfremaster.core.components import ComponentConfig
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Metric, Restorer


@hookimpl
def register_components(add):
    for name in ("Half", "Broken", "Double", "Short", "Silent", "Nan", "Raising", "Ending",
                 "Drawing", "Absent", "Flat", "Loud", "Hanging"):
        add("restorer", f"odd-{name.lower()}", f"odd_parts_plugin:{name}")
    add("restorer", "odd-gone", "there_is_no_such_module:Gone")
    for name in ("Shaky", "Missing", "Peak"):
        add("metric", f"odd-{name.lower()}", f"odd_parts_plugin:{name}")


class Settings(ComponentConfig):
    """Settings."""

    gain: float = 0.5


class Half(Restorer):
    """Half as loud."""

    Config = Settings

    def restore(self, wave, sample_rate, reference=None):
        if os.environ.get("ODD_PARTS_LOG"):
            with open(os.environ["ODD_PARTS_LOG"], "a") as opened:
                opened.write("x")
        return self.config.gain * wave


class Broken(Restorer):
    """Fails on one file of two."""

    def restore(self, wave, sample_rate, reference=None):
        if wave.shape[1] % 2:
            raise RuntimeError(f"no idea of {object()}")
        return wave


class Double(Restorer):
    """Of another type."""

    def restore(self, wave, sample_rate, reference=None):
        return wave.double()


class Flat(Restorer):
    """Of another shape."""

    def restore(self, wave, sample_rate, reference=None):
        return wave[0]


class Short(Restorer):
    """Too short."""

    def restore(self, wave, sample_rate, reference=None):
        return wave[:, :-10]


class Silent(Restorer):
    """Silence."""

    def restore(self, wave, sample_rate, reference=None):
        return 0 * wave


class Nan(Restorer):
    """Nothing."""

    def restore(self, wave, sample_rate, reference=None):
        wave[0, 7] = float("nan")
        return wave


class Raising(Restorer):
    """Raises."""

    def restore(self, wave, sample_rate, reference=None):
        raise ComponentError("does not like it")


class Ending(Restorer):
    """Takes its process down."""

    def restore(self, wave, sample_rate, reference=None):
        os.kill(os.getpid(), signal.SIGKILL)


class Hanging(Restorer):
    """Never ends, and notes which process that is."""

    def restore(self, wave, sample_rate, reference=None):
        with open(os.environ["ODD_PARTS_LOG"], "a") as opened:
            opened.write(f"{os.getpid()} ")
        while True:
            time.sleep(1)


class Drawing(Restorer):
    """Adds noise of torch's and Python's own chance."""

    def restore(self, wave, sample_rate, reference=None):
        return wave + 0.01 * torch.randn(wave.shape) + 0.01 * random.random()


class Loud(Restorer):
    """Prints, as Python and as its libraries do."""

    def restore(self, wave, sample_rate, reference=None):
        print("by Python")
        os.write(1, b"by a library\\n")
        return wave


class Absent(Restorer):
    """Needs what is not there."""

    def __init__(self, config):
        super().__init__(config)
        raise ComponentError("needs the package absent; install selfremaster[peers]")

    def restore(self, wave, sample_rate, reference=None):
        return wave


class Shaky(Metric):
    """Cannot."""

    directions = {"shaky": "lower"}

    def compute(self, estimate, sample_rate, reference=None):
        raise ValueError("out of order")


class Missing(Metric):
    """Needs what is not there."""

    directions = {"missing": "lower"}

    def __init__(self, config):
        super().__init__(config)
        raise ComponentError("needs the package absent; install selfremaster[metrics]")


class Peak(Metric):
    """The peak, without a reference; another name for one that is taken."""

    Config = Settings
    directions = {"lsd": "higher", "mean": "higher", "none": "higher"}
    needs_reference = False

    def compute(self, estimate, sample_rate, reference=None):
        if os.environ.get("ODD_PARTS_MEASURED"):
            with open(os.environ["ODD_PARTS_MEASURED"], "a") as opened:
                opened.write("x")
        peak = float(estimate.abs().max())
        return {"lsd": peak, "mean": peak / 3, "none": float("nan")}
'''


def install(folder: Path) -> Path:
    """Put the plugin into a folder, as pip would."""
    about = folder / "odd_parts-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "odd_parts_plugin.py").write_text(SOURCE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-parts\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[selfremaster]\nodd-parts = odd_parts_plugin\n")
    return folder


@contextmanager
def installed(folder: Path) -> Iterator[Path]:
    """The plugin, for this process and those that it begins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(install(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        loaded_plugins.cache_clear()
        yield folder
    loaded_plugins.cache_clear()


@contextmanager
def quick_benchmarks() -> Iterator[None]:
    """Benchmarks without reports, counting and other processes, which are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmarking, "write_report", lambda folder: (folder / "report.md", ""))
        patch.setattr(running, "_counted", lambda restorer, rate: {"parameters": rate})
        patch.setattr(running, "forget_peak_memory", lambda: None)
        patch.setattr(engines, "_beside", in_this_process)
        yield


def in_this_process(cells: Sequence[Cell], jobs: int, limits: Limits) -> Iterator[Finished]:
    """Run cells without the process beside, which takes seconds to begin."""
    del jobs, limits
    return (engines.run_cell(cell) for cell in cells)


def write_speech(folder: Path, files: int = 2, seconds: float = 0.25) -> Path:
    """Clean speech of two speakers; every other file is one sample longer."""
    for number in range(files):
        wave = speech_like(seconds, number)
        wave = torch.cat([wave, wave[:, : number % 2]], dim=1)
        audio.write(folder / ("ann", "bob")[number % 2] / f"{number}.flac", wave, RATE)
    return folder


def write_grid(path: Path, speech: Path, **changes: object) -> Path:
    """A small grid on a folder of speech; changes replace keys at its top."""
    given = {
        "corpora": {"read": {"folder": str(speech)}},
        "conditions": {"clipped": "clip:ratio=0.3"},
        "restorers": {"input": "input", "half": "odd-half"},
        "metrics": ["lsd", "si-sdr"],
        **changes,
    }
    path.write_text(yaml.safe_dump(given, sort_keys=False), encoding="utf-8")
    return path
