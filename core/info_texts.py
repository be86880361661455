"""Texts of WAV files: the list INFO, and what the broadcast extension says in words."""

import struct
from collections.abc import Iterator, Mapping

from selfremaster.core.iff import Piece

INFO = b"INFO"
IDS = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "date": b"ICRD",
    "comment": b"ICMT",
    "copyright": b"ICOP",
    "genre": b"IGNR",
    "tracknumber": b"ITRK",
    "engineer": b"IENG",
    "technician": b"ITCH",
    "archival_location": b"IARL",
    "commissioned": b"ICMS",
    "keywords": b"IKEY",
    "language": b"ILNG",
    "medium": b"IMED",
    "composer": b"IMUS",
    "source": b"ISRC",
    "source_form": b"ISRF",
    "subject": b"ISBJ",
}
"""The names of texts, which are those of Vorbis comments, and where INFO has them."""

NAMES = {number: name for name, number in IDS.items()} | {b"IPRT": "tracknumber"}
WRITER = b"ISFT"  # the program that wrote the file, which is not told of the sound

BEXT_TEXTS = (
    ("description", 256),
    ("originator", 32),
    ("originator_reference", 32),
    ("origination_date", 10),
    ("origination_time", 8),
)
BEXT_BYTES, BEXT_HISTORY = 346, 602  # to the end of the time reference; where the history begins


def decoded(text: bytes) -> str:
    """Words as programs of any age wrote them.

    >>> decoded("Größe".encode()), decoded("Größe".encode("latin-1"))
    ('Größe', 'Größe')
    """
    text = text.partition(b"\0")[0].strip()
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")


def texts_of_info(body: bytes) -> dict[str, str]:
    """The texts of a list INFO by their names; what is cut off is left out."""
    found: dict[str, str] = {}
    for name, text in _inner(body):
        words = decoded(text)
        if words and name != WRITER:
            found.setdefault(NAMES.get(name, decoded(name).lower()), words)
    return found


def info_of_texts(texts: Mapping[str, str]) -> tuple[Piece, ...]:
    """A list INFO that holds those of the texts that it has a place for; none for no text."""
    body = b""
    for name, text in texts.items():
        number = IDS.get(name)
        if number is not None:
            words = text.encode("utf-8", "replace") + b"\0"
            body += struct.pack("<4sI", number, len(words)) + words + bytes(len(words) % 2)
    return ((b"LIST", INFO + body),) if body else ()


def texts_of_bext(body: bytes) -> dict[str, str]:
    """What the broadcast extension says, by the names that FFmpeg gives it."""
    found, place = {}, 0
    for name, size in BEXT_TEXTS:
        found[name] = decoded(body[place : place + size])
        place += size
    if len(body) >= BEXT_BYTES:
        (time,) = struct.unpack_from("<Q", body, place)
        found["time_reference"] = str(time) if time else ""
    found["coding_history"] = decoded(body[BEXT_HISTORY:])
    return {name: text for name, text in found.items() if text}


def _inner(body: bytes) -> Iterator[Piece]:
    place = 4
    while place + 8 <= len(body):
        name, size = struct.unpack_from("<4sI", body, place)
        text = body[place + 8 : place + 8 + size]
        if len(text) < size:
            return
        yield name, text
        place += 8 + size + size % 2
