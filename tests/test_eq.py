"""Uneven responses: the curve that a seed draws, and what is measured of it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import selfremaster as sr
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import noise
from selfremaster.plugins.degradations.eq import curves
from tests.strategies import seeds

RATE_HZ = 22050


def part(spec: str) -> Degradation:
    made: Degradation = sr.build("degradation", spec)
    return made


def gains(spec: str, rate_hz: int) -> tuple[Tensor, Tensor]:
    """Frequencies in Hz, and the gain at each in dB, of what a click becomes."""
    click = torch.zeros(1, 2 * rate_hz, dtype=torch.float64)
    click[0, rate_hz] = 1
    response = part(spec).apply(click, {}, rate_hz)[0]
    hertz = torch.fft.rfftfreq(len(response), 1 / rate_hz, dtype=torch.float64)
    return hertz, 20 * torch.fft.rfft(response).abs().log10()


@pytest.mark.parametrize("rate_hz", [8000, 22050, 48000])
@pytest.mark.parametrize("zero_phase", ["false", "true"])
@pytest.mark.parametrize("octaves", [0.5, 1, 3])
def test_the_response_measured_is_the_curve(rate_hz: int, zero_phase: str, octaves: float) -> None:
    spec = f"eq:spread_db=12,octaves={octaves},zero_phase={zero_phase},seed=5"
    hertz, found = gains(spec, rate_hz)
    told = {"spread_db": 12.0, "octaves": octaves, "tilt_db_per_octave": 0.0, "seed": 5}
    wanted = curves([told], hertz)[0]
    heard = (hertz > 60) & (hertz < 0.49 * rate_hz)
    torch.testing.assert_close(found[heard], wanted[heard], rtol=0, atol=0.3)
    heard &= hertz > 200
    torch.testing.assert_close(found[heard], wanted[heard], rtol=0, atol=0.03)


@given(spread_db=st.floats(0, 30), octaves=st.floats(0.25, 10), tilt=st.floats(-6, 6), seed=seeds())
def test_a_curve_is_bounded_and_smooth(
    spread_db: float, octaves: float, tilt: float, seed: int
) -> None:
    hertz = 20 * 2 ** torch.linspace(0, 13, 4000, dtype=torch.float64)
    told = {"spread_db": spread_db, "octaves": octaves, "seed": seed % 2**31}
    curve = curves([{**told, "tilt_db_per_octave": 0.0}], hertz)[0]
    assert curve.abs().max() <= spread_db + 1e-9
    # from one gain to the next, at most 2 * spread away, it is steepest in the middle: 3/2 of even
    step = 13 / 3999
    assert curve.diff().abs().max() <= 3 * spread_db / octaves * step + 1e-9
    tilted = curves([{**told, "tilt_db_per_octave": tilt}], hertz)[0]
    torch.testing.assert_close(tilted - curve, tilt * (hertz / 1000).log2())


def test_gains_of_a_curve_are_evenly_spread() -> None:
    told = [
        {"spread_db": 10.0, "octaves": 1.0, "tilt_db_per_octave": 0.0, "seed": seed}
        for seed in range(2000)
    ]
    two = curves(told, torch.tensor([300.0, 3000.0], dtype=torch.float64))
    assert two.mean(0).tolist() == pytest.approx([0, 0], abs=0.4)
    assert torch.corrcoef(two.T)[0, 1].item() == pytest.approx(0, abs=0.08)
    assert two.std(0).tolist() == pytest.approx([5, 5], abs=0.4)  # between even and its mean


def test_the_curve_of_a_seed_is_the_same_at_every_rate() -> None:
    low, high = (gains("eq:seed=3", rate_hz)[1] for rate_hz in (16000, 48000))
    for hz in (100, 500, 3000, 7000):
        assert float(low[2 * hz]) == pytest.approx(float(high[2 * hz]), abs=0.05)


@given(seed=st.integers(0, 2**31 - 1), spread_db=st.floats(0, 20))
def test_the_level_changes_by_the_spread_at_most(seed: int, spread_db: float) -> None:
    wave = noise(1, 8000).double()
    longer = torch.nn.functional.pad(wave, (0, 8000))
    heard = part(f"eq:spread_db={spread_db},seed={seed}").apply(longer, {}, RATE_HZ)
    change = 10 * float((heard.square().sum() / longer.square().sum()).log10())
    assert abs(change) <= spread_db + 0.1


def test_a_curve_of_minimum_phase_is_causal() -> None:
    click = torch.zeros(1, 4000, dtype=torch.float64)
    click[0, 2000] = 1
    early = {}
    for zero_phase in ("false", "true"):
        heard = part(f"eq:seed=1,zero_phase={zero_phase}").apply(click, {}, RATE_HZ)[0]
        early[zero_phase] = float(heard[:2000].square().sum() / heard.square().sum())
    assert early["false"] < 1e-20
    assert early["true"] > 0.01


def test_waves_of_a_batch_have_curves_of_their_own_with_and_without_a_phase() -> None:
    wave = noise(3, 4000)
    made = part("eq:spread_db=[1,20],octaves=[0.5,3],tilt_db_per_octave=[-3,3]")
    drawn = [made.draw(torch.Generator().manual_seed(seed), RATE_HZ) for seed in range(3)]
    drawn[1]["zero_phase"] = True
    together = made.apply(wave, drawn, RATE_HZ)
    alone = torch.cat([made.apply(wave[n : n + 1], drawn[n], RATE_HZ) for n in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
