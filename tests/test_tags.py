"""What is written about a sound goes with it."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from selfremaster.core.promises.inputs import speech_like
from selfremaster.core.tags import read_tags
from tests.cli import run
from tests.tiny import RATE

TEXTS = {"title": "Märchen", "artist": "Anna", "date": "1931", "comment": "Walze 7"}
BEXT = b"Walze 7".ljust(256, b"\0") + bytes(346)


def written(path: Path) -> Path:
    """Half a second with texts."""
    wave = speech_like(RATE // 2, sample_rate=RATE)[0].numpy()
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for name, text in TEXTS.items():
            setattr(file, name, text)
        file.write(wave)
    return path


def with_chunks(path: Path, *chunks: tuple[bytes, bytes]) -> Path:
    """Chunks after the sound, as recorders write them."""
    data = written(path).read_bytes()
    for name, body in chunks:
        data += struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_texts_go_with_the_sound(tmp_path: Path, suffix: str) -> None:
    old = written(tmp_path / f"old.{suffix}")
    assert run("restore", old, "--output", tmp_path / f"new.{suffix}").code == 0
    assert read_tags(tmp_path / f"new.{suffix}").texts == TEXTS


def test_what_mp3_would_garble_is_left_out(tmp_path: Path) -> None:
    old = written(tmp_path / "old.flac")
    words = ("--format", "mp3", "--quiet")
    assert run("restore", old, "--output", f"{tmp_path}/new/", *words).code == 0
    kept = read_tags(tmp_path / "new" / "old.mp3").texts
    assert kept == {name: text for name, text in TEXTS.items() if text.isascii()}


def test_what_archives_put_into_wav_files_goes_with_the_sound(tmp_path: Path) -> None:
    marks = (b"cue ", struct.pack("<7I", 1, 1, 100, 0x61746164, 0, 0, 100))
    label = (b"LIST", b"adtl" + struct.pack("<4sII", b"labl", 6, 1) + b"a\0")
    chunks = ((b"bext", BEXT), (b"iXML", b"<odd/>!"), marks, label)
    old = with_chunks(tmp_path / "old.wav", *chunks, (b"junk", bytes(100)))
    new = tmp_path / "new.wav"
    assert run("restore", old, "--output", new).code == 0
    assert read_tags(new).chunks == chunks
    assert read_tags(new).texts == TEXTS
    wave, rate = soundfile.read(new)
    assert (len(wave), rate) == (RATE // 2, RATE)
    assert struct.unpack("<I", new.read_bytes()[4:8]) == (new.stat().st_size - 8,)
    words = ("--overwrite", "--rate", "8000")
    assert run("restore", old, "--output", new, *words).code == 0
    assert read_tags(new).chunks == ((b"iXML", b"<odd/>!"),)


@pytest.mark.parametrize(
    "tail", [b"bext\xff\xff\xff\xff", b"bext\x10\x00\x00\x00abc", b"LIST\x02\x00\x00\x00ad", b"be"]
)
def test_damaged_chunks_are_left_out(tmp_path: Path, tail: bytes) -> None:
    old = written(tmp_path / "old.wav")
    old.write_bytes(old.read_bytes() + tail)
    assert not read_tags(old).chunks
    assert run("restore", old, "--output", tmp_path / "new.wav").code == 0
    assert np.isfinite(soundfile.read(tmp_path / "new.wav")[0]).all()
