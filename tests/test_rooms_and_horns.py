"""Rooms and horns: what a click becomes in them, against acoustics."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import speech_like
from selfremaster.core.rooms import (
    Array,
    Room,
    decay_seconds,
    decaying_noise,
    images,
    placed,
    room_reverberation,
    wall_reflection,
)
from selfremaster.plugins.degradations.horn import horn_sections, resonances_of
from selfremaster.plugins.degradations.reverb import reverberation, shape_of
from tests.strategies import seeds

RATE_HZ = 22050
SOUND_METRES = 343.0


def part(spec: str | dict[str, Any]) -> Degradation:
    made: Degradation = sr.build("degradation", spec)
    return made


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def answer(spec: str | dict[str, Any], rate_hz: int = RATE_HZ, seconds: float = 2) -> Tensor:
    """What a click becomes, with what is drawn from the seed 0, (samples,)."""
    click = torch.zeros(1, round(seconds * rate_hz), dtype=torch.float64)
    click[0, 0] = 1
    made = part(spec)
    return made.apply(click, made.draw(seeded(), rate_hz), rate_hz)[0]


def gains(response: Tensor, rate_hz: int = RATE_HZ) -> tuple[Tensor, Tensor]:
    """Frequencies in Hz, and the gain at each in dB."""
    hertz = torch.fft.rfftfreq(len(response), 1 / rate_hz, dtype=torch.float64)
    return hertz, 20 * torch.fft.rfft(response).abs().clamp(min=1e-12).log10()


def gain_at(response: Tensor, hz: float) -> float:
    hertz, gain = gains(response)
    return float(gain[(hertz - hz).abs().argmin()])


def ratio_db(response: Tensor | Array) -> float:
    """Energy of the sound itself, which is a click of 1, over that of what is added."""
    return float(-10 * np.log10(np.square(response[1:]).sum()))


# horn


def test_a_horn_without_resonances_is_its_band() -> None:
    response = answer("horn:low_hz=200,high_hz=2000,resonances=0")
    assert gain_at(response, 200) == pytest.approx(-3.01, abs=0.05)
    assert gain_at(response, 2000) == pytest.approx(-3.01, abs=0.05)
    assert gain_at(response, 700) == pytest.approx(0, abs=0.1)
    assert gain_at(response, 50) == pytest.approx(-36, abs=0.5)  # 18 dB an octave
    assert gain_at(response, 8000) < -48  # 24 dB an octave, and more near half the rate


@pytest.mark.parametrize("seed", range(5))
def test_a_horn_rings_where_its_seed_says(seed: int) -> None:
    settings = f"length_m=0.7,q=12,resonance_db=12,seed={seed}"
    told = {"length_m": 0.7, "resonances": 5, "resonance_db": 12.0, "seed": seed}
    ringing = resonances_of(told)
    hertz, with_them = gains(answer(f"horn:resonances=5,{settings}"))
    _, without = gains(answer("horn:resonances=0"))
    added = with_them - without
    found = [
        place
        for place in range(1, len(added) - 1)
        if added[place - 1] < added[place] > added[place + 1] and added[place] > 3
    ]
    np.testing.assert_allclose(hertz[found], ringing.hertz, rtol=0.01)
    # the flanks of the others come on top
    np.testing.assert_allclose(added[found], ringing.height_db, atol=1.5)
    assert (ringing.height_db >= 6).all()
    series = SOUND_METRES / 1.4 * np.arange(1, 6)
    assert (np.abs(np.log2(ringing.hertz / series)) <= 1 / 12).all()


def test_one_resonance_has_the_height_and_sharpness_told() -> None:
    told = {"length_m": 0.2, "resonances": 1, "resonance_db": 20.0, "seed": 3}
    ringing = resonances_of(told)
    centre, height_db = float(ringing.hertz[0]), float(ringing.height_db[0])
    spec = "horn:length_m=0.2,resonances={},resonance_db=20,q=4,seed=3"
    hertz, added = gains(answer(spec.format(1)))
    added = added - gains(answer(spec.format(0)))[1]
    assert float(added.max()) == pytest.approx(height_db, abs=0.02)
    half = hertz[added > height_db / 2]  # the cookbook's q, between the points of half the height
    assert math.log2(float(half.max() / half.min())) == pytest.approx(
        2 / math.log(2) * math.asinh(1 / 8), rel=0.1
    )
    assert float(hertz[added.argmax()]) == pytest.approx(centre, rel=0.01)


def test_a_horn_is_of_minimum_phase_and_so_answers_at_once() -> None:
    """All zeros lie within the circle or on it, and all poles within: no part is delayed alone."""
    drawn = part("horn:resonances=12,q=20,resonance_db=20").draw(seeded(), RATE_HZ)
    for row in horn_sections(drawn, RATE_HZ):
        assert np.abs(np.roots(row[:3])).max(initial=0) <= 1 + 1e-6
        assert np.abs(np.roots(row[3:])).max(initial=0) < 1
    wave = torch.zeros(1, 500)
    wave[0, 300] = 1
    heard = part("horn:seed=1").apply(wave, {}, RATE_HZ)[0]
    assert not heard[:300].any()
    assert heard[300] != 0


@given(seed=seeds(), rate_hz=st.sampled_from([8000, 11025, 44100]))
def test_any_horn_dies_away_and_has_no_peak_far_above_those_told(seed: int, rate_hz: int) -> None:
    spec = (
        "horn:low_hz=[50,500],high_hz=[1000,6000],length_m=[0.1,3],resonances=[0,12],"
        "resonance_db=[0,20],q=[1,30]"
    )
    click = torch.zeros(1, 2 * rate_hz)
    click[0, 0] = 1
    heard, drawn = part(spec)(click, seeded(seed), rate_hz)
    assert heard[0, -rate_hz // 10 :].abs().max() < 1e-6
    _, gain = gains(heard[0], rate_hz)
    assert gain.max() < 1.8 * drawn[0]["resonance_db"] + 0.1


# reverb


@settings(max_examples=30)
@given(
    rt60_seconds=st.floats(0.1, 2),
    drr_db=st.floats(-10, 30),
    rate_hz=st.sampled_from([8000, 22050, 44100]),
    seed=seeds(),
)
def test_a_decay_lasts_as_long_and_is_as_loud_as_told(
    rt60_seconds: float, drr_db: float, rate_hz: int, seed: int
) -> None:
    spec = f"reverb:rt60_seconds={rt60_seconds},drr_db={drr_db},seed={seed % 2**31}"
    heard = answer(spec, rate_hz, 3).numpy()
    assert heard[0] == 1
    assert decay_seconds(heard[1:], rate_hz) == pytest.approx(rt60_seconds, rel=0.02)
    assert ratio_db(heard) == pytest.approx(drr_db, abs=0.01)
    late = heard[round(0.0025 * rate_hz) :]  # as it is measured, with a window around the click
    assert -10 * np.log10(np.square(late).sum()) == pytest.approx(drr_db, abs=0.01)


@settings(max_examples=30)
@given(
    rt60_seconds=st.floats(0.1, 2),
    volume_m3=st.floats(20, 150),
    distance_m=st.floats(0.3, 3),
    rate_hz=st.sampled_from([8000, 22050]),
    seed=seeds(),
)
def test_a_room_dies_away_in_the_time_told(
    rt60_seconds: float, volume_m3: float, distance_m: float, rate_hz: int, seed: int
) -> None:
    room = placed(shape_of(volume_m3, seeded(seed)), distance_m, seed)
    heard = room_reverberation(room, rt60_seconds, rate_hz, seed)
    assert decay_seconds(heard, rate_hz) == pytest.approx(rt60_seconds, rel=0.1)
    assert heard[0] == 0


@settings(max_examples=40)
@given(
    rt60_seconds=st.floats(0.05, 10),
    volume_m3=st.floats(math.log(5), math.log(20000)).map(math.exp),
    sides=st.none() | st.tuples(*[st.floats(1, 100)] * 3),
    distance_m=st.floats(0.05, 50),
    seed=seeds(),
)
@example(rt60_seconds=0.1, volume_m3=20000, sides=None, distance_m=1.5, seed=0)
@example(rt60_seconds=0.116, volume_m3=2124, sides=None, distance_m=19.4, seed=0)
@example(rt60_seconds=0.147, volume_m3=7907, sides=None, distance_m=0.118, seed=0)
@example(rt60_seconds=0.05, volume_m3=5, sides=(100, 100, 100), distance_m=50, seed=0)
@example(rt60_seconds=10, volume_m3=5, sides=(1, 1, 100), distance_m=0.05, seed=0)
def test_any_room_that_may_be_asked_for_dies_away_in_the_time_told(
    rt60_seconds: float,
    volume_m3: float,
    sides: tuple[float, float, float] | None,
    distance_m: float,
    seed: int,
) -> None:
    size = shape_of(volume_m3, seeded(seed)) if sides is None else sides
    told = {"kind": "room", "size_m": size, "distance_m": distance_m, "seed": seed % 2**31}
    told["rt60_seconds"] = rt60_seconds
    added = reverberation(told, 8000)
    assert np.isfinite(added).all()
    assert added[0] == 0
    assert decay_seconds(added, 8000) == pytest.approx(rt60_seconds, rel=0.1)
    # no energy comes of nothing: that of a diffuse field, with some room for chance
    room = placed(size, distance_m, seed % 2**31)
    absorbed = 0.161 * room.volume / rt60_seconds
    diffuse = 16 * math.pi * room.distance**2 / absorbed
    assert np.square(added).sum() < 8 * (diffuse + 1)


def test_a_hall_that_is_too_dry_for_echoes_leaves_the_voice_as_it_is() -> None:
    heard = answer("reverb:kind=room,volume_m3=20000,rt60_seconds=0.1,distance_m=1.5")
    assert heard.isfinite().all()
    assert float(heard[0]) == pytest.approx(1, abs=1e-12)
    assert 0 < heard[1:].abs().max() < 0.1


@given(size=st.tuples(*[st.floats(1, 100)] * 3), rt60_seconds=st.floats(0.3, 10), seed=seeds())
def test_walls_take_what_eyring_says(
    size: tuple[float, float, float], rt60_seconds: float, seed: int
) -> None:
    """Kuttruff, Room Acoustics: T = 24 ln(10) V / (-c S ln(1 - absorption))."""
    room = placed(size, 0.3, seed)
    length, width, height = size
    surface = 2 * (length * width + length * height + width * height)
    absorption = 1 - wall_reflection(room, rt60_seconds) ** 2
    decay = -SOUND_METRES * surface * math.log1p(-absorption)
    assert 24 * math.log(10) * length * width * height / decay == pytest.approx(rt60_seconds)


@pytest.mark.parametrize(("volume_m3", "rt60_seconds"), [(40, 0.4), (60, 1), (200, 0.6)])
def test_a_room_is_as_loud_as_the_voice_at_the_critical_distance(
    volume_m3: float, rt60_seconds: float
) -> None:
    """Kuttruff, Room Acoustics: 0.057 * sqrt(volume / time), for sound in a diffuse field."""
    distance_m = 0.057 * math.sqrt(volume_m3 / rt60_seconds)
    found = [
        ratio_db(
            room_reverberation(
                placed(shape_of(volume_m3, seeded(seed)), distance_m, seed), rt60_seconds, 16000, 1
            )
        )
        for seed in range(8)
    ]
    assert np.mean(found) == pytest.approx(0, abs=1.2)


def test_images_come_when_geometry_says() -> None:
    """A room of 5 x 4 x 3 m; the floor, for one, is mirrored 1.2 m below itself."""
    room = Room(np.array([5.0, 4, 3]), np.array([1.0, 2, 1.2]), np.array([3.0, 1.5, 1.6]))
    seen = images(room, 30)
    assert seen.reflections[0] == 0
    assert seen.distance[0] == pytest.approx(room.distance)
    wanted = []
    for axis, side in enumerate(room.size):
        for mirror in (0.0, side):
            image = room.source.copy()
            image[axis] = 2 * mirror - image[axis]
            wanted.append(np.linalg.norm(image - room.microphone))
    first = seen.distance[seen.reflections == 1]
    np.testing.assert_allclose(first, np.sort(wanted))
    # as many as there are rooms in the ball: one image a room
    assert len(seen.distance) == pytest.approx(4 / 3 * math.pi * 30**3 / room.volume, rel=0.02)
    heard = room_reverberation(room, 0.3, 48000, 1)
    for way in first:
        at = (way - room.distance) / SOUND_METRES * 48000
        around = heard[round(at) - 3 : round(at) + 4]
        assert around.max() > 0.8 * 0.6 * room.distance / way  # by the way, and one wall
        assert abs(round(at) - 3 + int(around.argmax()) - at) < 1


def test_noise_takes_over_from_images_without_a_step() -> None:
    """In 20 ms around the join, the mean over places is what it was, but for the decay."""
    room_s, rate_hz, frame = 0.8, 16000, 320
    energy = np.mean(
        [
            np.square(room_reverberation(placed([3.3, 2.7, 2.3], 1, seed), room_s, rate_hz, seed))
            for seed in range(24)
        ],
        axis=0,
    )
    frames = energy[: len(energy) // frame * frame].reshape(-1, frame).mean(axis=1)
    even = 10 * np.log10(frames) + 60 / room_s * 0.02 * np.arange(len(frames))
    even = even[2:30]  # from 40 ms, past where noise has taken over, before 0.12 s, to 0.6 s
    assert np.abs(even - even.mean()).max() < 0.7


def test_late_sound_of_a_room_is_as_white_as_its_tail() -> None:
    """No rumble builds up of images that all have the same sign."""
    power = np.mean(
        [
            np.abs(np.fft.rfft(room_reverberation(placed([5, 4, 3], 1.5, s), 0.6, 16000, s), 2**15))
            ** 2
            for s in range(10)
        ],
        axis=0,
    )
    hertz = np.fft.rfftfreq(2**15, 1 / 16000)
    levels = [
        10 * np.log10(power[(hertz >= low) & (hertz < 2 * low)].mean())
        for low in (62.5, 125, 250, 500, 1000, 2000, 4000)
    ]
    assert np.ptp(levels) < 3


@given(seed=seeds(), distance_m=st.floats(0.05, 50), volume_m3=st.floats(5, 20000))
def test_voice_and_microphone_stand_in_the_room(
    seed: int, distance_m: float, volume_m3: float
) -> None:
    size = shape_of(volume_m3, seeded(seed))
    room = placed(size, distance_m, seed)
    for place in (room.source, room.microphone):
        assert (place >= 0.1 * room.size - 1e-9).all()
        assert (place <= 0.9 * room.size + 1e-9).all()
    longest = 0.8 * float(np.linalg.norm(size))
    assert room.distance == pytest.approx(min(distance_m, longest), rel=1e-6)


@pytest.mark.parametrize("kind", ["decay", "room"])
def test_reverberation_comes_after_its_sound_which_stays_as_it_is(kind: str) -> None:
    wave = torch.zeros(1, 6000, dtype=torch.float64)
    wave[0, 1000] = -0.5
    heard, _ = part(f"reverb:kind={kind},seed=4")(wave, seeded(), RATE_HZ)
    assert heard[0, :1000].abs().max() < 1e-12
    assert float(heard[0, 1000]) == pytest.approx(-0.5, abs=1e-12)
    assert heard[0, 1001:].any()


def test_noise_that_dies_away_is_white() -> None:
    steady = decaying_noise(10, 16000, 1) * np.exp(
        3 * math.log(10) / 10 * np.arange(192_002) / 16e3
    )
    spectrum = np.square(np.abs(np.fft.rfft(steady)))
    bands = [band.mean() for band in np.array_split(spectrum, 8)]
    assert np.ptp(10 * np.log10(bands)) < 0.3


def test_channels_hear_one_room_from_two_places() -> None:
    spec = "reverb:kind=room,volume_m3=[20,200],rt60_seconds=[0.3,0.9]"
    left, right = part(spec).draw_channels(seeded(), RATE_HZ, 2)
    assert left["seed"] != right["seed"]
    assert {**left, "seed": 0} == {**right, "seed": 0}
    assert math.prod(left["size_m"]) == pytest.approx(left["volume_m3"])
    wave = speech_like(3000).repeat(2, 1)
    heard = part(spec).apply(wave, [left, right], RATE_HZ)
    assert not torch.allclose(heard[0], heard[1])


def test_answers_of_several_lengths_in_a_batch_stay_apart() -> None:
    wave = torch.cat([speech_like(5000, seed=seed) for seed in range(3)])
    made = part("reverb:kind=[decay,room],rt60_seconds=[0.06,2]")
    drawn = [made.draw(seeded(seed), RATE_HZ) for seed in range(3)]
    assert {own["kind"] for own in drawn} == {"decay", "room"}
    together = made.apply(wave, drawn, RATE_HZ)
    alone = torch.cat([made.apply(wave[n : n + 1], drawn[n], RATE_HZ) for n in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("reverb:rt60_seconds=0", "rt60_seconds=0: .*greater than or equal to 0.05"),
        ("reverb:kind=cathedral", "kind=cathedral"),
        ("reverb:size_m=[5,4]", "size_m"),
        ("horn:low_hz=[100,3000]", "low_hz up to 3000 and high_hz from 2500 leave no band"),
        ("horn:resonances=13", "resonances=13: .*less than or equal to 12"),
        ("eq:octaves=0.1", "octaves=0.1: .*greater than or equal to 0.25"),
    ],
)
def test_bad_settings_are_named(spec: str, words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        part(spec)


def test_a_room_whose_shape_was_not_drawn_is_refused() -> None:
    with pytest.raises(ComponentError, match=r"size_m is to be drawn; give apply\(\) the param"):
        part("reverb:kind=room,seed=1").apply(torch.ones(1, 10), {}, RATE_HZ)
