"""Going through a sound file by libsndfile, over what it stumbles over."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from selfremaster.core.endings import Understated, caf_to_its_end, to_its_end
from selfremaster.core.mpeg import stating_its_length
from selfremaster.core.spliced import Spliced

BLOCK_SAMPLES = 1 << 16
BLOCK_VALUES = 1 << 19  # samples of all channels; a header may claim a thousand of them
STEP_SAMPLES = 1 << 12  # of packed sound; what is read at once is lost at once where it is damaged
LONGEST_GAP_SECONDS, LONGEST_GAPS_SECONDS = 60, 600  # one, and all of a file
MOST_GAP_VALUES = 1 << 25  # of all channels and gaps: damage may claim any length
PACKED = frozenset({"FLAC", "OGG", "MP3"})

Block = npt.NDArray[np.float32]
Within = tuple[int, int]
"""Where a part of a file begins and ends, in bytes."""


def may_be_silence(gap: int, before: int, rate: int, channels: int) -> bool:
    """Whether a gap, in samples, is short enough to be filled, after so many that were."""
    whole = gap + before
    return (
        gap <= LONGEST_GAP_SECONDS * rate
        and whole <= LONGEST_GAPS_SECONDS * rate
        and whole * channels <= MOST_GAP_VALUES
    )


def has_companion(path: Path) -> bool:
    """Whether a Mac put a file beside this one that libsndfile would take for a part of it."""
    beside = (path.with_name(f"._{path.name}"), path.parent / ".AppleDouble" / path.name)
    return path.suffix.lower() != ".sd2" and any(map(os.path.lexists, beside))


class _Opened(soundfile.SoundFile):  # type: ignore[misc]  # the library has no type information
    """A file that is read block by block from where it stands."""

    def seekable(self) -> bool:
        """Never: the library would seek after each block, and fails where the end is not known."""
        return False


class Reading:
    """Going through a file; unless ``strict``, damage within a FLAC file is silence of its length.

    What follows keeps its time that way. ``within`` says which bytes of a file are one of their
    own. ``lost_samples`` says how much of that silence there was.
    Raises what soundfile does.
    """

    def __init__(self, path: Path, strict: bool, within: Within | None = None) -> None:
        self._path, self._strict, self._within = path, strict, within
        self._spliced: Spliced | None = None
        self.counts_anew = False  # the length in the header is not the file's own
        self.made_up = False  # a length where there was none, by counting what there is
        self.understated: Understated | None = None
        self._at = self._gap = self.lost_samples = 0
        self.lost_seconds = 0.0  # at the end
        self.file = self._open()

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()
        if self._spliced is not None:
            self._spliced.close()

    def take(self, samples: int) -> Block:
        """Up to so many samples, (samples, channels); none where it ends, or cannot be read."""
        channels = int(self.file.channels)
        wanted = min(samples, BLOCK_SAMPLES, max(BLOCK_VALUES // channels, 1))
        if self._gap:
            return self._silence(min(wanted, self._gap), channels)
        block = np.empty((wanted, channels), np.float32)
        step = STEP_SAMPLES if self.file.format in PACKED else wanted
        done = 0
        while done < wanted:
            try:
                count = len(self.file.read(out=block[done : done + step]))
            except soundfile.SoundFileError:
                count = 0
            if not count and not done and self._go_behind_damage():
                return self._silence(min(wanted, self._gap), channels)
            if not count:
                break
            done += count
            self._at += count
        return block[:done]

    def skip(self, samples: int) -> None:
        """Go on without so many samples."""
        if samples and (self._strict or self.file.format not in PACKED):
            try:
                self.file.seek(self._at + samples)
            except soundfile.SoundFileError:  # GSM 06.10 in WAV, for one
                pass
            else:
                self._at += samples
                return
        while samples > 0 and (passed := len(self.take(samples))):
            samples -= passed

    def _open(self) -> soundfile.SoundFile:
        if self._spliced is None and self._within is not None:
            self._spliced = Spliced(b"", self._path, *self._within)
        if self._spliced is None:
            self.understated = to_its_end(self._path)
            if self.understated is not None:
                self._spliced = self.understated.file
            elif has_companion(self._path):
                self._spliced = Spliced(b"", self._path, 0)
            known = stating_its_length(self._path)
            if known is not None:
                self._spliced, self.lost_seconds, self.made_up = known
                self.counts_anew = True
        if self._spliced is None:
            # names in bytes hold any name; the library's types know of none
            name: Any = os.fsencode(self._path)
            try:
                return _Opened(name)
            except soundfile.SoundFileError:
                shortened = caf_to_its_end(self._path)
                if shortened is None or (self._strict and shortened.lost_seconds):
                    raise
            self._spliced, self.lost_seconds = shortened
            self.counts_anew = True
        self._spliced.seek(0)
        return _Opened(self._spliced)

    def _silence(self, samples: int, channels: int) -> Block:
        self._gap -= samples
        self._at += samples
        return np.zeros((samples, channels), np.float32)

    def _go_behind_damage(self) -> bool:
        """Stand where the sound of a FLAC file goes on, with a gap before it."""
        if self._strict or self.file.format != "FLAC":
            return False
        step = STEP_SAMPLES
        rate, channels = int(self.file.samplerate), int(self.file.channels)
        while may_be_silence(step, self.lost_samples, rate, channels):
            if self._at + step >= self.file.frames:
                return False
            self.file.close()  # a decoder that has lost its way finds no other
            self.file = self._open()
            try:
                self.file.seek(self._at + step)
                goes_on = len(self.file.read(1, dtype="float32")) > 0
                self.file.seek(self._at + step)
            except soundfile.SoundFileError:
                goes_on = False
            if goes_on:
                self._gap = step
                self.lost_samples += step
                return True
            step *= 2
        return False
