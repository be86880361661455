"""Sound behind the end that a header tells of is read and told, and refused where it is strict."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch

from selfremaster.core import audio
from selfremaster.core.errors import AudioError
from tests.odd_bytes import RATE, SAMPLES, changed, chunk, encoded, floats, mp3, noise, sound, wav

HALF = SAMPLES // 2  # frames; of two bytes each
SECONDS = SAMPLES / RATE
GIB = 1 << 30


def aiff(told: int, **how: str) -> bytes:
    return changed(encoded("AIFF", "PCM_16", **how), b"SSND", struct.pack(">I", told + 8))


def au(told: int) -> bytes:
    return changed(encoded("AU", "PCM_16"), 8, struct.pack(">I", told))


def caf(told: int) -> bytes:
    return changed(encoded("CAF", "PCM_16"), b"data", struct.pack(">q", told + 4))


def rf64(told: int) -> bytes:
    content = encoded("RF64", "PCM_16")
    return changed(content, b"ds64", struct.pack("<QQ", told + 60, told), 4)


SHORT: dict[str, Callable[[int], bytes]] = {
    "wav": lambda told: wav(data_size=told, riff_size=told + 36),
    "wav of a right whole": lambda told: wav(data_size=told),
    "rf64": rf64,
    "aiff": aiff,
    "aiff-c": lambda told: aiff(told, endian="LITTLE"),
    "au": au,
    "caf": caf,
}


@pytest.mark.parametrize("told", [0, 2, HALF * 2, SAMPLES * 2 - 2])
@pytest.mark.parametrize("kind", SHORT)
def test_the_sound_is_read_to_its_end_and_told_of_or_refused(
    tmp_path: Path, kind: str, told: int
) -> None:
    path = tmp_path / "a"
    path.write_bytes(SHORT[kind](SAMPLES * 2))
    whole = audio.read(path)[0]
    assert audio.inspect(path).remarks == ()
    path.write_bytes(SHORT[kind](told))
    info = audio.inspect(path, strict=False)
    assert torch.equal(audio.read(path, strict=False)[0], whole)
    assert torch.equal(torch.cat(list(audio.blocks(path, strict=False)), dim=1), whole)
    part = audio.read(path, HALF, 50, strict=False)[0]
    assert torch.equal(part, whole[:, HALF : HALF + 50])
    told_of = f"{told / 2 / RATE:.2f} of {SECONDS:.2f} seconds"
    assert info.remarks == (
        f"its header tells of {told_of} alone; the sound is read to the end of the file",
    )
    for ask in (audio.inspect, audio.read, audio.check):
        with pytest.raises(AudioError, match=f"its header tells of {told_of} alone; copy it again"):
            ask(path)


KEPT: dict[str, Callable[[], bytes]] = {
    "a chunk": lambda: wav(after=chunk(b"LIST", b"INFO")),
    "a chunk without the byte that fills an odd sound": lambda: (
        changed(wav(bits=8, align=1), b"data", struct.pack("<I", 2 * SAMPLES - 1))[:-1]
        + chunk(b"LIST", b"INFO" + chunk(b"INAM", b"a title")) * 4
    ),
    "a chunk of another size": lambda: wav(after=chunk(b"LIST", noise(8000), 10**7)),
    "a tag of MP3": lambda: wav(after=b"TAG" + noise(125)),
    "a tag of MP3 before": lambda: wav(after=b"ID3" + noise(9999)),
    "zeros": lambda: wav(after=bytes(9000)),
    "a chunk of AIFF": lambda: encoded("AIFF") + b"MARK" + struct.pack(">I", 2) + b"\0\0",
    "open": lambda: wav(data_size=0xFFFFFFFF),
    "open by another program": lambda: wav(data_size=0x7FFFF000),
}


@pytest.mark.parametrize("behind", KEPT)
def test_what_else_follows_a_sound_is_none_of_it(tmp_path: Path, behind: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(KEPT[behind]())
    assert audio.inspect(path).samples in {SAMPLES, 2 * SAMPLES - 1}


def test_a_little_that_makes_no_whole_sample_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(sound(SAMPLES, 2), after=b"\xfe\xff\xfd"))
    info = audio.inspect(path)
    assert info.samples == SAMPLES
    assert info.remarks == ("3 bytes follow the sound and are left out; they are no chunk of it",)


def test_what_a_recorder_wrote_last_may_be_half_a_sample(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    content = wav(sound(SAMPLES, 2), data_size=400)
    path.write_bytes(content[:-3])
    info = audio.inspect(path, strict=False)
    assert info.samples == SAMPLES - 1
    path.write_bytes(content)
    whole = audio.read(path, strict=False)[0]
    path.write_bytes(content[:-3])
    assert torch.equal(audio.read(path, strict=False)[0], whole[:, :-1])


def test_packed_and_floating_samples_go_on_too(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    for content, frame in ((floats(wave=sound(SAMPLES, 2)), 8), (encoded("WAV", "MS_ADPCM"), 0)):
        path.write_bytes(content)
        whole = audio.read(path)[0]
        block = frame or struct.unpack_from("<H", content, 32)[0]
        path.write_bytes(changed(content, b"data", struct.pack("<I", 2 * block)))
        assert torch.equal(audio.read(path, strict=False)[0], whole)


# more than lengths of 32 bits tell


def far(path: Path, head: bytes, size: int, order: str) -> None:
    """A file of so many bytes of silence, with some samples where they matter."""
    marks = np.arange(1, 101).astype(f"{order}i2").tobytes()
    with path.open("wb") as file:
        file.write(head)
        for place in (0, size % 2**32, size - len(marks)):
            file.seek(len(head) + place)
            file.write(marks)


def wav_head(told: int, kind: bytes = b"RIFF") -> bytes:
    content = wav(sound(1, 2))
    return kind + changed(content, b"data", struct.pack("<I", told))[4:44]


def aiff_head(told: int, **how: str) -> bytes:
    content = encoded("AIFF", "PCM_16", sound(1, 2), **how)
    return changed(content, b"SSND", struct.pack(">I", told + 8))[: content.index(b"SSND") + 16]


def au_head(told: int) -> bytes:
    return changed(encoded("AU", "PCM_16", sound(1, 2)), 8, struct.pack(">I", told))[:24]


FAR: dict[str, tuple[Callable[[int], bytes], str]] = {
    "wav": (wav_head, "<"),
    "aiff": (aiff_head, ">"),
    "aiff-c": (lambda told: aiff_head(told, endian="LITTLE"), "<"),
    "au": (au_head, ">"),
}


def holes(file: BinaryIO) -> bool:
    """Whether files may have holes here, which take no room."""
    file.truncate(5 * GIB)
    return Path(file.name).stat().st_blocks * 512 < GIB


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("kind", FAR)
def test_beyond_four_gibibytes_nothing_is_lost(tmp_path: Path, kind: str, is_open: bool) -> None:
    path = tmp_path / "a"
    try:
        with path.open("wb") as file:
            if not holes(file):
                pytest.skip("files have no holes here")
    except OSError as error:
        pytest.skip(f"no file of 5 GiB here: {error}")
    head, order = FAR[kind]
    size = 4 * GIB + (20 << 20)
    far(
        path,
        head(0xFFFFFFFF - 8 * kind.startswith("aiff") if is_open else size % 2**32),
        size,
        order,
    )
    info = audio.inspect(path, strict=False)
    assert info.samples == size // 4
    assert bool(info.remarks) is not is_open
    end = audio.read(path, info.samples - 50, strict=False)[0]
    assert torch.equal(end[0] * 2**15, torch.arange(1.0, 100, 2))
    if not is_open:
        with pytest.raises(AudioError, match="its header tells of"):
            audio.inspect(path)


def test_chunks_behind_such_a_sound_are_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    size = 4 * GIB + (20 << 20)
    with path.open("wb") as file:
        if not holes(file):
            pytest.skip("files have no holes here")
    far(path, wav_head(size % 2**32), size, "<")
    with path.open("ab") as file:
        file.write(chunk(b"LIST", b"INFO" + chunk(b"INAM", b"a title")))
    assert audio.inspect(path, strict=False).samples == size // 4


# what a Mac puts beside files


@pytest.mark.parametrize("place", ["._a.mp3", ".AppleDouble/a.mp3"])
@pytest.mark.parametrize("content", [mp3, wav])
def test_what_a_mac_puts_beside_a_file_hides_it_from_nobody(
    tmp_path: Path, place: str, content: Callable[[], bytes]
) -> None:
    path, beside = tmp_path / "a.mp3", tmp_path / place
    path.write_bytes(content())
    before, whole = audio.inspect(path), audio.read(path)[0]
    beside.parent.mkdir(exist_ok=True)
    beside.write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X        " + bytes(4000))
    assert audio.inspect(path) == before
    assert torch.equal(audio.read(path)[0], whole)
    assert len(audio.find_audio(tmp_path)) == 1
