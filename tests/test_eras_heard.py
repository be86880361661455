"""What each era adds and does to the speech is loud enough to be heard, and often enough there."""

from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import speech_like
from selfremaster.plugins.degradations.eras import ERAS

RATE_HZ = 22050
DRAWS = 40
SURFACES = ("acoustic-1910", "shellac-1930")


@lru_cache(maxsize=8)
def steps_of(era: str) -> tuple[Any, ...]:
    made: Degradation = sr.build("degradation", ERAS[era])  # type: ignore[index]  # one of them
    return made.steps  # type: ignore[attr-defined]  # a chain


def drawn_of(era: str, name: str) -> list[tuple[Degradation, dict[str, Any]]]:
    """The part of a name in so many recordings of an era, with what it drew, where it is there."""
    found = []
    for seed in range(DRAWS):
        generator = Generator().manual_seed(seed)
        for step in steps_of(era):
            part, drawn = step, step.draw(generator, RATE_HZ)
            if hasattr(part, "degradation"):
                part, drawn = part.degradation, drawn["parameters"]
            if type(part).__name__ == name and drawn is not None:
                found.append((part, drawn))
    return found


def added_db(part: Degradation, drawn: dict[str, Any], seconds: float = 1.0) -> tuple[float, float]:
    """The RMS and the peak of what is added, over the RMS of the speech, dB."""
    speech = speech_like(round(seconds * RATE_HZ))
    added = part.apply(speech, drawn, RATE_HZ) - speech
    own = speech.square().mean().sqrt()
    levels = torch.stack([added.square().mean().sqrt(), added.abs().max()])
    rms_db, peak_db = (20 * (levels / own).clamp(min=1e-9).log10()).tolist()
    return rms_db, peak_db


def median(values: list[float]) -> float:
    return float(torch.tensor(values).median())


@pytest.mark.parametrize("era", SURFACES)
def test_old_discs_crackle(era: str) -> None:
    crackles = drawn_of(era, "Crackle")
    assert len(crackles) == DRAWS
    assert median([drawn["per_second"] for _, drawn in crackles]) > 20
    levels = [added_db(*own) for own in crackles[:12]]
    assert median([peak for _, peak in levels]) > -10
    assert min(peak for _, peak in levels) > -30


@pytest.mark.parametrize("era", SURFACES)
def test_old_discs_click_now_and_then(era: str) -> None:
    clicks = drawn_of(era, "Clicks")
    assert 0.25 * DRAWS < len(clicks) < 0.75 * DRAWS
    assert all(added_db(*own, seconds=8)[1] > -12 for own in clicks[:5])
    scratched = [drawn["turns_per_minute"] for _, drawn in clicks]
    assert set(scratched) == {78, None}


@pytest.mark.parametrize(
    ("era", "least", "most"),
    [("acoustic-1910", -60, -30), ("shellac-1930", -65, -33), ("cassette-1980", -60, -30)],
)
def test_mains_hum_in_some(era: str, least: float, most: float) -> None:
    hums = drawn_of(era, "Hum")
    assert 0.1 * DRAWS < len(hums) < 0.7 * DRAWS
    assert {drawn["mains_hz"] for _, drawn in hums} == {50, 60}
    assert all(least < added_db(*own)[0] < most for own in hums)


@pytest.mark.parametrize(
    ("era", "percent"),
    [("acoustic-1910", 0.2), ("shellac-1930", 0.1), ("tape-1960", 0.03), ("cassette-1980", 0.05)],
)
def test_machines_run_unevenly(era: str, percent: float) -> None:
    sways = drawn_of(era, "WowFlutter")
    assert len(sways) == DRAWS
    time = torch.arange(2 * RATE_HZ, dtype=torch.float64) / RATE_HZ
    wave = torch.polar(torch.ones_like(time), 2 * torch.pi * 1000 * time)
    for part, drawn in sways[:8]:
        real, imaginary = part.apply(torch.stack([wave.real, wave.imag]), drawn, RATE_HZ)
        assert deviation(torch.complex(real, imaginary)) > 0.4 * percent / 100
    assert median([drawn["wow_percent"] for _, drawn in sways]) > 2 * percent


def deviation(wave: Tensor) -> float:
    """By what part the pitch of a tone of 1 kHz goes up and down at most."""
    steps = (wave[1:] * wave[:-1].conj()).angle()[2000:-2000]
    hertz = steps.unfold(0, 200, 200).mean(-1) * RATE_HZ / (2 * torch.pi)
    return float((hertz.max() - hertz.min()) / 2000)
