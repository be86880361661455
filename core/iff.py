"""Chunks of WAV, RF64 and AIFF files: found, read, and put at the end."""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

LARGEST_CHUNK = 1 << 24
LARGEST_ALL = 1 << 26  # of one file together
MOST_CHUNKS = 4096
BYTES_PER_FILE = 2**32 - 1  # that a size of four bytes can tell
BEYOND = 2**32 - 1  # what stands in RF64 for a size that is told elsewhere

Piece = tuple[bytes, bytes]
"""A name, and what is in it."""


class Form(NamedTuple):
    """What a file of chunks is: how it begins, and how numbers are written."""

    mark: bytes
    order: str  # as in `struct`


FORMS = {
    (b"RIFF", b"WAVE"): Form(b"RIFF", "<"),
    (b"RF64", b"WAVE"): Form(b"RF64", "<"),
    (b"BW64", b"WAVE"): Form(b"RF64", "<"),
    (b"FORM", b"AIFF"): Form(b"FORM", ">"),
    (b"FORM", b"AIFC"): Form(b"FORM", ">"),
}


def form_of(file: BinaryIO) -> Form | None:
    """What the file is, or nothing for one without such chunks."""
    file.seek(0)
    head = file.read(12)
    return FORMS.get((head[:4], head[8:12]))


def read_chunks(
    file: BinaryIO, form: Form, wanted: Callable[[bytes, bytes], bool]
) -> tuple[tuple[Piece, ...], tuple[bytes, ...]]:
    """The chunks that are wanted by their name and first four bytes, and names of those too large.

    What is damaged or cut off is left out.
    """
    found: list[Piece] = []
    large: list[bytes] = []
    room = LARGEST_ALL
    for name, size in walk(file, form):
        begins = file.read(min(size, 4))
        if not wanted(name, begins):
            continue
        if size > min(LARGEST_CHUNK, room):
            large.append(name)
            continue
        body = begins + file.read(size - len(begins))
        if len(body) == size:
            found.append((name, body))
            room -= size
    return tuple(found), tuple(large)


def walk(file: BinaryIO, form: Form) -> Iterator[tuple[bytes, int]]:
    """Name and size of each chunk of a file, which then stands where it begins."""
    place, sizes, end = 12, {}, file.seek(0, os.SEEK_END)
    for _ in range(MOST_CHUNKS):
        if place > end:  # a size may say anything, up to what no file can be sought to
            return
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = struct.unpack(f"{form.order}4sI", head)
        if name == b"ds64":
            sizes = _sizes(file.read(min(size, LARGEST_CHUNK)))
            file.seek(place + 8)
        if form.mark == b"RF64" and size == BEYOND:
            size = sizes.get(name, size)
        yield name, size
        place += 8 + size + size % 2


def append_chunks(path: Path, pieces: tuple[Piece, ...]) -> bool:
    """Put chunks at the end of a file; gives whether there was room, up to 4 GiB but in RF64."""
    with path.open("r+b") as file:
        form = form_of(file)
        if form is None:
            return False
        end = file.seek(0, os.SEEK_END)
        new = bytes(end % 2) + b"".join(
            struct.pack(f"{form.order}4sI", name, len(body)) + body + bytes(len(body) % 2)
            for name, body in pieces
        )
        size = end + len(new) - 8
        if form.mark != b"RF64" and size > BYTES_PER_FILE:
            return False
        file.write(new)
        if form.mark == b"RF64":
            file.seek(20)  # the first number of ds64, which comes first
            file.write(struct.pack("<Q", size))
        else:
            file.seek(4)
            file.write(struct.pack(f"{form.order}I", size))
    return True


def _sizes(ds64: bytes) -> dict[bytes, int]:
    """Sizes beyond 4 GiB by the names of the chunks (EBU Tech 3306)."""
    if len(ds64) < 28:
        return {}
    _, data, _, count = struct.unpack_from("<QQQI", ds64)
    sizes = {b"data": data}
    for place in range(28, min(28 + 12 * count, len(ds64) - 11), 12):
        name, size = struct.unpack_from("<4sQ", ds64, place)
        sizes[name] = size
    return sizes
