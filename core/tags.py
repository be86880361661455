"""What a sound file says about its sound: titles, dates, pictures, and what archives put there."""

import os
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import soundfile

from selfremaster.core import id3, vorbis_comments
from selfremaster.core.errors import ComponentError
from selfremaster.core.iff import MOST_CHUNKS, Piece, append_chunks, form_of, read_chunks
from selfremaster.core.info_texts import INFO, info_of_texts, texts_of_bext, texts_of_info
from selfremaster.core.mark_scaling import ADTL, at_another_rate
from selfremaster.core.packages import require

LIBRARY_NAMES = (
    *("title", "artist", "album", "date", "comment", "copyright", "genre", "tracknumber"),
    "license",
)
"""Texts that libsndfile writes; the program that wrote a file is no part of them."""

WAV, AIFF, FLAC, MP3 = "WAV", "AIFF", "FLAC", "MP3"
CONTAINERS = {"WAV": WAV, "WAVEX": WAV, "RF64": WAV, "AIFF": AIFF, "FLAC": FLAC, "MP3": MP3}
"""Kinds of file whose pieces go over as they are, by libsndfile's names."""

OF_THE_SOUND = frozenset(
    {
        *(b"fmt ", b"data", b"fact", b"ds64", b"PEAK", b"levl", b"slnt", b"wavl"),
        *(b"JUNK", b"junk", b"PAD ", b"FLLR", b"COMM", b"SSND", b"FVER"),
    }
)
"""Chunks of WAV and AIFF files that tell how the sound is stored, or fill; all others go over."""

PLAIN = frozenset(
    {
        *(b"bext", b"cue ", b"smpl", b"iXML", b"axml", b"_PMX", b"id3 ", b"ID3 ", b"cart", b"inst"),
        *(b"LIST", b"DISP", b"afsp", b"qlty", b"chna", b"umid", b"COMT", b"INST", b"NAME", b"AUTH"),
        *(b"(c) ", b"ANNO", b"APPL", b"MIDI", b"MARK", b"AESD"),
    }
)
"""Chunks whose places in samples are known to be scaled, or that have none."""

OF_CAF = frozenset(
    {b"desc", b"data", b"free", b"pakt", b"kuki", b"chan", b"info", b"peak", b"edct", b"ovvw"}
)
"""Chunks of CAF files that tell how the sound is stored, and the texts."""

BEXT_NUMBERS = slice(348, 422)  # UMID and loudness, of which nothing is among the texts
APE, APE_BYTES, ID3V1_BYTES = b"APETAGEX", 32, 128
TRACK_NAMES = {"track": "tracknumber"}  # the names that FFmpeg has for them
OF_THE_FILE = frozenset(
    {
        *(
            "encoder",
            "software",
            "encoded_by",
            "major_brand",
            "minor_version",
            "compatible_brands",
            "creation_time",
        ),
        *("duration", "handler_name", "vendor_id", "bps", "number_of_bytes", "number_of_frames"),
    }
)
"""What FFmpeg tells of a file that says nothing of its sound."""

WORDS = {
    b"bext": "the broadcast extension",
    b"cue ": "marks",
    b"smpl": "loops",
    b"cart": "the cart chunk",
    b"_PMX": "XMP",
    b"MARK": "marks",
    b"mark": "marks",
    vorbis_comments.CUESHEET: "the cue sheet",
    vorbis_comments.PICTURE: "a picture",
    vorbis_comments.APPLICATION: "an application block",
    id3.ID3: "pictures and other frames of ID3",
}
"""What pieces are called where they are left out; others by their own names."""

TEXTS_ALONE = {vorbis_comments.COMMENT}
"""Pieces that hold nothing but texts."""


