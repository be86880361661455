"""A plugin whose vocoder hangs or ends its process at sounds of some lengths, as if installed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.promises.inputs import speech_like
from selfremaster.registry.loading import loaded_plugins

SOURCE = '''
"""A vocoder of a stranger."""

import ctypes
import os
import time

import torch

from selfremaster import hookimpl
from selfremaster.core.interfaces import Vocoder


@hookimpl
def register_components(add):
    add("vocoder", "odd-speaker", "odd_speakers_plugin:Speaker")


class Speaker(Vocoder):
    """Says the same, whatever it is given."""

    def forward(self, features, source=None):
        frames = features.shape[-1]
        if 200 < frames < 400:
            os._exit(3)
        if 400 < frames < 800:
            with open(os.environ["ODD_SPEAKERS_LOG"], "a") as opened:
                opened.write(f"{os.getpid()} ")
            ctypes.PyDLL(None).sleep(3600)  # holds Python's lock, as a C call may
        if 800 < frames < 1600:
            with open(os.environ["ODD_SPEAKERS_LOG"], "a") as opened:
                opened.write(f"{os.getpid()} ")
            while os.path.exists(os.environ["ODD_SPEAKERS_LOG"] + ".wait"):
                time.sleep(0.01)
        number = torch.arange(frames * self.hop_samples)
        return (0.1 * torch.sin(0.1 * number)).expand(len(features), -1).clone()


class Endless:
    """Work that never begins."""

    def begin(self):
        with open(os.environ["ODD_SPEAKERS_LOG"], "a") as opened:
            opened.write(f"{os.getpid()} ")
        time.sleep(3600)

    def __call__(self, item):
        return item
'''
RATE_HZ = 22050
SECONDS = {"plain": 0.3, "ending": 3.5, "hanging": 7.0, "waiting": 14.0}
"""Lengths of sounds, by what the vocoder does with them; it waits while LOG.wait is there."""


def install(folder: Path) -> Path:
    """Put the plugin into a folder, as pip would."""
    about = folder / "odd_speakers-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "odd_speakers_plugin.py").write_text(SOURCE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-speakers\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[selfremaster]\nodd-speakers = odd_speakers_plugin\n")
    return folder


@contextmanager
def installed(folder: Path) -> Iterator[Path]:
    """The plugin, for this process and those that it begins; gives the file that it tells to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(install(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("ODD_SPEAKERS_LOG", str(folder / "log"))
        loaded_plugins.cache_clear()
        yield folder / "log"
    loaded_plugins.cache_clear()


def write_tapes(folder: Path, *kinds: str) -> Path:
    """Recordings of these lengths, numbered, each of its own sound."""
    for number, kind in enumerate(kinds):
        wave: Tensor = speech_like(round(SECONDS[kind] * RATE_HZ), seed=number)
        audio.write(folder / f"{number}-{kind}.wav", torch.atleast_2d(wave), RATE_HZ)
    return folder
