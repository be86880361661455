"""Sound tracks of films and phones as PyAV reads them: MP4, M4A, WMA, Matroska and others."""

from collections.abc import Generator, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.formats import AudioInfo
from selfremaster.core.packages import require
from selfremaster.core.sources import (
    BLOCK_SAMPLES,
    BLOCK_VALUES,
    Block,
    check_rate,
    may_be_silence,
    not_audio,
    nothing_in,
    truncated,
)

FORMATS = (
    *("3g2", "3gp", "aac", "ac3", "amr", "amrnb", "amrwb", "asf", "asf_o", "avi", "eac3", "flv"),
    *("m4a", "matroska", "mj2", "mov", "mp4", "mpeg", "tta", "webm", "wv"),
)
"""What a file may be. Not playlists, which name other files and addresses."""

OPTIONS = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "none"}
STATING = frozenset({"flv", "matroska", "mov", "tta", "wv"})
"""Formats whose headers state a length; that of the others is estimated from their size."""

JITTER_SECONDS = 0.1  # of time stamps, which some programs take from a clock
LOST_JITTER_SECONDS = 0.005  # where something has just been lost
TOLERANCE_SECONDS = 0.1  # of stated lengths, which may count what encoders put before and after
EDIT_SECONDS = 0.002
LONGEST_SECONDS = 1e9  # of a gap that is thought about at all
GAPS_NAMED = 3
HEAD_BYTES = 1 << 16
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
LONGEST_PADDING = 4096  # samples that fill the last frame
LOSSLESS = frozenset({"alac", "flac", "tta", "wavpack"})
HEADS = (
    *((0, head) for head in (b"\x1aE\xdf\xa3", b"#!AMR", b"wvpk", b"TTA1", b"FLV\x01")),
    *((0, head) for head in (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\x00\x00\x01\xba")),
    *((4, head) for head in (b"ftyp", b"moov", b"mdat", b"wide")),
    (8, b"AVI "),
)
SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31, "flt": 1.0, "dbl": 1.0}


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
        self._decoding = _Decoding(path)
        self._coming = self._decoding.blocks()
        self._waiting: Block = np.empty((0, self.info.channels), np.float32)

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


@lru_cache(maxsize=256)
def _survey(path: Path, _size: int, _changed: int) -> _Survey:
    """Decode all of it, as no header tells the number of samples."""
    decoding = _Decoding(path)
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
    notes = decoding.notes()
    if missing:
        damage = f"{missing:.2f} seconds of the sound cannot be read"
    elif decoding.damaged:
        damage = "a part that cannot be read, of unknown length"
        notes = (f"truncated: {damage}", *notes)
    info = AudioInfo(
        samples,
        decoding.rate,
        decoding.channels,
        decoding.subtype(),
        decoding.container_name.upper(),
        missing,
        0,
        notes,
    )
    return _Survey(info, damage)


class _Decoding:
    """Going through the packets of a file, and what became known on the way."""

    def __init__(self, path: Path) -> None:
        self.rate = self.channels = 0  # as the first frame says
        self.damaged = False
        self.lost_seconds = 0.0  # within the sound
        self._path = path
        self._sample_format = ""
        self._gaps: list[tuple[float, float]] = []
        self._filled = 0  # samples, with silence
        self._just_lost = False
        self._next_seconds: float | None = None  # when the next frame should begin
        self._end_seconds = 0.0  # of all streams, films too
        self._own_end_seconds = 0.0  # of all streams, films too
        try:
            self._av = require("av", "codecs")
        except ComponentError as error:
            raise AudioError(f"{path}: {error}") from None
        self._file = path.open("rb")
        try:
            # not its name, which could be an address to a library that knows many
            self._container: Any = self._av.open(
                self._file, options=OPTIONS, metadata_errors="replace"
            )
            streams = self._container.streams.audio
        except Exception as error:  # whatever a library makes of damaged bytes
            self._file.close()
            raise not_audio(path, getattr(error, "strerror", None) or str(error)) from None
        if not streams or streams[0].codec_context is None:
            self.close()
            what = "no sound track" if not streams else "no sound track that can be decoded"
            raise AudioError(f"{path}: holds {what}; name a file that does")
        self._stream: Any = streams[0]
        self._tracks = len(streams)
        self.container_name = str(self._container.format.name).split(",")[0]

    def close(self) -> None:
        """Let go of the file."""
        if hasattr(self, "_container"):
            self._container.close()
        self._file.close()

    def blocks(self) -> Generator[Block, None, None]:
        """Its frames one after another, (samples, channels), and silence where one is missing."""
        for frame in self._frames():
            if not frame.samples:
                continue
            block = _block(frame)
            if not self.rate:
                self.rate, self.channels = int(frame.rate), block.shape[1]
                self._sample_format = str(frame.format.name)
            if (int(frame.rate), block.shape[1]) != (self.rate, self.channels):
                self.damaged = self._just_lost = True
                continue
            gap = self._gap_before(frame)
            while gap > 0:
                silence = np.zeros((min(gap, BLOCK_SAMPLES), self.channels), np.float32)
                gap -= len(silence)
                yield silence
            yield block

    def notes(self) -> tuple[str, ...]:
        """What else there is to say of the sound."""
        told = []
        if self._tracks > 1:
            told.append(f"{self._tracks} sound tracks; the first is taken")
        if self._gaps:
            named = [f"{seconds:.2f} s at {at:.2f} s" for at, seconds in self._gaps[:GAPS_NAMED]]
            more = len(self._gaps) - GAPS_NAMED
            named += [f"{more} more"] if more > 0 else []
            told.append(f"gaps in time, filled with silence: {', '.join(named)}")
        return tuple(told)

    def subtype(self) -> str:
        """How the samples are stored, as libsndfile would call it, or the name of the codec."""
        name = str(self._stream.codec_context.name)
        kind = self._sample_format.removesuffix("p")
        if name in LOSSLESS or name.startswith("pcm_"):
            if kind in {"flt", "dbl"}:
                return "FLOAT" if kind == "flt" else "DOUBLE"
            return {"u8": "PCM_U8", "s16": "PCM_16"}.get(kind, "PCM_24")
        return name.upper()

    def missing_at_the_end(self, samples: int) -> float:
        """How many seconds the header promises that are not there."""
        sound_end = self._next_seconds if self._next_seconds is not None else samples / self.rate
        if self.container_name in {"avi", "asf"}:  # lengths are made to fit by the library
            missing = samples / self.rate * _lacks(self._path)
        elif self.container_name not in STATING:
            return 0.0
        elif self._stream.duration:
            start = self._stream.start_time or 0
            stated = float((start + self._stream.duration) * self._stream.time_base)
            missing = stated - sound_end
        elif (stated := _seconds(self._stream.metadata.get("DURATION", ""))) > 0:
            missing = stated - sound_end
        else:
            start = self._container.start_time or 0
            stated = (start + (self._container.duration or 0)) / self._av.time_base
            missing = stated - max(self._end_seconds, sound_end)
        return missing if missing > TOLERANCE_SECONDS else 0.0

    def padding(self, samples: int) -> int:
        """How many samples at the end only fill the last frame, where the header tells."""
        if self.container_name != "mov" or self._next_seconds is None or not self._stream.duration:
            return 0
        start = self._stream.start_time or 0
        stated = float((start + self._stream.duration) * self._stream.time_base)
        if 0 < self._own_end_seconds - stated < EDIT_SECONDS:  # edit lists have milliseconds
            stated = self._own_end_seconds
        more = round((self._next_seconds - stated) * self.rate)
        return more if 0 < more < min(LONGEST_PADDING, samples) else 0

    def _frames(self) -> Iterator[Any]:
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                if packet.pts is not None and packet.time_base:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    self._end_seconds = max(self._end_seconds, end)
                    if packet.stream.index == self._stream.index:
                        self._own_end_seconds = max(self._own_end_seconds, end)
            except Exception:  # whatever a library makes of damaged bytes
                self.damaged = True
                yield from self._decoded(None)
                return
            if packet.stream.index == self._stream.index:
                yield from self._decoded(packet)

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            return list(self._stream.codec_context.decode(packet))
        except Exception:  # whatever a library makes of damaged bytes
            self.damaged = self._just_lost = True
            return []

    def _gap_before(self, frame: Any) -> int:
        """How many samples of silence belong before a frame."""
        gap = 0.0
        start = frame.time
        if self._next_seconds is None and self._just_lost and self._stream.start_time is not None:
            self._next_seconds = float(self._stream.start_time * self._stream.time_base)
        if start is None:
            start = self._next_seconds or 0.0
        elif self._next_seconds is not None:
            gap = start - self._next_seconds
        least = LOST_JITTER_SECONDS if self._just_lost else JITTER_SECONDS
        samples = round(min(gap, LONGEST_SECONDS) * self.rate) if gap > least else 0
        if samples and self._just_lost:
            self.lost_seconds += gap
        self._just_lost = False
        self._next_seconds = start + frame.samples / self.rate
        if not samples or not may_be_silence(samples, self._filled, self.rate, self.channels):
            return 0
        self._filled += samples
        self._gaps.append((start - gap, gap))
        return samples


def _block(frame: Any) -> Block:
    """Samples of a frame, (samples, channels), full scale = 1."""
    samples = frame.to_ndarray()
    name = str(frame.format.name)
    planar = name.endswith("p")
    rows = samples.T if planar else samples.reshape(frame.samples, -1)
    kind = name.removesuffix("p")
    if kind == "u8":
        rows = rows.astype(np.float32) - 128
    scaled: Block = (rows * SCALES[kind]).astype(np.float32)
    return np.ascontiguousarray(scaled)


def _seconds(text: str) -> float:
    """Of a length such as 00:00:03.047000000; 0 for what is none."""
    try:
        hours, minutes, seconds = text.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return 0.0


def _lacks(path: Path) -> float:
    """How much of an AVI or ASF file its header misses, as a part of what is there."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    size = path.stat().st_size
    stated = 0
    if head[:4] == b"RIFF":
        stated = int.from_bytes(head[4:8], "little") + 8
    elif (place := head.find(ASF_PROPERTIES)) >= 0:
        stated = int.from_bytes(head[place + 40 : place + 48], "little")
    return max(stated - size, 0) / size
