"""The sounds and bytes that bad and odd files are made of."""

import io
import struct
import wave as waves
from functools import lru_cache
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16000
SAMPLES = 4800
LONG = 48000  # for what is packed in large pieces

Sound = NDArray[np.float32]


@lru_cache(maxsize=32)
def sound(samples: int = SAMPLES, channels: int = 1, rate_hz: int = RATE) -> Sound:
    """Harmonics that come and go three times a second, over a little noise; (samples, channels)."""
    time = np.arange(samples) / rate_hz
    tones = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 12))
    spoken = 0.2 * tones * np.clip(np.sin(2 * np.pi * 3 * time), 0, None)
    noise = np.random.default_rng(0).standard_normal((samples, channels)) * 0.005
    return (spoken[:, None] / (1 + np.arange(channels)) + noise).astype(np.float32)


def encoded(
    container: str,
    subtype: str | None = None,
    wave: Sound | None = None,
    rate_hz: int = RATE,
    **how: Any,
) -> bytes:
    """A sound as libsndfile writes it."""
    file = io.BytesIO()
    given = sound() if wave is None else wave
    soundfile.write(file, given, rate_hz, format=container, subtype=subtype, **how)
    return file.getvalue()


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """A chunk of RIFF, with a size of its own or another."""
    padded = content + b"\0" * (len(content) % 2)
    return name + struct.pack("<I", len(content) if size is None else size) + padded


def wav(
    wave: Sound | None = None,
    *,
    tag: int = 1,
    channels: int | None = None,
    rate_hz: int = RATE,
    bits: int = 16,
    align: int | None = None,
    data_size: int | None = None,
    riff_size: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A WAV file with whatever its header is to say."""
    given = sound() if wave is None else wave
    there = given.shape[1] if channels is None else channels
    stored = align if align is not None else there * bits // 8
    header = struct.pack(
        "<HHIIHH", tag, there, rate_hz, rate_hz * stored & 0xFFFFFFFF, stored & 0xFFFF, bits
    )
    samples = np.round(given * 32767).astype("<i2").tobytes()
    body = before + chunk(b"fmt ", header) + chunk(b"data", samples, data_size) + after
    return (
        b"RIFF"
        + struct.pack("<I", len(body) + 4 if riff_size is None else riff_size)
        + b"WAVE"
        + body
    )


def floats(*bad: tuple[int, float], wave: Sound | None = None, subtype: str = "FLOAT") -> bytes:
    """A WAV file of floating-point samples, with these in the place of others."""
    given = np.array(sound() if wave is None else wave, dtype=np.float64)
    for place, value in bad:
        given[place] = value
    file = io.BytesIO()
    soundfile.write(file, given, RATE, format="WAV", subtype=subtype)
    return file.getvalue()


def changed(content: bytes, place: int | bytes, new: bytes, after: int = 0) -> bytes:
    """Some bytes in the place of others: at a place, or so far behind what is found."""
    start = place if isinstance(place, int) else content.index(place) + len(place) + after
    return content[:start] + new + content[start + len(new) :]


def cut(content: bytes, part: float = 2 / 3) -> bytes:
    """The first part of a file."""
    return content[: int(len(content) * part)]


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes by chance."""
    return np.random.default_rng(seed).bytes(size)


def id3(size: int = 1000) -> bytes:
    """A tag as MP3 files have at their beginning."""
    sizes = bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
    return b"ID3\x04\0\0" + sizes + bytes(size)


def mp3(samples: int = LONG, channels: int = 1) -> bytes:
    """An MP3 file that states its length."""
    return encoded("MP3", None, sound(samples, channels))


def without_xing(content: bytes) -> bytes:
    """An MP3 file without the frame that states its length."""
    return content[content.index(content[:2], 4) :]


def ogg_without_page(content: bytes, page: int) -> bytes:
    """An Ogg file that lost a page."""
    places = [0]
    while (place := content.find(b"OggS", places[-1] + 4)) > 0:
        places.append(place)
    page = page % len(places)
    end = places[page + 1] if page + 1 < len(places) else len(content)
    return content[: places[page]] + content[end:]


def flac_of_length(samples: int) -> bytes:
    """A FLAC file that claims so many samples."""
    content = bytearray(encoded("FLAC"))
    content[21] = content[21] & 0xF0 | samples >> 32
    content[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(content)


def old_wav() -> bytes:
    """A WAV file by another program than the rest, 8 bits without a sign."""
    file = io.BytesIO()
    with waves.open(file, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(1)
        opened.setframerate(11025)
        opened.writeframes((np.round(sound()[:, 0] * 127) + 128).astype(np.uint8).tobytes())
    return file.getvalue()
