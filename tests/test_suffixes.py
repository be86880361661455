"""Every suffix that folders are searched for is that of files that can be read."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from selfremaster.core import audio
from selfremaster.core.errors import AudioError
from selfremaster.core.formats import FORMATS, READ_ALONE, READABLE, TRACK_SUFFIXES
from tests.encoded import RECIPES, Film, encode, encode_late_film
from tests.odd_bytes import encoded, sound

FILES: dict[str, tuple[str, str | None]] = {
    **{suffix: (container, None) for suffix, container in FORMATS.items()},
    **{".8svx": ("SVX", "PCM_S8"), ".svx": ("SVX", "PCM_16"), ".avr": ("AVR", "PCM_16")},
    **{".ircam": ("IRCAM", "PCM_16"), ".nist": ("NIST", "PCM_16"), ".sph": ("NIST", "ULAW")},
    ".voc": ("VOC", "PCM_16"),
    ".opus": ("OGG", "OPUS"),
}
TRACKS = {
    **{".aac": "aac", ".ac3": "ac3", ".amr": "amr", ".eac3": "eac3", ".ec3": "eac3"},
    **{".3gp": "3gp", ".3ga": "3gp", ".3g2": "3g2", ".f4a": "f4v", ".f4v": "f4v", ".flv": "flv"},
    **{".m4a": "m4a", ".m4b": "m4a", ".m4r": "alac.m4a", ".m4v": "mp4", ".mp4": "mp4"},
    **{".mka": "mka", ".mkv": "mp3.mka", ".mov": "mov", ".qt": "mov", ".avi": "avi"},
    **{".mpeg": "mpg", ".mpg": "mpg", ".mp2": "mp2", ".mpa": "mp2", ".ra": "ra", ".rm": "ra"},
    **{".asf": "wma", ".wma": "wma", ".wmv": "wma1.wma", ".weba": "webm", ".webm": "webm"},
    **{".tta": "tta", ".wv": "wv", ".ts": "aac.ts"},
}
FILMS = {
    ".m2ts": Film("mpeg2video", "ac3", "mpegts"),
    ".m2t": Film("mpeg2video", "mp2", "mpegts"),
    ".mts": Film("mpeg2video", "ac3", "mpegts"),
    ".vob": Film("mpeg2video", "mp2", "vob"),
    ".mxf": Film("mpeg2video", "pcm_s16le", "mxf"),
    ".dv": Film("dvvideo", "pcm_s16le", "dv", 48000, 2, (720, 576)),
    **dict.fromkeys((".ogv", ".ogm", ".ogx"), Film("libvpx", "libopus", "ogg")),
}
NO_ENCODER = {".awb"}  # AMR-WB: read by the same reader as .amr


def write_file(container: str, subtype: str | None, path: Path) -> int:
    """A sound by libsndfile; its length in samples."""
    rate_hz = 48000 if subtype == "OPUS" or container == "MP3" else 8000
    path.write_bytes(encoded(container, subtype, sound(9600), rate_hz))
    return 9600


def write_track(kind: str, path: Path) -> int:
    """A sound by PyAV."""
    pytest.importorskip("av")
    rate_hz = RECIPES[kind].rate_hz
    encode(path, np.array(sound(rate_hz, 1, rate_hz).T, order="C"), kind)
    return rate_hz


def write_film(film: Film, path: Path) -> int:
    """A film by PyAV."""
    pytest.importorskip("av")
    wave = np.array(sound(film.rate_hz, film.channels, film.rate_hz).T, order="C")
    try:
        encode_late_film(path, film, wave, {})
    except ValueError as error:
        pytest.skip(f"this FFmpeg has no {film.pictures}: {error}")
    return film.rate_hz


MAKERS: dict[str, Callable[[Path], int]] = {
    **{suffix: partial(write_file, *how) for suffix, how in FILES.items()},
    **{suffix: partial(write_track, kind) for suffix, kind in TRACKS.items()},
    **{suffix: partial(write_film, film) for suffix, film in FILMS.items()},
}


def test_all_of_them_are_tried() -> None:
    assert set(READABLE) == set(MAKERS) | NO_ENCODER
    assert len(READABLE) == len(FORMATS) + len(READ_ALONE) + len(TRACK_SUFFIXES)


@pytest.mark.parametrize("suffix", sorted(MAKERS))
def test_a_folder_of_them_is_found_and_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"A{suffix.upper()}"
    samples = MAKERS[suffix](path)
    assert audio.find_audio(tmp_path) == [(path, Path(path.name))]
    info = audio.inspect(path)
    wave, _ = audio.read(path)
    assert wave.shape == (info.channels, info.samples)
    assert abs(info.samples - samples) < 2400  # what encoders put before and after
    assert float(wave.abs().max()) > 0.1
    named = audio.writable_suffix(path)
    assert named == (path.suffix if suffix in FORMATS else ".flac")
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, f"b{named}")
        audio.write(result, wave.clamp(-1, 1), info.sample_rate, like=info)
        assert audio.inspect(result).samples == info.samples


@pytest.mark.parametrize("suffix", [".nist", ".sph", ".avr", ".8svx", ".svx", ".voc"])
def test_a_part_of_a_file_that_states_its_length_is_told(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    samples = MAKERS[suffix](path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match="truncated"):
        audio.inspect(path)
    info = audio.inspect(path, strict=False)
    if suffix == ".voc":
        assert info.remarks[0].startswith("truncated: the end is missing")
    else:
        assert info.missing_seconds == pytest.approx((samples - info.samples) / 8000, abs=0.01)
