"""Texts and pictures of FLAC files, and the texts of Ogg files."""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from selfremaster.core.files import insert
from selfremaster.core.iff import LARGEST_ALL, Piece

FLAC = b"fLaC"
APPLICATION, COMMENT, CUESHEET, PICTURE = b"\2", b"\4", b"\5", b"\6"
KEPT_BLOCKS = frozenset({APPLICATION, COMMENT, CUESHEET, PICTURE})
PADDING, LAST = 1, 0x80
MOST_BLOCKS = 1024
STREAMINFO_END = 4 + 4 + 34
LARGEST_BLOCK = (1 << 24) - 1
WRITERS = frozenset({"encoder", "software", "encoded_by"})

BEGINNINGS = (b"\x03vorbis", b"OpusTags", COMMENT)
MOST_OGG_BYTES = 1 << 24


def read_blocks(file: BinaryIO) -> tuple[tuple[Piece, ...], tuple[bytes, ...]]:
    """The metadata blocks of a FLAC file that are kept, and the kinds of those too large."""
    found: list[Piece] = []
    large: list[bytes] = []
    room = LARGEST_ALL
    for place, kind, size in _blocks(file):
        if kind not in KEPT_BLOCKS:
            continue
        if size > room:
            large.append(kind)
            continue
        file.seek(place)
        body = file.read(size)
        if len(body) == size:
            found.append((kind, body))
            room -= size
    return tuple(found), tuple(large)


def put_blocks(path: Path, pieces: tuple[Piece, ...]) -> None:
    """Put metadata blocks into a FLAC file, whose own comments become padding."""
    with path.open("r+b") as file:
        for place, kind, _ in _blocks(file):
            if kind == COMMENT:
                file.seek(place - 4)
                last = file.read(1)[0] & LAST
                file.seek(place - 4)
                file.write(bytes([PADDING | last]))
        new = b"".join(kind + len(body).to_bytes(3, "big") + body for kind, body in pieces)
        insert(file, STREAMINFO_END, new)


def texts_of_comment(body: bytes) -> dict[str, str]:
    """The texts of a comment block by their names; several of one name are joined.

    >>> texts_of_comment(comment_of_texts({"title": "Walze 7"}))
    {'title': 'Walze 7'}
    """
    found: dict[str, str] = {}
    for entry in _entries(body):
        name, equals, text = entry.decode("utf-8", "replace").partition("=")
        name = name.lower()
        if equals and text and name not in WRITERS:
            found[name] = f"{found[name]}; {text}" if name in found else text
    return found


def comment_of_texts(texts: Mapping[str, str]) -> bytes:
    """A comment block that holds the texts."""
    entries = [f"{name.upper()}={text}".encode("utf-8", "replace") for name, text in texts.items()]
    vendor = b"selfremaster"
    packed = (struct.pack("<I", len(entry)) + entry for entry in entries)
    return (
        struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(entries)) + b"".join(packed)
    )


def texts_of_ogg(file: BinaryIO) -> dict[str, str]:
    """The texts of the first stream of an Ogg file, by their names."""
    for packet in _packets(file):
        for beginning in BEGINNINGS[:2]:
            if packet.startswith(beginning):
                return texts_of_comment(packet[len(beginning) :])
        if packet[:1] == COMMENT or packet[:1] == bytes([COMMENT[0] | LAST]):  # FLAC in Ogg
            return texts_of_comment(packet[4:])
    return {}


def _blocks(file: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    """Where each metadata block begins, of what kind it is, and its size."""
    place = 4
    for _ in range(MOST_BLOCKS):
        file.seek(place)
        head = file.read(4)
        if len(head) < 4:
            return
        size = int.from_bytes(head[1:], "big")
        yield place + 4, bytes([head[0] & ~LAST]), size
        place += 4 + size
        if head[0] & LAST:
            return


def _entries(body: bytes) -> Iterator[bytes]:
    place = 4 + int.from_bytes(body[:4], "little")  # after the vendor
    count = int.from_bytes(body[place : place + 4], "little")
    place += 4
    for _ in range(min(count, len(body) // 4)):
        size = int.from_bytes(body[place : place + 4], "little")
        entry = body[place + 4 : place + 4 + size]
        if len(entry) < size or place + 4 > len(body):
            return
        yield entry
        place += 4 + size


def _packets(file: BinaryIO) -> Iterator[bytes]:
    """The first packets of the first stream, as far as they are there (RFC 3533)."""
    file.seek(0)
    packet, stream, read = b"", None, 0
    while read < MOST_OGG_BYTES:
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            return
        sizes = file.read(head[26])
        body = file.read(sum(sizes))
        read += len(body) + 27
        stream = stream or head[14:18]
        if head[14:18] != stream:
            continue
        place = 0
        for size in sizes:
            packet += body[place : place + size]
            place += size
            if size < 255:
                yield packet
                packet = b""
