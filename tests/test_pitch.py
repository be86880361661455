"""F0 of what is no voice, of too little of it, and of recordings at 8 kHz: every extractor."""

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from selfremaster.core.levels import resample
from selfremaster.core.promises.inputs import noise
from selfremaster.plugins.features.source_filter import SourceFilter
from selfremaster.registry.building import build
from tests import tiny

LOW_HZ = 8000
RATES = {22050: "", LOW_HZ: ",sample_rate=8000,fmax_hz=4000,hop_samples=80,size=512"}
EACH = [(f0, rate_hz) for f0 in ("dio", "harvest", "swipe") for rate_hz in RATES]


@cache
def features(f0: str, rate_hz: int) -> SourceFilter:
    if f0 == "swipe":
        pytest.importorskip("pysptk")
    part: SourceFilter = build("features", f"source-filter:f0={f0}{RATES[rate_hz]}")
    return part


def voice(f0_hz: float) -> Tensor:
    """A second of a steady voice up to 3400 Hz, at 8000 Hz."""
    time = torch.arange(LOW_HZ, dtype=torch.float64) / LOW_HZ
    orders = range(1, 1 + int(3400 / f0_hz))
    phase = 2 * math.pi * f0_hz * time
    return 0.3 * torch.stack([(order * phase).sin() / order for order in orders]).sum(0)[None]


@pytest.mark.parametrize(("f0", "rate_hz"), EACH)
def test_silence_has_no_voice_and_noise_hardly_any(f0: str, rate_hz: int) -> None:
    part = features(f0, rate_hz)
    for wave, most in ((torch.zeros(1, rate_hz), 0.0), (noise(1, rate_hz), 0.25)):
        rows = part(wave)
        assert rows.shape == (1, 43, part.frames(rate_hz))
        assert rows.isfinite().all()
        assert rows[:, 1].mean() <= most


@pytest.mark.parametrize("samples", [1, 10, 300])
@pytest.mark.parametrize(("f0", "rate_hz"), EACH)
def test_too_little_to_hear_a_pitch_in_has_its_frames(f0: str, rate_hz: int, samples: int) -> None:
    part = features(f0, rate_hz)
    rows = part(noise(1, samples))
    assert rows.shape == (1, 43, part.frames(samples))
    assert rows.isfinite().all()


@pytest.mark.parametrize("f0_hz", [110.0, 230.0])
@pytest.mark.parametrize(("f0", "rate_hz"), EACH)
def test_a_recording_at_8_khz_keeps_its_pitch(f0: str, rate_hz: int, f0_hz: float) -> None:
    part, wave = features(f0, rate_hz), voice(f0_hz)
    if rate_hz != LOW_HZ:
        wave = resample(wave.float(), LOW_HZ, rate_hz)
    rows = part(wave)
    found, voiced = part.pitch_of(rows)
    assert rows.isfinite().all()
    middle = slice(10, -10)
    heard = voiced[0, middle] > 0
    assert heard.all() or f0 == "swipe"  # which now and then hears nothing in the same wave
    assert ((found[0, middle] / f0_hz - 1).abs()[heard] < 0.02).all()


def test_dio_looks_at_fewer_samples_only_where_enough_remain() -> None:
    wave = tiny.speech_like(1.0, 3)
    fast, published = (
        build("features", f"source-filter:dio_decimation={count}") for count in (3, 1)
    )
    pitch, wanted = fast.source(wave), published.source(wave)
    assert not torch.equal(pitch, wanted)
    both = (pitch[:, 1] > 0) & (wanted[:, 1] > 0)
    assert both.float().mean() > 0.9 * wanted[:, 1].mean()
    assert (pitch[:, 0] - wanted[:, 0])[both].abs().median() < 0.01  # octaves
    slow = "sample_rate=8000,fmax_hz=4000,size=512,hop_samples=128"
    few, all_samples = (
        build("features", f"source-filter:{slow},dio_decimation={count}") for count in (3, 1)
    )
    assert torch.equal(few.source(wave), all_samples.source(wave))
