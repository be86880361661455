"""Files that were put together of several: all of it is read, or what is missing is told."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selfremaster.core import audio, chains
from selfremaster.core.errors import AudioError
from tests.cli import run, write_tiny_bundle
from tests.odd_bytes import encoded, noise, sound

KINDS = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24")]


def part(container: str, subtype: str, samples: int, channels: int = 1, seed: int = 0) -> bytes:
    wave = sound(samples, channels, 48000) * (1 - 0.1 * seed)
    return encoded(container, subtype, wave, 48000)


@settings(max_examples=12)
@given(
    st.sampled_from(KINDS),
    st.lists(st.integers(1, 9000), min_size=2, max_size=5),
    st.integers(1, 2),
)
def test_together_they_are_what_they_are_alone(
    tmp_path_factory: pytest.TempPathFactory,
    kind: tuple[str, str],
    lengths: list[int],
    channels: int,
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    parts = [part(*kind, samples, channels, seed) for seed, samples in enumerate(lengths)]
    waves = []
    for number, content in enumerate(parts):
        (folder / f"{number}").write_bytes(content)
        waves.append(audio.read(folder / f"{number}")[0])
    (folder / "joined").write_bytes(b"".join(parts))
    for strict in (True, False):
        info = audio.inspect(folder / "joined", strict=strict)
        assert (info.samples, info.remarks) == (sum(lengths), ())
        wave, _ = audio.read(folder / "joined", strict=strict)
        assert torch.equal(wave, torch.cat(waves, dim=1))
    start = sum(lengths) // 2
    stretch, _ = audio.read(folder / "joined", start, 100)
    assert torch.equal(stretch, wave[:, start : start + 100])


def test_damage_between_pages_hides_no_part(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    first = part("OGG", "VORBIS", 30_000)
    path.write_bytes(first + noise(5000) + part("OGG", "VORBIS", 7000))
    info = audio.inspect(path, strict=False)
    assert info.samples == 37_000


@pytest.mark.parametrize("container", ["OGG", "FLAC"])
def test_what_cannot_be_joined_is_told_and_refused_if_strict(
    tmp_path: Path, container: str
) -> None:
    path = tmp_path / f"a.{container.lower()}"
    subtype = {"OGG": "VORBIS", "FLAC": "PCM_16"}[container]
    mono, stereo = part(container, subtype, 4800), part(container, subtype, 9600, 2)
    path.write_bytes(mono + stereo + mono)
    words = "0.20 seconds of 2 x 48000 Hz that follow at 0.10 s cannot be joined with them"
    info = audio.inspect(path, strict=False)
    assert (info.samples, info.channels) == (9600, 1)
    assert info.missing_seconds == pytest.approx(0.2)
    assert words in info.remarks
    with pytest.raises(AudioError, match=words):
        audio.inspect(path)


def test_restored_they_are_whole(tmp_path: Path) -> None:
    source = tmp_path / "a.flac"
    source.write_bytes(part("FLAC", "PCM_16", 9000) + part("FLAC", "PCM_16", 5000))
    model = write_tiny_bundle(tmp_path / "tiny.safetensors")
    done = run("restore", source, "--output", tmp_path / "b.flac", "--model", model, "--strict")
    assert (done.code, done.err) == (0, "")
    assert audio.inspect(tmp_path / "b.flac").samples == 14_000


def test_hardly_anything_but_beginnings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "MOST_PARTS", 3)
    path = tmp_path / "a.flac"
    path.write_bytes(4 * part("FLAC", "PCM_16", 100))
    with pytest.raises(AudioError, match="put together of more than 3 files; take it apart"):
        audio.inspect(path, strict=False)


def test_an_mp3_goes_on_behind_a_hole(tmp_path: Path) -> None:
    pytest.importorskip("av")
    whole = encoded("MP3", None, sound(96_000, 1, 16_000), 16_000)
    path = tmp_path / "a.mp3"
    middle = len(whole) // 3
    path.write_bytes(whole[:middle] + bytes(3000) + whole[middle + 3000 :])
    info = audio.inspect(path, strict=False)
    assert info.format == "MP3"
    assert info.samples > 0.6 * 96_000
    assert info.samples / 16_000 + info.missing_seconds == pytest.approx(6.0, abs=0.3)
    tail = audio.read(path, strict=False)[0][0, -16_000:].numpy()
    wanted = sound(96_000, 1, 16_000)[-16_000:, 0]
    assert max(np.correlate(tail, wanted[4000:-4000])) > 0.8 * np.square(wanted[4000:-4000]).sum()
    with pytest.raises(AudioError, match="truncated"):
        audio.read(path)
