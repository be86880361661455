"""Metrics: stored scores, numbers that can be worked out by hand, and what each does not hear."""

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import selfremaster as sr
from selfremaster.core.components import nested_parts
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Metric
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.plugins.metrics.pairs import match_level
from selfremaster.plugins.metrics.pesq import LONGEST_SECONDS
from selfremaster.registry.building import component_class
from tests.strategies import seeds

NAMES = [
    info.name
    for info in sr.list_components("metric")
    if "model" not in nested_parts(component_class("metric", info.name).Config).values()
]
COMPARING = [
    name
    for name in NAMES
    if issubclass(part := component_class("metric", name), Metric)
    and part.needs_reference
    and len(part.directions) == 1
]
RATE = 16000


def built(spec: str) -> Metric:
    """The metric, or a skipped test where its package is not installed."""
    try:
        metric: Metric = sr.build("metric", spec)
    except ComponentError as error:
        if "pip install" not in str(error):
            raise
        pytest.skip(str(error))
    return metric


def measure(spec: str, estimate: Tensor, reference: Tensor | None, rate: int = RATE) -> float:
    metric = built(spec)
    (number,) = metric.compute(estimate, rate, reference).values()
    return number


def speech(seconds: float = 1, rate: int = RATE) -> Tensor:
    return speech_like(round(seconds * rate), sample_rate=rate)[0]


def white(samples: int = 8000, seed: int = 0) -> Tensor:
    return noise(1, samples, seed=seed)[0]


gains_db = st.floats(-40, 40)


@given(gain_db=gains_db, seed=seeds())
def test_lsd_of_a_gain_is_the_gain(gain_db: float, seed: int) -> None:
    wave = white(seed=seed)
    louder = wave * 10 ** (gain_db / 20)
    # a bin of noise is hardly ever 160 dB below the loudest
    exact = measure("lsd:match_level=false,floor_db=-160", louder, wave)
    assert exact == pytest.approx(abs(gain_db), abs=1e-3)
    assert measure("lsd", louder, wave) == pytest.approx(0, abs=1e-4)


