"""The length of MP3 files that do not state it, as old encoders and recorders wrote them.

libsndfile guesses such a length from the bitrate of the first frame, and reads no further than its
guess. So the frames are counted here, and a frame that states their number is put before them.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from selfremaster.core.spliced import Spliced

KBITS = {  # by version (MPEG 1, or 2 and 2.5) and index
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
SEARCHED_BYTES = 1024  # of anything else between two frames; the decoder gives up there, too
TAGS = {b"APETAGEX", b"LYRICSBE"}
STATING_BYTES = 64  # room for the header, the side information and the number


class Frame(NamedTuple):
    """What the four bytes at the start of an MPEG layer III frame say."""

    version: int  # 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    rate_hz: int
    mono: bool
    size: int  # bytes

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return (1152 if self.version == 3 else 576) / self.rate_hz

    @property
    def side_bytes(self) -> int:
        """The size of the side information behind the header."""
        return (17 if self.mono else 32) if self.version == 3 else (9 if self.mono else 17)


def frame_at(content: bytes, place: int) -> Frame | None:
    """The frame that begins at a byte, if one does."""
    if place + 4 > len(content):
        return None
    first, second, third, fourth = content[place : place + 4]
    version, layer = (second >> 3) & 3, (second >> 1) & 3
    bitrate, rate, padding = third >> 4, (third >> 2) & 3, (third >> 1) & 1
    is_header = first == 0xFF and second >> 5 == 7 and layer == 1 and version != 1
    if not is_header or rate == 3 or bitrate in {0, 15}:
        return None
    rate_hz = RATES_HZ[version][rate]
    bits = 1000 * KBITS[version == 3][bitrate] * (144 if version == 3 else 72)
    return Frame(version, rate_hz, fourth >> 6 == 3, bits // rate_hz + padding)


class Stated(NamedTuple):
    """An MP3 file with a frame before it that states its length, and what that leaves out."""

    file: Spliced
    lost_seconds: float  # behind damage that no decoder gets over
    made_up: bool  # it said nothing before, of its encoder neither


def stating_its_length(path: Path) -> Stated | None:
    """An MP3 file that states its true length; None for those that do so already, and all others.

    A Xing or Info header is set right where it is more than a hundredth off, as in files that were
    cut off or put together; what those say of the encoder's delay stays. Others get one.
    """
    with path.open("rb") as file:
        head = file.read(10)
        start = 0
        if head[:3] == b"ID3" and len(head) == 10:
            start = 10 + sum(
                (byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
            )
        elif head[:1] != b"\xff":
            return None
        size = file.seek(0, os.SEEK_END)
        file.seek(start)
        content = file.read(4096)
        first = frame_at(content, 0)
        if first is None or content[36:40] == b"VBRI":
            return None
        stated = _stated(content, first)
        if stated is not None and (
            stated.size is None or abs(size - start - stated.size) <= stated.size // 100
        ):
            return None
        frames, end = _count_frames(file, start, first)
        unread = _unread_bytes(file, end) / ((end - start) / frames) * first.seconds
    if frames == 1:  # one header alone may be chance
        return None
    if stated is None:
        frame = _stating_frame(content, first, frames)
        return Stated(Spliced(frame, path, start, end), unread, True)
    frames -= 1  # the one that states it
    lost = max(stated.frames - frames, 0) * first.seconds or unread
    right = bytearray(content[: first.size])
    struct.pack_into(">II", right, stated.place, frames, end - start)
    return Stated(Spliced(bytes(right), path, start + len(right), end), lost, False)


class _Xing(NamedTuple):
    place: int  # of the number of frames, in bytes
    frames: int
    size: int | None  # bytes, where it says how many


def _stated(content: bytes, first: Frame) -> _Xing | None:
    """What a Xing or Info header says; None where there is none, or not the number of frames."""
    place = 4 + first.side_bytes
    if content[place : place + 4] not in {b"Xing", b"Info"} or len(content) < place + 16:
        return None
    flags, frames, size = struct.unpack_from(">III", content, place + 4)
    if not flags & 1:
        return None
    return _Xing(place + 8, frames, size if flags & 2 and size else None)


def _count_frames(file: BinaryIO, start: int, first: Frame) -> tuple[int, int]:
    """How many whole frames there are, and where the last ends."""
    size = file.seek(0, os.SEEK_END)
    count, place = 1, start + first.size
    while True:
        found = _next_frame(file, place, first)
        if found is None or found[0] + found[1].size > size:
            return count, min(place, size)
        place = found[0] + found[1].size
        count += 1


def _next_frame(file: BinaryIO, place: int, first: Frame) -> tuple[int, Frame] | None:
    file.seek(place)
    content = file.read(4)
    if (frame := frame_at(content, 0)) is not None and frame[:3] == first[:3]:
        return place, frame
    content += file.read(SEARCHED_BYTES)
    for candidate in range(1, min(SEARCHED_BYTES, len(content) - 3)):
        frame = frame_at(content, candidate)
        if frame is not None and frame[:3] == first[:3]:
            return place + candidate, frame
    return None


def _unread_bytes(file: BinaryIO, end: int) -> int:
    """How many bytes lie behind the last frame that are no tag."""
    file.seek(end)
    head = file.read(8)
    if head[:3] == b"TAG" or head in TAGS or not head.strip(b"\0"):
        return 0
    unread = file.seek(0, os.SEEK_END) - end
    return unread if unread > SEARCHED_BYTES else 0


def _stating_frame(content: bytes, first: Frame, frames: int) -> bytes:
    """A silent frame with a Xing header, of the kind of the first one, at the lowest bitrate."""
    headers = (
        bytes([0xFF, content[1] | 1, bitrate << 4 | content[2] & 0x0C, content[3]])
        for bitrate in range(1, 15)
    )
    header, frame = next(
        (header, frame)
        for header in headers
        if (frame := frame_at(header, 0)) is not None and frame.size >= STATING_BYTES
    )
    body = header + bytes(first.side_bytes) + b"Xing" + struct.pack(">II", 1, frames)
    return body.ljust(frame.size, b"\0")
