"""What damage says that it lags, against what cross-correlation finds."""

from typing import Any

import pytest
import torch
from torch import Generator

import selfremaster as sr
from selfremaster.core.filtering import convolve, impulse_response, lag_of
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.degradations import lags_as_it_says
from selfremaster.core.promises.inputs import RATE_HZ
from selfremaster.plugins.degradations.filter import design
from selfremaster.plugins.degradations.random_recording import RandomRecording

FAMILIES = "kind=[butterworth,chebyshev1,chebyshev2,bessel,elliptic]"
BESSEL = "filter:high_hz=300,order=12,kind=bessel"
BESSEL_LAG = 106


def part(spec: str | dict[str, Any]) -> Degradation:
    made: Degradation = sr.build("degradation", spec)
    return made


@pytest.mark.parametrize(
    "spec",
    [
        BESSEL,
        f"filter:high_hz=[300,6000],order=8,ripple_db=[0.1,3],stop_db=[20,80],"
        f"zero_phase=[true,false],{FAMILIES}",
        "eq:zero_phase=[true,false]",
        f"filter:low_hz=[50,2000],high_hz=[2500,12000],order=[1,12],{FAMILIES}",
        f"filter:high_hz=[100,11025],order=[1,12],{FAMILIES}",
        "filter:high_hz=null,low_hz=[100,5000],order=[1,12]",
        "band-limit:cutoff_hz=[50,11025],q=[0.05,50]",
        "horn:low_hz=[80,400],high_hz=[1500,5000],q=[2,20],resonance_db=[0,18]",
        "azimuth:offset_seconds=0.1",
        "azimuth:offset_seconds=-0.03",
        "azimuth:minutes=[-100,100],track_mm=1,spacing_mm=[2,6],summed=[true,false]",
        "eq:spread_db=[0,20]",
        "reverb:kind=[decay,room],rt60_seconds=[0.05,2]",
        "one-of",
        "chain",
    ],
)
def test_damage_lags_by_what_it_says_of_each_draw(spec: str) -> None:
    made = part(spec)
    for seed in range(10):
        lags_as_it_says(made, seed)


def test_eras_lag_by_what_they_say_of_each_draw() -> None:
    """Their speed sways, by less than is told apart here but for that of wire."""
    made = part("random-recording")
    assert isinstance(made, RandomRecording)
    made.moves_time = False
    for seed in range(20):
        lags_as_it_says(made, seed)


def test_the_lag_of_a_filter_is_where_it_answers_most() -> None:
    assert part(BESSEL).delay_of({}, RATE_HZ) == BESSEL_LAG
    click = torch.zeros(1, 1000)
    click[0, 100] = 1
    heard = part(BESSEL).apply(click, {}, RATE_HZ)
    assert int(heard.abs().argmax()) == 100 + BESSEL_LAG
    assert part(BESSEL).delay_of({"zero_phase": True}, RATE_HZ) == 0
    assert part(BESSEL).delay_of({"high_hz": RATE_HZ / 2}, RATE_HZ) == 0
    assert part("filter:low_hz=9000,high_hz=10000").delay_of({}, 8000) == 0
    assert part("band-limit").delay_of({"cutoff_hz": RATE_HZ / 2}, RATE_HZ) == 0
    sections = design("bessel", 12, None, 600 / RATE_HZ)
    assert lag_of(sections, RATE_HZ) == int(impulse_response(sections, RATE_HZ).argmax())


def test_what_is_made_of_others_says_what_those_lag_that_were_drawn() -> None:
    twice = part({"name": "chain", "steps": [BESSEL, BESSEL]})
    assert twice.delay_of({}, RATE_HZ) == 2 * BESSEL_LAG
    either = part({"name": "one-of", "choices": [BESSEL, "gain"]})
    lags = [either.delay_of({"choice": n, "parameters": {}}, RATE_HZ) for n in (0, 1)]
    assert lags == [BESSEL_LAG, 0]
    maybe = part({"name": "sometimes", "degradation": BESSEL})
    assert maybe.delay_of({"parameters": None}, RATE_HZ) == 0
    assert maybe.delay_of({"parameters": {}}, RATE_HZ) == BESSEL_LAG
    for made in (twice, either, maybe):
        assert not made.moves_time
        for seed in range(4):
            lags_as_it_says(made, seed)


def test_an_origin_outside_the_kernel_shifts_the_sound() -> None:
    wave = torch.randn(2, 50, generator=Generator().manual_seed(1))
    kernel = torch.ones(1, 1)
    torch.testing.assert_close(convolve(wave, kernel, -7)[:, 7:], wave[:, :-7])
    assert convolve(wave, kernel, -7)[:, :7].abs().max() < 1e-12
    torch.testing.assert_close(convolve(wave, kernel, 7)[:, :-7], wave[:, 7:])
    assert convolve(wave, kernel, 70).abs().max() < 1e-12
    assert convolve(wave, kernel, -70).abs().max() < 1e-12
