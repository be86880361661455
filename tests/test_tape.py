"""What befalls the layers and tracks of tapes, measured on tones and clicks; words of errors."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import hilbert
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.plugins.degradations.azimuth import apart_seconds
from selfremaster.plugins.degradations.dropout import dropouts
from tests.strategies import seeds, waves

RATE_HZ = 22050


def part(spec: str | dict[str, Any]) -> Degradation:
    made: Degradation = sr.build("degradation", spec)
    return made


def degrade(spec: str, wave: Tensor, seed: int = 0, rate_hz: int = RATE_HZ) -> Tensor:
    return part(spec)(wave, Generator().manual_seed(seed), rate_hz)[0]


def drawn(spec: str, seed: int = 0) -> dict[str, Any]:
    return part(spec).draw(Generator().manual_seed(seed), RATE_HZ)


def tone(hertz: float, seconds: float = 2.0, rate_hz: int = RATE_HZ) -> Tensor:
    time = torch.arange(round(seconds * rate_hz), dtype=torch.float64) / rate_hz
    return torch.sin(2 * math.pi * hertz * time)[None]


def click(samples: int, at: int) -> Tensor:
    wave = torch.zeros(1, samples, dtype=torch.float64)
    wave[0, at] = 1
    return wave


def rms(wave: Tensor) -> float:
    return float(wave.double().square().mean().sqrt())


def decibels(ratio: float) -> float:
    return 20 * math.log10(ratio)


def response(spec: str, hertz: Tensor, samples: int = 2**15, rate_hz: int = RATE_HZ) -> Tensor:
    """The complex gain of a linear part at frequencies, from its answer to a click."""
    at = samples // 2
    answer = degrade(spec, click(samples, at), rate_hz=rate_hz)[0]
    turn = -2j * math.pi * hertz[:, None] * (torch.arange(samples) - at) / rate_hz
    return torch.exp(turn) @ answer.to(torch.complex128)


# dropout

BRIEF = "dropout:per_second=2,seconds=[0.01,0.1],depth_db=[6,30]"


def test_dropouts_come_by_chance_as_often_as_told() -> None:
    events = torch.cat([dropouts(drawn(BRIEF, seed), 500) for seed in range(4)])
    assert len(events) == pytest.approx(4000, abs=4 * math.sqrt(4000))
    gaps = dropouts(drawn(BRIEF, 1), 2000)[:, 0].diff()
    assert float(gaps.mean()) == pytest.approx(0.5, rel=0.1)
    assert float(gaps.std() / gaps.mean()) == pytest.approx(1, abs=0.1)  # exponential
    # lengths evenly by octaves, depths evenly in dB, and neither follows from the other
    lasts, left = events[:, 1].log2(), -20 * events[:, 2].log10()
    quarters = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    assert (lasts - math.log2(0.01)).div(math.log2(10)).quantile(quarters).tolist() == (
        pytest.approx([0.25, 0.5, 0.75], abs=0.03)
    )
    assert left.quantile(quarters).tolist() == pytest.approx([12, 18, 24], abs=0.7)
    assert abs(float(torch.corrcoef(torch.stack([lasts, left]))[0, 1])) < 0.05


@pytest.mark.parametrize("spacing_um", [0, 5])
def test_dropouts_last_and_go_as_deep_as_told_and_leave_the_rest_alone(spacing_um: float) -> None:
    spec = f"dropout:per_second=1,seconds=0.05,depth_db=20,spacing_um={spacing_um}"
    wave = 1 + 0.1 * noise(1, 20 * RATE_HZ, seed=4)
    parameters = drawn(spec, 3)
    events = dropouts(parameters, 20)
    heard = part(spec).apply(wave, parameters, RATE_HZ)
    gone = torch.zeros(wave.shape[-1], dtype=torch.bool)
    for begins in events[:, 0].tolist():
        start = round(begins * RATE_HZ)
        gone[start : start + round(0.05 * RATE_HZ)] = True
    assert torch.equal(heard[0, ~gone], wave[0, ~gone])
    assert (heard != wave)[0, gone].double().mean() > 0.99
    apart = [
        begins
        for begins in events[:, 0].tolist()
        if ((events[:, 0] - begins).abs() < 0.06).sum() == 1 and 0.1 < begins < 19.9
    ]
    assert len(apart) > 5
    for begins in apart:
        middle = round((begins + 0.025) * RATE_HZ)
        plateau = (heard / wave)[0, middle - 200 : middle + 200]
        assert float(plateau.mean()) == pytest.approx(0.1, rel=0.03)
        edge = round(begins * RATE_HZ) + round(0.05 * RATE_HZ / 8)  # half of the first quarter
        if not spacing_um:
            assert float((heard / wave)[0, edge]) == pytest.approx(0.55, abs=0.01)


@pytest.mark.parametrize("hertz", [200, 1000, 3000])
@pytest.mark.parametrize(("spacing_um", "speed_cm_s"), [(2, 4.76), (10, 19.05)])
def test_a_lifted_tape_loses_54_6_db_a_wavelength(
    hertz: float, spacing_um: float, speed_cm_s: float
) -> None:
    spec = (
        f"dropout:per_second=0.5,seconds=0.5,depth_db=6,spacing_um={spacing_um},"
        f"speed_cm_s={speed_cm_s}"
    )
    parameters = drawn(spec, 2)
    first, second = dropouts(parameters, 60)[:2, 0].tolist()
    assert second - first > 0.5
    wave = tone(hertz, first + 0.5)
    heard = part(spec).apply(wave, parameters, RATE_HZ)
    plateau = slice(round((first + 0.2) * RATE_HZ), round((first + 0.3) * RATE_HZ))
    wavelength_um = 1e4 * speed_cm_s / hertz
    lost = decibels(rms(wave[:, plateau]) / rms(heard[:, plateau]))
    assert lost == pytest.approx(6 + 54.6 * spacing_um / wavelength_um, abs=0.2)


def test_dropouts_go_and_come_back_smoothly() -> None:
    spec = "dropout:per_second=5,seconds=0.05,depth_db=60,spacing_um=0"
    heard = degrade(spec, torch.ones(1, 10 * RATE_HZ))
    quickest = math.pi / 2 / (0.0125 * RATE_HZ)  # of half a cosine over a quarter of 50 ms
    assert heard.diff().abs().max() < 2.5 * quickest  # where some overlap, their slopes add up


def test_tracks_have_dropouts_of_their_own_and_none_are_none() -> None:
    first, second = part(BRIEF).draw_channels(Generator().manual_seed(1), RATE_HZ, 2)
    assert first["seed"] != second["seed"]
    wave = speech_like(4000)
    assert torch.equal(degrade("dropout:per_second=0", wave), wave)


@pytest.mark.parametrize("spec", ["dropout:per_second=20", "wow-flutter"])
def test_a_long_recording_has_no_seams(spec: str) -> None:
    """Stretches are worked on one after another; what is heard does not tell where."""
    wave = speech_like(600_000).double()
    parameters = drawn(spec, 4)
    whole = part(spec).apply(wave, parameters, RATE_HZ)
    begun = part(spec).apply(wave[:, :270_000], parameters, RATE_HZ)
    torch.testing.assert_close(whole[:, :265_000], begun[:, :265_000], rtol=0, atol=1e-9)
    around = whole[:, 2**18 - 50 : 2**18 + 50].diff().abs().max()
    assert around <= whole.diff().abs().max()
    both = part(spec).apply(wave.expand(2, -1), [parameters, drawn(spec, 5)], RATE_HZ)
    torch.testing.assert_close(both[:1], whole, rtol=0, atol=1e-9)


@given(seed=seeds(), seconds=st.floats(1, 20), more=st.floats(1, 20))
def test_what_drops_out_does_not_depend_on_what_follows(
    seed: int, seconds: float, more: float
) -> None:
    values = drawn(BRIEF, seed)
    brief, long = dropouts(values, seconds), dropouts(values, seconds + more)
    torch.testing.assert_close(brief, long[: len(brief)], rtol=1e-12, atol=0)


# print-through


@settings(max_examples=20)
@given(
    turn=st.floats(0.1, 0.6),
    level=st.floats(-60, -20),
    post=st.floats(-10, 10),
    strongest=st.floats(300, 2000),
)
def test_layers_echo_a_turn_away_at_their_levels(
    turn: float, level: float, post: float, strongest: float
) -> None:
    spec = f"print-through:seconds={turn},level_db={level},post_db={post},strongest_hz={strongest}"
    samples = 2**16
    heard = degrade(spec, click(samples, samples // 2))[0]
    assert heard[samples // 2] == pytest.approx(1, abs=1e-3)
    half = round(0.04 * RATE_HZ)  # as much as tells frequencies apart
    around = torch.arange(-half, half)
    wave = torch.cos(2 * math.pi * strongest * around / RATE_HZ)  # at the strongest frequency
    before, after = level - max(post, 0), level + min(post, 0)
    for layer, side, wanted in ((1, -1, before), (1, 1, after), (2, -1, before), (2, 1, after)):
        place = samples // 2 + side * round(layer * turn * RATE_HZ)
        gain = float((heard[place - half : place + half] * wave).sum())
        further = 0 if layer == 1 else decibels(math.e)  # one more e^-1 for another layer
        assert decibels(gain) == pytest.approx(wanted - further, abs=0.1)


def test_noise_is_like_itself_a_turn_before_and_after() -> None:
    wave = noise(1, 4 * RATE_HZ, seed=8)
    heard = degrade("print-through:seconds=0.8,level_db=-20,post_db=-6", wave)
    size = 2 * wave.shape[-1]
    spectra = [torch.fft.rfft(sound[0].double(), size) for sound in (heard - wave, wave)]
    likeness = torch.fft.irfft(spectra[0] * spectra[1].conj(), size)
    places = likeness.abs().topk(400).indices
    lags = torch.where(places > size // 2, places - size, places).double() / RATE_HZ
    assert (lags.abs() - 0.8).abs().min() < 1e-4
    strongest = float(lags[0])
    assert strongest == pytest.approx(-0.8, abs=1e-3)  # the echo that comes before is the louder
    after = likeness[round(0.8 * RATE_HZ) - 5 : round(0.8 * RATE_HZ) + 6].max()
    assert decibels(float(after / likeness.max())) == pytest.approx(-6, abs=1)


def test_prints_are_strongest_at_their_wavelength_and_fall_on_either_side() -> None:
    spec = "print-through:seconds=0.5,level_db=-20,post_db=0,strongest_hz=800"
    echo = degrade(spec, click(2**15, 2**14))[0, 2**14 + 5000 : 2**14 + 17000]
    spectrum = torch.fft.rfft(echo, 2**16).abs()
    frequency = torch.fft.rfftfreq(2**16, 1 / RATE_HZ)
    assert float(frequency[spectrum.argmax()]) == pytest.approx(800, rel=0.02)
    for hertz in (200, 400, 1600, 3200):
        place = round(hertz * 2**16 / RATE_HZ)
        wanted = hertz / 800 * math.exp(1 - hertz / 800)
        assert float(spectrum[place]) == pytest.approx(0.1 * wanted, rel=0.02)


@given(wave=waves(max_samples=3000))
def test_what_is_shorter_than_a_turn_has_no_echo(wave: Tensor) -> None:
    assert torch.equal(degrade("print-through:seconds=0.5", wave), wave)


# azimuth


@settings(max_examples=30)
@given(
    minutes=st.floats(-40, 40),
    track=st.floats(0.5, 6.3),
    gap=st.floats(0, 3),
    speed=st.floats(4.76, 38.1),
    summed=st.booleans(),
)
def test_a_tilted_head_answers_as_the_formula_says(
    minutes: float, track: float, gap: float, speed: float, summed: bool
) -> None:
    spacing = track + gap
    spec = (
        f"azimuth:minutes={minutes},track_mm={track},spacing_mm={spacing},speed_cm_s={speed},"
        f"summed={str(summed).lower()}"
    )
    hertz = torch.linspace(20, 0.95 * RATE_HZ / 2, 40, dtype=torch.float64)
    tilt = math.tan(math.radians(minutes / 60)) / (10 * speed) * math.pi * hertz
    wanted = torch.sin(tilt * track) / (tilt * track) if minutes else torch.ones_like(hertz)
    wanted = wanted * torch.cos(tilt * spacing) if summed else wanted
    found = response(spec, hertz, 2**13)
    torch.testing.assert_close(found.real, wanted, rtol=0, atol=2e-3)
    assert found.imag.abs().max() < 1e-9  # nothing lags


def test_the_loss_is_the_mean_of_what_lies_across_the_track() -> None:
    hertz, samples = 3000, 8000
    apart = 1.5e-3 * math.tan(math.radians(0.5)) / 0.0476
    time = torch.arange(samples, dtype=torch.float64) / RATE_HZ
    strips = [
        torch.sin(2 * math.pi * hertz * (time + apart * (strip + 0.5 - 100) / 200))
        for strip in range(200)
    ]
    heard = degrade("azimuth:minutes=30", tone(hertz, samples / RATE_HZ))
    wanted = torch.stack(strips).mean(0)[None]
    torch.testing.assert_close(heard[:, 500:-500], wanted[:, 500:-500], rtol=0, atol=1e-3)


def test_two_tracks_in_one_cancel_at_half_a_wavelength() -> None:
    spec = "azimuth:minutes=30,track_mm=0.01,spacing_mm=0.9,summed=true"
    null_hz = 0.5 * 0.0476 / (0.9e-3 * math.tan(math.radians(0.5)))
    found = response(spec, torch.tensor([null_hz, 2 * null_hz, 0.5 * null_hz]).double()).abs()
    assert found.tolist() == pytest.approx([0, 1, math.sqrt(0.5)], abs=2e-3)


@pytest.mark.parametrize("minutes", [-30, 5, 30])
@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_channels_lag_behind_each_other_as_the_tracks_lie_apart(
    minutes: float, rate_hz: int
) -> None:
    tilted = part(f"azimuth:minutes={minutes},track_mm=0.6,spacing_mm=0.9")
    channels = tilted.draw_channels(Generator().manual_seed(1), rate_hz, 3)
    heard = tilted.apply(tone(1000, 1, rate_hz).expand(3, -1), channels, rate_hz)
    lag = 0.9e-3 * math.tan(math.radians(minutes / 60)) / 0.0476
    phases = [np.unwrap(np.angle(hilbert(row.numpy())))[5000:-5000] for row in heard]
    for channel in (1, 2):
        found = float(np.mean(phases[0] - phases[channel])) / (2 * math.pi * 1000)
        assert found == pytest.approx(channel * lag, abs=2e-7)
    assert channels[0]["offset_seconds"] == 0
    assert apart_seconds(channels[0], "spacing_mm") == pytest.approx(lag)


def test_a_sum_of_tracks_and_a_right_angle_leave_no_lag() -> None:
    stereo = "azimuth:track_mm=0.6,spacing_mm=0.9"
    for spec in ("azimuth", f"{stereo},summed=true", f"{stereo},minutes=0"):
        channels = part(spec).draw_channels(Generator().manual_seed(1), RATE_HZ, 2)
        assert channels[0] == channels[1]
    wave = speech_like(3000)
    torch.testing.assert_close(degrade("azimuth:minutes=0", wave), wave, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8000, 44100])
@pytest.mark.parametrize("lag_seconds", [-0.1, -0.0312345, 0.06, 0.1])
def test_a_late_or_early_track_is_as_loud_as_any(rate_hz: int, lag_seconds: float) -> None:
    wave = tone(500, 0.5, rate_hz)
    spec = f"azimuth:minutes=0,offset_seconds={lag_seconds}"
    heard = part(spec).apply(wave, {}, rate_hz)
    middle = slice(round(0.2 * rate_hz), round(0.3 * rate_hz))
    time = torch.arange(wave.shape[-1], dtype=torch.float64) / rate_hz - lag_seconds
    wanted = torch.sin(2 * math.pi * 500 * time)
    torch.testing.assert_close(heard[0, middle], wanted[middle], rtol=0, atol=2e-3)
    assert part(spec).delay_of({}, rate_hz) == round(lag_seconds * rate_hz)
    both = [{}, {"offset_seconds": 0.0}]
    together = part(spec).apply(wave.expand(2, -1), both, rate_hz)
    torch.testing.assert_close(together[:1], heard, rtol=0, atol=1e-12)
    torch.testing.assert_close(together[1:], wave, rtol=0, atol=1e-6)


# what all have in common


@pytest.mark.parametrize(
    "spec",
    ["wow-flutter", "speed", "dropout:per_second=20", "print-through:seconds=0.06", "azimuth"],
)
@pytest.mark.parametrize("rate_hz", [8000, 44100])
def test_what_machines_do_is_linear_but_for_rounding(spec: str, rate_hz: int) -> None:
    first, second = speech_like(6000).double(), noise(1, 6000).double()
    parameters = part(spec).draw(Generator().manual_seed(2), rate_hz)
    both, one, other = (
        part(spec).apply(wave, parameters, rate_hz) for wave in (first - 3 * second, first, second)
    )
    torch.testing.assert_close(both, one - 3 * other, rtol=0, atol=1e-12)
    assert not torch.equal(one, first)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("wow-flutter:wow_percent=11", r"wow_percent=11: Input should be less than or equal to 10"),
        ("wow-flutter:flutter_hz=5", r"flutter_hz=5: Input should be greater than or equal to 6"),
        ("wow-flutter:wow=1", r"no setting 'wow'; did you mean 'wow_hz'"),
        ("wow-flutter:irregular=[0.9,0.1]", r"irregular: \[0\.9, 0\.1\] falls"),
        ("speed:percent=-100", r"percent=-100: Input should be greater than or equal to -80"),
        ("speed:factor=2", r"no setting 'factor'; known: percent"),
        ("dropout:seconds=0", r"seconds=0: Input should be greater than or equal to 0\.001"),
        ("dropout:depth_db=-3", r"depth_db=-3: Input should be greater than or equal to 0"),
        ("dropout:seed=-1", r"seed=-1: Input should be greater than or equal to 0"),
        ("print-through:level_db=3", r"level_db=3: Input should be less than or equal to 0"),
        ("print-through:seconds=0", r"seconds=0: Input should be greater than or equal to 0\.05"),
        ("azimuth:minutes=600", r"minutes=600: Input should be less than or equal to 120"),
        ("azimuth:speed_cm_s=0", r"speed_cm_s=0: Input should be greater than or equal to 1"),
        (
            "azimuth:spacing_mm=0.9",
            r"tracks up to 1.5 mm wide cannot lie 0.9 mm apart; give a track_mm",
        ),
        ("azimuth:spacing_mm=[0,3]", r"tracks up to 1.5 mm wide cannot lie 0 mm apart"),
        ("azimuth:summed=true", r"one track is not a sum; give summed a spacing_mm above 0"),
    ],
)
def test_bad_settings_are_named(spec: str, words: str) -> None:
    with pytest.raises(ComponentError, match=f"^degradation {spec.partition(':')[0]}: {words}"):
        sr.build("degradation", spec)


def test_ranges_need_what_was_drawn() -> None:
    with pytest.raises(ComponentError, match=r"percent=\[-5\.0, 5\.0\] is to be drawn from"):
        part("speed:percent=[-5,5]").apply(torch.ones(1, 10), {})
    with pytest.raises(ComponentError, match="seed is to be drawn; give apply"):
        part("dropout").apply(torch.ones(1, 10), {})
