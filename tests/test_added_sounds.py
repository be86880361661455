"""Hum, hiss, crackle, clicks and noise: what is added, how loud, and how often."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core import audio
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.plugins.degradations.hiss import rising
from selfremaster.plugins.degradations.hum import drifting
from selfremaster.plugins.degradations.noise import stretch
from tests.strategies import seeds

RATE_HZ = 22050
ADDED = ("hum", "hiss", "crackle", "clicks")


def part(spec: str | dict[str, Any]) -> Degradation:
    made: Degradation = sr.build("degradation", spec)
    return made


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def heard(spec: str, seconds: float, rate_hz: int = RATE_HZ, seed: int = 1) -> Tensor:
    """What is added to silence, (samples,), for a speech level of 1."""
    silence = torch.zeros(1, round(seconds * rate_hz), dtype=torch.float64)
    return part(f"{spec},floor_db=0").apply(silence, {"seed": seed}, rate_hz)[0]


def rms(wave: Tensor) -> float:
    return float(wave.double().square().mean().sqrt())


def decibels(ratio: float) -> float:
    return 20 * math.log10(ratio)


def talk(level: float, seed: int, seconds: float = 3.0, rate_hz: int = RATE_HZ) -> Tensor:
    """Sound of an RMS level with pauses of silence between, (1, samples), in whole frames."""
    frame = round(0.02 * rate_hz)
    frames = math.ceil(seconds * rate_hz / frame)
    chance = torch.rand(frames // 10 + 1, generator=seeded(seed)).repeat_interleave(10)[:frames]
    active = (chance < 0.5) | (torch.arange(frames) < 10)
    wave = torch.randn(frames, frame, generator=seeded(seed), dtype=torch.float64)
    wave = wave * active[:, None]
    return level * (wave / wave[active].square().mean().sqrt()).reshape(1, -1)


def events(sound: Tensor, apart: int, faintest: float) -> list[Tensor]:
    """The stretches of a sound that are heard, each at least so many samples from the next."""
    places = (sound.abs() > faintest).nonzero()[:, 0]
    ends = (places.diff() > apart).nonzero()[:, 0] + 1
    pieces = torch.tensor_split(places, ends.tolist())
    return [sound[own[0] : own[-1] + 1] for own in pieces]


def starts(sound: Tensor, apart: int, faintest: float) -> Tensor:
    """The first sample of each of them."""
    places = (sound.abs() > faintest).nonzero()[:, 0]
    return places[torch.cat([torch.tensor([apart + 1]), places.diff()]) > apart]


# levels, which all have in common


@settings(max_examples=25)
@given(
    name=st.sampled_from(["hum", "hiss"]),
    level=st.sampled_from([0.001, 0.1, 1.0, 50.0]),
    level_db=st.floats(-60, 20),
    seed=seeds(),
)
def test_hum_and_hiss_have_their_level_under_that_of_the_speech(
    name: str, level: float, level_db: float, seed: int
) -> None:
    wave = talk(level, seed)
    damaged, _ = part(f"{name}:level_db={level_db},floor_db=-80")(wave, seeded(seed), RATE_HZ)
    assert decibels(rms(damaged - wave) / level) == pytest.approx(level_db, abs=0.1)


@settings(max_examples=25)
@given(
    kind=st.sampled_from(["white", "pink", "brown"]),
    measure=st.sampled_from(["rms", "speech"]),
    level=st.sampled_from([0.003, 0.1, 1.0, 50.0]),
    snr_db=st.floats(-20, 60),
    seed=seeds(),
)
def test_noise_has_the_ratio_that_is_asked_for(
    kind: str, measure: str, level: float, snr_db: float, seed: int
) -> None:
    wave = talk(level, seed)
    spec = f"noise:kind={kind},level={measure},snr_db={snr_db}"
    damaged, _ = part(spec)(wave, seeded(seed), RATE_HZ)
    own = level if measure == "speech" else rms(wave)
    assert decibels(own / rms(damaged - wave)) == pytest.approx(snr_db, abs=0.1)


@pytest.mark.parametrize("name", ["crackle", "clicks"])
def test_the_median_peak_is_at_the_level(name: str) -> None:
    wave = talk(0.2, 1, seconds=20)
    spec = f"{name}:level_db=6,spread_db=0,per_second=10,decay_seconds=0.0008"
    damaged, _ = part(spec)(wave, seeded(), RATE_HZ)
    peaks = [float(own.abs().max()) for own in events((damaged - wave)[0], 100, 0.02)]
    assert decibels(float(torch.tensor(peaks).median()) / 0.2) == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize("name", ADDED)
def test_louder_speech_gets_louder_sounds_and_silence_those_of_the_floor(name: str) -> None:
    wave = talk(0.1, 2)
    made = part(f"{name}:seed=3")
    added = made.apply(wave, {}, RATE_HZ) - wave
    louder = made.apply(4 * wave, {}, RATE_HZ) - 4 * wave
    torch.testing.assert_close(louder, 4 * added)
    in_silence = made.apply(0 * wave, {}, RATE_HZ)
    torch.testing.assert_close(100 * in_silence, added)


@pytest.mark.parametrize("name", [*ADDED, "noise", "noise:kind=pink"])
def test_what_is_added_hangs_neither_on_the_precision_nor_on_the_others(name: str) -> None:
    made = part(name)
    both = torch.cat([talk(0.1, 1), talk(0.5, 2)])
    drawn = [made.draw(seeded(seed), RATE_HZ) for seed in (1, 2)]
    damaged = made.apply(both, drawn, RATE_HZ)
    turned = made.apply(both.flip(0), drawn[::-1], RATE_HZ).flip(0)
    torch.testing.assert_close(turned, damaged, rtol=0, atol=1e-12)
    single = made.apply(both.float(), drawn, RATE_HZ)
    torch.testing.assert_close(single.double(), damaged, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "alike"), [("hum", True), ("crackle", True), ("hiss", False)])
def test_channels_share_their_hum_and_crackle_and_have_hiss_of_their_own(
    name: str, alike: bool
) -> None:
    made = part(name)
    wave = talk(0.1, 1).repeat(2, 1)
    first, second = made.apply(wave, made.draw_channels(seeded(), RATE_HZ, 2), RATE_HZ)
    assert torch.equal(first, second) == alike


@pytest.mark.parametrize("name", [*ADDED, "noise", "noise:level=magnitude,kind=pink"])
def test_gradients_know_that_the_level_goes_with_the_wave(name: str) -> None:
    wave = talk(0.1, 1).requires_grad_()
    damaged = part(name)(wave, seeded(), RATE_HZ)[0]
    (gradient,) = torch.autograd.grad(damaged.square().sum(), wave)
    # Euler: twice as loud in is twice as loud out
    found = float((gradient * wave).sum().detach())
    assert found == pytest.approx(2 * float(damaged.detach().square().sum()), rel=1e-9)


# hum


@pytest.mark.parametrize("rate_hz", [8000, 22050])
@pytest.mark.parametrize("mains_hz", [50, 60, 16.5])
def test_hum_is_at_multiples_of_the_mains_and_nowhere_else(mains_hz: float, rate_hz: int) -> None:
    sound = heard(f"hum:mains_hz={mains_hz},harmonics=100,level_db=0,rolloff_db=3", 2, rate_hz)
    power = torch.fft.rfft(sound).abs().square()
    power /= power.sum()
    partials = torch.arange(1, min(100, math.ceil(rate_hz / 2 / mains_hz) - 1) + 1)
    places = (2 * mains_hz * partials).long()
    assert (power[places] > 1e-6).all()
    power[places] = 0
    assert 10 * math.log10(float(power.max())) < -110


def test_partials_above_half_the_rate_are_left_out_of_the_level() -> None:
    spec = "hum:mains_hz=1000,level_db=-6,harmonics=50,rolloff_db=0"
    for rate_hz in (8000, 8001, 44100):
        assert decibels(rms(heard(spec, 2, rate_hz))) == pytest.approx(-6, abs=0.01)
    assert not heard("hum:mains_hz=1000", 1, 2000).any()


def partials(spec: str) -> list[float]:
    """The levels of the first eight partials of 50 Hz, dB."""
    spectrum = torch.fft.rfft(heard(spec, 1)).abs()
    return [decibels(float(spectrum[50 * number])) for number in range(1, 9)]


def test_partials_fall_by_octaves_and_rectifiers_raise_the_even_ones() -> None:
    plain = partials("hum:rolloff_db=6,even_db=0,spread_db=0")
    assert [plain[0] - plain[number] for number in (1, 3, 7)] == pytest.approx([6, 12, 18])
    rectified = partials("hum:rolloff_db=6,even_db=20,spread_db=0")
    raised = [after - before for before, after in zip(plain, rectified, strict=True)]
    assert [raised[number] - raised[0] for number in range(8)] == pytest.approx(
        [0, 20] * 4, abs=1e-5
    )


def test_partials_are_scattered_by_their_spread() -> None:
    found = torch.stack(
        [
            torch.fft.rfft(
                heard("hum:harmonics=100,rolloff_db=0,even_db=0,spread_db=5", 1, 11000, seed)
            )
            .abs()[50:5001:50]
            .log10()
            for seed in range(5)
        ]
    )
    assert float(20 * (found - found.mean(-1, keepdim=True)).std()) == pytest.approx(5, abs=0.6)


@given(seed=seeds(), percent=st.floats(0.01, 10))
def test_a_drift_stays_within_its_percent_and_is_slow(seed: int, percent: float) -> None:
    moments = torch.arange(6000, dtype=torch.float64) / 100
    passed = drifting(moments, percent / 100, seed)
    speed = 100 * passed.diff()
    assert float(passed[0]) == pytest.approx(0, abs=1e-15)
    assert float((speed - 1).abs().max()) <= percent / 100 * (1 + 1e-9)
    assert float(speed.std()) > 0
    # half a swing a second at most: 2 pi 0.5 of the percent in a second
    assert float(100 * speed.diff().abs().max()) <= math.pi * percent / 100 * 1.01


def test_the_drift_of_a_hum_is_that_of_its_frequency() -> None:
    sound = heard("hum:mains_hz=50,harmonics=1,drift_percent=2,level_db=0", 60, 1000)
    crossings = ((sound[:-1] < 0) & (sound[1:] >= 0)).nonzero()[:, 0]
    before, after = sound[crossings], sound[crossings + 1]
    hz = 1000 / (crossings - before / (after - before)).diff()
    assert 50.2 < float(hz.max()) < 51.02
    assert 48.98 < float(hz.min()) < 49.8
    assert decibels(rms(sound)) == pytest.approx(0, abs=0.05)


@given(seed=st.integers(0, 2**31 - 1), samples=st.integers(1, 5))
def test_the_shortest_hums_drift_too(seed: int, samples: int) -> None:
    sound = heard("hum:drift_percent=10,level_db=0", samples / RATE_HZ, seed=seed)
    still = heard("hum:drift_percent=0,level_db=0", samples / RATE_HZ, seed=seed)
    torch.testing.assert_close(sound, still, rtol=0, atol=0.05)


# hiss


@pytest.mark.parametrize("rate_hz", [22050, 48000])
@pytest.mark.parametrize("slope_db", [0, 3, 6])
def test_hiss_is_even_at_first_and_rises_above_its_corner(slope_db: float, rate_hz: int) -> None:
    spec = f"hiss:corner_hz=500,slope_db={slope_db},top_hz=192000"
    every = [heard(spec, 8, rate_hz, seed) for seed in range(6)]
    power = torch.fft.rfft(torch.stack(every)).abs().square().mean(0)

    def octave(low_hz: float) -> float:
        return 10 * float(power[round(8 * low_hz) : round(16 * low_hz)].mean().log10())

    assert octave(4000) - octave(2000) == pytest.approx(slope_db, abs=0.3)
    assert octave(100) - octave(50) == pytest.approx(0, abs=0.6)
    assert octave(4000) - octave(50) == pytest.approx(3.4 * slope_db, abs=1.5)


def test_hiss_falls_by_12_db_an_octave_above_its_top() -> None:
    values = {"corner_hz": 20000, "slope_db": 0, "top_hz": 1000}
    gain = 20 * rising(values, 44100)[0].log10()
    hertz = torch.linspace(0, 22050, len(gain))
    corner, far, farther = (int((hertz - at).abs().argmin()) for at in (1000, 8000, 16000))
    assert float(gain[corner]) == pytest.approx(-3.01, abs=0.1)
    assert float(gain[farther] - gain[far]) == pytest.approx(-12.04, abs=0.05)


def test_a_first_order_slope_is_that_of_the_replay_time_constant() -> None:
    gain = rising({"corner_hz": 1326, "slope_db": 6.0206, "top_hz": 192000}, 22050)[0]
    omega = 2 * math.pi * torch.linspace(0, 11025, len(gain), dtype=torch.float64)
    expected = (1 + (120e-6 * omega).square()).sqrt()
    torch.testing.assert_close(gain, expected, rtol=0.005, atol=0)


# crackle and clicks


@pytest.mark.parametrize("name", ["crackle", "clicks"])
@pytest.mark.parametrize("per_second", [0.5, 20])
def test_so_many_are_heard_a_second(name: str, per_second: float) -> None:
    seconds = 2000 / per_second
    spec = f"{name}:per_second={per_second},spread_db=0,level_db=0,decay_seconds=0.0005"
    first = starts(heard(spec, seconds, 8000), 16, 0.2)  # two within 2 ms count as one
    expected = 2000 * math.exp(-0.002 * per_second)
    assert len(first) == pytest.approx(expected, abs=4 * math.sqrt(2000))
    gaps = first.diff().double() / 8000
    assert float(gaps.std()) == pytest.approx(1 / per_second, rel=0.1)  # exponential, not even
    counts = torch.histc(first.double() / 8000, 10, 0, seconds)
    assert float(counts.min()) > 130


def test_peaks_of_crackle_are_log_normal_and_of_either_sign() -> None:
    sound = heard("crackle:per_second=20,spread_db=8,level_db=-10", 200, 16000)
    largest = torch.stack([own[own.abs().argmax()] for own in events(sound, 24, 1e-3)])
    peaks = 20 * largest.abs().log10()
    assert float(peaks.median()) == pytest.approx(-10, abs=0.8)
    assert float(peaks.std()) == pytest.approx(8, abs=0.5)
    shares = [float(torch.quantile(peaks, share)) + 10 for share in (0.023, 0.977)]
    assert shares == pytest.approx([-16, 16], abs=1.5)
    assert float((largest > 0).double().mean()) == pytest.approx(0.5, abs=0.05)


def test_crackle_rings_at_the_resonance_of_its_pickup() -> None:
    for hz, rate_hz, expected in ((6000, 44100, 6000), (3000, 22050, 3000), (9000, 8000, 3600)):
        sound = heard(f"crackle:resonance_hz={hz},decay_seconds=0.005", 4, rate_hz)
        power = torch.fft.rfft(sound).abs().square().unfold(0, 400, 400).mean(-1)
        assert 100 * int(power.argmax()) == pytest.approx(expected, abs=150)


def test_clicks_have_frequencies_decays_and_signs_of_their_own() -> None:
    spec = "clicks:per_second=2,spread_db=0,level_db=0,low_hz=500,high_hz=4000,decay_seconds=0.02"
    found = [own for own in events(heard(spec, 300, 44100), 4000, 1e-3) if len(own) < 1800]
    hertz, decays, signs = [], [], []
    for click in found:
        hertz.append(44100 * int(torch.fft.rfft(click, 44100).abs().argmax()) / 44100)
        decays.append(len(click) / 44100)  # heard until it is 60 dB down
        signs.append(float(click[click.abs() > 0.1][0]))
    pitch = torch.tensor(hertz)
    assert 400 < float(pitch.min()) < 600
    assert 3500 < float(pitch.max()) < 4100
    assert float(pitch.log2().median()) == pytest.approx(math.log2(1414), abs=0.25)
    decay = torch.tensor(decays)
    assert 0.0085 < float(decay.min()) < 0.012
    assert 0.035 < float(decay.max()) < 0.041
    assert float((torch.tensor(signs) > 0).double().mean()) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("turns", [33.3, 45, 78])
def test_a_scratch_comes_again_once_a_turn(turns: float) -> None:
    spec = f"clicks:per_second=0,turns_per_minute={turns},spread_db=4,level_db=0"
    exact = starts(heard(f"{spec},jitter_percent=0", 30), 3000, 0.01)
    assert len(exact) in {math.floor(turns / 2), math.ceil(turns / 2)}
    gaps = exact.diff().double() / RATE_HZ
    assert gaps.tolist() == pytest.approx([60 / turns] * len(gaps), abs=2 / RATE_HZ)
    jittery = starts(heard(f"{spec},jitter_percent=1", 300), 3000, 0.01).diff().double() / RATE_HZ
    # both ends of a gap have a jitter
    assert float(jittery.std() / (60 / turns)) == pytest.approx(0.01 * math.sqrt(2), rel=0.25)
    assert float(jittery.mean()) == pytest.approx(60 / turns, rel=1e-3)


def test_a_scratch_is_one_click_nearly_as_loud_each_time() -> None:
    spec = "clicks:per_second=0,turns_per_minute=78,spread_db=8,level_db=0"
    every = [events(heard(spec, 60, seed=seed), 3000, 1e-4) for seed in range(12)]
    levels = [torch.tensor([decibels(float(own.abs().max())) for own in each]) for each in every]
    within = torch.stack([each.std() for each in levels])
    assert float(within.mean()) == pytest.approx(2, rel=0.15)  # a quarter
    assert float(torch.stack([each.median() for each in levels]).std()) > 4
    phases = {int(starts(heard(spec, 1, seed=seed), 3000, 1e-4)[0]) for seed in range(8)}
    assert len(phases) == 8


def test_a_scratch_comes_on_top_of_clicks_which_it_does_not_change() -> None:
    clicks, scratch = "per_second=5", "turns_per_minute=78"
    both = heard(f"clicks:{clicks},{scratch}", 5)
    apart = heard(f"clicks:{clicks}", 5) + heard(f"clicks:per_second=0,{scratch}", 5)
    torch.testing.assert_close(both, apart)


def test_discs_with_and_without_a_scratch_are_drawn_from_a_list() -> None:
    made = part("clicks:turns_per_minute=[null,33.3,78]")
    generator = seeded()
    drawn = {made.draw(generator, RATE_HZ)["turns_per_minute"] for _ in range(50)}
    assert drawn == {None, 33.3, 78}


@pytest.mark.parametrize("name", ["crackle", "clicks:turns_per_minute=78", "hum:drift_percent=1"])
def test_what_is_heard_first_does_not_hang_on_what_comes_later(name: str) -> None:
    spec = name if ":" in name else f"{name}:spread_db=4"
    short, long = heard(spec, 1), heard(spec, 3)
    torch.testing.assert_close(short, long[: len(short)], rtol=0, atol=1e-12)


# noise


@pytest.mark.parametrize(("kind", "slope_db"), [("white", 0), ("pink", -3.01), ("brown", -6.02)])
@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_the_colour_of_noise_is_its_slope(kind: str, slope_db: float, rate_hz: int) -> None:
    power = torch.fft.rfft(heard(f"noise:kind={kind}", 20, rate_hz)).abs().square()
    levels = [10 * math.log10(float(power[20 * low : 40 * low].mean())) for low in (100, 800, 3200)]
    assert (levels[1] - levels[0]) / 3 == pytest.approx(slope_db, abs=0.25)
    assert (levels[2] - levels[1]) / 2 == pytest.approx(slope_db, abs=0.25)


def test_sets_of_noise_that_differ_in_all_they_can_are_each_heeded(tmp_path: Path) -> None:
    audio.write(tmp_path / "a.wav", torch.sin(torch.arange(4000) / 9)[None] / 3, RATE_HZ)
    sets: list[dict[str, Any]] = [
        {"seed": 1, "level": "rms"},
        {"seed": 2, "level": "speech", "kind": "pink"},
        {"seed": 3, "level": "magnitude", "kind": "brown"},
        {"seed": 4, "level": "speech", "folder": str(tmp_path), "file": "a.wav", "start": 0.5},
        {"seed": 5, "floor_db": 0},
    ]
    made = part("noise")
    waves = torch.cat([talk(0.1, seed) for seed in range(5)])
    damaged = made.apply(waves, sets, RATE_HZ)
    for wave, own, found in zip(waves, sets, damaged, strict=True):
        alone = made.apply(wave[None], own, RATE_HZ)[0]
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-9)
    assert rms(damaged[4] - waves[4]) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 16000, 8000, 48000])
@pytest.mark.parametrize("seconds", [0.3, 5.0])
def test_a_stretch_at_another_rate_has_no_seam(
    tmp_path: Path, rate_hz: int, seconds: float
) -> None:
    time = torch.arange(2 * RATE_HZ, dtype=torch.float64) / RATE_HZ
    tone = torch.sin(2 * math.pi * 441 * time)[None] / 2
    audio.write(tmp_path / "tone.wav", tone.float(), RATE_HZ)
    for start in (0.0, 0.25, 0.999):
        found = stretch(tmp_path / "tone.wav", start, round(seconds * rate_hz), rate_hz)
        begin = int(start * 2 * RATE_HZ) / RATE_HZ
        moments = begin + torch.arange(len(found), dtype=torch.float64) / rate_hz
        wanted = torch.sin(2 * math.pi * 441 * moments) / 2
        torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-4)


@given(start=st.floats(0, 1, exclude_max=True), samples=st.integers(1, 300))
def test_a_stretch_goes_round_its_file(
    tmp_path_factory: pytest.TempPathFactory, start: float, samples: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "steps.wav"
    steps = torch.arange(100) / 128
    if not path.exists():
        audio.write(path, steps[None], RATE_HZ)
    wanted = steps[(int(start * 100) + torch.arange(samples)) % 100]
    torch.testing.assert_close(stretch(path, start, samples, RATE_HZ), wanted, rtol=0, atol=1e-4)


def test_silence_that_was_recorded_adds_nothing_however_loud_the_wave(tmp_path: Path) -> None:
    audio.write(tmp_path / "nothing.wav", torch.zeros(1, 4000), RATE_HZ)
    quiet = part({"name": "noise", "folder": str(tmp_path), "snr_db": -60})
    wave = 1e30 * torch.ones(1, 6000)
    damaged, _ = quiet(wave, seeded(), RATE_HZ)
    torch.testing.assert_close(damaged, wave)


# words of errors


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("hum:mains_hz=5", "mains_hz=5: .*greater than or equal to 10"),
        ("hum:harmonics=0", "harmonics=0: .*greater than or equal to 1"),
        ("hum:mains_hz=[]", "at least 1 item"),
        ("hum:level=3", "no setting 'level'; did you mean 'level_db'"),
        ("hiss:slope_db=-3", "slope_db=-3: .*greater than or equal to 0"),
        ("crackle:per_second=0", "per_second=0: .*greater than or equal to 0.01"),
        ("crackle:level_db=[0,-20]", r"\[0.0, -20.0\] falls; write \[low, high\]"),
        ("clicks:per_second=0", "nothing clicks; give per_second, turns_per_minute or both"),
        ("clicks:low_hz=5000", "low_hz=5000 is above high_hz=4000; give the lower first"),
        ("clicks:low_hz=[200,5000]", "low_hz=5000 is above high_hz=4000; give the lower first"),
        ("clicks:high_hz=[300,4000]", "low_hz=500 is above high_hz=300; give the lower first"),
        ("clicks:turns_per_minute=0", "turns_per_minute=0: .*greater than or equal to 1"),
        ("noise:kind=purple", "kind=purple"),
    ],
)
def test_bad_settings_are_named(spec: str, words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        part(spec)


@pytest.mark.parametrize("name", ADDED)
def test_what_is_to_be_drawn_is_asked_for(name: str) -> None:
    with pytest.raises(ComponentError, match="seed is to be drawn; give apply"):
        part(name).apply(torch.ones(1, 10), {}, RATE_HZ)
    with pytest.raises(ComponentError, match=r"level_db=\[-50.0, -20.0\] is to be drawn from"):
        part(f"{name}:level_db=[-50,-20]").apply(torch.ones(1, 10), {"seed": 1}, RATE_HZ)
