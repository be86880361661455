"""What degradations draw from their ranges, and words about settings that cannot be."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.components import ComponentConfig
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import speech_like
from tests.strategies import seeds

RATE_HZ = 22050


def degrade(spec: str, wave: Tensor, **parameters: Any) -> Tensor:
    part: Degradation = sr.build("degradation", spec)
    return part.apply(wave, parameters, RATE_HZ)


RANGES = [
    ("clip:ratio=[0.06,0.9]", "ratio", 0.06, 0.9),
    ("band-limit:cutoff_hz=[850,8000]", "cutoff_hz", 850, 8000),
    ("band-limit:q=[0.5,2]", "q", 0.5, 2),
    ("overdrive:gain=[10,40]", "gain", 10, 40),
    ("overdrive:colour=[0,20]", "colour", 0, 20),
    ("quantize-resample:levels=[64,1024]", "levels", 64, 1024),
]


@pytest.mark.parametrize(("spec", "setting", "low", "high"), RANGES)
@given(seed=seeds())
def test_draws_lie_in_their_range(
    spec: str, setting: str, low: float, high: float, seed: int
) -> None:
    part: Degradation = sr.build("degradation", spec)
    drawn = part.draw(Generator().manual_seed(seed), RATE_HZ)
    assert low <= drawn[setting] <= high
    assert setting != "levels" or drawn[setting] % 2 == 0
    assert json.loads(json.dumps(drawn)) == drawn
    assert part.apply(speech_like(500), drawn).isfinite().all()


def many_draws(spec: str, setting: str, count: int = 2000) -> list[Any]:
    part: Degradation = sr.build("degradation", spec)
    generator = Generator().manual_seed(0)
    return [part.draw(generator, RATE_HZ)[setting] for _ in range(count)]


def test_draws_are_uniform_and_frequencies_are_so_by_octaves() -> None:
    ratios = many_draws("clip:ratio=[0.2,0.6]", "ratio")
    assert np.quantile(ratios, [0.25, 0.5, 0.75]) == pytest.approx([0.3, 0.4, 0.5], abs=0.02)
    cutoffs = many_draws("band-limit:cutoff_hz=[500,8000]", "cutoff_hz")
    assert np.quantile(np.log2(cutoffs) - np.log2(500), [0.25, 0.5, 0.75]) == pytest.approx(
        [1, 2, 3], abs=0.2
    )


def test_levels_and_rates_are_drawn_from_all_that_are_allowed() -> None:
    levels = many_draws("quantize-resample:levels=[64,74]", "levels")
    assert set(levels) == {64, 66, 68, 70, 72, 74}
    assert min(levels.count(value) for value in set(levels)) > 250
    spec = "quantize-resample:rate_hz=[8000,11025,12000,16000]"
    rates = many_draws(spec, "rate_hz")
    assert set(rates) == {8000, 11025, 12000, 16000}
    assert min(rates.count(value) for value in set(rates)) > 400


def test_a_batch_draws_for_each_wave_and_fixed_settings_draw_nothing() -> None:
    generator = Generator().manual_seed(3)
    _, drawn = sr.build("degradation", "clip:ratio=[0.1,0.9]")(torch.ones(3, 10), generator)
    assert len({values["ratio"] for values in drawn}) == 3
    before = generator.get_state()
    _, drawn = sr.build("degradation", "clip")(torch.ones(3, 10), generator)
    assert torch.equal(generator.get_state(), before)
    assert drawn == 3 * [{"ratio": 0.25, "reference": "absolute", "peak_db": None}]


def test_drawn_parameters_rule_over_the_settings() -> None:
    wave = speech_like(2000)
    for spec, _, _, _ in RANGES:
        part: Degradation = sr.build("degradation", spec)
        drawn = part.draw(Generator().manual_seed(4), RATE_HZ)
        plain = degrade(spec.partition(":")[0], wave, **drawn)
        assert torch.equal(part.apply(wave, drawn, RATE_HZ), plain)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("clip:ratio=2", r"^degradation clip: ratio=2: Input should be less than or equal to 1$"),
        ("clip:ratio=[0.2,2]", r"ratio\.1=2: Input should be less than or equal to 1$"),
        ("clip:ratio=[0.5,0.2]", r"ratio: \[0\.5, 0\.2\] falls; write \[low, high\]$"),
        ("clip:ratoi=0.5", "no setting 'ratoi'; did you mean 'ratio'"),
        ("clip:peak_db=3", "peak_db=3.*less than or equal to 0"),
        ("band-limit:cutoff_hz=0", "cutoff_hz=0: Input should be greater than or equal to 1"),
        ("quantize-resample:levels=127", "levels=127: Input should be a multiple of 2"),
        ("quantize-resample:rate_hz=[]", "rate_hz"),
        ("quantize-resample:mode=telephone", "mode=telephone: Input should be 'companded' or"),
    ],
)
def test_bad_settings_are_named(spec: str, words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        sr.build("degradation", spec)


def test_bad_parameters_are_named() -> None:
    wave = torch.ones(2, 10)
    with pytest.raises(ComponentError, match="bad parameters: ratio=2: Input should be less"):
        degrade("clip", wave, ratio=2)
    with pytest.raises(
        ComponentError, match="no setting 'level'; known: peak_db, ratio, reference"
    ):
        degrade("clip", wave, level=0.5)
    expected = r"ratio=\[0\.1, 0\.5\] is to be drawn from; give apply\(\) the parameters that draw"
    with pytest.raises(ComponentError, match=expected):
        degrade("clip:ratio=[0.1,0.5]", wave)
    with pytest.raises(ComponentError, match="3 parameter sets for 2 waves; give one, or one each"):
        sr.build("degradation", "clip").apply(wave, [{}, {}, {}])


def test_settings_of_a_range_are_written_back_as_they_were_given() -> None:
    part: Degradation = sr.build("degradation", "quantize-resample:levels=[64,1024]")
    plain: ComponentConfig = part.config
    assert plain.model_dump(mode="json") == {
        "levels": [64, 1024],
        "rate_hz": 8000,
        "mode": "companded",
        "peak_db": None,
    }


@pytest.mark.parametrize("name", ["quantize-resample", "resample", "reverb", "filter"])
def test_mixed_precision_does_not_round_the_damage(name: str) -> None:
    part: Degradation = sr.build("degradation", name)
    wave = speech_like(4000)
    drawn = part.draw(Generator().manual_seed(1), RATE_HZ)
    exact = part.apply(wave, drawn, RATE_HZ)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(part.apply(wave, drawn, RATE_HZ), exact)


@pytest.mark.parametrize(
    ("wave", "rate", "words"),
    [
        (torch.ones(10), RATE_HZ, r"a wave of torch\.float32, \(10,\); give a tensor of floating"),
        (torch.ones(1, 2, 10), RATE_HZ, r"\(1, 2, 10\); give .* \(batch, samples\)"),
        (torch.ones(1, 10, dtype=torch.int16), RATE_HZ, r"a wave of torch\.int16"),
        (np.ones((1, 10), np.float32), RATE_HZ, "a wave of float32, ndarray; give a tensor"),
        (torch.ones(1, 10), 0, "sample_rate=0; give the rate in Hz"),
    ],
)
def test_what_is_no_wave_is_refused_in_words(wave: Any, rate: int, words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        sr.build("degradation", "hum").apply(wave, {"seed": 1}, rate)


def test_what_is_no_generator_is_refused_in_words() -> None:
    with pytest.raises(ComponentError, match=r"generator=1; give a torch\.Generator"):
        sr.build("degradation", "hum")(torch.ones(1, 10), 1, RATE_HZ)
