"""Where the sound of a file without packing lies, as its header says: WAV, AIFF, AU and CAF."""

import os
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

MOST_CHUNKS = 1000  # looked through
MOST_HEAD_BYTES = 1 << 20  # before the sound
OPEN = -1  # a length that says: to the end of the file
OPEN_32 = 0xFFFFFFFF
PIPED_32 = range(0x7FFFF000, 0x80000000)  # what some programs write that do not know the length
CHUNK_HEADS = {"AIFF": struct.Struct(">4sI"), "CAF": struct.Struct(">4sq")}
RIFF_HEAD = struct.Struct("<4sI")
EXTENSIBLE, EXTENSIBLE_BYTES = 0xFFFE, 40
MASK_AT = 20  # in a format that is extensible
AMBISONIC = bytes.fromhex("2107d3118644c8c1ca000000")  # the end of what names such a format
TAG_HEADS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
BLOCK_BYTES = 1 << 20

AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
AU_WHOLE = {1: 2, 2: 3, 3: 4, 4: 5}  # its names of whole numbers of so many bytes
AU_PACKED = {b"fl32": 6, b"fl64": 7, b"ulaw": 1, b"alaw": 27}
AIFF_WHOLE = frozenset({b"NONE", b"twos", b"sowt", b"in24", b"in32"})

Kind = Literal["RIFF", "RF64", "AIFF", "AU", "CAF"]


class Stretch(NamedTuple):
    """The sound of a file, as its header tells of it; all places and lengths in bytes."""

    kind: Kind
    size: int  # of the file
    start: int
    told: int  # the length of the sound, or OPEN
    length_at: int  # where that is told
    frame: int  # of all channels; 0 where that is not told
    mask: int | None = None  # which speakers the channels are for
    mask_at: int = 0
    is_ambisonic: bool = False
    open_head: bytes = b""  # of a kind of file that can leave the length open

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.told


def stretch_of(path: Path) -> Stretch | None:
    """Where a file says that its sound lies; None where it does not, or is of another kind."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(12)
        kinds = {b"RIFF": _wav, b"RF64": _wav, b"FORM": _aiff, b".snd": _au, b"caff": _caf}
        find = kinds.get(head[:4])
        if find is None or len(head) < 12:
            return None
        try:
            found = find(file, head, size)
        except (struct.error, OverflowError):  # chunks that are too short for what they hold
            return None
    return found if found is not None and found.start <= MOST_HEAD_BYTES else None


def put_speakers(path: Path, mask: int, is_ambisonic: bool) -> None:
    """Say in a WAV file which speakers its channels are for, where it has a place for that."""
    there = stretch_of(path)
    if there is None or not there.mask_at:
        return
    with path.open("r+b") as file:
        file.seek(there.mask_at)
        file.write(struct.pack("<I", mask))
        if is_ambisonic:
            file.seek(there.mask_at + EXTENSIBLE_BYTES - MASK_AT - len(AMBISONIC))
            file.write(AMBISONIC)


def unexplained(path: Path, kind: Kind, end: int, is_odd: bool) -> tuple[int, int]:
    """The first byte behind a sound that belongs to no chunk or tag, and how many there are.

    Nothing but zeros is nothing. Behind an odd number of bytes there should be one more, and some
    programs forget that.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        places = {end, end + (is_odd and kind != "CAF")}
        rest = max(_behind(file, kind, place, size) for place in places) if kind != "AU" else end
    changed = path.stat().st_mtime_ns
    return (size, 0) if rest >= size or _is_nothing(path, rest, changed) else (rest, size - rest)


def _behind(file: BinaryIO, kind: Kind, place: int, size: int) -> int:
    """The first byte from a place on that is in no chunk."""
    for name, start, length in _chunks(file, kind, place):
        padded = length % 2 if kind != "CAF" else 0
        is_name = name.decode("latin-1").isascii() and name.decode("latin-1").isprintable()
        if not is_name or not 0 <= length <= size + 1 - start:
            return place
        place = start + length + padded
    return place


@lru_cache(maxsize=256)  # of gigabytes of zeros
def _is_nothing(path: Path, place: int, _changed: int) -> bool:
    """Whether the rest of a file is a tag, as MP3 files have, or zeros."""
    with path.open("rb") as file:
        file.seek(place)
        if file.read(16).startswith(TAG_HEADS):
            return True
        file.seek(place)
        while block := file.read(BLOCK_BYTES):
            if block.strip(b"\0"):
                return False
    return True


