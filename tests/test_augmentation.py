"""Noise beneath the sound: its level, its colour, and stretches of what was recorded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core import audio
from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises import check
from selfremaster.core.promises.inputs import noise

RATE_HZ = 22050


def part(spec: str | dict[str, Any]) -> Degradation:
    made: Degradation = sr.build("degradation", spec)
    return made


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def rms(wave: Tensor) -> float:
    return float(wave.double().square().mean().sqrt())


@pytest.mark.parametrize("kind", ["white", "pink"])
@pytest.mark.parametrize("snr_db", [-5, 0, 40])
def test_noise_has_the_level_that_the_ratio_says(kind: str, snr_db: float) -> None:
    wave = noise(2, 20_000) * torch.tensor([[1.0], [0.01]])
    noisy, drawn = part(f"noise:snr_db={snr_db},kind={kind}")(wave, seeded())
    assert drawn[0]["seed"] != drawn[1]["seed"]
    for clean, found in zip(wave.double(), noisy.double(), strict=True):
        ratio = 20 * np.log10(rms(clean) / rms(found - clean))
        assert ratio == pytest.approx(snr_db, abs=0.01)


def test_the_published_level_is_the_mean_magnitude() -> None:
    wave = noise(1, 20_000)
    noisy, _ = part("noise:snr_db=10,level=magnitude")(wave, seeded())
    ratio = wave.double().abs().mean() / (noisy.double() - wave.double()).abs().mean()
    assert 20 * float(ratio.log10()) == pytest.approx(10, abs=0.01)


def test_white_noise_is_flat_and_pink_noise_falls_by_3_db_an_octave() -> None:
    silence = torch.zeros(1, 1 << 17, dtype=torch.float64)
    for kind, slope_db in (("white", 0), ("pink", -3.01)):
        added, _ = part(f"noise:kind={kind}")(silence, seeded())
        power = torch.fft.rfft(added[0]).abs().square()
        octaves = [float(power[start : 2 * start].mean().log10()) for start in (4096, 8192, 16384)]
        assert 10 * np.diff(octaves) == pytest.approx([slope_db] * 2, abs=0.3)


def test_silence_gets_noise_of_the_floor() -> None:
    added, _ = part("noise:snr_db=20,floor_db=-40")(torch.zeros(1, 5000), seeded())
    assert rms(added) == pytest.approx(0.001, rel=1e-3)


@pytest.fixture
def noises(tmp_path: Path) -> Path:
    """A folder of two noises; the samples of each tell where they are from."""
    folder = tmp_path / "noises"
    for name, hz, samples in (("hum.wav", 50, 4000), ("deep/buzz.wav", 900, 30_000)):
        time = torch.arange(samples) / RATE_HZ
        audio.write(folder / name, (torch.sin(2 * np.pi * hz * time) / 2)[None], RATE_HZ)
    return folder


def test_recorded_noise_is_a_stretch_of_a_file_that_is_told(noises: Path) -> None:
    spec = {"name": "noise", "folder": str(noises), "snr_db": 0}
    hissing = part(spec)
    wave = 0.1 * torch.ones(1, 6000)
    drawn = [hissing.draw(seeded(seed), RATE_HZ) for seed in range(30)]
    assert {values["file"] for values in drawn} == {"deep/buzz.wav", "hum.wav"}
    assert len({values["start"] for values in drawn}) == 30
    hum = next(values for values in drawn if values["file"] == "hum.wav")
    added = (hissing.apply(wave, hum, RATE_HZ) - wave)[0]
    sound = audio.read(noises / "hum.wav")[0][0]
    wanted = sound[(int(hum["start"] * 4000) + torch.arange(6000)) % 4000]
    torch.testing.assert_close(added, wanted * 0.1 / rms(wanted), rtol=0, atol=1e-5)
    check("degradation", hissing)


def test_recorded_noise_keeps_its_pitch_at_another_rate(noises: Path) -> None:
    spec = {"name": "noise", "folder": str(noises), "file": "deep/buzz.wav", "start": 0}
    added, _ = part(spec)(torch.zeros(1, 8000), seeded(), 16000)
    assert int(torch.fft.rfft(added[0]).abs().argmax()) == 450  # 900 Hz, 2 Hz a bin


def test_what_goes_with_a_folder_only_is_refused_without_one() -> None:
    with pytest.raises(ComponentError, match="go with a folder of noises"):
        part("noise:file=a.wav")


def test_bad_parameters_are_named(noises: Path) -> None:
    wave = torch.ones(1, 10)
    for spec, parameters, words in (
        ("noise", {}, "seed is to be drawn"),
        (
            {"name": "noise", "folder": str(noises), "seed": 0},
            {"file": "no.wav"},
            "start is to be drawn",
        ),
        (
            {"name": "noise", "folder": str(noises), "seed": 0},
            {"file": "no.wav", "start": 0},
            "file=no.wav is not",
        ),
    ):
        with pytest.raises(ComponentError, match=words):
            part(spec).apply(wave, parameters, RATE_HZ)
    with pytest.raises(AudioError, match="no such file or folder"):
        part({"name": "noise", "folder": str(noises / "none")})(wave, seeded())
