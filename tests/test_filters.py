"""What a filter lets through: by family, order and limits, and what is muffled by band-limit."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from torch import Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.filtering import impulse_response
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import speech_like
from selfremaster.plugins.degradations.filter import HIGHEST, design

RATE_HZ = 22050
KINDS = ("butterworth", "chebyshev1", "chebyshev2", "bessel", "elliptic")


def degrade(spec: str, wave: Tensor, **parameters: Any) -> Tensor:
    part: Degradation = sr.build("degradation", spec)
    return part.apply(wave, parameters, RATE_HZ)


def gains(spec: str, *frequencies_hz: float) -> list[float]:
    """The gain of a linear part at frequencies, dB, from its response to a click."""
    click = torch.zeros(1, 2 * RATE_HZ, dtype=torch.float64)
    click[0, RATE_HZ] = 1
    response = torch.fft.rfft(degrade(spec, click)[0])
    return [20 * float(response[round(2 * hz)].abs().log10()) for hz in frequencies_hz]


def tone(frequency_hz: float, samples: int = 22050, level: float = 0.5) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) / RATE_HZ
    return level * torch.sin(2 * math.pi * frequency_hz * time)[None]


def rms(wave: Tensor) -> float:
    return wave[:, 2000:-2000].square().mean().sqrt().item()


# filter


def law(
    kind: str, order: int, ripple_db: float, stop_db: float, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds in dB of a family's low-pass, where 1 is its limit and frequencies are analogue."""
    ripple = np.sqrt(10 ** (ripple_db / 10) - 1)
    stop = np.sqrt(10 ** (stop_db / 10) - 1)
    match kind:
        case "butterworth":
            loss = 10 * np.log10(1 + place ** (2 * order))
        case "chebyshev1":
            loss = 10 * np.log10(1 + (ripple * _chebyshev(order, place)) ** 2)
        case "chebyshev2":
            loss = 10 * np.log10(1 + (stop / _chebyshev(order, 1 / place)) ** 2)
        case _:  # elliptic: within its ripple where it passes, never less than it is to take later
            return np.where(place <= 1, -ripple_db, -500), np.zeros_like(place)
    return -loss, -loss


def _chebyshev(order: int, place: np.ndarray) -> np.ndarray:
    """The polynomial, from its definition by cosines."""
    inside = np.cos(order * np.arccos(np.clip(place, -1, 1)))
    return np.where(place <= 1, inside, np.cosh(order * np.arccosh(np.maximum(place, 1))))


@given(
    kind=st.sampled_from(("butterworth", "chebyshev1", "chebyshev2", "elliptic")),
    order=st.integers(1, 12),
    high_hz=st.floats(200, 10_900),
    high_pass=st.booleans(),
    ripple_db=st.floats(0.05, 6),
    stop_db=st.floats(20, 100),
)
def test_a_filter_falls_by_the_law_of_its_family(
    kind: str, order: int, high_hz: float, high_pass: bool, ripple_db: float, stop_db: float
) -> None:
    """The bilinear transform bends frequencies by a tangent, and leaves the gains of the law."""
    limits = (high_hz, None) if high_pass else (None, high_hz)
    rows = design(
        kind, order, *(limit and 2 * limit / RATE_HZ for limit in limits), ripple_db, stop_db
    )
    hertz = np.linspace(30, 0.49 * RATE_HZ, 400)
    _, response = signal.sosfreqz(rows, hertz, fs=RATE_HZ)
    found = 20 * np.log10(np.abs(response) + 1e-30)
    place = np.tan(np.pi * hertz / RATE_HZ) / np.tan(np.pi * high_hz / RATE_HZ)
    lowest, highest = law(kind, order, ripple_db, stop_db, 1 / place if high_pass else place)
    heard = np.maximum(found, -120)  # below it all is rounding
    assert (heard <= np.maximum(highest, -120) + 0.01).all()
    assert (heard >= lowest - 0.01).all()


@pytest.mark.parametrize("kind", ["elliptic", "chebyshev2"])
def test_what_is_to_be_taken_away_is_taken(kind: str) -> None:
    spec = f"filter:high_hz=2000,kind={kind},order=6,stop_db=50"
    assert max(gains(spec, *range(2600, 11000, 100))) <= -49.9


@pytest.mark.parametrize("hz", [100, 3000, 6000])
def test_tones_are_heard_by_the_law(hz: float) -> None:
    """Butterworth's, of order 4 at 2 kHz: 1 over the root of 1 + the eighth power."""
    place = math.tan(math.pi * hz / RATE_HZ) / math.tan(math.pi * 2000 / RATE_HZ)
    heard = degrade("filter:high_hz=2000", tone(hz))
    assert rms(heard) / rms(tone(hz)) == pytest.approx(1 / math.sqrt(1 + place**8), rel=1e-3)


def test_a_band_passes_what_lies_between_its_limits() -> None:
    spec = "filter:low_hz=300,high_hz=3400"
    below, low, middle, high, above = gains(spec, 150, 300, 1000, 3400, 6800)
    assert (low, high) == (pytest.approx(-3.01, abs=0.02), pytest.approx(-3.01, abs=0.02))
    assert middle == pytest.approx(0, abs=0.02)
    assert below < -24
    assert above < -24
    assert gains("filter:low_hz=300,high_hz=null", 5000)[0] == pytest.approx(0, abs=0.01)