def _chunks(file: BinaryIO, kind: Kind, place: int) -> Iterator[tuple[bytes, int, int]]:
    """From a place on: the name of each chunk, where what is in it begins, and how long it is."""
    layout = CHUNK_HEADS.get(kind, RIFF_HEAD)
    size = os.fstat(file.fileno()).st_size
    for _ in range(MOST_CHUNKS):
        if place >= size:  # by far, it may be
            return
        file.seek(place)
        head = file.read(layout.size)
        if len(head) < layout.size:
            return
        name, length = layout.unpack(head)
        yield name, place + layout.size, length
        if length < 0:
            return
        place += layout.size + length + (length % 2 if kind != "CAF" else 0)


def _told(length: int) -> int:
    """A length of 32 bits, which may mean that there is none yet."""
    return OPEN if length == OPEN_32 or length in PIPED_32 else length


def _wav(file: BinaryIO, head: bytes, size: int) -> Stretch | None:
    if head[8:] != b"WAVE":
        return None
    kind: Kind = "RF64" if head[:4] == b"RF64" else "RIFF"
    frame, mask, mask_at, ambisonic, long_at, long = 0, None, 0, False, 0, 0
    for name, start, length in _chunks(file, kind, 12):
        file.seek(start)
        if name == b"ds64":
            long_at, (long,) = start + 8, struct.unpack("<8xQ", file.read(16))
        elif name == b"fmt ":
            told = file.read(min(length, EXTENSIBLE_BYTES))
            tag, frame = struct.unpack("<H10xH2x", told[:16])
            if tag == EXTENSIBLE and len(told) == EXTENSIBLE_BYTES:
                mask_at = start + MASK_AT
                (mask,) = struct.unpack_from("<I", told, MASK_AT)
                ambisonic = told.endswith(AMBISONIC)
        elif name == b"data":
            is_long = kind == "RF64" and length == OPEN_32
            there = long if is_long else _told(length)
            length_at = long_at if is_long else start - 4
            return Stretch(kind, size, start, there, length_at, frame, mask, mask_at, ambisonic)
    return None


def _aiff(file: BinaryIO, head: bytes, size: int) -> Stretch | None:
    if head[8:] not in {b"AIFF", b"AIFC"}:
        return None
    frame, open_head = 0, b""
    for name, start, length in _chunks(file, "AIFF", 12):
        file.seek(start)
        if name == b"COMM":
            frame, open_head = _of_aiff(file.read(min(length, 22)))
        elif name == b"SSND":
            (offset,) = struct.unpack(">I", file.read(4))
            there = max(length - 8 - offset, 0) if _told(length) != OPEN else OPEN
            return Stretch(
                "AIFF", size, start + 8 + offset, there, start - 4, frame, open_head=open_head
            )
    return None


def _of_aiff(common: bytes) -> tuple[int, bytes]:
    """How many bytes a frame has, and the head of an AU file of such samples; 0 if packed."""
    channels, bits = struct.unpack(">H4xH", common[:8])
    exponent, mantissa = struct.unpack(">HQ", common[8:18])
    coding = common[18:22] or b"NONE"
    rate_hz = round(mantissa * 2.0 ** (exponent - 16383 - 63))
    bytes_each = -(-bits // 8)
    name = AU_PACKED.get(coding.lower(), AU_WHOLE.get(bytes_each, 0))
    if coding.lower() in AU_PACKED:
        bytes_each = AU_BYTES[name]
    elif coding not in AIFF_WHOLE:
        return 0, b""
    order, mark = ("<", b"dns.") if coding == b"sowt" else (">", b".snd")
    told = struct.pack(f"{order}5I", 24, OPEN_32, name, rate_hz, channels)
    return channels * bytes_each, mark + told if name else b""


def _au(file: BinaryIO, head: bytes, size: int) -> Stretch | None:
    file.seek(4)
    start, length, coding, _, channels = struct.unpack(">5I", file.read(20))
    return Stretch("AU", size, start, _told(length), 8, channels * AU_BYTES.get(coding, 0))


def _caf(file: BinaryIO, head: bytes, size: int) -> Stretch | None:
    frame = 0
    for name, start, length in _chunks(file, "CAF", 8):
        file.seek(start)
        if name == b"desc":
            packet_bytes, packet_frames = struct.unpack(">16xII8x", file.read(32))
            frame = packet_bytes if packet_frames == 1 else 0
        elif name == b"data":  # four bytes count how often it was edited
            there = OPEN if length == OPEN else max(length - 4, 0)
            return Stretch("CAF", size, start + 4, there, start - 8, frame)
    return None
