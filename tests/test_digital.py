"""Damage by digital machines: few bits, low rates, lost packets; codecs have tests of their own."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.core.signals import resample_hann
from selfremaster.plugins.degradations.bit_depth import dither
from selfremaster.plugins.degradations.packet_loss import lost_packets
from tests.strategies import seeds, waves

RATE_HZ = 22050


def degrade(spec: str, wave: Tensor, at_hz: int = RATE_HZ, **parameters: Any) -> Tensor:
    part: Degradation = sr.build("degradation", spec)
    return part.apply(wave, {"seed": 0, **parameters} if has_seed(part) else parameters, at_hz)


def has_seed(part: Degradation) -> bool:
    return "seed" in type(part.config).model_fields


def tone(hz: float, samples: int = RATE_HZ, level: float = 0.5, rate_hz: int = RATE_HZ) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) / rate_hz
    return level * torch.sin(2 * math.pi * hz * time + 0.3)[None]


def decibels(ratio: float) -> float:
    return 20 * math.log10(max(ratio, 1e-12))


def level_at(wave: Tensor, hz: float, rate_hz: int = RATE_HZ) -> float:
    """The amplitude of a tone in the middle of a wave, in dB of full scale."""
    heard = wave[0, 2000:-2000].double().numpy()
    window = np.hanning(len(heard))
    turning = np.exp(-2j * np.pi * hz * np.arange(len(heard)) / rate_hz)
    return decibels(2 * abs((heard * window * turning).sum()) / window.sum())


def rms(wave: Tensor) -> float:
    return wave[:, 2000:-2000].double().square().mean().sqrt().item()


# bit-depth


@given(bits=st.integers(2, 24), wave=waves(max_samples=3000))
def test_waves_damaged_alike_are_rounded_as_each_alone(bits: int, wave: Tensor) -> None:
    part: Degradation = sr.build("degradation", "bit-depth:seed=0")
    other = {"bits": 2 if bits > 2 else 3}
    each = part.apply(torch.cat([wave, wave]), [{"bits": bits}] * len(wave) + [other] * len(wave))
    alike = part.apply(wave, {"bits": bits})
    assert torch.equal(alike, each[: len(wave)])
    assert not torch.signbit(alike[alike == 0]).any()


@given(bits=st.integers(2, 24), wave=waves(max_samples=3000))
def test_samples_are_whole_steps_within_what_so_many_bits_hold(bits: int, wave: Tensor) -> None:
    steps = degrade("bit-depth", wave.double(), bits=bits) * 2 ** (bits - 1)
    assert torch.equal(steps, steps.round())
    assert steps.min() >= -(2 ** (bits - 1))
    assert steps.max() <= 2 ** (bits - 1) - 1
    inside = (wave.abs() < 1 - 2.0 ** (1 - bits))[0]
    error = (steps / 2 ** (bits - 1) - wave)[0, inside]
    assert (error.abs() <= 2.0**-bits).all()


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_there_are_as_many_values_as_bits_can_tell_apart(bits: int) -> None:
    rising = torch.linspace(-1.2, 1.2, 20_000)[None]
    assert len(set(degrade("bit-depth", rising, bits=bits)[0].tolist())) == 2**bits


@pytest.mark.parametrize("bits", [6, 8, 12, 16])
def test_a_full_scale_tone_stands_6_db_a_bit_above_the_error(bits: int) -> None:
    wave = tone(997, samples=50_000, level=1 - 2.0 ** (1 - bits))
    error = degrade("bit-depth", wave, bits=bits) - wave
    assert decibels(rms(wave) / rms(error)) == pytest.approx(6.02 * bits + 1.76, abs=0.5)


def test_dither_frees_the_error_from_the_sound() -> None:
    """A soft tone, whose steps would be harmonics: with dither none of them stands out."""
    wave = tone(441, samples=4 * RATE_HZ, level=0.02)
    heard = {how: degrade(f"bit-depth:bits=6,dither={how}", wave) for how in ("none", "triangular")}
    third = {how: level_at(sound, 3 * 441) for how, sound in heard.items()}
    assert third["none"] > -50
    assert third["triangular"] < third["none"] - 20
    for how, likeness in (("none", 0.25), ("triangular", 0.03)):
        error = (heard[how] - wave)[0]
        found = abs(float(torch.corrcoef(torch.stack([error.square(), wave[0].square()]))[0, 1]))
        assert found > likeness if how == "none" else found < likeness


def test_dither_is_as_loud_as_it_is_wide() -> None:
    for how, squares in (("rectangular", 1 / 12), ("triangular", 1 / 6)):
        chance = dither(3, how, 200_000)  # type: ignore[arg-type]  # mypy widens what it loops over
        assert chance.square().mean().item() == pytest.approx(squares, rel=0.02)
        assert chance.mean().item() == pytest.approx(0, abs=0.005)
        assert chance.abs().max() <= (0.5 if how == "rectangular" else 1)
    # triangular dither makes the power of the error the same everywhere: a quarter of a step^2
    for level in (0.0, 0.3, 0.5):
        constant = torch.full((1, 100_000), level / 128)
        error = (degrade("bit-depth:dither=triangular", constant) - constant) * 128
        assert error.square().mean().item() == pytest.approx(1 / 4, rel=0.03)


def test_bits_are_of_full_scale_and_dither_is_the_only_sound_in_silence() -> None:
    assert not degrade("bit-depth", torch.full((1, 100), 0.003)).any()
    assert not degrade("bit-depth", torch.zeros(1, 3000)).any()
    assert degrade("bit-depth:dither=triangular", torch.zeros(1, 3000)).any()
    assert not degrade("bit-depth:dither=rectangular", torch.zeros(1, 3000)).any()
    for spec, adds in (("none", False), ("rectangular", False), ("[none, triangular]", True)):
        assert sr.build("degradation", f"bit-depth:dither={spec}").adds_sound is adds


def test_each_channel_has_dither_of_its_own() -> None:
    part = sr.build("degradation", "bit-depth:dither=triangular")
    drawn = part.draw_channels(Generator().manual_seed(1), RATE_HZ, 2)
    left, right = part.apply(torch.zeros(2, 500), drawn, RATE_HZ)
    assert not torch.equal(left, right)


# resample


@given(
    rate_hz=st.integers(2000, 16000),
    part=st.floats(0.02, 0.45),
    above=st.floats(0.501, 0.66),
)
@settings(max_examples=25)
def test_what_the_rate_holds_passes_and_the_rest_is_gone(
    rate_hz: int, part: float, above: float
) -> None:
    spec = f"resample:rate_hz={rate_hz}"
    below_hz, above_hz = part * rate_hz, above * rate_hz
    kept = degrade(spec, tone(below_hz))
    middle = slice(4000, -4000)
    torch.testing.assert_close(
        kept[:, middle], tone(below_hz)[:, middle], rtol=0, atol=0.5 * (10 ** (0.1 / 20) - 1)
    )
    lost = degrade(spec, tone(above_hz))
    assert decibels(rms(lost[:, middle]) / rms(tone(above_hz)[:, middle])) < -60


@pytest.mark.parametrize("rebuilt", ["filtered", "linear", "held"])
@pytest.mark.parametrize("rate_hz", [8000, 7350, 7919])
def test_without_a_filter_a_tone_folds_back(rate_hz: int, rebuilt: str) -> None:
    heard = degrade(f"resample:rate_hz={rate_hz},aliasing=true,rebuilt={rebuilt}", tone(5000))
    alias_hz = rate_hz - 5000
    gain = np.sinc(alias_hz / rate_hz) ** {"filtered": 0, "held": 1, "linear": 2}[rebuilt]
    assert level_at(heard, alias_hz) == pytest.approx(decibels(0.5 * gain), abs=0.5)
    if rebuilt == "filtered":
        assert level_at(heard, 5000) < -60
    clean = degrade(f"resample:rate_hz={rate_hz},rebuilt={rebuilt}", tone(5000))
    assert level_at(clean, alias_hz) < -60


def test_a_staircase_and_lines_leave_images() -> None:
    """Held and straight lines weigh what is heard by sinc and by its square."""
    hz, rate_hz = 1000, 8000
    for rebuilt, power in (("held", 1), ("linear", 2)):
        heard = degrade(
            f"resample:rate_hz={rate_hz},rebuilt={rebuilt}", tone(hz, rate_hz=88200), 88200
        )
        for found in (hz, rate_hz - hz, rate_hz + hz):
            wanted = decibels(0.5 * abs(np.sinc(found / rate_hz)) ** power)
            assert level_at(heard, found, 88200) == pytest.approx(wanted, abs=0.5)
    assert level_at(degrade("resample:rate_hz=8000", tone(hz)), rate_hz - hz) < -60


def test_nothing_lags_at_a_low_rate() -> None:
    click = torch.zeros(1, 4001, dtype=torch.float64)
    click[0, 2000] = 1
    answer = degrade("resample:rate_hz=3000", click)
    torch.testing.assert_close(answer, answer.flip(-1), rtol=0, atol=1e-9)
    for spec in ("rebuilt=held", "rebuilt=linear", "aliasing=true", "aliasing=true,rebuilt=held"):
        wave = tone(300)
        heard = degrade(f"resample:rate_hz=4410,{spec}", wave)
        turned = torch.fft.rfft(heard[0])[300] / torch.fft.rfft(wave[0])[300]
        assert abs(float(turned.angle())) < 2 * math.pi * 300 * 0.5 / RATE_HZ  # half a sample


@pytest.mark.parametrize("spec", ["resample", "resample:aliasing=true,rebuilt=held"])
@pytest.mark.parametrize("rate_hz", [22050, 44100])
def test_a_rate_that_is_high_enough_changes_nothing(spec: str, rate_hz: int) -> None:
    wave = speech_like(3000)
    assert torch.equal(degrade(spec, wave, rate_hz=rate_hz), wave)


@pytest.mark.parametrize("rebuilt", ["filtered", "linear", "held"])
@pytest.mark.parametrize("aliasing", ["true", "false"])
def test_low_rates_have_the_gradient_that_differences_say(aliasing: str, rebuilt: str) -> None:
    wave = torch.randn(2, 12, dtype=torch.float64, generator=Generator().manual_seed(0))
    spec = f"resample:rate_hz=500,aliasing={aliasing},rebuilt={rebuilt}"
    part: Degradation = sr.build("degradation", spec)
    assert torch.autograd.gradcheck(
        lambda given: part.apply(given, {}, 800), (wave.requires_grad_(),)
    )


# quantize-resample, and the resampler that it shares


@pytest.mark.parametrize("rates", [(22050, 8000), (8000, 22050), (44100, 16007), (7919, 44100)])
def test_the_resampler_is_the_sum_of_windowed_sincs_that_it_says(rates: tuple[int, int]) -> None:
    from_hz, to_hz = rates
    wave = noise(1, 300).double()
    cutoff_hz = 0.99 * min(rates)
    moments = torch.arange(math.ceil(300 * to_hz / from_hz), dtype=torch.float64) / to_hz
    turns = (moments[:, None] - torch.arange(300, dtype=torch.float64) / from_hz) * cutoff_hz
    window = torch.where(turns.abs() < 6, torch.cos(math.pi * turns / 12) ** 2, 0)
    wanted = (torch.sinc(turns) * window * cutoff_hz / from_hz) @ wave[0]
    found = resample_hann(wave, from_hz, to_hz)[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_a_long_wave_is_resampled_like_its_parts() -> None:
    wave = noise(1, 600_000)
    whole = resample_hann(wave, 22050, 8000)
    piece = resample_hann(wave[:, 441_000 - 22050 : 441_000 + 22050], 22050, 8000)
    torch.testing.assert_close(whole[:, 160_000 - 7000 : 160_000 + 7000], piece[:, 1000:15000])


def test_rates_that_have_nothing_in_common_are_no_matter() -> None:
    wave = tone(1000, rate_hz=44100, samples=44100)
    heard = degrade("quantize-resample:rate_hz=7919,mode=codec,levels=65536", wave, 44100)
    torch.testing.assert_close(heard[:, 500:-500], wave[:, 500:-500], rtol=0, atol=2e-3)


# packet-loss


@given(
    seed=seeds().map(lambda seed: seed % 2**31),
    loss=st.floats(2, 60),
    burst=st.floats(1, 10),
)
@settings(max_examples=25)
def test_so_many_packets_get_lost_in_bursts_so_long(seed: int, loss: float, burst: float) -> None:
    count = 400_000
    lost = lost_packets(seed, loss, burst, count)
    longest = max(burst, loss / (100 - loss))
    begins = (lost & ~lost.roll(1))[1:].sum().item()
    spread = math.sqrt(2 * longest / count / (loss / 100))  # of what chance makes of so many bursts
    assert lost.double().mean().item() == pytest.approx(loss / 100, rel=6 * spread)
    assert lost.sum().item() / begins == pytest.approx(longest, rel=6 * spread)


def test_bursts_last_as_long_as_memoryless_ones() -> None:
    lost = lost_packets(5, 20, 3, 300_000).int()
    edges = torch.diff(lost)
    begins, ends = (edges == 1).nonzero()[:, 0], (edges == -1).nonzero()[:, 0]
    ends = ends[ends > begins[0]]
    lengths = ends - begins[: len(ends)]
    for length in (1, 2, 3, 6):
        share = (lengths == length).double().mean().item()
        assert share == pytest.approx((2 / 3) ** (length - 1) / 3, abs=0.01)


@given(seed=seeds().map(lambda seed: seed % 2**31), count=st.integers(1, 600))
def test_the_beginning_of_a_line_hangs_on_no_later_packet(seed: int, count: int) -> None:
    whole = lost_packets(seed, 30, 2, 1000)
    assert torch.equal(lost_packets(seed, 30, 2, count), whole[:count])


@given(
    wave=waves(max_samples=8000),
    seed=seeds().map(lambda seed: seed % 2**31),
    concealment=st.sampled_from(["silence", "repeat"]),
    packet_ms=st.sampled_from([1, 7.5, 20, 60]),
)
def test_what_arrives_is_as_it_was(
    wave: Tensor, seed: int, concealment: str, packet_ms: float
) -> None:
    told: dict[str, Any] = {
        "loss_percent": 30,
        "packet_ms": packet_ms,
        "concealment": concealment,
        "seed": seed,
    }
    heard = degrade("packet-loss", wave, **told)
    size = round(packet_ms * RATE_HZ / 1000)
    lost = lost_packets(seed, 30, 2, math.ceil(wave.shape[-1] / size))
    gone = lost.repeat_interleave(size)[: wave.shape[-1]]
    assert torch.equal(heard[:, ~gone], wave[:, ~gone])
    if concealment == "silence":
        assert not heard[:, gone].any()
    else:
        assert (heard.abs().amax(-1) <= wave.abs().amax(-1)).all()


@pytest.mark.parametrize("concealment", ["silence", "repeat"])
def test_all_or_no_packets_may_get_lost(concealment: str) -> None:
    wave = speech_like(5000)
    spec = f"packet-loss:concealment={concealment}"
    assert torch.equal(degrade(spec, wave, loss_percent=0), wave)
    assert not degrade(spec, wave, loss_percent=100).any()


def test_the_last_packet_is_repeated_and_fades_away() -> None:
    """In full for 10 ms, then a fifth less every 10 ms; the fourth repetition is silent."""
    lost = lost_packets(3, 60, 20, 50)
    first = int((lost[1:] & ~lost[:-1]).nonzero()[0]) + 1
    assert lost[first : first + 4].all()
    heard = degrade(
        "packet-loss:loss_percent=60,burst_packets=20,seed=3", torch.ones(1, 50 * 160), 8000, seed=3
    )[0]
    gap = heard[160 * first : 160 * (first + 4)]
    assert (gap[:81] == 1).all()
    for milliseconds, gain in ((20, 0.8), (30, 0.6), (55, 0.1)):
        assert gap[8 * milliseconds].item() == pytest.approx(gain, abs=1e-6)
    assert not gap[480:].any()
    assert torch.equal(heard[160 * (first - 1) : 160 * first], torch.ones(160))


@pytest.mark.parametrize("samples", [1, 7, 160, 1000, 4001])
def test_repeated_packets_are_the_last_ones_faded_to_the_very_end(samples: int) -> None:
    wave = noise(2, samples, seed=6).double()
    for seed in range(20):
        told = {"loss_percent": 50, "packet_ms": 20, "seed": seed}
        heard = degrade("packet-loss", wave, 8000, **told)
        lost = lost_packets(seed, 50, 2, math.ceil(samples / 160)).tolist()
        padded = torch.cat([wave, torch.zeros(2, 160)], -1)
        last = -1
        for number, gone in enumerate(lost):
            last = last if gone else number
            time_ms = ((number - last - 1) * 160 + torch.arange(160)) / 8
            gain = ((60 - time_ms) / 50).clamp(0, 1) * (last >= 0) if gone else torch.ones(160)
            start = max(last, 0) * 160
            wanted = (padded[:, start : start + 160] * gain)[:, : samples - number * 160]
            found = heard[:, number * 160 : (number + 1) * 160]
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_channels_lose_the_same_packets() -> None:
    part = sr.build("degradation", "packet-loss:loss_percent=40,concealment=silence")
    drawn = part.draw_channels(Generator().manual_seed(1), RATE_HZ, 2)
    left, right = part.apply(torch.ones(2, RATE_HZ), drawn, RATE_HZ)
    assert torch.equal(left, right)
    assert 0 < left.mean() < 1


@pytest.mark.parametrize("concealment", ["silence", "repeat"])
def test_lost_packets_have_no_gradient_and_repeated_ones_more(concealment: str) -> None:
    part: Degradation = sr.build("degradation", f"packet-loss:concealment={concealment}")
    wave = torch.randn(1, 40, dtype=torch.float64, generator=Generator().manual_seed(0))
    told = {"packet_ms": 5, "loss_percent": 40, "seed": 2}
    assert torch.autograd.gradcheck(
        lambda given: part.apply(given, told, 1000), (wave.requires_grad_(),)
    )


# words


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("bit-depth:bits=1", "bits=1: .*greater than or equal to 2"),
        ("bit-depth:bits=25", "bits=25: .*less than or equal to 24"),
        ("bit-depth:bits=[8, 4]", "falls; write .low, high."),
        ("bit-depth:dither=noisy", "dither=noisy: .*'none', 'rectangular' or 'triangular'"),
        ("resample:rate_hz=10", "rate_hz=10: .*greater than or equal to 100"),
        ("resample:rebuilt=square", "rebuilt=square: .*'filtered', 'linear' or 'held'"),
        ("resample:alias=true", "no setting 'alias'; did you mean 'aliasing'"),
        ("packet-loss:loss_percent=101", "loss_percent=101: .*less than or equal to 100"),
        ("packet-loss:burst_packets=0.5", "burst_packets=0.5: .*greater than or equal to 1"),
        ("packet-loss:concealment=noise", "concealment=noise: .*'silence' or 'repeat'"),
    ],
)
def test_bad_settings_are_named(spec: str, words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        sr.build("degradation", spec)


def test_chance_is_drawn_before_it_is_used() -> None:
    part = sr.build("degradation", "packet-loss")
    with pytest.raises(ComponentError, match="seed is to be drawn"):
        part.apply(torch.zeros(1, 100), {}, RATE_HZ)