def test_lsd_is_what_its_formula_says() -> None:
    heard, clean = white(seed=1), white(seed=2)
    size, hop = 256, 128
    window = np.hanning(size + 1)[:-1]

    def spectrum(wave: Tensor) -> np.ndarray:
        padded = np.pad(wave.double().numpy(), size // 2, mode="reflect")
        starts = range(0, len(padded) - size + 1, hop)
        return np.array([np.abs(np.fft.rfft(window * padded[s : s + size])) for s in starts])

    loud, quiet = spectrum(heard), spectrum(clean)
    floor = quiet.max() / 100
    ratio = 20 * np.log10(np.maximum(loud, floor) / np.maximum(quiet, floor))
    expected = np.sqrt((ratio**2).mean(axis=1)).mean()
    spec = f"lsd:size={size},hop_samples={hop},floor_db=-40,match_level=false"
    assert measure(spec, heard, clean) == pytest.approx(expected, rel=1e-6)


def test_lsd_hears_nothing_above_its_limit() -> None:
    clean = white(RATE)
    spectrum = torch.fft.rfft(clean)
    frequencies = torch.fft.rfftfreq(len(clean), 1 / RATE)
    muffled = torch.fft.irfft(spectrum * (frequencies < 4000), n=len(clean))
    assert measure("lsd:match_level=false", muffled, clean) > 20
    assert measure("lsd:match_level=false,max_hz=3900", muffled, clean) < 0.5
    with pytest.raises(ComponentError, match=r"max_hz=5.0 leaves no bin .*; give at least 7.812"):
        measure("lsd:max_hz=5", muffled, clean)


def test_lsd_hears_nothing_below_its_floor() -> None:
    clean = speech()
    hissing = clean + noise(1, len(clean), level=1e-6)[0]
    assert measure("lsd", hissing, clean) < 0.1
    assert measure("lsd:floor_db=-150", hissing, clean) > measure("lsd", hissing, clean) + 0.1


@given(gain_db=gains_db)
@settings(max_examples=10)
def test_mel_l1_of_a_gain_is_the_gain_in_nepers(gain_db: float) -> None:
    wave = white() / 5
    louder = wave * 10 ** (gain_db / 20)
    nepers = abs(gain_db) * math.log(10) / 20
    exact = measure("mel-l1:match_level=false", louder, wave, 22050)
    assert exact == pytest.approx(nepers, abs=1e-3)
    assert measure("mel-l1", louder, wave, 22050) == pytest.approx(0, abs=1e-3)


def test_mel_l1_is_the_mean_distance_of_two_mel_spectrograms() -> None:
    clean = speech(rate=22050)
    heard = match_level(0.5 * clean + noise(1, len(clean), level=0.01)[0], clean)
    gain = 10 ** (-3 / 20) / float(clean.abs().max())
    mel = sr.build("features", "mel:bands=20")
    one, other = (mel(gain * wave[None]) for wave in (heard, clean))
    floor = float(other.max()) - 80 / 20 * math.log(10)
    expected = float((one.clamp(min=floor) - other.clamp(min=floor)).abs().mean())
    found = measure("mel-l1:features={name: mel, bands: 20}", heard, clean, 22050)
    assert found == pytest.approx(expected, rel=1e-4)


def test_mel_l1_does_not_depend_on_the_rate_of_the_files() -> None:
    pairs = {}
    for rate in (22050, 44100):
        clean = speech(rate=rate)
        pairs[rate] = measure("mel-l1", clean.clamp(-0.1, 0.1), clean, rate)
    assert pairs[44100] == pytest.approx(pairs[22050], rel=0.05)
    assert pairs[22050] > 0.1


@given(ratio_db=st.floats(-60, 60), gain=st.sampled_from([-3.0, 0.01, 1.0, 20.0]), seed=seeds())
def test_si_sdr_is_the_ratio_of_what_was_added(ratio_db: float, gain: float, seed: int) -> None:
    clean, added = (white(2000, seed=number).double() for number in (seed, seed + 1))
    clean, added = clean - clean.mean(), added - added.mean()
    added = added - clean * (added @ clean) / (clean @ clean)
    added = added * (clean.norm() / added.norm()) * 10 ** (-ratio_db / 20)
    found = measure("si-sdr", gain * (clean + added) + 0.3, clean)
    assert found == pytest.approx(ratio_db, abs=1e-4)


def test_si_sdr_stays_within_its_limit() -> None:
    clean = white()
    assert measure("si-sdr", clean, clean) == 100
    assert measure("si-sdr:limit_db=30", clean, clean) == 30
    assert measure("si-sdr", torch.zeros(8000), clean) == -100


# of speech_like in noise of this level (seed 11), by pystoi 0.4.1 and ITU's program in pesq 0.0.4
STORED = {
    ("stoi", 10000, 0.003): 0.9950766,
    ("stoi", 10000, 0.03): 0.8670217,
    ("stoi", 16000, 0.003): 0.9949004,
    ("estoi", 10000, 0.003): 0.9662348,
    ("estoi", 10000, 0.03): 0.5050601,
    ("estoi", 16000, 0.03): 0.5011529,
    ("pesq", 16000, 0.003): 1.9026587,
    ("pesq", 16000, 0.03): 1.0521145,
}


@pytest.mark.parametrize(("name", "rate", "level"), STORED)
def test_perceptual_scores_are_the_stored_ones(name: str, rate: int, level: float) -> None:
    clean = speech(3, rate)
    noisy = clean + noise(1, 3 * rate, seed=11, level=level)[0]
    assert measure(name, noisy, clean, rate) == pytest.approx(STORED[name, rate, level], abs=2e-3)


@pytest.mark.parametrize("name", ["pesq", "stoi", "estoi", "lsd", "mel-l1", "si-sdr"])
def test_gain_has_no_influence(name: str) -> None:
    clean = speech(1.5)
    noisy = clean + noise(1, len(clean), level=0.01)[0]
    loud = measure(name, noisy, clean)
    assert measure(name, noisy / 8, clean) == pytest.approx(loud, rel=2e-3)


def test_pesq_takes_a_lag_out_and_does_not_hear_beyond_8_khz() -> None:
    clean = speech(2, 44100)
    time = torch.arange(len(clean)) / 44100
    whistling = clean + 0.01 * torch.sin(2 * math.pi * 15000 * time)
    assert measure("pesq", whistling, clean, 44100) > 4.5
    late = torch.cat([torch.zeros(441), clean])
    assert measure("pesq", late, clean, 44100) > 4
    assert measure("estoi", late, clean, 44100) < 0.97


def test_pesq_of_so_little_that_nothing_is_left_at_its_rate_is_no_number() -> None:
    assert math.isnan(measure("pesq", torch.ones(1), torch.ones(1), 48000))


def test_pesq_measures_long_waves_in_pieces() -> None:
    # beyond 50 utterances ITU's program crashes
    clean = speech(1).repeat(2 * LONGEST_SECONDS)
    noisy = clean + noise(1, len(clean), level=0.003)[0]
    halves = [measure("pesq", *both) for both in zip(noisy.chunk(2), clean.chunk(2), strict=True)]
    assert measure("pesq", noisy, clean) == pytest.approx(sum(halves) / 2)
    half_silent = torch.cat([torch.zeros(len(clean) // 2), clean[len(clean) // 2 :]])
    assert measure("pesq", noisy, half_silent) == pytest.approx(halves[1])


def test_estoi_of_silence_is_the_same_each_time_and_leaves_chance_alone() -> None:
    clean = speech(2)
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    first, second = (measure("estoi", torch.zeros(len(clean)), clean) for _ in range(2))
    assert first == second
    assert first == pytest.approx(0, abs=0.05)
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("name", ["pesq", "stoi", "estoi"])
@pytest.mark.parametrize("samples", [1, 300, 3000])
def test_too_little_speech_gives_no_number(name: str, samples: int) -> None:
    wave = speech()[4000 : 4000 + samples]
    assert math.isnan(measure(name, wave, wave))


@pytest.mark.parametrize("name", COMPARING)
def test_a_silent_reference_gives_no_number(name: str) -> None:
    assert math.isnan(measure(name, speech(), torch.zeros(RATE)))


@pytest.mark.parametrize("name", COMPARING)
def test_more_noise_is_worse(name: str) -> None:
    clean = speech(2)
    hiss = noise(1, len(clean))[0]
    metric = built(name)
    (direction,) = metric.directions.values()
    numbers = [measure(name, clean + level * hiss, clean) for level in (0.001, 0.01, 0.1)]
    assert numbers == sorted(numbers, reverse=direction == "higher")
    assert len(set(numbers)) == 3


@pytest.mark.parametrize("name", COMPARING)
def test_wrong_waves_are_refused_in_words(name: str) -> None:
    wave = speech()
    with pytest.raises(ComponentError, match="compares with the clean original; give reference"):
        measure(name, wave, None)
    with pytest.raises(ComponentError, match=r"estimate of shape \(1, 16000\); give \(samples,\)"):
        measure(name, wave[None], wave)
    with pytest.raises(ComponentError, match="0 samples of reference; nothing to measure"):
        measure(name, wave, wave[:0])
    with pytest.raises(ComponentError, match="estimate holds samples that are not finite"):
        measure(name, wave / 0, wave)


@pytest.mark.parametrize(("name", "package"), [("pesq", "pesq"), ("estoi", "pystoi")])
def test_a_missing_package_is_named(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    words = f"^metric {name}: needs the package {package}; pip install 'selfremaster\\[metrics\\]'$"
    with pytest.raises(ComponentError, match=words):
        sr.build("metric", name)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ComponentError, match="hop_samples=512 is longer than the window of 256"):
        sr.build("metric", "lsd:size=256")
    with pytest.raises(ComponentError, match="metric mel-l1: no setting 'floor'; did you mean"):
        sr.build("metric", "mel-l1:floor=3")
