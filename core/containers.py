"""Sound tracks of films and phones as PyAV reads them: MP4, M4A, WMA, Matroska and others."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from selfremaster.core.decoding import Decoding
from selfremaster.core.delays import NO_DELAY
from selfremaster.core.formats import AudioInfo
from selfremaster.core.readings import BLOCK_SAMPLES, BLOCK_VALUES, Block
from selfremaster.core.sources import check_rate, nothing_in, truncated

HEADS = (
    *((0, head) for head in (b"\x1aE\xdf\xa3", b"#!AMR", b"wvpk", b"TTA1", b"FLV\x01")),
    *((0, head) for head in (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\x00\x00\x01\xba")),
    *((4, head) for head in (b"ftyp", b"moov", b"mdat", b"wide")),
    (8, b"AVI "),
)


def is_container(head: bytes) -> bool:
    """Whether the first bytes of a file are those of what libsndfile does not read.

    >>> is_container(b"RIFF....AVI LIST"), is_container(b"RIFF....WAVEfmt ")
    (True, False)
    """
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xF6 == 0xF0:  # AAC as it is streamed
        return True
    return any(head[place : place + len(known)] == known for place, known in HEADS)


class Track:
    """The first sound track of a file; its info is that of what was found by decoding all of it.

    What encoders put before and after the sound is left out as far as FFmpeg does so. A gap in time
    is silence of its length, as long as that is no more than a minute.
    Raises `AudioError` for what has no such track, and for damage where it is ``strict``.
    """

    info: AudioInfo

    def __init__(self, path: Path, strict: bool) -> None:
        status = path.stat()
        survey = _survey(path, status.st_size, status.st_mtime_ns)
        if strict and survey.damage:
            raise truncated(path, survey.damage)
        self.info = survey.info
        self._decoding = Decoding(path)
        self._coming = self._decoding.blocks()
        self._waiting: Block = np.empty((0, self.info.channels), np.float32)
        self.skip(survey.skipped)

    def take(self, samples: int) -> Block:
        """Up to so many samples, (samples, channels); none where it ends, or cannot be read."""
        wanted = min(samples, BLOCK_SAMPLES, max(BLOCK_VALUES // self.info.channels, 1))
        pieces = [self._waiting]
        there = len(self._waiting)
        while there < wanted and (piece := next(self._coming, None)) is not None:
            pieces.append(piece)
            there += len(piece)
        joined = np.concatenate(pieces)
        self._waiting = joined[wanted:]
        return joined[:wanted]

    def skip(self, samples: int) -> None:
        """Go on without so many samples."""
        while samples > 0 and (passed := len(self.take(samples))):
            samples -= passed

    def close(self) -> None:
        """Let go of the file."""
        self._coming.close()
        self._decoding.close()


class _Survey(NamedTuple):
    info: AudioInfo
    damage: str  # in words, where there is any
    skipped: int  # samples before the sound


@lru_cache(maxsize=256)
def _survey(path: Path, _size: int, _changed: int) -> _Survey:
    """Decode all of it, as no header tells the number of samples."""
    decoding = Decoding(path)
    samples = 0
    try:
        for block in decoding.blocks():
            samples += len(block)
        if not samples:
            raise nothing_in(path)
        check_rate(path, decoding.rate)
        ending = decoding.missing_at_the_end(samples)
        samples -= decoding.padding(samples)
    finally:
        decoding.close()
    missing = decoding.lost_seconds + ending
    damage = ""
    delay = decoding.delay()
    if delay.samples >= samples:
        delay = NO_DELAY
    notes = (*decoding.notes(), *filter(None, [delay.note]))
    if missing:
        damage = f"{missing:.2f} seconds of the sound cannot be read"
    elif decoding.damaged:
        damage = "a part that cannot be read, of unknown length"
        notes = (f"truncated: {damage}", *notes)
    elif decoding.closed:
        damage = f"{len(decoding.closed)} gaps in time are too long to be filled"
    info = AudioInfo(
        samples - delay.samples,
        decoding.rate,
        decoding.channels,
        decoding.subtype(),
        decoding.container_name.upper(),
        missing,
        0,
        notes,
    )
    return _Survey(info, damage, delay.samples)
