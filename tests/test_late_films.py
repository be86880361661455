"""Sound that begins after its film has silence before it, so that both stay together."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from selfremaster.core import audio
from tests.cli import run, write_tiny_bundle
from tests.encoded import Film, encode, encode_late_film
from tests.odd_bytes import sound

pytest.importorskip("av")

FILMS = {
    "mkv": Film("mpeg4", "flac", "matroska", 44100),
    "aac.mkv": Film("mpeg4", "aac", "matroska", 44100),
    "mp4": Film("mpeg4", "aac", "mp4", 44100),
    "mov": Film("mpeg4", "pcm_s16le", "mov", 44100),
    "ts": Film("mpeg2video", "mp2", "mpegts"),
    "ac3.ts": Film("mpeg2video", "ac3", "mpegts"),
    "vob": Film("mpeg2video", "ac3", "vob"),
    "flv": Film("flv", "aac", "flv", 44100),
}
BEFORE_PICTURES = {"ts": 481, "ac3.ts": 256, "vob": 256, "flv": 1024}
"""Samples by which the sound begins before the pictures, as its codec needs them."""


def wave_of(film: Film, seconds: float = 1.5) -> NDArray[np.float32]:
    samples = round(seconds * film.rate_hz)
    return np.array(sound(samples, film.channels, film.rate_hz).T, order="C")


def lag(heard: torch.Tensor, wave: NDArray[np.float32]) -> int:
    size = 1 << 19
    spectrum = np.fft.rfft(heard.numpy(), size) * np.fft.rfft(wave, size).conj()
    return int(np.fft.irfft(spectrum, size).argmax())


@pytest.mark.parametrize("late", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("kind", FILMS)
def test_silence_stands_before_a_late_sound(tmp_path: Path, kind: str, late: float) -> None:
    film = FILMS[kind]
    wave = wave_of(film)
    path = tmp_path / f"a.{kind}"
    encode_late_film(path, film, wave, {"audio": late})
    info = audio.inspect(path)
    heard, rate = audio.read(path)
    assert heard.shape == (1, info.samples)
    known = 0 if late else BEFORE_PICTURES.get(kind, 0)
    assert abs(lag(heard[0], wave[0]) - round(late * rate) - known) <= rate // 500
    told = [remark for remark in info.remarks if remark.startswith("the sound begins")]
    if not late:
        assert told == []
        return
    (remark,) = told
    assert abs(float(remark.split()[3]) - late) < 0.05
    assert remark.endswith("s after the film; silence fills that")
    silent = round((late - 0.05) * rate)
    assert not heard[:, :silent].any()
    part, _ = audio.read(path, silent, 9000)
    assert torch.equal(part, heard[:, silent : silent + 9000])


def test_late_pictures_change_nothing(tmp_path: Path) -> None:
    film = FILMS["mkv"]
    wave = wave_of(film)
    encode_late_film(tmp_path / "a.mkv", film, wave, {"video": 1.0})
    assert audio.inspect(tmp_path / "a.mkv").remarks == ()
    assert lag(audio.read(tmp_path / "a.mkv")[0][0], wave[0]) == 0


def test_more_than_a_minute_is_told_and_left_out(tmp_path: Path) -> None:
    film = FILMS["mkv"]._replace(frames_a_second=2)
    wave = wave_of(film)
    encode_late_film(tmp_path / "a.mkv", film, wave, {"audio": 90.0})
    info = audio.inspect(tmp_path / "a.mkv")
    assert info.samples == wave.shape[1]
    assert info.remarks == ("the sound begins 90.00 s after the film; that is left out",)


def test_a_late_beginning_that_is_lost_besides_is_both(tmp_path: Path) -> None:
    film = FILMS["mkv"]
    path = tmp_path / "a.mkv"
    encode_late_film(path, film, wave_of(film), {"audio": 1.0})
    assert audio.inspect(path).missing_seconds == 0
    assert audio.inspect(path, strict=False).samples == 2.5 * film.rate_hz


def test_the_cover_of_a_record_is_no_film(tmp_path: Path) -> None:
    """Its time stamps say nothing of the delay of the codec."""
    av = pytest.importorskip("av")
    wave = np.array(sound(32000, 1, 32000).T, order="C")
    plain, covered = tmp_path / "a.ac3", tmp_path / "b.mp4"
    encode(plain, wave, "ac3")
    with av.open(str(plain)) as given, av.open(str(covered), "w") as made:
        heard = made.add_stream_from_template(given.streams.audio[0])
        shown = made.add_stream("mjpeg", rate=1)
        shown.width = shown.height = 16
        shown.pix_fmt = "yuvj420p"
        shown.disposition = av.stream.Disposition.attached_pic
        made.mux(shown.encode(av.VideoFrame(16, 16, "yuvj420p")))
        for packet in given.demux():
            if packet.size:
                packet.stream = heard
                made.mux(packet)
    assert lag(audio.read(covered)[0][0], wave[0]) == 0


def test_restore_keeps_sound_and_film_together(tmp_path: Path) -> None:
    film = FILMS["mkv"]
    encode_late_film(tmp_path / "a.mkv", film, wave_of(film), {"audio": 1.0})
    bundle = write_tiny_bundle(tmp_path / "tiny.safetensors")
    words = ("--model", bundle, "--strength", "0")
    done = run("restore", tmp_path / "a.mkv", "--output", tmp_path / "new.flac", *words)
    assert done.code == 0
    assert "the sound begins 1.00 s after the film; silence fills that" in done.err
    new, old = audio.read(tmp_path / "new.flac")[0], audio.read(tmp_path / "a.mkv")[0]
    assert torch.equal(new, old)
    assert not new[:, : film.rate_hz].any()
