"""Rows of speech features that are slow to compute: once a file, by all processors, and kept."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

import torch
from joblib import Parallel, delayed
from safetensors import SafetensorError, safe_open
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.corpora import Entry
from selfremaster.core.errors import AudioError, BundleError, SelfRemasterError
from selfremaster.core.files import real_path, sha256_of
from selfremaster.core.interfaces import Features
from selfremaster.core.levels import peak_gain
from selfremaster.core.tensorfiles import write_tensors

WORDS = ("source", "target")
FOLDER_SUFFIX = ".features"
VERSION = 1  # of what is kept; another one computes anew
KEPT_PEAK_DB = 0.0
SECONDS_WORTH_A_PROCESS = 600.0  # of sound: below, starting one takes longer than the work

Told = Callable[[int, int], None]
"""Is told after each file how many are done, and of how many."""


@dataclass(frozen=True)
class FeatureCache:
    """The rows of one features part, kept in a folder, a file for each sound file and word.

    The name of a kept file is a hash of the sound file's content, of the settings, and of which
    rows they are ("source" or "target"), so that a change of any computes anew, and a copy of a
    sound file does not. Whoever has made one already is read from there: rows are computed once,
    not once a training run.
    """

    features: Features
    folder: Path

    def fill(
        self,
        entries: Sequence[Entry],
        words: Sequence[str] = WORDS,
        processes: int | None = None,
        told: Told | None = None,
    ) -> int:
        """Compute what is not there yet, of these rows alone; gives for how many files.

        By default on all processors where that pays. An interrupted run goes on where it stopped.
        Raises `AudioError` in the end for a file that cannot be read, and another
        `SelfRemasterError` at once for a folder that cannot be written to.
        """
        missing = {
            entry.path: tuple(word for word in words if not self.place(entry.path, word).is_file())
            for entry in entries
        }
        missing = {path: found for path, found in missing.items() if found}
        seconds = sum({e.path: e.seconds for e in entries if e.path in missing}.values())
        wanted = processes or min(_processors(), 1 + int(seconds / SECONDS_WORTH_A_PROCESS))
        # by joblib, whose processes do not run the script again that began all this
        work = Parallel(n_jobs=max(1, min(wanted, len(missing))), return_as="generator")
        found = work(starmap(delayed(self._compute), missing.items()))
        unread: AudioError | None = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib says what it gives up when one has failed
            with closing(found):
                for number, error in enumerate(found, 1):
                    if isinstance(error, AudioError):
                        unread = unread or error  # the others go on: what they compute is kept
                    elif error is not None:
                        raise error
                    if told is not None:
                        told(number, len(missing))
        if unread is not None:
            raise unread
        return len(missing)

    def rows(self, word: str) -> "CachedRows":
        """What reads these rows of a stretch."""
        return CachedRows(self, word)

    def place(self, path: Path, word: str) -> Path:
        """Where these rows of a sound file are kept."""
        words = (str(VERSION), word, _settings(self.features), _content(path))
        name = hashlib.sha256("\0".join(words).encode()).hexdigest()[:32]
        return self.folder / f"{name}.{word}.safetensors"

    def _compute(self, path: Path, words: Sequence[str]) -> SelfRemasterError | None:
        """Compute and keep rows of one file; an error is handed over, not raised."""
        try:
            sound, rate = audio.read(path)
            wave = audio.resample(sound.mean(dim=0), rate, self.features.sample_rate)
            gain = peak_gain(float(wave.abs().max()) if wave.numel() else 0.0, KEPT_PEAK_DB)
            found = _rows(self.features, gain * wave[None], words)
            header = {"kind": "features", "of": path.name, "settings": _settings(self.features)}
            for word, rows in found.items():
                kept = {"rows": rows.T.contiguous().float(), "gain": torch.tensor(gain)}
                write_tensors(self.place(path, word), kept, header)
        except SelfRemasterError as error:
            return error
        return None


@dataclass(frozen=True)
class CachedRows:
    """Reads the rows of a stretch out of a cache that has been filled."""

    cache: FeatureCache
    word: str

    def __call__(self, entry: Entry, start: int, samples: int, gain: float) -> Tensor:
        """The rows of a stretch that begins at a multiple of the hop, times a gain.

        Shape: (rows, 1 + samples // hop_samples). Behind the end of a shorter file lies silence.
        Raises `BundleError` where the rows are not kept, or their file is damaged.
        """
        features = self.cache.features
        path = self.cache.place(entry.path, self.word)
        first, frames = start // features.hop_samples, features.frames(samples)
        try:
            with safe_open(path, framework="pt") as opened:
                kept = opened.get_slice("rows")[first : first + frames].T
                own_gain = float(opened.get_tensor("gain"))
        except (SafetensorError, OSError):
            raise BundleError(
                f"{path}: the features kept of {entry.path} are gone or damaged; remove the file "
                "and start again, and they are computed anew"
            ) from None
        if self.word == "target":
            kept = features.at_gain(kept[None], torch.tensor([gain / own_gain]))[0]
        found = _silence(features, self.word)[:, None].repeat(1, frames)
        found[:, : kept.shape[1]] = kept
        return found


def _rows(features: Features, wave: Tensor, words: Sequence[str]) -> dict[str, Tensor]:
    """Rows of one wave (1, samples) by word; both are had in one go."""
    with torch.no_grad():
        if set(words) == set(WORDS):
            both = features(wave)[0]
            count = features.source_channels
            return {"source": both[:count], "target": both[count:]}
        compute = {"source": features.source, "target": features.target}
        return {word: compute[word](wave)[0] for word in words}


def folder_beside(source: Path) -> Path:
    """Where the features of a folder of sounds, or of a manifest, are kept: beside it."""
    return real_path(source).with_name(real_path(source).name + FOLDER_SUFFIX)


def _settings(features: Features) -> str:
    kind = type(features)
    described = [kind.__module__, kind.__qualname__, features.config.model_dump(mode="json")]
    return json.dumps(described, sort_keys=True)


_contents: dict[tuple[Path, int, int], str] = {}


def _content(path: Path) -> str:
    """SHA-256 of a sound file; read once a process, and again where size or time have changed."""
    try:
        status = path.stat()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AudioError(f"{path}: cannot be read: {reason}; check the path") from None
    key = (path, status.st_size, status.st_mtime_ns)
    if key not in _contents:
        _contents[key] = sha256_of(path)
    return _contents[key]


_silences: dict[str, dict[str, Tensor]] = {}


def _silence(features: Features, word: str) -> Tensor:
    key = _settings(features)
    if key not in _silences:
        rows = _rows(features, torch.zeros(1, 8 * features.hop_samples), WORDS)
        _silences[key] = {name: found[:, 4] for name, found in rows.items()}
    return _silences[key][word]


def _processors() -> int:
    with suppress(AttributeError):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
