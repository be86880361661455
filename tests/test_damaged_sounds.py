"""What is left of truncated and damaged files is read, and what is missing is told."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selfremaster.core import audio
from selfremaster.core.errors import AudioError
from selfremaster.core.mending import LONGEST_WAIT, mended
from tests.odd_bytes import (
    LONG,
    RATE,
    changed,
    chunk,
    cut,
    encoded,
    floats,
    mp3,
    noise,
    sound,
    wav,
    without_xing,
)

NAN = float("nan")
PLAIN = (
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("RF64", "PCM_24"),
    ("W64", "PCM_16"),
    ("AU", "PCM_16"),
)
CUT = (*PLAIN, ("AIFF", "PCM_16"), ("CAF", "PCM_16"), ("WAV", "ULAW"), ("FLAC", "PCM_16"))


@settings(max_examples=12, deadline=None)
@pytest.mark.parametrize(("container", "subtype"), CUT)
@given(part=st.floats(0.3, 0.99))
def test_a_cut_file_is_its_beginning_and_tells_how_much_is_missing(
    container: str, subtype: str, part: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        content = encoded(container, subtype, sound(LONG, 2))
        path.write_bytes(content)
        whole, _ = audio.read(path)
        path.write_bytes(cut(content, part))
        with pytest.raises(AudioError, match=r"truncated|damaged"):
            audio.read(path)
        info = audio.inspect(path, strict=False)
        there, _ = audio.read(path, strict=False)
    assert there.shape == (2, info.samples)
    assert torch.equal(there, whole[:, : info.samples])
    assert info.missing_seconds == pytest.approx((LONG - info.samples) / RATE, abs=2 / RATE)
    assert info.remarks == (
        f"truncated: {info.missing_seconds:.2f} seconds of the sound are missing",
    )


def test_damage_within_a_flac_is_silence_and_what_follows_keeps_its_time(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    content = encoded("FLAC", None, sound(20 * RATE))
    path.write_bytes(content)
    whole, _ = audio.read(path)
    for place in (len(content) // 3, len(content) // 2):
        content = changed(content, place, noise(60, place))
    path.write_bytes(content)
    info = audio.inspect(path, strict=False)
    there, _ = audio.read(path, strict=False)
    assert there.shape == whole.shape
    differs = (there != whole).any(dim=0)
    assert 0 < int(differs.sum()) <= round(info.missing_seconds * RATE) < 2 * RATE
    assert bool((there[0, differs] == 0).all())
    part, _ = audio.read(path, 15 * RATE, 100, strict=False)
    assert torch.equal(part, whole[:, 15 * RATE : 15 * RATE + 100])


def test_lengths_that_were_never_written_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav())
    whole, _ = audio.read(path)
    path.write_bytes(wav(data_size=0xFFFFFFFF))
    assert torch.equal(audio.read(path)[0], whole)
    assert audio.inspect(path).remarks == ()
    for content in (wav(data_size=0, riff_size=0), wav(data_size=0)):
        path.write_bytes(content)
        assert torch.equal(audio.read(path, strict=False)[0], whole)
    path.write_bytes(wav(sound(0), after=chunk(b"LIST", b"INFO")))
    with pytest.raises(AudioError, match="0 samples of audio"):
        audio.inspect(path, strict=False)


def test_what_follows_the_sound_without_being_a_chunk_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(after=chunk(b"LIST", b"INFO") + b"\xff" * 99))
    assert audio.inspect(path).remarks == (
        "99 bytes follow the sound and are left out; they are no chunk of it",
    )
    path.write_bytes(wav(after=chunk(b"LIST", b"INFO") + chunk(b"id3 ", b"x" * 11)))
    assert audio.inspect(path).remarks == ()


def test_two_mp3_files_in_one_are_both_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(mp3())
    once, _ = audio.read(path)
    path.write_bytes(mp3() + mp3())
    twice, _ = audio.read(path)
    assert 2 * LONG <= twice.shape[1] < 2 * LONG + 4 * 1152
    assert torch.equal(twice[:, : LONG - 1152], once[:, : LONG - 1152])


def test_what_no_decoder_of_mp3_gets_over_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    content = without_xing(mp3())
    path.write_bytes(changed(content, len(content) // 2, noise(3000)))
    with pytest.raises(AudioError, match=r"truncated: 1\.\d\d seconds of the sound cannot be read"):
        audio.inspect(path)
    info = audio.inspect(path, strict=False)  # PyAV reads further, where it is installed
    assert info.missing_seconds > 0.5
    assert info.seconds + info.missing_seconds == pytest.approx(3.0, abs=0.2)


# samples that are no numbers


def bad_files(path: Path, *bad: tuple[int | slice, float], samples: int = 4800) -> None:
    path.write_bytes(floats(*bad, wave=sound(samples, 2)))


def test_bad_samples_lie_on_the_line_between_their_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    bad_files(path)
    whole, _ = audio.read(path)
    bad_files(path, (100, NAN), (slice(200, 203), float("inf")))
    info = audio.inspect(path, repair=True)
    assert info.repaired_samples == 8
    assert info.remarks == (
        "8 of 9600 samples are no finite numbers and are made up from their neighbours",
    )
    there, _ = audio.read(path, repair=True)
    torch.testing.assert_close(there[:, 100], (whole[:, 99] + whole[:, 101]) / 2)
    torch.testing.assert_close(there[:, 201], (whole[:, 199] + whole[:, 203]) / 2)
    there[:, 100] = whole[:, 100]
    there[:, 200:203] = whole[:, 200:203]
    assert torch.equal(there, whole)


def test_bad_samples_between_two_blocks_have_neighbours_in_both(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    bad_files(path, (slice(65_530, 65_540), NAN), samples=70_000)
    there, _ = audio.read(path, repair=True)
    blocks = torch.cat(list(audio.blocks(path, repair=True)), dim=1)
    assert torch.equal(blocks, there)
    steps = there[:, 65_529:65_541].diff(dim=1)
    torch.testing.assert_close(steps, steps.mean(dim=1, keepdim=True).expand_as(steps))


def test_a_file_without_a_single_good_sample_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    bad_files(path, (slice(None), NAN))
    for ask in (audio.inspect, audio.check):
        with pytest.raises(AudioError, match="not one sample is a finite number"):
            ask(path, repair=True)


@settings(max_examples=60, deadline=None)
@given(
    bad=st.lists(st.booleans(), min_size=1, max_size=60),
    size=st.integers(1, 9),
    channels=st.integers(1, 3),
)
def test_what_is_good_stays_and_what_is_bad_lies_between(
    bad: list[bool], size: int, channels: int
) -> None:
    wave = np.random.default_rng(len(bad)).uniform(-1, 1, (len(bad), channels)).astype(np.float32)
    wrong = np.zeros_like(wave, dtype=bool)
    wrong[:, 0] = bad
    damaged = np.where(wrong, np.float32(NAN), wave)
    found = list(mended(damaged[start : start + size] for start in range(0, len(bad), size)))
    result = np.concatenate([block for block, _ in found])
    assert sum(count for _, count in found) == sum(bad)
    assert np.array_equal(result[~wrong], wave[~wrong])
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= max(float(np.abs(wave[~wrong]).max(initial=0)), 0)


def test_no_more_than_a_few_blocks_wait_for_a_good_sample() -> None:
    bad = np.full((100, 1), NAN, np.float32)
    good = np.ones((100, 1), np.float32)
    found = [block for block, _ in mended([good, *[bad] * 20, good])]
    assert max(map(len, found)) == 100 * (LONGEST_WAIT + 1)
    assert np.isfinite(np.concatenate(found)).all()
    assert sum(map(len, found)) == 2200
