"""How the ends of sound files tell whether something is missing, where libsndfile does not."""

import math
import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from selfremaster.core.spliced import Spliced

OGG_TAIL_BYTES = 1 << 17  # two of the longest pages there are
CAF_HEAD_BYTES = 1 << 20  # before the sound
WAV_CHUNKS = 1000  # looked through
TO_THE_END = -1  # a length that CAF allows for the last chunk


class Shortened(NamedTuple):
    """A file read as if its header knew where it ends, and how much it promised beyond that."""

    file: Spliced
    lost_seconds: float


def ogg_has_its_end(path: Path) -> bool:
    """Whether the last page of an Ogg file is whole, and says that it is the last."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - OGG_TAIL_BYTES, 0))
        tail = file.read()
    place = tail.rfind(b"OggS")
    if place < 0 or place + 27 > len(tail):
        return False
    segments = tail[place + 27 : place + 27 + tail[place + 26]]
    end = place + 27 + len(segments) + sum(segments)
    return len(segments) == tail[place + 26] and end <= len(tail) and bool(tail[place + 5] & 4)


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


def wav_to_its_end(path: Path) -> Shortened | None:
    """A WAV file whose recorder never came to write how long it is, with its length in the header.

    None for all other files: those with a length, and those that really hold no sound.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        riff_end, place, declared = _wav_sound(file)
        if place is None or place > CAF_HEAD_BYTES or declared:
            return None
        if riff_end > place + 8 and not bytes_behind_wav(path):  # what follows is known
            return None
        file.seek(0)
        head = file.read(place + 8)
    there = min(size - len(head), 2**32 - 2**16)
    if there <= 0:
        return None
    return Shortened(Spliced(head[:-4] + struct.pack("<I", there), path, len(head)), 0.0)


def bytes_behind_wav(path: Path) -> int:
    """How many bytes follow the sound of a WAV file that are no chunk of it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        _, place, declared = _wav_sound(file)
        if place is None:
            return 0
        end = place + 8 + declared + declared % 2
        for _ in range(WAV_CHUNKS):
            file.seek(end)
            head = file.read(8)
            (length,) = struct.unpack("<I", head[4:]) if len(head) == 8 else (0,)
            if not head.strip(b"\0"):
                return 0
            if len(head) < 8 or not head[:4].isascii() or end + 8 + length > size + 1:
                return max(size - end, 0)
            end += 8 + length + length % 2
    return 0


def _wav_sound(file: BinaryIO) -> tuple[int, int | None, int]:
    """Where a RIFF file ends as it says, where the chunk of its sound begins, and its length."""
    file.seek(0)
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return 0, None, 0
    riff_end = struct.unpack("<I", head[4:8])[0] + 8
    for _ in range(WAV_CHUNKS):
        place = file.tell()
        head = file.read(8)
        if len(head) < 8:
            break
        (length,) = struct.unpack("<I", head[4:])
        if head[:4] == b"data":
            return riff_end, place, length
        file.seek(place + 8 + length + length % 2)
    return riff_end, None, 0


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
