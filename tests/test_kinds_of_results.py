"""What kinds of files can hold: refused early where they cannot, and which speakers are meant."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from selfremaster.core import audio, writing
from selfremaster.core.errors import AudioError
from selfremaster.core.loudness import integrated_loudness
from tests.cli import run, write_tiny_bundle
from tests.odd_bytes import RATE, Sound, chunk, encoded, sound

GIB = 1 << 30
AMBISONIC = bytes.fromhex("010000002107d3118644c8c1ca000000")
PCM = bytes.fromhex("0100000000001000800000aa00389b71")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


def extensible(channels: int, mask: int, guid: bytes = PCM, wave: Sound | None = None) -> bytes:
    values = ((sound(800, channels) if wave is None else wave) * 32767).astype("<i2").tobytes()
    sizes = (0xFFFE, channels, RATE, RATE * channels * 2, channels * 2, 16, 22, 16, mask)
    body = chunk(b"fmt ", struct.pack("<HHIIHHHHI", *sizes) + guid) + chunk(b"data", values)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def layout_of(path: Path) -> tuple[int, bytes]:
    content = path.read_bytes()
    place = content.index(b"fmt ") + 8
    return struct.unpack_from("<I", content, place + 20)[0], content[place + 24 : place + 40]


@pytest.mark.parametrize(
    ("channels", "mask"),
    [(6, 0x60F), (6, 0x3F), (4, 0x107), (3, 7), (2, 0x600), (2, 0), (1, 4), (8, 0x63F), (5, 0)],
)
def test_the_speakers_of_a_recording_are_those_of_its_result(
    channels: int, mask: int, tmp_path: Path
) -> None:
    source, target = tmp_path / "a.wav", tmp_path / "new.wav"
    source.write_bytes(extensible(channels, mask))
    info = audio.inspect(source)
    assert info.speakers == mask
    audio.write(target, audio.read(source)[0], RATE, like=info)
    assert layout_of(target) == (mask, PCM)
    assert torch.equal(audio.read(target)[0], audio.read(source)[0])
    assert audio.inspect(target) == info


@pytest.mark.parametrize("how", [(), ("--rate", "8000"), ("--subtype", "FLOAT")])
def test_restore_keeps_them(how: tuple[str, ...], tmp_path: Path, bundle: Path) -> None:
    source, target = tmp_path / "a.wav", tmp_path / "new.wav"
    source.write_bytes(extensible(4, 0x107))
    words = ("--model", bundle, "--strength", "0", *how)
    done = run("restore", source, "--output", target, *words)
    assert (done.code, done.err) == (0, "")
    kind = bytes([3 if "FLOAT" in how else 1]) + PCM[1:]
    assert layout_of(target) == (0x107, kind)


def test_they_are_kept_in_rf64_and_lost_with_their_channels(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(extensible(2, 0x600))
    info = audio.inspect(tmp_path / "a.wav")
    audio.write(tmp_path / "b.rf64", torch.zeros(2, 9), RATE, like=info)
    assert layout_of(tmp_path / "b.rf64")[0] == 0x600
    audio.write(tmp_path / "b.wav", torch.zeros(1, 9), RATE, like=info)
    assert layout_of(tmp_path / "b.wav")[0] == 4


def test_effects_do_not_count_as_loudness(tmp_path: Path, bundle: Path) -> None:
    """What hums for the subwoofer is no part of --level, wherever its channel is."""
    wave = np.array(sound(2 * RATE, 3), copy=True)
    wave[:, 2] = 0.5 * np.sin(2 * np.pi * 60 * np.arange(len(wave)) / RATE)
    (tmp_path / "a.wav").write_bytes(extensible(3, 0xB, wave=wave))
    words = ("--model", bundle, "--strength", "0", "--level", "-30")
    assert run("restore", tmp_path / "a.wav", "--output", tmp_path / "b.wav", *words).code == 0
    sides = audio.read(tmp_path / "b.wav")[0][:2]
    assert integrated_loudness(sides, RATE) == pytest.approx(-30, abs=0.1)


def test_ambisonic_sound_stays_so(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(extensible(4, 0, AMBISONIC))
    info = audio.inspect(tmp_path / "a.wav")
    audio.write(tmp_path / "b.wav", torch.zeros(4, 9), RATE, like=info)
    assert layout_of(tmp_path / "b.wav") == (0, AMBISONIC)
    assert audio.inspect(tmp_path / "b.wav").samples == 9


def test_a_layout_that_cannot_be_kept_is_told(tmp_path: Path, bundle: Path) -> None:
    for mask, told in ((0x107, True), (0x33, False), (0, False)):
        (tmp_path / "a.wav").write_bytes(extensible(4, mask))
        words = ("--model", bundle, "--strength", "0", "--overwrite")
        done = run("restore", tmp_path / "a.wav", "--output", tmp_path / "a.flac", *words)
        assert done.code == 0
        assert ("its speaker layout, 0x107, is not kept: FLAC has no place" in done.err) is told


def test_a_plain_header_stays_plain(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(encoded("WAV", "PCM_16", sound(80, 6)))
    info = audio.inspect(tmp_path / "a.wav")
    assert info.speakers is None
    audio.write(tmp_path / "b.wav", torch.zeros(6, 80), RATE, like=info)
    assert (tmp_path / "b.wav").read_bytes()[20:22] == b"\1\0"


# what is too long, too fast or too wide


@pytest.mark.parametrize("suffix", [".aiff", ".aif", ".au"])
@pytest.mark.parametrize(("subtype", "each"), [("PCM_16", 2), ("PCM_24", 3), ("DOUBLE", 8)])
def test_what_lengths_of_32_bits_cannot_hold_is_refused(
    suffix: str, subtype: str, each: int
) -> None:
    most = (4 * GIB - (1 << 16)) // each
    audio.check_place(f"a{suffix}", 2, most // 2, RATE, subtype=subtype)
    with pytest.raises(AudioError) as caught:
        audio.check_place(f"a{suffix}", 2, most // 2 + 1, RATE, subtype=subtype)
    kind = "AU" if suffix == ".au" else "AIFF"
    assert str(caught.value) == (
        f"a{suffix}: the sound has 4.0 GiB and {kind} holds no more than 4; "
        "take .wav, .flac or .caf"
    )


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".caf", ".w64", ".rf64", ".mp3", ".ogg"])
def test_the_others_are_as_long_as_it_takes(suffix: str) -> None:
    audio.check_place(f"a{suffix}", 2, 1 << 36, 48000)


@pytest.mark.parametrize("subtype", ["PCM_16", "DOUBLE", "FLOAT", "ULAW"])
def test_wav_becomes_rf64_where_it_must(
    subtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = {"PCM_16": 2, "DOUBLE": 8, "FLOAT": 4, "ULAW": 1}[subtype]
    for most, head in ((1000 * each, b"RIFF"), (1000 * each - 1, b"RF64")):
        monkeypatch.setattr(writing, "MOST_BYTES", most)
        audio.write(tmp_path / "a.wav", torch.zeros(1, 1000), 8000, subtype=subtype)
        assert (tmp_path / "a.wav").read_bytes()[:4] == head
        assert audio.inspect(tmp_path / "a.wav").samples == 1000


@pytest.mark.parametrize(
    ("name", "channels", "rate", "says"),
    [
        ("a.opus", 1, 22050, "take .wav, .flac or .caf, or 48000 Hz (restore --rate 48000)"),
        ("a.mp3", 1, 96000, "take .wav, .flac or .caf, or 48000 Hz (restore --rate 48000)"),
        ("a.mp3", 3, 48000, "take .wav, .flac or .caf"),
        ("a.flac", 9, 48000, "; take .wav or .caf"),
        ("a.flac", 1, 768000, "take .wav or .caf, or 48000 Hz (restore --rate 48000)"),
        ("a.ogg", 1, 200001, "take .wav or .caf, or 48000 Hz (restore --rate 48000)"),
        ("a.ogg", 1, 768000, "take .wav or .caf, or 48000 Hz (restore --rate 48000)"),
        ("a.wav", 2000, 8000, "no kind of file here holds it"),
    ],
)
def test_what_a_kind_of_file_cannot_hold_is_refused_before_any_work(
    name: str, channels: int, rate: int, says: str
) -> None:
    with pytest.raises(AudioError, match="cannot be written") as caught:
        audio.check_place(name, channels, 1000, rate)
    assert str(caught.value).endswith(says)


def test_restore_says_so_before_it_restores(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_BYTES", 1000)
    restored: list[bool] = []
    monkeypatch.setattr(
        "selfremaster.core.models.Model.sent", lambda *_, **__: restored.append(True)
    )
    (tmp_path / "a.wav").write_bytes(encoded("WAV"))
    for more, says in (
        (("new.aiff",), "AIFF holds no more than 4; take .wav, .flac or .caf"),
        (("new.au",), "AU holds no more than 4; take .wav, .flac or .caf"),
        (
            ("new.opus", "--rate", "22050"),
            "take .wav, .flac or .caf, or 48000 Hz (restore --rate 48000)",
        ),
    ):
        target = tmp_path / more[0]
        done = run("restore", tmp_path / "a.wav", "--output", target, *more[1:], "--model", bundle)
        assert done.code == 2
        assert says in done.err
        assert done.err.count("\n") == 1
        assert not target.exists()
    assert restored == []


def test_more_than_was_said_is_refused_when_it_comes(tmp_path: Path) -> None:
    taken = []

    def blocks() -> Iterator[torch.Tensor]:
        for number in range(9):
            taken.append(number)
            yield torch.zeros(1, 10)

    with pytest.raises(AudioError, match="30 samples came of 25; nothing is written"):
        audio.write_blocks(tmp_path / "a.wav", blocks(), 8000, 1, 25)
    assert taken == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("container", "stored", "becomes"),
    [
        ("WAV", "IMA_ADPCM", "PCM_16"),
        ("AIFF", "ULAW", "PCM_16"),
        ("CAF", "ALAC_24", "ALAC_24"),
        ("CAF", "ALAC_16", "ALAC_16"),
        ("WAV", "PCM_24", "PCM_24"),
    ],
)
def test_other_samples_than_the_recording_has_are_told(
    container: str, stored: str, becomes: str, tmp_path: Path, bundle: Path
) -> None:
    source, target = (tmp_path / f"{name}.{container.lower()}" for name in ("old", "new"))
    source.write_bytes(encoded(container, stored, sound(3001)))
    told = run("restore", source, "--output", target, "--model", bundle)
    info = audio.inspect(target)
    assert (info.subtype, info.samples) == (becomes, audio.inspect(source).samples)
    words = f"stored as {becomes}; {container} is not written as {stored} here"
    assert (words in told.err) == (stored != becomes)
    flac = tmp_path / "new.flac"
    assert run("restore", source, "--output", flac, "--model", bundle).code == 0
    assert audio.inspect(flac).subtype == ("PCM_24" if stored.endswith("24") else "PCM_16")
