"""Sound tracks of films and phones are read as other sounds are."""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from selfremaster.core import audio, readings
from selfremaster.core.containers import is_container
from selfremaster.core.errors import AudioError
from selfremaster.core.formats import TRACK_SUFFIXES
from tests.encoded import RECIPES, encode, encode_film
from tests.odd_bytes import changed, noise, sound, wav
from tests.odd_containers import EXACT, LIKELY, TELLING

pytest.importorskip("av")

ROUGH = {"amr", "3gp"}
"""Codecs that change a wave too much to tell where it is."""

EQUAL = ("mov", "float.mkv", "avi", "alac.m4a")
"""Kinds that keep 16 bits or more."""
MP3_FRAME, MP3_DELAY = 1152, 1105  # samples


def wave_for(kind: str, seconds: float = 2, channels: int = 1) -> NDArray[np.float32]:
    rate_hz = RECIPES[kind].rate_hz
    return np.array(sound(round(seconds * rate_hz), channels, rate_hz).T, order="C")


def lag(heard: NDArray[np.float32], wave: NDArray[np.float32]) -> int:
    size = 2 * max(len(heard), len(wave))
    found = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(wave, size).conj(), size)
    place = int(found.argmax())
    return place - size if place > size // 2 else place


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", RECIPES)
def test_a_track_comes_back_in_length_rate_and_time(
    tmp_path: Path, kind: str, channels: int
) -> None:
    if kind in {"3gp", "amr"} and channels > 1:
        channels = 1  # all that the codec has
    wave = wave_for(kind, channels=channels)
    path = tmp_path / f"a.{kind}"
    encode(path, wave, kind)
    info = audio.inspect(path)
    back, rate = audio.read(path)
    assert (rate, back.shape) == (RECIPES[kind].rate_hz, (channels, info.samples))
    likely = "samples are left out, as most encoders need"
    assert [likely in remark for remark in info.remarks] == [True] * (kind in LIKELY)
    assert torch.equal(torch.cat(list(audio.blocks(path)), dim=1), back)
    assert audio.check(path) == info
    if kind in EXACT:
        assert info.samples == wave.shape[1]
    if kind not in ROUGH:
        assert lag(back[0].numpy(), wave[0]) == 0
    if kind in EQUAL:
        assert np.abs(back.numpy() - wave).max() < 2**-15


@pytest.mark.parametrize("kind", ["m4a", "webm"])
def test_a_stretch_is_that_part_of_the_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    encode(path, wave_for(kind), kind)
    whole, _ = audio.read(path)
    for start, samples in ((0, 10), (1023, 1025), (20_000, 99_999_999), (whole.shape[1] - 1, 5)):
        part, _ = audio.read(path, start, samples)
        assert torch.equal(part, whole[:, start : start + samples])
    with pytest.raises(AudioError, match="is not within the"):
        audio.read(path, whole.shape[1])


