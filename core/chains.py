"""Sound files that were put together, one after the other: what libsndfile reads is the first."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from selfremaster.core.errors import AudioError
from selfremaster.core.formats import AudioInfo
from selfremaster.core.readings import Block, Within
from selfremaster.core.sources import SoundFile, not_audio, truncated

MOST_PARTS = 1000
SEARCHED_BYTES = 1 << 20  # at once
PAGE_BYTES = 27  # of the head of an Ogg page, without its table
BEGINS = 2  # the flag of a page with which a stream begins
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # and the block that comes first in each


def parts_of(path: Path, head: bytes) -> Sequence[Within]:
    """Where the sound files begin and end that an Ogg or FLAC file is put together of.

    None of them where it is one alone, or of another kind. Raises `AudioError` for a file that
    consists of hardly anything but beginnings.
    """
    if head[:4] not in {b"OggS", b"fLaC"}:
        return ()
    status = path.stat()
    return _parts(path, head[:4] == b"OggS", status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _parts(path: Path, is_ogg: bool, size: int, _changed: int) -> Sequence[Within]:
    starts: list[int] = []
    with path.open("rb") as file:
        for start in _ogg_starts(file, size) if is_ogg else _flac_starts(file):
            starts.append(start)
            if len(starts) > MOST_PARTS:
                raise AudioError(
                    f"{path}: is put together of more than {MOST_PARTS} files; take it apart"
                )
    return tuple(zip(starts, [*starts[1:], size], strict=True)) if len(starts) > 1 else ()


def _ogg_starts(file: BinaryIO, size: int) -> Iterator[int]:
    """Where pages begin streams after pages that do not; several streams may begin together."""
    place, begun = 0, False
    while 0 <= place < size:
        file.seek(place)
        head = file.read(PAGE_BYTES)
        if head[:4] != b"OggS" or len(head) < PAGE_BYTES:  # damaged
            place = _next_page(file, place + 1)
            continue
        begins = bool(head[5] & BEGINS)
        if begins and not begun:
            yield place
        begun = begins
        place += PAGE_BYTES + head[26] + sum(file.read(head[26]))


def _next_page(file: BinaryIO, place: int) -> int:
    """Where the next page begins, or -1."""
    return next(_found(file, re.compile(b"OggS"), place), -1)


def _flac_starts(file: BinaryIO) -> Iterator[int]:
    return _found(file, _FLAC, 0)


def _found(file: BinaryIO, pattern: re.Pattern[bytes], place: int) -> Iterator[int]:
    """Where a pattern of up to eight bytes is found from a place on."""
    kept = b""
    file.seek(place)
    while block := file.read(SEARCHED_BYTES):
        searched = kept + block
        for match in pattern.finditer(searched):
            yield place - len(kept) + match.start()
        kept, place = searched[-7:], place + len(block)


class Chain:
    """What a file holds that was put together of several, one after the other.

    The first that can be read says at what rate and how many channels; those that differ are left
    out, and the info tells how much that is. Raises `AudioError` as `SoundFile`, and where it is
    ``strict`` for a part that differs or cannot be read.
    """

    info: AudioInfo

    def __init__(self, path: Path, strict: bool, parts: Sequence[Within]) -> None:
        self._path, self._strict = path, strict
        self._source: SoundFile | None = None
        self._left = 0  # samples of the part that is read
        self._waiting: list[tuple[Within, int]] = []
        found = [
            self._look(part, f"part {at + 1} of {len(parts)}") for at, part in enumerate(parts)
        ]
        readable = [info for info, _ in found if info is not None]
        if not readable:
            raise not_audio(path, f"none of the {len(parts)} files that it is put together of")
        first = readable[0]
        samples, missing, notes = 0, 0.0, []
        for part, (info, why) in zip(parts, found, strict=True):
            if info is None:
                notes.append(why)
                continue
            notes += info.notes
            missing += info.missing_seconds
            if (info.sample_rate, info.channels) == (first.sample_rate, first.channels):
                samples += info.samples
                self._waiting.append((part, info.samples))
                continue
            told = (
                f"{info.seconds:.2f} seconds of {info.channels} x {info.sample_rate} Hz that "
                f"follow at {samples / first.sample_rate:.2f} s cannot be joined with them"
            )
            if strict:
                raise truncated(path, told)
            missing += info.seconds
            notes.append(told)
        once = tuple(dict.fromkeys(notes))
        self.info = replace(first, samples=samples, missing_seconds=missing, notes=once)

    def take(self, samples: int) -> Block:
        """Up to so many samples, (samples, channels); none where it ends, or cannot be read."""
        while True:
            if self._source is None and not self._waiting:
                return np.empty((0, self.info.channels), np.float32)
            if self._source is None:
                part, self._left = self._waiting.pop(0)
                self._source = SoundFile(self._path, self._strict, part)
            if self._left and len(block := self._source.take(min(samples, self._left))):
                self._left -= len(block)
                return block
            self.close()
            self._source = None

    def skip(self, samples: int) -> None:
        """Go on without so many samples."""
        while samples > 0 and (passed := len(self.take(samples))):
            samples -= passed

    def close(self) -> None:
        """Let go of the file."""
        if self._source is not None:
            self._source.close()

    def _look(self, part: Within, named: str) -> tuple[AudioInfo | None, str]:
        """What a part is, or what is said of one that cannot be read."""
        try:
            source = SoundFile(self._path, self._strict, part)
        except AudioError:
            if self._strict:
                raise
            return None, f"truncated: {named} cannot be read"
        source.close()
        return source.info, ""
