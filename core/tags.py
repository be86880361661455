"""What a sound file says about its sound: titles, dates, and what archives put into WAV files."""

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import soundfile

from selfremaster.core.errors import ComponentError
from selfremaster.core.packages import require

NAMES = (
    *("title", "artist", "album", "date", "comment", "copyright", "genre", "tracknumber"),
    "license",
)
"""Texts that sound files hold by these names; the program that wrote a file is no part of them."""

COUNTING = frozenset({b"bext", b"cue ", b"smpl", b"LIST"})
"""Chunks that tell places in samples."""

KEPT_CHUNKS = frozenset({b"bext", b"cue ", b"smpl", b"iXML", b"axml", b"_PMX", b"id3 ", b"ID3 "})
"""Of WAV files: broadcast extension (EBU Tech 3285), marks, production notes, and XMP."""

LABELS = b"adtl"  # the names of marks, in a list
LARGEST_CHUNK = 1 << 24
MOST_CHUNKS = 4096
BYTES_PER_RIFF = 2**32 - 1
BY_TRACK = {"track": "tracknumber"}  # the names that FFmpeg has for them


@dataclass(frozen=True)
class Tags:
    """Texts by name, and whole chunks of a WAV file."""

    texts: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[tuple[bytes, bytes], ...] = ()

    def at_another_rate(self) -> "Tags":
        """Without what tells places in samples."""
        kept = tuple(chunk for chunk in self.chunks if chunk[0] not in COUNTING)
        return replace(self, chunks=kept)


def read_tags(path: Path) -> Tags:
    """What a sound file says about its sound; nothing where it cannot be told."""
    with path.open("rb") as file:
        chunks = tuple(_chunks(file)) if file.read(4) in {b"RIFF", b"RF64"} else ()
    name: Any = os.fsencode(path)
    try:
        with soundfile.SoundFile(name) as file:
            found = file.copy_metadata()
    except (soundfile.SoundFileError, UnicodeDecodeError):
        return Tags(_track_texts(path), chunks)
    return Tags({name: found[name] for name in NAMES if found.get(name)}, chunks)


def write_texts(file: soundfile.SoundFile, tags: Tags) -> None:
    """Put the texts into a file that is open for writing, as far as its container has them."""
    for name, text in tags.texts.items():
        if file.format == "MP3" and not text.isascii():
            continue  # the encoder would take it for another alphabet
        with suppress(soundfile.SoundFileError, RuntimeError):
            setattr(file, name, text)


def append_chunks(path: Path, tags: Tags) -> None:
    """Put the chunks at the end of a WAV file; into others, and those beyond 4 GB, none."""
    with path.open("r+b") as file:
        if not tags.chunks or file.read(4) != b"RIFF":
            return
        there = {name for name, _ in _walk(file)}
        end = file.seek(0, os.SEEK_END)
        new = b"".join(
            struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)
            for name, body in tags.chunks
            if name not in there or name == b"LIST"
        )
        if end % 2 + end + len(new) - 8 > BYTES_PER_RIFF:
            return
        file.write(bytes(end % 2) + new)
        size = file.tell() - 8
        file.seek(4)
        file.write(struct.pack("<I", size))


def _track_texts(path: Path) -> Mapping[str, str]:
    from selfremaster.core.decoding import OPTIONS  # which imports what writes tags

    try:
        with require("av", "codecs").open(str(path), options=OPTIONS) as container:
            found = {**container.metadata}
    except (ComponentError, OSError, ValueError):
        return {}
    named = {BY_TRACK.get(name.lower(), name.lower()): text for name, text in found.items()}
    return {name: named[name] for name in NAMES if named.get(name)}


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Those that are kept, with what is in them."""
    for name, size in _walk(file):
        if size > LARGEST_CHUNK or (name != b"LIST" and name not in KEPT_CHUNKS):
            continue
        body = file.read(size)
        if len(body) == size and (name != b"LIST" or body[:4] == LABELS):
            yield name, body


def _walk(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Name and size of each chunk of a WAV file, which then stands where it begins."""
    place = 12
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = struct.unpack("<4sI", head)
        yield name, size
        place += 8 + size + size % 2