@pytest.mark.parametrize("kind", TELLING)
def test_what_is_there_of_a_cut_file_is_its_beginning(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    encode(path, wave_for(kind), kind)
    whole, rate = audio.read(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(AudioError, match=r"truncated: 0\.\d\d seconds of the sound cannot be read"):
        audio.inspect(path)
    info = audio.inspect(path, strict=False)
    part, _ = audio.read(path, strict=False)
    sure = part.shape[1] - rate // 10  # a decoder may fade out what it has begun
    assert torch.equal(part[:, :sure], whole[:, :sure])
    lost = (whole.shape[1] - part.shape[1]) / rate
    assert info.missing_seconds == pytest.approx(lost, abs=0.25)


def test_damage_is_a_gap_and_what_follows_keeps_its_time(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    encode(path, wave_for("m4a"), "m4a")
    whole, rate = audio.read(path)
    content = path.read_bytes()
    path.write_bytes(changed(content, len(content) // 2, noise(900)))
    with pytest.raises(AudioError, match="truncated"):
        audio.read(path)
    info = audio.inspect(path, strict=False)
    assert 0 < info.missing_seconds < 0.5
    assert any(note.startswith("gaps in time, filled with silence") for note in info.remarks)
    part, _ = audio.read(path, strict=False)
    assert part.shape == whole.shape
    assert torch.equal(part[:, -rate // 4 :], whole[:, -rate // 4 :])


def test_gaps_too_long_to_be_filled_are_told_and_refused_if_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.m4a"
    encode(path, wave_for("m4a"), "m4a")
    whole, _ = audio.read(path)
    content = path.read_bytes()
    path.write_bytes(changed(content, len(content) // 2, noise(900)))
    monkeypatch.setattr(readings, "LONGEST_GAP_SECONDS", 0.01)
    info = audio.inspect(path, strict=False)
    assert info.samples < whole.shape[1]
    assert any(
        note.startswith("gaps in time, too long to be filled, are closed: ")
        for note in info.remarks
    )
    with pytest.raises(AudioError, match="truncated"):
        audio.inspect(path)


def test_the_first_of_several_tracks_is_taken_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    wave = wave_for("mov")
    encode(path, wave, "mov", tracks=3)
    assert audio.inspect(path).remarks == ("3 sound tracks; the first is taken",)
    assert np.abs(audio.read(path)[0].numpy() - wave).max() < 2**-15


def test_samples_that_are_no_numbers_are_found_and_repaired_there_too(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    wave = wave_for("float.mkv")
    wave[:, 700] = np.nan
    encode(path, wave, "float.mkv")
    with pytest.raises(AudioError, match=r"sample 700 .* is nan"):
        audio.read(path)
    assert audio.inspect(path, repair=True).repaired_samples == 1
    assert bool(audio.read(path, repair=True)[0].isfinite().all())


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    encode_film(tmp_path / "a.mp4")
    with pytest.raises(AudioError, match="holds no sound track"):
        audio.inspect(tmp_path / "a.mp4")


@pytest.mark.parametrize("suffix", [".m4a", ".mkv", ".wav"])
def test_a_playlist_is_not_followed(tmp_path: Path, suffix: str) -> None:
    encode(tmp_path / "secret.aac", wave_for("aac"), "aac")
    path = tmp_path / f"a{suffix}"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{tmp_path}/secret.aac\n")
    with pytest.raises(AudioError, match="not audio, or damaged"):
        audio.inspect(path, strict=False)


def test_a_name_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    encode(Path("a.m4a"), wave_for("m4a"), "m4a")
    Path("a.m4a").rename("concat:b.m4a|c.m4a")
    assert audio.inspect("concat:b.m4a|c.m4a").samples == 32000


def test_what_it_is_counts_more_than_its_name(tmp_path: Path) -> None:
    encode(tmp_path / "a.wav", wave_for("m4a"), "m4a")
    (tmp_path / "b.m4a").write_bytes(wav())
    assert audio.inspect(tmp_path / "a.wav").subtype == "AAC"
    assert audio.inspect(tmp_path / "b.m4a").format == "WAV"


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.m4a"
    encode(path, wave_for("m4a"), "m4a")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError) as caught:
        audio.inspect(path)
    assert str(caught.value) == (
        f"{path}: needs the package av; pip install 'selfremaster[codecs]'"
    )


def test_a_search_finds_tracks_and_their_results_have_a_name(tmp_path: Path) -> None:
    for suffix in TRACK_SUFFIXES:
        (tmp_path / f"a{suffix.upper()}").touch()
    assert len(audio.find_audio(tmp_path)) == len(TRACK_SUFFIXES)
    assert {audio.writable_suffix(Path(f"a{suffix}")) for suffix in TRACK_SUFFIXES} == {".flac"}


def test_no_other_files_are_taken_for_containers() -> None:
    assert not any(
        map(is_container, (b"", b"\xff", b"RIFF\0\0\0\0WAVEfmt ", b"OggS", b"\xff\xfb\x90"))
    )
    assert is_container(b"\xff\xf1\x50\x80")


def test_a_long_track_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.mka"
    encode(path, np.tile(wave_for("mka", 10), 12), "mka")
    tracemalloc.start()
    try:
        assert sum(block.shape[1] for block in audio.blocks(path)) > 115 * 16000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20 < 4 * 115 * 16000


@pytest.mark.parametrize("samples", [88_200, 88_977, 44_101, 70_001])
def test_the_last_samples_of_a_track_are_there(tmp_path: Path, samples: int) -> None:
    """Though edit lists, which say where a track ends, count in milliseconds."""
    wave = wave_for("m4a", seconds=2.1)[:, :samples]
    path = tmp_path / "a.m4a"
    encode(path, wave, "m4a")
    assert audio.inspect(path).samples == wave.shape[1]
    assert audio.read(path)[0].shape[1] == wave.shape[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracks")


@settings(max_examples=15)
@given(samples=st.integers(5_000, 60_000))
def test_no_sample_is_lost_where_a_track_ends_within_a_millisecond(
    place: Path, samples: int
) -> None:
    """MP3 in MP4: its last frame tells nothing of what only fills it."""
    wave = np.array(sound(samples, 1, 44_100).T, order="C")
    path = place / f"{samples}.mp4"
    encode(path, wave, "mp3.mp4")
    info = audio.inspect(path)
    all_there = (info.samples + MP3_DELAY) % MP3_FRAME == 0  # the encoder wrote no more
    assert 0 <= info.samples - samples <= 45 or all_there
    assert info.remarks == ()
    assert lag(audio.read(path)[0][0].numpy(), wave[0]) == 0
