"""Going through the packets of a film or a phone's file, and what becomes known on the way."""

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selfremaster.core.delays import NO_DELAY, WMA, Delay, delay_of
from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.packages import require
from selfremaster.core.readings import (
    BLOCK_SAMPLES,
    LONGEST_GAP_SECONDS,
    Block,
    may_be_silence,
)
from selfremaster.core.sources import not_audio

FORMATS = (
    *("3g2", "3gp", "aac", "ac3", "amr", "amrnb", "amrwb", "asf", "asf_o", "avi", "dv", "eac3"),
    *("flv", "m4a", "matroska", "mj2", "mov", "mp3", "mp4", "mpeg", "mpegts", "mxf", "ogg", "rm"),
    *("tta", "webm", "wv"),
)
"""What a file may be. Not playlists, which name other files and addresses."""

OPTIONS = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "none"}
STATING = frozenset({"flv", "matroska", "mov", "tta", "wv"})
"""Formats whose headers state a length; that of the others is estimated from their size."""

FROM_ZERO = frozenset({"avi", "matroska", "mov"})
"""Formats whose films begin when their time does; those of the others begin with a stream."""

JITTER_SECONDS = 0.1  # of time stamps, which some programs take from a clock
LOST_JITTER_SECONDS = 0.005  # where something has just been lost
TOLERANCE_SECONDS = 0.1  # of stated lengths, which may count what encoders put before and after
EDIT_SECONDS = 0.002
LONGEST_SECONDS = 1e9  # of a gap that is thought about at all
GAPS_NAMED = 3
HEAD_BYTES = 1 << 16
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
LONGEST_PADDING = 4096  # samples that fill the last frame
ATTACHED_PICTURE, SKIP_MANUAL = 1 << 10, 1 << 29  # as FFmpeg numbers them
LOSSLESS = frozenset({"alac", "flac", "tta", "wavpack"})
SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31, "flt": 1.0, "dbl": 1.0}


class Decoding:
    """Going through the packets of a file, and what became known on the way."""

    def __init__(self, path: Path) -> None:
        self.rate = self.channels = 0  # as the first frame says
        self.damaged = False
        self.lost_seconds = 0.0  # within the sound
        self._path = path
        self._sample_format = ""
        self.closed: list[tuple[float, float]] = []  # gaps: where, and how long, in seconds
        self._gaps: list[tuple[float, float]] = []  # that are filled
        self._filled = 0  # samples, with silence
        self._just_lost = False
        self._next_seconds: float | None = None  # when the next frame should begin
        self._end_seconds = 0.0  # of all streams, films too
        self._own_end_seconds = 0.0
        self._late_seconds = 0.0  # after the film
        self._first_packet: bytes | None = None
        self._first_samples = 0
        self._tells_delay = False
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
        if self._stream.codec_context.name in WMA:  # it leaves out more than some encoders need
            self._stream.codec_context.flags2 |= SKIP_MANUAL
        self._tracks = len(streams)
        self._has_pictures = any(map(_is_film, self._container.streams.video))
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
                self._first_samples = frame.samples
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
            told.append(f"gaps in time, filled with silence: {_named(self._gaps)}")
        if self.closed:
            told.append(f"gaps in time, too long to be filled, are closed: {_named(self.closed)}")
        if self._late_seconds:
            late = f"the sound begins {self._late_seconds:.2f} s after the film"
            filled = self._late_seconds <= LONGEST_GAP_SECONDS
            told.append(f"{late}; {'silence fills that' if filled else 'that is left out'}")
        return tuple(told)

    def delay(self) -> Delay:
        """What the codec puts before the sound, where nothing tells of it.

        The time stamps of films do: whoever made them saw to it that pictures and sound agree.
        """
        has_stamps = self._has_pictures and self.container_name != "avi"
        if self._tells_delay or has_stamps or self._first_packet is None:
            return NO_DELAY
        codec = self._stream.codec_context
        return delay_of(
            str(codec.name), self._first_packet, self._first_samples, int(codec.delay or 0)
        )

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
        if -1e-6 < self._own_end_seconds - stated < EDIT_SECONDS:  # edit lists have milliseconds
            stated = self._own_end_seconds
        elif abs(stated - round(1000 * stated) / 1000) <= 0.501 / self.rate:
            stated += 0.001  # they round down, and no sound is to be lost
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
                        self._look_at(packet)
            except Exception:  # whatever a library makes of damaged bytes
                self.damaged = True
                yield from self._decoded(None)
                return
            if packet.stream.index == self._stream.index:
                yield from self._decoded(packet)

    def _look_at(self, packet: Any) -> None:
        """Keep what the first packet says."""
        if self._first_packet is None and packet.size:
            self._first_packet = bytes(packet)[:4]
            has = getattr(packet, "has_sidedata", None)  # older versions cannot tell
            self._tells_delay = has is None or bool(has("skip_samples"))

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            return list(self._stream.codec_context.decode(packet))
        except Exception:  # whatever a library makes of damaged bytes
            self.damaged = self._just_lost = True
            return []

    def _gap_before(self, frame: Any) -> int:
        """How many samples of silence belong before a frame."""
        start = frame.time
        late = 0
        if self._next_seconds is None and (start is not None or self._just_lost):
            late = self._late(start)
        gap = 0.0
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
        if not samples:
            return late
        if not may_be_silence(samples, self._filled, self.rate, self.channels):
            self.closed.append((start - gap, gap))
            return late
        self._filled += samples
        self._gaps.append((start - gap, gap))
        return late + samples

    def _late(self, start: float | None) -> int:
        """How many samples after the film the sound begins; what is lost there is none of it."""
        begins = start
        if self._just_lost and self._stream.start_time is not None:
            begins = float(self._stream.start_time * self._stream.time_base)
            self._next_seconds = begins
        if begins is None:
            return 0
        late = begins - self._film_begins(begins)
        if late <= LOST_JITTER_SECONDS:
            return 0
        self._late_seconds = late
        samples = round(min(late, LONGEST_SECONDS) * self.rate)
        return samples if may_be_silence(samples, 0, self.rate, self.channels) else 0

    def _film_begins(self, sound: float) -> float:
        """When the film begins, in seconds of its time stamps; with the sound where none tells."""
        if self.container_name in FROM_ZERO and sound <= LONGEST_GAP_SECONDS:
            return 0.0
        begins = self._container.start_time
        return sound if begins is None else float(begins / self._av.time_base)


def _named(gaps: Sequence[tuple[float, float]]) -> str:
    named = [f"{seconds:.2f} s at {at:.2f} s" for at, seconds in gaps[:GAPS_NAMED]]
    more = len(gaps) - GAPS_NAMED
    return ", ".join([*named, *([f"{more} more"] if more > 0 else [])])


def _is_film(stream: Any) -> bool:
    """Whether a stream has pictures in time, which the cover of a record is not."""
    return not int(getattr(stream, "disposition", 0)) & ATTACHED_PICTURE


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
