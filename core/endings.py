"""How the ends of sound files tell whether something is missing, where libsndfile does not."""

import math
import os
import re
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from selfremaster.core.spliced import Spliced
from selfremaster.core.stretches import OPEN, OPEN_32, Stretch, stretch_of, unexplained

OGG_TAIL_BYTES = 1 << 17  # two of the longest pages there are
CAF_HEAD_BYTES = 1 << 20  # before the sound
NIST_HEAD_BYTES = 1024
TO_THE_END = -1  # a length that CAF allows for the last chunk
CLUSTER_BYTES = 4096  # a recorder that died leaves as much, if not whole frames
WRAP_BYTES = 1 << 32  # lengths of 32 bits begin at 0 again
LONGEST_TOLD = WRAP_BYTES - (1 << 16)
KNOWN_CHUNKS = frozenset(
    {
        *(b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"smpl", b"iXML", b"axml", b"_PMX", b"fact"),
        *(b"JUNK", b"junk", b"PAD ", b"FLLR", b"PEAK", b"DISP", b"inst", b"acid", b"cart", b"levl"),
        *(b"umid", b"chna", b"minf", b"elm1", b"regn", b"afsp", b"MARK", b"COMT", b"ANNO", b"NAME"),
        *(b"AUTH", b"(c) ", b"APPL", b"MIDI", b"INST", b"AESD", b"info", b"mark", b"free", b"uuid"),
    }
)
"""Of WAV, AIFF and CAF: what follows a sound by these names is no sound, however damaged."""


_NIST_FRAMES = re.compile(rb"^sample_count -i (\d+)$", re.MULTILINE)
_AVR_FRAMES = re.compile(r"^  Frames      : (\d+)$", re.MULTILINE)


class Shortened(NamedTuple):
    """A file read as if its header knew where it ends, and how much it promised beyond that."""

    file: Spliced
    lost_seconds: float


class Understated(NamedTuple):
    """A file read as if its header told of all of its sound."""

    file: Spliced
    told_part: float  # from 0 to 1, which is also where the length was left open


def ogg_has_its_end(path: Path, within: tuple[int, int] | None = None) -> bool:
    """Whether the last page of an Ogg file is whole, and says that it is the last."""
    with path.open("rb") as file:
        start, end = within or (0, file.seek(0, os.SEEK_END))
        first = max(end - OGG_TAIL_BYTES, start)
        file.seek(first)
        tail = file.read(end - first)
    place = tail.rfind(b"OggS")
    if place < 0 or place + 27 > len(tail):
        return False
    segments = tail[place + 27 : place + 27 + tail[place + 26]]
    end = place + 27 + len(segments) + sum(segments)
    return len(segments) == tail[place + 26] and end <= len(tail) and bool(tail[place + 5] & 4)


def promised_frames(path: Path, container: str, told: str) -> int:
    """How many samples of each channel a file promises, where libsndfile takes what there is.

    ``told`` is what it says of the header. 0 for other containers.
    """
    found: re.Match[bytes] | re.Match[str] | None = None
    if container == "NIST":
        with path.open("rb") as file:
            found = _NIST_FRAMES.search(file.read(NIST_HEAD_BYTES))
    elif container == "AVR":
        found = _AVR_FRAMES.search(told)
    return int(found.group(1)) if found else 0