@dataclass(frozen=True)
class Tags:
    """Texts by name, and whole pieces (chunks, blocks, a tag) for files of the same kind."""

    texts: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    pieces: tuple[Piece, ...] = ()
    left: tuple[str, ...] = ()  # what could not be taken along, in words

    def at_another_rate(self, from_hz: int, to_hz: int) -> "Tags":
        """With places in samples where they are at that rate; what cannot be told so is left."""
        pieces, left = [], list(self.left)
        for piece in self.pieces:
            scaled = None
            if piece[0] != vorbis_comments.CUESHEET and not self._may_have_places(piece[0]):
                scaled = at_another_rate(piece, from_hz, to_hz)
            if scaled is None:
                left.append(_word(piece))
            else:
                pieces.append(scaled)
        texts = dict(self.texts)
        if texts.get("time_reference", "").isdecimal():
            time = int(texts["time_reference"])
            texts["time_reference"] = str((2 * time * to_hz + from_hz) // (2 * from_hz))
        return replace(self, texts=texts, pieces=tuple(pieces), left=tuple(left))

    def _may_have_places(self, name: bytes) -> bool:
        """Whether a chunk that nobody here knows may hold places in samples."""
        return self.kind in {WAV, AIFF} and name not in PLAIN


def read_tags(path: Path) -> Tags:
    """What a sound file says about its sound; nothing where it cannot be told."""
    with path.open("rb") as file:
        found = _read_pieces(file)
        if found.kind in {WAV, FLAC} or found.texts:
            return found
    name: Any = os.fsencode(path)
    try:
        with soundfile.SoundFile(name) as sound:
            texts = sound.copy_metadata()
    except (soundfile.SoundFileError, UnicodeDecodeError):
        return replace(found, texts=_track_texts(path))
    known = {name: texts[name] for name in LIBRARY_NAMES if texts.get(name)}
    return replace(found, texts=known)


def write_texts(file: soundfile.SoundFile, tags: Tags) -> None:
    """Put the texts into a file that is open for writing, where `put_pieces` puts none."""
    if file.format in CONTAINERS and (file.format != "AIFF" or tags.kind == AIFF):
        return
    for name in LIBRARY_NAMES:
        if name in tags.texts:
            with suppress(soundfile.SoundFileError, RuntimeError):
                setattr(file, name, tags.texts[name])


def put_pieces(path: Path, container: str, tags: Tags) -> None:
    """Put what libsndfile does not write into a file: pieces of the same kind, or all texts."""
    kind = CONTAINERS.get(container)
    same = kind == tags.kind
    if kind in {WAV, AIFF}:
        pieces = tags.pieces if same else info_of_texts(tags.texts) if kind == WAV else ()
        if pieces:
            append_chunks(path, pieces)
    elif kind == FLAC:
        texts = ((vorbis_comments.COMMENT, vorbis_comments.comment_of_texts(tags.texts)),)
        pieces = tags.pieces if same else texts if tags.texts else ()
        if pieces:
            vorbis_comments.put_blocks(path, pieces)
    elif kind == MP3:
        tag = tags.pieces[0][1] if same and tags.pieces else id3.tag_of_texts(tags.texts)
        if tag:
            id3.put_tag(path, tag)


def left_out(wanted: Tags, written: Tags) -> tuple[str, ...]:
    """What a file that was written does not say any more, in words."""
    there = {name for name, _ in written.pieces}
    told = set(written.texts.values())
    texts = [name for name, text in wanted.texts.items() if text not in told]
    pieces = [
        _word(piece)
        for piece in wanted.pieces
        if piece[0] not in there and not _is_told_as_texts(piece)
    ]
    return tuple(dict.fromkeys([*wanted.left, *texts, *pieces]))


def _is_told_as_texts(piece: Piece) -> bool:
    """Whether all that is in a piece is among the texts."""
    name, body = piece
    if name == b"LIST":
        return body[:4] == INFO
    if name == b"bext":
        return not any(body[BEXT_NUMBERS])
    return name in TEXTS_ALONE or (name == id3.ID3 and id3.is_text(body))


def _word(piece: Piece) -> str:
    name, body = piece
    if name == b"LIST":
        return "names of marks" if body[:4] == ADTL else body[:4].decode("latin-1")
    return WORDS.get(name) or name.decode("latin-1").strip()


def _read_pieces(file: BinaryIO) -> Tags:
    """The pieces of those kinds of file that have any, and their texts."""
    form = form_of(file)
    file.seek(0)
    beginning = file.read(4)
    if form is not None and form.order == "<":
        chunks, large = read_chunks(file, form, _is_told)
        return Tags(_texts_of_chunks(chunks), WAV, chunks, _words(large))
    if form is not None:
        chunks, large = read_chunks(file, form, _is_told)
        return Tags({}, AIFF, chunks, _words(large))
    if beginning == vorbis_comments.FLAC:
        blocks, large = vorbis_comments.read_blocks(file)
        bodies = [body for kind, body in blocks if kind == vorbis_comments.COMMENT]
        texts = vorbis_comments.texts_of_comment(bodies[0]) if bodies else {}
        return Tags(texts, FLAC, blocks, _words(large))
    if beginning == b"OggS":
        return Tags(vorbis_comments.texts_of_ogg(file))
    if beginning == b"caff":
        return Tags(left=_left_of_caf(file))
    tag = id3.read_tag(file)
    is_mp3 = bool(tag) or beginning[:1] == b"\xff"  # other programs read those of other files
    left = ("the APE tag",) if is_mp3 and _has_ape(file) else ()
    return Tags(id3.texts_of_tag(tag), MP3, ((id3.ID3, tag),), left) if tag else Tags(left=left)


def _is_told(name: bytes, begins: bytes) -> bool:
    """Whether a chunk says something of the sound, or whatever else somebody put there."""
    if name == b"LIST":
        return len(begins) == 4 and begins != b"wavl"
    return name not in OF_THE_SOUND and name.isascii() and name.decode("ascii").isprintable()


def _left_of_caf(file: BinaryIO) -> tuple[str, ...]:
    """What a CAF file says that nothing here reads."""
    place, found = 8, []
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(12)
        if len(head) < 12:
            break
        name, size = struct.unpack(">4sq", head)
        if name not in OF_CAF and name.isascii():
            found.append(_word((name, b"")))
        if size < 0:  # to the end
            break
        place += 12 + size
    return tuple(dict.fromkeys(found))


def _has_ape(file: BinaryIO) -> bool:
    """Whether an APE tag stands at the end, where nothing here reads it."""
    size = file.seek(0, os.SEEK_END)
    for behind in (APE_BYTES, APE_BYTES + ID3V1_BYTES):
        file.seek(max(size - behind, 0))
        if file.read(len(APE)) == APE:
            return True
    return False


def _texts_of_chunks(chunks: Iterable[Piece]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, body in chunks:
        if name == b"LIST" and body[:4] == INFO:
            texts = texts_of_info(body) | texts
        elif name == b"bext":
            texts |= texts_of_bext(body)
    return texts


def _words(names: Iterable[bytes]) -> tuple[str, ...]:
    """Pieces that are too large, in words."""
    return tuple(f"{_word((name, b''))} (too large)" for name in names)


def _track_texts(path: Path) -> Mapping[str, str]:
    from selfremaster.core.decoding import OPTIONS  # which imports what writes tags

    try:
        av = require("av", "codecs")
    except ComponentError:
        return {}
    try:
        # not its name, which could be an address to a library that knows many
        with (
            path.open("rb") as file,
            av.open(file, options=OPTIONS, metadata_errors="replace") as container,
        ):
            streams = container.streams.audio
            found = {**(streams[0].metadata if streams else {}), **container.metadata}
    except Exception:  # whatever a library makes of damaged bytes
        return {}
    named = {TRACK_NAMES.get(name.lower(), name.lower()): text for name, text in found.items()}
    return {
        name: text
        for name, text in named.items()
        if text not in {"", "und"} and name not in OF_THE_FILE
    }
