"""Damage to levels: gain, polarity, offset, balance, automatic gain control; a gain for each."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import noise, speech_like
from tests.strategies import seeds, waves

RATE_HZ = 22050
AGC = "agc:target_db=-20,ratio=10,attack_seconds=0.02,release_seconds=0.5"


def part(spec: str | dict[str, Any]) -> Degradation:
    made: Degradation = sr.build("degradation", spec)
    return made


def degrade(spec: str, wave: Tensor, **parameters: Any) -> Tensor:
    return part(spec).apply(wave, parameters, RATE_HZ)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def tone(*stretches: tuple[float, float], rate_hz: int = RATE_HZ) -> Tensor:
    """1 kHz in stretches of a length in seconds and an RMS level in dBFS, (1, samples)."""
    parts = [
        torch.full((round(seconds * rate_hz),), math.sqrt(2) * 10 ** (level_db / 20))
        for seconds, level_db in stretches
    ]
    envelope = torch.cat(parts).double()
    time = torch.arange(len(envelope)) / rate_hz
    return (envelope * torch.sin(2 * math.pi * 1000 * time))[None]


def level_db(wave: Tensor, start: float, end: float, rate_hz: int = RATE_HZ) -> float:
    heard = wave[:, round(start * rate_hz) : round(end * rate_hz)].double()
    return 10 * math.log10(float(heard.square().mean()))


# gain


@given(wave=waves(max_samples=2000), gain_db=st.floats(-120, 60))
def test_gain_goes_back_with_the_opposite(wave: Tensor, gain_db: float) -> None:
    exact = wave.double()
    louder = degrade("gain", exact, gain_db=gain_db)
    opposite = exact if gain_db == 0 else louder / 10 ** (gain_db / 20)
    torch.testing.assert_close(opposite, exact, rtol=1e-12, atol=0)


def test_twenty_decibels_are_a_factor_of_ten_and_each_wave_has_its_own() -> None:
    wave = torch.ones(3, 4, dtype=torch.float64)
    drawn = [{"gain_db": own} for own in (20, 0, -20)]
    changed = part("gain").apply(wave, drawn, RATE_HZ)
    torch.testing.assert_close(changed[:, 0], torch.tensor([10, 1, 0.1], dtype=torch.float64))


def test_gain_may_be_followed_by_a_level() -> None:
    assert degrade("gain:gain_db=13,peak_db=-6", noise(1, 500)).abs().max() == pytest.approx(
        10 ** (-6 / 20), rel=1e-6
    )


# polarity


@given(wave=waves(max_samples=2000))
def test_polarity_twice_is_none(wave: Tensor) -> None:
    turned = degrade("polarity", wave)
    assert torch.equal(turned, -wave)
    assert torch.equal(degrade("polarity", turned), wave)


def test_polarity_can_be_a_matter_of_chance() -> None:
    chance = part({"name": "sometimes", "degradation": "polarity", "chance": 0.3})
    turned, _ = chance(torch.ones(2000, 1), seeded())
    assert float((turned < 0).double().mean()) == pytest.approx(0.3, abs=0.03)


# dc-offset


@given(wave=waves(max_samples=2000), offset=st.floats(-1, 1))
def test_an_offset_moves_the_mean_and_nothing_else(wave: Tensor, offset: float) -> None:
    exact = wave.double()
    moved = degrade("dc-offset", exact, offset=offset, seed=1)
    torch.testing.assert_close(moved - offset, exact, rtol=0, atol=1e-12)


def test_silence_becomes_a_constant() -> None:
    constant = degrade("dc-offset:offset=-0.125", torch.zeros(1, 100), seed=1)
    assert torch.equal(constant, torch.full((1, 100), -0.125))


@given(seed=seeds().map(lambda seed: seed % 2**31), samples=st.integers(1, 50_000))
def test_drift_wanders_slowly_within_its_limits(seed: int, samples: int) -> None:
    spec = "dc-offset:offset=0.1,drift=0.05,drift_seconds=0.5"
    wandered = degrade(spec, torch.zeros(1, samples), seed=seed)[0]
    assert ((wandered - 0.1).abs() <= 0.05 + 1e-6).all()
    steepest = 2 * 0.05 / (0.5 * RATE_HZ)
    assert (wandered.diff().abs() <= steepest + 1e-6).all()
    longer = degrade(spec, torch.zeros(1, samples + 9000), seed=seed)[0]
    torch.testing.assert_close(longer[:samples], wandered, rtol=0, atol=1e-7)


@pytest.mark.parametrize("level", [1e-3, 1.0, 2.0**45])
def test_an_offset_is_a_part_of_full_scale_however_loud_the_wave(level: float) -> None:
    wave = level * noise(1, 100).double()
    moved = degrade("dc-offset:offset=0.25", wave, seed=1)
    assert torch.equal(moved, wave + 0.25)
    assert not part("dc-offset").scales  # type: ignore[attr-defined]  # of settled ones alone


def test_each_channel_has_an_offset_of_its_own() -> None:
    drawn = part("dc-offset:offset=[-0.1,0.1]").draw_channels(seeded(), RATE_HZ, 3)
    assert len({own["offset"] for own in drawn}) == 3
    assert len({own["seed"] for own in drawn}) == 3
    assert drawn[0] == part("dc-offset:offset=[-0.1,0.1]").draw(seeded(), RATE_HZ)


# stereo-imbalance


@given(
    balance_db=st.floats(-60, 60),
    channels=st.integers(2, 6),
)
def test_imbalance_is_between_the_outer_channels_and_even(balance_db: float, channels: int) -> None:
    uneven = part({"name": "stereo-imbalance", "balance_db": balance_db})
    drawn = uneven.draw_channels(seeded(), RATE_HZ, channels)
    wave = torch.ones(channels, 3, dtype=torch.float64)
    gains_db = 20 * uneven.apply(wave, drawn, RATE_HZ)[:, 0].log10()
    assert float(gains_db[0] - gains_db[-1]) == pytest.approx(balance_db, abs=1e-9)
    assert float(gains_db.mean()) == pytest.approx(0, abs=1e-9)
    torch.testing.assert_close(
        gains_db.diff(), torch.full_like(gains_db[1:], -balance_db / (channels - 1))
    )


def test_a_wave_by_itself_is_the_first_channel() -> None:
    uneven = part("stereo-imbalance:balance_db=[-12,12]")
    alone = uneven.draw(seeded(3), RATE_HZ)
    assert uneven.draw_channels(seeded(3), RATE_HZ, 1) == [alone]
    assert uneven.draw_channels(seeded(3), RATE_HZ, 2)[0] == alone
    heard = uneven.apply(torch.ones(1, 1, dtype=torch.float64), alone, RATE_HZ)
    assert float(20 * heard.log10()) == pytest.approx(alone["balance_db"] / 2)


# agc


@pytest.mark.parametrize("input_db", [-45, -30, -20, -6])
@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100])
def test_a_steady_tone_comes_near_the_target_by_the_ratio(input_db: float, rate_hz: int) -> None:
    wave = tone((2, input_db), rate_hz=rate_hz)
    heard = part(AGC).apply(wave, {}, rate_hz)
    wanted = -20 + (input_db + 20) / 10
    for start in (0, 1):  # from the first sample on
        assert level_db(heard, start, start + 1, rate_hz) == pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize("ratio", [1, 2, 4, 100])
def test_the_ratio_is_that_of_decibels_in_to_decibels_out(ratio: float) -> None:
    soft, loud = (
        degrade(f"{AGC},ratio={ratio}".replace("ratio=10,", ""), tone((1, own)))
        for own in (-34, -14)
    )
    change = level_db(loud, 0, 1) - level_db(soft, 0, 1)
    assert change == pytest.approx(20 / ratio, abs=0.1)


def test_after_a_step_up_the_level_is_back_in_a_few_attacks() -> None:
    heard = degrade(
        f"{AGC},attack_seconds=0.1".replace("attack_seconds=0.02,", ""), tone((1, -30), (1, -10))
    )
    wanted = -20 + 10 / 10
    onset, later = level_db(heard, 1, 1.01), level_db(heard, 1.5, 2)
    assert onset == pytest.approx(-21 + 20, abs=1.5)  # the gain is still that of before
    assert later == pytest.approx(wanted, abs=0.15)
    # after one attack, 5 ms late, 1 / e of the step is left
    left = level_db(heard, 1.1, 1.11) - wanted
    assert left == pytest.approx(20 * 0.9 * math.exp(-1), abs=1)


def test_after_a_step_down_the_gain_comes_up_evenly() -> None:
    heard = degrade(AGC, tone((1, -10), (3, -30)))
    moments = [1.1, 1.3, 1.5]  # 10 dB of level each 0.5 s, of which 9 in 10 are made good
    levels = [level_db(heard, moment, moment + 0.02) for moment in moments]
    assert levels[1] - levels[0] == pytest.approx(0.9 * 4, abs=0.1)
    assert levels[2] - levels[1] == pytest.approx(0.9 * 4, abs=0.1)
    assert level_db(heard, 2.1, 2.2) == pytest.approx(-21, abs=0.1)  # 20 dB in a second


def test_pauses_are_pumped_up_to_the_greatest_gain() -> None:
    wave = tone((1, -20), (4, -60))
    heard = degrade(f"{AGC},max_gain_db=25", wave)
    assert level_db(heard, 4, 5) == pytest.approx(-35, abs=0.1)


def test_the_gain_waits_below_the_gate() -> None:
    wave = tone((1, -20), (2, -60), (1, -20))
    heard = degrade(f"{AGC},gate_db=-50", wave)
    assert level_db(heard, 1.1, 3) == pytest.approx(-60, abs=0.1)
    assert level_db(heard, 3, 3.01) == pytest.approx(-20, abs=0.3)  # no burst afterwards


def test_what_is_wholly_below_the_gate_stays_as_it_is() -> None:
    for levels_db in ((-100, -75, -100), (-80,)):
        wave = tone(*((0.5, level) for level in levels_db))
        torch.testing.assert_close(degrade("agc:gate_db=-70", wave), wave, rtol=1e-9, atol=0)
        torch.testing.assert_close(
            degrade("agc:gate_db=-70,target_db=-95", wave), wave, rtol=1e-9, atol=0
        )


def test_a_gain_control_hears_nothing_of_other_waves_below_the_gate() -> None:
    both = torch.cat([tone((1, -90)), tone((1, -40))])
    heard = degrade("agc", both)
    torch.testing.assert_close(heard[:1], both[:1], rtol=1e-9, atol=0)
    assert level_db(heard[1:], 0, 1) > -25


@given(samples=st.integers(1, 500))
def test_the_last_block_counts_by_the_samples_that_it_has(samples: int) -> None:
    steady = torch.full((1, samples), 0.1, dtype=torch.float64)
    heard = degrade("agc:target_db=-20,ratio=100", steady)
    torch.testing.assert_close(heard, steady, rtol=1e-9, atol=0)


def test_a_long_wave_is_controlled_like_its_beginning() -> None:
    """Stretches that are worked on one after another leave no seam."""
    wave = tone((30, -30), rate_hz=100_000)
    heard = part(AGC).apply(wave, {}, 100_000)
    wanted = 10 ** ((-20 - 10 / 10 + 30) / 20)
    torch.testing.assert_close(heard, wanted * wave, rtol=1e-3, atol=1e-9)


def test_digital_silence_stays_silent_and_is_no_reason_to_turn_up() -> None:
    speech = speech_like(RATE_HZ)
    silence = torch.zeros(1, 2 * RATE_HZ)
    heard = degrade(AGC, torch.cat([speech, silence, speech], dim=-1))
    assert not heard[:, RATE_HZ:-RATE_HZ].any()
    loudest = heard[:, :RATE_HZ].abs().max()
    assert heard[:, -RATE_HZ:].abs().max() <= 1.5 * loudest


def test_the_gain_knows_nothing_of_what_comes() -> None:
    """The later half turned round has the same mean; nothing before it is heard otherwise."""
    wave = noise(1, 110 * 60) * torch.linspace(0.1, 1, 110 * 60)
    other = torch.cat([wave[:, :3300], wave[:, 3300:].flip(-1)], dim=-1)
    heard, otherwise = degrade(AGC, wave), degrade(AGC, other)
    torch.testing.assert_close(otherwise[:, :3300], heard[:, :3300], rtol=1e-5, atol=1e-7)
    assert not torch.allclose(otherwise[:, 3300:].flip(-1), heard[:, 3300:], rtol=0.01)


def test_speech_of_every_level_comes_out_nearly_alike() -> None:
    soft, loud = (degrade(AGC, factor * speech_like(3 * RATE_HZ)) for factor in (0.1, 1.0))
    assert level_db(loud, 0, 3) - level_db(soft, 0, 3) == pytest.approx(2, abs=0.6)


@pytest.mark.parametrize(
    "spec",
    [
        "agc:attack_seconds=0.004,release_seconds=0.05,gate_db=-60",
        "clip",
        "dc-offset:drift=0.1",
        "gain",
        "overdrive:gain=6",
        "polarity",
        "stereo-imbalance",
    ],
)
def test_gradients_agree_with_differences(spec: str) -> None:
    rate_hz = 1000  # 5 samples to a block of the gain control
    drawn = part(spec).draw(seeded(), rate_hz)
    wave = noise(2, 40, seed=5).double().requires_grad_()
    with torch.enable_grad():
        assert torch.autograd.gradcheck(lambda given: part(spec).apply(given, drawn, rate_hz), wave)


# a set of parameters for each


@pytest.mark.parametrize(
    "spec",
    [
        "agc:target_db=[-30,-10],ratio=[1,20],attack_seconds=[0.005,0.5],release_seconds=[0.1,4]",
        "clip:ratio=[0.06,0.9]",
        "clip:ratio=[0.06,0.9],reference=signed",
        "dc-offset:offset=[-0.1,0.1],drift=[0,0.1],drift_seconds=0.1",
        "gain:gain_db=[-20,20]",
        "overdrive:gain=[0,60],colour=[0,100]",
        "stereo-imbalance:balance_db=[-10,10]",
    ],
)
def test_waves_do_not_hear_each_other(spec: str) -> None:
    batch = torch.cat(
        [speech_like(4000, seed=own) * own / 4 for own in (1, 2, 4)] + [torch.zeros(1, 4000)]
    )
    chance = seeded()
    drawn = [part(spec).draw(chance, RATE_HZ) for _ in batch]
    assert drawn[0] != drawn[1]
    together = part(spec).apply(batch, drawn, RATE_HZ)
    backwards = part(spec).apply(batch.flip(0), drawn[::-1], RATE_HZ).flip(0)
    torch.testing.assert_close(backwards, together, rtol=0, atol=1e-6)
    for wave, own, heard in zip(batch, drawn, together, strict=True):
        alone = part(spec).apply(wave[None], own, RATE_HZ)[0]
        torch.testing.assert_close(heard, alone, rtol=0, atol=1e-6)


def test_the_signed_peak_may_be_asked_of_one_wave_alone() -> None:
    wave = torch.tensor([[0.5, -1.0]]).repeat(2, 1)
    drawn = [{"ratio": 0.5, "reference": own} for own in ("signed", "absolute")]
    assert part("clip").apply(wave, drawn).tolist() == [[0.25, -0.25], [0.5, -0.5]]


# words of errors


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("gain:gain_db=61", "gain_db=61: .*less than or equal to 60"),
        ("gain:gain_db=[3,-3]", "falls; write"),
        ("polarity:chance=0.5", "chance"),
        ("dc-offset:offset=2", "offset=2: .*less than or equal to 1"),
        ("dc-offset:drift=-0.1", "drift=-0.1"),
        ("stereo-imbalance:balance_db=100", "balance_db=100"),
        ("agc:ratio=0.5", "ratio=0.5: .*greater than or equal to 1"),
        ("agc:attack_seconds=0", "attack_seconds=0"),
        ("agc:target_db=3", "target_db=3: .*less than or equal to 0"),
    ],
)
def test_bad_settings_are_named(spec: str, words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        part(spec)


def test_ranges_are_to_be_drawn_first() -> None:
    with pytest.raises(ComponentError, match="to be drawn from; give apply"):
        part("gain:gain_db=[-3,3]").apply(torch.ones(1, 4), {})
    with pytest.raises(ComponentError, match="seed is to be drawn"):
        part("dc-offset").apply(torch.ones(1, 4), {})