def caf_to_its_end(path: Path) -> Shortened | None:
    """A CAF file whose sound goes on to the end of the file, with its length in the header.

    The header may have left it open, or promised more than there is. None for all other files.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        place, rate_bytes = _caf_sound(file)
        if place is None or rate_bytes is None or place > CAF_HEAD_BYTES:
            return None
        file.seek(0)
        head = file.read(place + 12)
    (declared,) = struct.unpack(">q", head[-8:])
    there = size - len(head)
    if there <= 4 or (declared != TO_THE_END and declared <= there):
        return None
    lost = 0.0 if declared == TO_THE_END else (declared - there) / rate_bytes
    return Shortened(
        Spliced(head[:-8] + struct.pack(">q", there), path, len(head)),
        lost if math.isfinite(lost) else 0.0,
    )


def bytes_behind(path: Path) -> int:
    """How many bytes follow the sound of a file that are neither a chunk of it, a tag nor zeros."""
    found = stretch_of(path)
    if found is None or found.told == OPEN or found.kind == "AU" or found.end >= found.size:
        return 0
    return unexplained(path, found.kind, found.end, bool(found.told % 2))[1]


def to_its_end(path: Path) -> Understated | None:
    """A file whose sound goes on behind the end that its header tells of.

    A recorder that died never came to write how long the sound is, and beyond 4 GiB lengths of 32
    bits begin at 0 again. None for all other files: also for those with a little behind the sound
    that makes no whole frames.
    """
    told = stretch_of(path)
    if told is None or not told.frame or not told.start < told.size:
        return None
    if told.told == OPEN:
        there = told.size - told.start
        if there <= LONGEST_TOLD:
            return None  # the library does it
    else:
        there = _found(path, told)
    there -= there % told.frame
    head = _head(path, told, there) if there > told.told else None
    if head is None:
        return None
    file = Spliced(head, path, told.start, told.start + there)
    return Understated(file, told.told / there if told.told != OPEN else 1.0)


def _found(path: Path, told: Stretch) -> int:
    """How many bytes of sound there are; what is told where that is likely to be all."""
    if told.end >= told.size:
        return told.told
    rest, behind = unexplained(path, told.kind, told.end, bool(told.told % 2))
    if not behind or rest > told.end + 1 or _head_at(path, rest) in KNOWN_CHUNKS:
        return told.told
    there = _end_of(path, told) - told.start
    return told.told if there % told.frame and behind < CLUSTER_BYTES else there


def _end_of(path: Path, told: Stretch) -> int:
    """Where the sound ends: a multiple of 4 GiB further, if all that follows is explained."""
    if told.kind in {"RIFF", "AIFF", "AU"}:
        for end in range(told.end + WRAP_BYTES, told.size + 1, WRAP_BYTES):
            if not unexplained(path, told.kind, end, bool(told.told % 2))[1]:
                return end
    return told.size


def _head(path: Path, told: Stretch, there: int) -> bytes | None:
    """What comes before the sound, with its length; of a kind without limits where it needs one."""
    with path.open("rb") as file:
        head = bytearray(file.read(told.start))
    if told.kind == "RF64" and told.length_at + 8 <= len(head) and told.length_at > 16:
        struct.pack_into("<QQ", head, told.length_at - 8, len(head) + there - 8, there)
    elif told.kind == "CAF":
        struct.pack_into(">q", head, told.length_at, there + 4)
    elif told.kind == "AU":
        struct.pack_into(">I", head, told.length_at, there if there <= LONGEST_TOLD else OPEN_32)
    elif told.kind == "AIFF" and there <= LONGEST_TOLD:
        inner = told.start - told.length_at - 4  # what lies between
        struct.pack_into(">I", head, told.length_at, there + inner)
    elif told.kind == "AIFF":
        return told.open_head or None
    elif there <= LONGEST_TOLD:
        struct.pack_into("<I", head, told.length_at, there)
    else:
        struct.pack_into("<I", head, told.length_at, OPEN_32)
        long = struct.pack("<4sIQQQI", b"ds64", 28, len(head) + 36 + there - 8, there, 0, 0)
        return b"RF64" + struct.pack("<I", OPEN_32) + b"WAVE" + long + bytes(head[12:])
    return bytes(head)


def _head_at(path: Path, place: int) -> bytes:
    with path.open("rb") as file:
        file.seek(place)
        return file.read(4)


def _caf_sound(file: BinaryIO) -> tuple[int | None, float | None]:
    """Where the chunk of the sound begins, and how many bytes of it a second has."""
    file.seek(0)
    rate_bytes = None
    if file.read(8)[:4] != b"caff":
        return None, None
    while len(head := file.read(12)) == 12:
        place = file.tell() - 12
        (length,) = struct.unpack(">q", head[4:])
        if head[:4] == b"data":
            return place, rate_bytes
        if head[:4] == b"desc" and len(told := file.read(32)) == 32:
            rate, _, _, packet_bytes, packet_samples = struct.unpack(">d4sIII", told[:24])
            rate_bytes = rate * packet_bytes / packet_samples if packet_samples else None
            rate_bytes = rate_bytes or None
        if length < 0 or place + 12 + length > CAF_HEAD_BYTES:
            return None, None
        file.seek(place + 12 + length)
    return None, None
