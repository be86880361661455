"""The length of MP3 files that do not state it, as old encoders and recorders wrote them.

libsndfile guesses such a length from the bitrate of the first frame, and reads no further than its
guess. So the frames are counted here, and a frame that states their number is put before them.
"""

import io
import struct
from pathlib import Path
from typing import NamedTuple

KBITS = {  # by version (MPEG 1, or 2 and 2.5) and index
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
SEARCHED_BYTES = 1024  # of anything else between two frames; the decoder gives up there, too
STATING_BYTES = 64  # room for the header, the side information and the number


class Frame(NamedTuple):
    """What the four bytes at the start of an MPEG layer III frame say."""

    version: int  # 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    rate_hz: int
    mono: bool
    size: int  # bytes

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


def stating_its_length(path: Path) -> io.BytesIO | None:
    """An MP3 file with a frame before it that states its length; None for all other files.

    Those are the ones that state it already (by a Xing, Info or VBRI header), and what is no MP3.
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
        file.seek(start)
        content = file.read(4096)
        first = frame_at(content, 0)
        if first is None or _states_its_length(content, first):
            return None
        content += file.read()
    frames, end = _count_frames(content, first)
    if frames == 1:  # one header alone may be chance
        return None
    return io.BytesIO(_stating_frame(content, first, frames) + content[:end])


def _states_its_length(content: bytes, first: Frame) -> bool:
    place = 4 + first.side_bytes
    return content[place : place + 4] in {b"Xing", b"Info"} or content[36:40] == b"VBRI"


def _count_frames(content: bytes, first: Frame) -> tuple[int, int]:
    """How many frames there are, and where the last ends."""
    count, place = 1, first.size
    while True:
        found = _next_frame(content, place, first)
        if found is None or found[0] + found[1].size > len(content):
            return count, min(place, len(content))
        place = found[0] + found[1].size
        count += 1


def _next_frame(content: bytes, place: int, first: Frame) -> tuple[int, Frame] | None:
    for candidate in range(place, min(place + SEARCHED_BYTES, len(content) - 3)):
        frame = frame_at(content, candidate)
        if frame is not None and frame[:2] == first[:2]:
            return candidate, frame
    return None


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