def test_limits_beyond_half_the_rate_are_none_and_leave_nothing_above() -> None:
    wave = speech_like(2000)
    assert torch.equal(degrade("filter:high_hz=11025", wave), wave)
    assert not degrade("filter:low_hz=11025,high_hz=20000", wave).any()
    torch.testing.assert_close(
        degrade("filter:low_hz=300,high_hz=20000", wave),
        degrade("filter:low_hz=300,high_hz=null", wave),
    )


def test_a_bessel_filter_delays_all_that_passes_alike() -> None:
    """Its group delay is flat where a Butterworth's of the same order is not."""
    spread = {}
    for kind in ("bessel", "butterworth"):
        delays = [
            signal.group_delay((section[:3], section[3:]), w=[50, 1500], fs=RATE_HZ)[1]
            for section in design(kind, 6, None, 2000 / (RATE_HZ / 2))
        ]
        spread[kind] = abs(np.diff(sum(delays))[0])
    assert spread["bessel"] < 0.2 * spread["butterworth"]


@pytest.mark.parametrize("kind", KINDS)
def test_zero_phase_squares_the_gain_and_delays_nothing(kind: str) -> None:
    spec = f"filter:high_hz=2000,kind={kind},order=3"
    once, twice = gains(spec, 1000, 2500), gains(f"{spec},zero_phase=true", 1000, 2500)
    assert twice == pytest.approx([2 * gain for gain in once], abs=0.01)
    click = torch.zeros(1, 2001, dtype=torch.float64)
    click[0, 1000] = 1
    answer = degrade(f"{spec},zero_phase=true", click)[0]
    torch.testing.assert_close(answer, answer.flip(0), rtol=0, atol=1e-6)


@given(
    kind=st.sampled_from(KINDS),
    order=st.integers(1, 12),
    low_hz=st.none() | st.floats(1, 100_000),
    high_hz=st.floats(1, 100_000),
    rate_hz=st.sampled_from([8000, 22050, 192_000]),
    ripple_db=st.floats(0.01, 6),
    stop_db=st.floats(20, 160),
)
def test_no_filter_is_unstable(
    kind: str,
    order: int,
    low_hz: float | None,
    high_hz: float,
    rate_hz: int,
    ripple_db: float,
    stop_db: float,
) -> None:
    limits = (None if hz is None else min(2 * hz / rate_hz, HIGHEST) for hz in (low_hz, high_hz))
    rows = design(kind, order, *limits, ripple_db, stop_db)
    radius = max(np.abs(np.roots(row[3:])).max() for row in rows)
    assert radius < 1
    answer = impulse_response(rows, 20_000).abs()
    assert answer.isfinite().all()
    assert answer.max() < 3  # of a click of 1
    patience = round(100 / max(1 - radius, 1e-2))  # e^-100 of each pole
    if patience < 10_000:
        assert len(answer) < patience + 500


@pytest.mark.parametrize("low_hz", ["null", "40", "400"])
def test_zero_phase_has_the_time_to_die_away(low_hz: str) -> None:
    """A wave that ends in full swing is filtered as one that silence follows."""
    spec = f"filter:low_hz={low_hz},high_hz=500,order=6,zero_phase=true,kind=elliptic"
    wave = tone(450, samples=6000)
    longer = torch.nn.functional.pad(wave, (0, 60_000))
    torch.testing.assert_close(
        degrade(spec, wave), degrade(spec, longer)[:, :6000], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("filter:kind=brickwall", "kind=brickwall"),
        ("filter:order=0", "order=0: .*greater than or equal to 1"),
        ("filter:high_hz=null", "nothing is filtered; give low_hz, high_hz or both"),
        ("filter:low_hz=4000", "low_hz up to 4000 and high_hz from 4000 leave no band"),
        ("filter:low_hz=[100,900],high_hz=[800,4000]", "low_hz up to 900 and high_hz from 800"),
    ],
)
def test_bad_settings_are_named(spec: str, words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        sr.build("degradation", spec)


# band-limit


def test_band_limit_keeps_the_low_and_loses_12_db_an_octave() -> None:
    below, corner, above = gains("band-limit", 50, 1000, 4000)
    assert below == pytest.approx(0, abs=0.05)
    assert corner == pytest.approx(0, abs=0.05)  # q = 1: unity gain at the corner
    assert above == pytest.approx(-24, abs=2)
    narrow = gains("band-limit:cutoff_hz=100", 400, 800)
    assert narrow[1] - narrow[0] == pytest.approx(-12.2, abs=0.3)


@pytest.mark.parametrize("q", [0.5, 2, 8])
def test_band_limit_rises_to_q_at_its_cutoff(q: float) -> None:
    heard = degrade(f"band-limit:q={q},cutoff_hz=2000", tone(2000, level=0.1))
    assert rms(heard) / rms(tone(2000, level=0.1)) == pytest.approx(q, rel=1e-3)


def test_band_limit_is_linear_and_adds_no_offset() -> None:
    wave = speech_like(4000).double()
    torch.testing.assert_close(
        degrade("band-limit", 0.01 * wave), 0.01 * degrade("band-limit", wave)
    )
    constant = degrade("band-limit", torch.full((1, 8000), 0.5))
    assert constant[0, -1].item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("cutoff_hz", [11025, 16000])
def test_band_limit_beyond_half_the_rate_changes_nothing(cutoff_hz: int) -> None:
    wave = speech_like(2000)
    assert torch.equal(degrade(f"band-limit:cutoff_hz={cutoff_hz}", wave), wave)
