"""Rows of speech features that are slow to compute: once a file, by all processors, and kept."""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.corpora import Entry
from selfremaster.core.errors import BundleError, SelfRemasterError
from selfremaster.core.interfaces import Features
from selfremaster.core.levels import peak_gain
from selfremaster.core.tensorfiles import write_tensors

ROWS = ("source", "target")
FOLDER_SUFFIX = ".features"
VERSION = 1  # of what is kept; another one computes anew
KEPT_PEAK_DB = 0.0
SECONDS_WORTH_A_PROCESS = 30.0  # of sound: below, starting one takes longer than the work

Told = Callable[[int, int], None]
"""Is told after each file how many are done, and of how many."""


@dataclass(frozen=True)
class CachedRows:
    """The source or target rows of one features part, kept in a folder, a file for each sound file.

    The name of a kept file is a hash of the sound file's content, of the settings, and of which
    rows they are, so that a change of any computes anew, and a copy of a sound file does not.
    Whoever has made one already is read from there: it is computed once, not once a training run.
    """

    features: Features
    rows: str
    folder: Path

    def fill(
        self, entries: Sequence[Entry], processes: int | None = None, told: Told | None = None
    ) -> int:
        """Compute what is not there yet; gives for how many files.

        By default on all processors where that pays. An interrupted run goes on where it stopped.
        Raises `AudioError` for a file that cannot be read, `SelfRemasterError` for a folder that
        cannot be written to.
        """
        unique = {entry.path: entry for entry in entries}
        missing = [entry for entry in unique.values() if not self._place(entry.path).is_file()]
        seconds = sum(entry.seconds for entry in missing)
        wanted = processes or min(_processors(), 1 + int(seconds / SECONDS_WORTH_A_PROCESS))
        count = min(wanted, len(missing))
        with ExitStack() as stack:
            work = map
            if count > 1:
                # a fresh process: a copy of one in which torch has run threads may hang
                context = multiprocessing.get_context("spawn")
                pool: Executor = ProcessPoolExecutor(count, mp_context=context)
                work = stack.enter_context(pool).map  # type: ignore[assignment]  # the same, in turn
            for done, error in enumerate(work(self._compute, (entry.path for entry in missing)), 1):
                if error is not None:
                    raise error
                if told is not None:
                    told(done, len(missing))
        return len(missing)

    def __call__(self, entry: Entry, start: int, samples: int, gain: float) -> Tensor:
        """The rows of a stretch that begins at a multiple of the hop, times a gain.

        Shape: (rows, 1 + samples // hop_samples). Behind the end of a shorter file lies silence.
        Raises `BundleError` where the rows are not kept, or their file is damaged.
        """
        path = self._place(entry.path)
        first = start // self.features.hop_samples
        frames = self.features.frames(samples)
        try:
            with safe_open(path, framework="pt") as opened:
                kept = opened.get_slice("rows")[first : first + frames].T
                own_gain = float(opened.get_tensor("gain"))
        except (SafetensorError, OSError):
            raise BundleError(
                f"{path}: the features kept of {entry.path} are gone or damaged; remove the file "
                "and start again, and they are computed anew"
            ) from None
        if self.rows == "target":
            change = torch.tensor([gain / own_gain])
            kept = self.features.at_gain(kept[None].float(), change)[0]
        found: Tensor = _silence(self.features, self.rows)[:, None].repeat(1, frames)
        found[:, : kept.shape[1]] = kept
        return found

    def _compute(self, path: Path) -> SelfRemasterError | None:
        """Compute and keep the rows of one file; an error is handed over, not raised."""
        try:
            sound, rate = audio.read(path)
            wave = audio.resample(sound.mean(dim=0), rate, self.features.sample_rate)
            gain = peak_gain(float(wave.abs().max()) if wave.numel() else 0.0, KEPT_PEAK_DB)
            compute = self.features.source if self.rows == "source" else self.features.target
            with torch.no_grad():
                rows = compute(gain * wave[None])[0]
            kept = {"rows": rows.T.contiguous().float(), "gain": torch.tensor(gain)}
            header = {"kind": "features", "of": path.name, "settings": _settings(self.features)}
            write_tensors(self._place(path), kept, header)
        except SelfRemasterError as error:
            return error
        return None

    def _place(self, path: Path) -> Path:
        words = (str(VERSION), self.rows, _settings(self.features), _content(path))
        name = hashlib.sha256("\0".join(words).encode()).hexdigest()[:32]
        return self.folder / f"{name}.{self.rows}.safetensors"


def folder_beside(source: Path) -> Path:
    """Where the features of a folder of sounds, or of a manifest, are kept: beside it."""
    return source.resolve().with_name(source.resolve().name + FOLDER_SUFFIX)


def _settings(features: Features) -> str:
    described = features.config.model_dump(mode="json")
    return json.dumps([type(features).__name__, described], sort_keys=True)


_contents: dict[tuple[Path, int, int], str] = {}


def _content(path: Path) -> str:
    """SHA-256 of a sound file; read once a process, and again where size or time have changed."""
    status = path.stat()
    key = (path, status.st_size, status.st_mtime_ns)
    if key not in _contents:
        with path.open("rb") as opened:
            _contents[key] = hashlib.file_digest(opened, "sha256").hexdigest()
    return _contents[key]


_silences: dict[tuple[str, str], Tensor] = {}


def _silence(features: Features, rows: str) -> Tensor:
    key = (_settings(features), rows)
    if key not in _silences:
        silence = torch.zeros(1, 8 * features.hop_samples)
        compute = features.source if rows == "source" else features.target
        with torch.no_grad():
            _silences[key] = compute(silence)[0, :, 4]
    return _silences[key]


def _processors() -> int:
    with suppress(AttributeError):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
