"""What a survey says of recordings whose truth is known."""

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core import audio, surveys
from selfremaster.core.bandwidths import low_edge_hz
from selfremaster.core.errors import AudioError
from selfremaster.core.flat_tops import find_flat_tops
from selfremaster.core.hums import find_hum, steady_spectrum
from selfremaster.core.loudness import LoudnessMeter, integrated_loudness
from selfremaster.core.speech import find_speech
from selfremaster.core.surveys import FileSurvey, Survey, look, survey
from selfremaster.core.voicing import power_spectra
from selfremaster.registry.building import build
from tests.cli import SPEECH

RATE = 22050


@pytest.fixture(scope="module")
def speech() -> Tensor:
    """Two sentences of each voice with half a second between them, and silence around."""
    pause = torch.zeros(1, RATE // 2)
    parts = [pause]
    for path in sorted(SPEECH.rglob("*-[12].flac")):
        parts += [audio.read(path)[0], pause]
    return 0.7 * torch.cat(parts, dim=-1)


def damaged(speech: Tensor, *specs: str) -> Tensor:
    for spec in specs:
        speech, _ = build("degradation", spec)(speech, torch.Generator().manual_seed(1), RATE)
    return speech


def told(folder: Path, wave: Tensor, subtype: str = "PCM_16", rate_hz: int = RATE) -> FileSurvey:
    audio.write(folder / "tape.wav", wave, rate_hz, subtype=subtype)
    return look(folder / "tape.wav")


def test_clean_speech_is_found_and_nothing_is_wrong_with_it(speech: Tensor, tmp_path: Path) -> None:
    clean = told(tmp_path, speech)
    assert 0.6 * clean.seconds < clean.speech_seconds < clean.seconds - 1
    assert clean.clipped_share == 0
    assert math.isnan(clean.hum_hz)
    assert clean.snr_db > 35
    assert clean.peak_dbfs == pytest.approx(20 * math.log10(float(speech.abs().max())), abs=0.01)
    assert clean.loudness_lufs == pytest.approx(integrated_loudness(speech, RATE), abs=1e-4)
    assert (clean.bits, clean.channels, clean.sample_rate) == (16, 1, RATE)
    assert sum(end - start for start, end in clean.stretches) == clean.speech_seconds


@pytest.mark.parametrize("snr_db", [3, 12, 24])
def test_noise_lies_as_far_below_the_speech_as_it_was_put(
    speech: Tensor, tmp_path: Path, snr_db: int
) -> None:
    wave = damaged(speech, f"noise:snr_db={snr_db}")
    noisy = told(tmp_path, wave, "FLOAT")
    clean = told(tmp_path, speech)
    noise_dbfs = 10 * math.log10(float((wave - speech).square().mean()))
    assert noisy.noise_dbfs == pytest.approx(noise_dbfs, abs=0.7)
    assert noisy.snr_db == pytest.approx(clean.speech_dbfs - noise_dbfs, abs=1)
    assert noisy.speech_seconds == pytest.approx(clean.speech_seconds, rel=0.15)
    assert math.isnan(noisy.cutoff_hz) == (snr_db < 10)


@pytest.mark.parametrize("ratio", [0.5, 0.25, 0.1])
@pytest.mark.parametrize("then", [1.0, 0.3], ids=["as it was", "level lowered"])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_clipping_is_measured_whatever_the_level_became(
    speech: Tensor, tmp_path: Path, ratio: float, then: float, subtype: str
) -> None:
    peak = float(speech.abs().max())
    truth = float((speech.abs() >= ratio * peak).double().mean())
    clipped = damaged(speech, f"clip:ratio={ratio}")
    clipped = then * clipped / clipped.abs().max()
    found = told(tmp_path, clipped, subtype)
    assert found.clipped_share == pytest.approx(truth, rel=0.05, abs=1e-4)
    assert found.clipped_frames_share > found.clipped_share


def test_one_side_may_be_clipped_alone(speech: Tensor) -> None:
    wave = speech[0].double().numpy()
    level = 0.3 * wave.max()
    tops = find_flat_tops(np.minimum(wave, level))
    assert tops.upper == pytest.approx(level)
    assert tops.lower == 0
    assert (tops.clipped == (wave >= level * 0.998)).mean() > 0.999


@pytest.mark.parametrize(
    "spec",
    ["codec:kind=mu-law", "bit-depth:bits=8", "overdrive", "crackle:level_db=-10", "hiss"],
)
def test_coarse_steps_and_soft_limits_are_no_flat_tops(
    speech: Tensor, tmp_path: Path, spec: str
) -> None:
    assert told(tmp_path, damaged(speech, spec)).clipped_share < 1e-4


@given(hz=st.floats(20, 3000), level=st.floats(0.01, 1))
@settings(max_examples=20, deadline=None)
def test_a_tone_has_no_flat_tops(hz: float, level: float) -> None:
    time = np.arange(RATE) / RATE
    wave = np.round(level * np.sin(2 * np.pi * hz * time) * 32767) / 32768
    assert not find_flat_tops(wave, 2.0**-15).clipped.any()


def test_band_edges_are_where_the_sound_was_cut(speech: Tensor, tmp_path: Path) -> None:
    part = "filter:low_hz=300,high_hz=3400,order=12"
    telephone = told(tmp_path, damaged(speech, part), "FLOAT")
    assert 3300 < telephone.cutoff_hz < 4100
    assert 220 < telephone.low_hz < 340
    assert told(tmp_path, speech).low_hz < 180
    assert math.isnan(low_edge_hz(torch.zeros(RATE), RATE))


@pytest.mark.parametrize("mains_hz", [50, 60])
def test_hum_is_heard_with_its_fundamental_and_level(
    speech: Tensor, tmp_path: Path, mains_hz: int
) -> None:
    hummed = damaged(speech, f"hum:mains_hz={mains_hz},level_db=-25")
    found = told(tmp_path, hummed, "FLOAT")
    level_db = 10 * math.log10(float((hummed - speech).square().mean()))
    assert found.hum_hz == pytest.approx(mains_hz, abs=0.5)
    assert found.hum_dbfs == pytest.approx(level_db, abs=2)


def test_hum_of_a_tape_at_the_wrong_speed_is_still_hum() -> None:
    time = np.arange(4 * RATE) / RATE
    hum = sum(np.sin(2 * np.pi * 51 * k * time) / k for k in range(1, 6))
    noise = np.random.default_rng(0).standard_normal(len(time))
    found = find_hum([steady_spectrum(0.05 * hum + 0.01 * noise, RATE)])
    assert found is not None
    assert found.mains_hz == pytest.approx(51, abs=0.2)
    assert find_hum([steady_spectrum(noise, RATE)]) is None
    assert find_hum([steady_spectrum(noise[:100], RATE)]) is None


@pytest.mark.parametrize("kind", ["white", "pink", "brown", "tone", "hum", "crackle", "swelling"])
def test_what_is_no_speech_is_not_taken_for_it(kind: str) -> None:
    time = torch.arange(20 * RATE) / RATE
    silence = torch.zeros(1, len(time))
    if kind == "tone":
        wave = torch.sin(2 * torch.pi * 220 * time)[None]
    elif kind == "swelling":
        noise = torch.randn(len(time), generator=torch.Generator().manual_seed(2))
        wave = (noise * (1 + 0.8 * torch.sin(2 * torch.pi * 4 * time)))[None]
    else:
        spec = {"hum": "hum", "crackle": "crackle"}.get(kind, f"noise:kind={kind}")
        wave = damaged(silence, spec)
    spoken = find_speech(power_spectra(wave[0].numpy(), RATE).bins, RATE).spoken
    assert spoken.mean() < 0.05


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_speech_is_found_at_every_rate_with_noise_as_loud(
    speech: Tensor, tmp_path: Path, rate_hz: int
) -> None:
    clean = told(tmp_path, speech)
    noisy = audio.resample(damaged(speech, "noise:snr_db=0"), RATE, rate_hz)
    found = told(tmp_path, noisy, "FLOAT", rate_hz)
    assert found.speech_seconds == pytest.approx(clean.speech_seconds, rel=0.2)


def test_a_long_file_takes_no_more_memory_than_a_short_one(
    speech: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "PIECE_SECONDS", 3.0)
    wave = audio.resample(speech, RATE, 8000)
    audio.write(tmp_path / "half.wav", wave, 8000)
    audio.write(tmp_path / "long.wav", wave.repeat(1, 2), 8000)
    peaks, found = [], []
    for name in ("half.wav", "half.wav", "long.wav"):  # the first time loads and remembers
        tracemalloc.start()
        found.append(look(tmp_path / name))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.15 * peaks[1]
    _, half, whole = found
    assert whole.speech_seconds == pytest.approx(2 * half.speech_seconds, rel=0.05)
    assert whole.snr_db == pytest.approx(half.snr_db, abs=2)


@pytest.mark.parametrize("piece", [1, 7, 4000])
def test_loudness_in_pieces_is_loudness(speech: Tensor, piece: int) -> None:
    wave = speech[:, : 20 * piece + 3]
    meter = LoudnessMeter(RATE)
    for part in wave.split(piece, dim=-1):
        meter.add(part)
    assert meter.integrated() == pytest.approx(integrated_loudness(wave, RATE), abs=1e-6)


def test_silence_and_short_sounds_are_told(tmp_path: Path) -> None:
    silent = told(tmp_path, torch.zeros(2, 3 * RATE))
    assert silent.silent
    assert (silent.speech_seconds, silent.loudness_lufs) == (0, -math.inf)
    assert math.isnan(silent.snr_db)
    assert Survey((silent,)).problems() == ["the recordings are nothing but silence"]
    assert told(tmp_path, torch.full((1, 1), 0.5)).speech_seconds == 0


def test_all_is_told_in_one_line_and_what_is_wrong_in_sentences(
    speech: Tensor, tmp_path: Path
) -> None:
    clipped = damaged(speech, "band-limit", "clip:ratio=0.2")
    audio.write(tmp_path / "a.wav", clipped.repeat(1, 2), RATE)
    audio.write(tmp_path / "b.wav", torch.zeros(1, RATE), RATE)
    (tmp_path / "c.wav").write_text("no sound")
    found = survey(tmp_path)
    words = found.words()
    assert words.startswith(f"{round(found.speech_seconds)} seconds of speech in 2 files, cut-off")
    assert f"clipped {100 * found.clipped_share:.0f} %" in words
    assert "dB below the speech" in words or "no noise to be heard" in words
    assert [failure.source.name for failure in found.failures] == ["c.wav"]
    little, clipping, silent = found.problems()
    assert "too little: learning needs a minute of speech at least, better ten" in little
    assert "of the samples are clipped: digitise at a lower level" in clipping
    assert silent == "1 of 2 files are nothing but silence"
    assert Survey(()).problems() == ["none of the recordings can be read"]


def test_noise_alone_has_no_speech_to_learn_from(tmp_path: Path) -> None:
    audio.write(tmp_path / "a.wav", 0.1 * torch.randn(1, 5 * RATE).clamp(-3, 3), RATE)
    found = survey(tmp_path)
    assert found.problems() == [
        "no speech was found in 5 seconds of sound; learning needs speech",
    ]
    assert found.words().startswith("0 seconds of speech in 1 file, ")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"nowhere: no such file or folder"):
        survey(tmp_path / "nowhere")
