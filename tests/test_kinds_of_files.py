"""Every kind of file that libsndfile reads comes back with its exact length and rate."""

import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from selfremaster.core import audio
from selfremaster.core.errors import AudioError
from tests.odd_bytes import changed, encoded, flac_of_length, mp3, sound, wav, without_xing

CONTAINERS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")
FILLED = {  # by libsndfile when it writes, to whole blocks of so many samples
    **dict.fromkeys([("WAV", "IMA_ADPCM"), ("W64", "IMA_ADPCM")], 505),
    **dict.fromkeys([("AIFF", kind) for kind in ("PCM_S8", "PCM_U8", "ULAW", "ALAW")], 2),
    **dict.fromkeys([("AU", kind) for kind in ("G721_32", "G723_24", "G723_40")], 120),
    ("W64", "MS_ADPCM"): 500,
    ("AIFF", "IMA_ADPCM"): 64,
}
MIB = 1 << 20


def rate_of(subtype: str) -> int:
    """A rate that it is made for."""
    return 48000 if subtype in {"OPUS", "MPEG_LAYER_III"} else 8000


def kinds() -> Iterator[tuple[str, str]]:
    """Every container of ours with every kind of samples that libsndfile writes into it."""
    for container in CONTAINERS:
        for subtype in soundfile.available_subtypes(container):
            try:
                encoded(container, subtype, sound(10), rate_of(subtype))
            except soundfile.SoundFileError:
                continue
            yield container, subtype


KINDS = tuple(kinds())


def test_the_kinds_are_all_there() -> None:
    asked = {"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
    asked |= {"IMA_ADPCM", "MS_ADPCM", "GSM610"}
    assert {subtype for container, subtype in KINDS if container == "WAV"} >= asked
    assert {container for container, _ in KINDS} == set(CONTAINERS)


@pytest.mark.parametrize(("container", "subtype"), KINDS)
@pytest.mark.parametrize("samples", [1, 4801, 70_001])
def test_its_length_and_rate_are_exact(
    tmp_path: Path, container: str, subtype: str, samples: int
) -> None:
    rate = rate_of(subtype)
    path = tmp_path / "a"
    path.write_bytes(encoded(container, subtype, sound(samples), rate))
    info = audio.inspect(path)
    block = FILLED.get((container, subtype), 1)
    assert info.samples == -(-samples // block) * block
    assert (info.sample_rate, info.channels, info.subtype) == (rate, 1, subtype)
    assert (info.remarks, info.format) == ((), container)
    wave, _ = audio.read(path)
    assert wave.shape == (1, info.samples)
    assert audio.inspect(path, strict=False, repair=True) == info
    assert torch.equal(audio.read(path, strict=False, repair=True)[0], wave)


def test_a_length_within_the_last_block_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    content = encoded("WAV", "IMA_ADPCM", sound(5050), 8000)
    path.write_bytes(changed(content, b"fact", struct.pack("<I", 4801), 4))
    assert audio.inspect(path).samples == 4801
    assert audio.read(path)[0].shape == (1, 4801)
    path.write_bytes(changed(content, b"fact", struct.pack("<I", 10), 4))  # nowhere near
    assert audio.inspect(path).samples == 5050


@pytest.mark.parametrize("channels", [2, 6, 8, 9, 64, 1024])
def test_any_number_of_channels_comes_in_blocks_of_bounded_size(
    tmp_path: Path, channels: int
) -> None:
    samples = 70_000 if channels < 16 else 2000
    wave = torch.from_numpy(np.array(sound(samples, channels).T, order="C"))
    path = tmp_path / "a.wav"
    path.write_bytes(encoded("WAV", "FLOAT", sound(samples, channels)))
    blocks = list(audio.blocks(path))
    assert torch.equal(torch.cat(blocks, dim=1), wave)
    assert max(block.numel() for block in blocks) <= 2**19


CLAIMS: dict[str, Callable[[], bytes]] = {
    "data of 4 GB": lambda: wav(data_size=0xFFFFFFF0),
    "data of 1 GB": lambda: wav(data_size=10**9),
    "a FLAC of 50 days": lambda: flac_of_length(2**36 - 1),
    "a CAF of a year": lambda: changed(encoded("CAF"), b"data", (10**12).to_bytes(8, "big")),
    "an AIFF of a billion": lambda: changed(encoded("AIFF"), b"COMM", b"\x3b\x9a\xca\0", 6),
    "1024 channels": lambda: wav(channels=1024),
    "an MP3 of a day": lambda: changed(mp3(), b"Xing", struct.pack(">I", 4_000_000), 4),
    "an ADPCM of a billion": lambda: changed(
        encoded("WAV", "IMA_ADPCM"), b"fact", struct.pack("<I", 10**9), 4
    ),
}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("claim", CLAIMS)
def test_what_a_header_claims_takes_no_memory(tmp_path: Path, claim: str, strict: bool) -> None:
    path = tmp_path / "a"
    path.write_bytes(CLAIMS[claim]())
    there = path.stat().st_size
    tracemalloc.start()
    try:
        wave, _ = audio.read(path, strict=strict)
    except AudioError:
        wave = torch.zeros(1, 1)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert wave.numel() <= 64 * there
    assert peak < 256 * there + 8 * MIB


@pytest.mark.parametrize("rate", [0, 8, 999, 768_001, 2_000_000_000])
def test_rates_that_no_recording_has_are_refused(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(rate_hz=rate))
    with pytest.raises(AudioError, match=r"rates from 1000 to 768000 Hz|not audio"):
        audio.inspect(path, strict=False)


def test_an_mp3_without_a_length_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.mp3"
    plain = without_xing(mp3(60 * 16000))
    path.write_bytes(plain * 10)
    tracemalloc.start()
    try:
        whole = sum(block.shape[-1] for block in audio.blocks(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert abs(whole / 16000 - 10 * 60) < 5
    assert peak < 2 * MIB < path.stat().st_size
