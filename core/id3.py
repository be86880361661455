"""Texts of MP3 files: the tag ID3v2 at their beginning."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from selfremaster.core.files import insert
from selfremaster.core.iff import LARGEST_CHUNK

ID3 = b"ID3"
FRAMES = {
    "title": b"TIT2",
    "artist": b"TPE1",
    "album_artist": b"TPE2",
    "album": b"TALB",
    "composer": b"TCOM",
    "copyright": b"TCOP",
    "date": b"TDRC",
    "genre": b"TCON",
    "isrc": b"TSRC",
    "language": b"TLAN",
    "publisher": b"TPUB",
    "tracknumber": b"TRCK",
}
NAMES = {frame: name for name, frame in FRAMES.items()} | {b"TYER": "date"}
COMMENT, OWN = b"COMM", b"TXXX"
WRITERS = frozenset({b"TSSE", b"TENC"})
ENCODINGS = ("cp1252", "utf-16", "utf-16-be", "utf-8")
UTF_8 = 3
UNSYNCHRONISED, EXTENDED = 0x80, 0x40


def read_tag(file: BinaryIO) -> bytes:
    """The whole tag; nothing where there is none, or one cut off, empty or too large."""
    file.seek(0)
    head = file.read(10)
    if len(head) < 10 or head[:3] != ID3:
        return b""
    size = _size(head[6:10]) + (10 if head[5] & 0x10 else 0)  # with its footer
    if size > LARGEST_CHUNK:
        return b""
    body = file.read(size)
    return head + body if len(body) == size and any(body[:1]) else b""


def put_tag(path: Path, tag: bytes) -> None:
    """Put a tag before the sound."""
    with path.open("r+b") as file:
        insert(file, 0, tag)


def texts_of_tag(tag: bytes) -> dict[str, str]:
    """The texts of a tag of version 2.3 or 2.4, by their names; of others none."""
    found: dict[str, str] = {}
    for frame, body in _frames(tag):
        if frame in WRITERS or not body:
            continue
        encoding = ENCODINGS[body[0]] if body[0] < len(ENCODINGS) else ENCODINGS[0]
        if frame == COMMENT:
            name, text = "comment", _parts(body[4:], encoding)[-1]
        elif frame == OWN:
            first, *rest = _parts(body[1:], encoding)
            name, text = first.lower(), "; ".join(rest)
        elif frame[:1] == b"T":
            name = NAMES.get(frame, frame.decode("latin-1").lower())
            text = "; ".join(_parts(body[1:], encoding))
        else:
            continue
        if name and text:
            found.setdefault(name, text)
    return found


def is_text(tag: bytes) -> bool:
    """Whether all that a tag holds are texts that `texts_of_tag` gives."""
    frames = [name for name, _ in _frames(tag)]
    is_known = all(name[:1] == b"T" or name == COMMENT for name in frames)
    named = [name for name in frames if name != OWN]  # those have names of their own
    return bool(frames) and is_known and len(set(named)) == len(named)


def tag_of_texts(texts: Mapping[str, str]) -> bytes:
    """A tag of version 2.4 that holds the texts; nothing for none.

    >>> texts_of_tag(tag_of_texts({"title": "Märchen", "comment": "Walze 7", "own": "x"}))
    {'title': 'Märchen', 'comment': 'Walze 7', 'own': 'x'}
    """
    body = b""
    for name, text in texts.items():
        words = text.encode("utf-8", "replace")
        if name == "comment":
            frame, inside = COMMENT, b"und\0" + words
        elif name in FRAMES:
            frame, inside = FRAMES[name], words
        else:
            frame, inside = OWN, name.encode("utf-8", "replace") + b"\0" + words
        inside = bytes([UTF_8]) + inside
        body += frame + _packed(len(inside)) + b"\0\0" + inside
    return ID3 + b"\4\0\0" + _packed(len(body)) + body if body else b""


def _frames(tag: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(tag) < 10 or tag[3] not in (3, 4) or tag[5] & (UNSYNCHRONISED | EXTENDED):
        return
    place = 10
    while place + 10 <= len(tag) and tag[place]:
        told = tag[place + 4 : place + 8]
        size = _size(told) if tag[3] == 4 else int.from_bytes(told, "big")
        body = tag[place + 10 : place + 10 + size]
        if len(body) < size:
            return
        yield tag[place : place + 4], body
        place += 10 + size


def _parts(text: bytes, encoding: str) -> list[str]:
    """What zeros separate, without empty ends; at least one."""
    words = text.decode(encoding, "replace").rstrip("\0")
    return [part.lstrip("\ufeff").strip() for part in words.split("\0")]


def _size(told: bytes) -> int:
    """A number of seven bits a byte."""
    size = 0
    for byte in told:
        size = size << 7 | byte & 0x7F
    return size


def _packed(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
