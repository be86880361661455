"""The differentiable synthesiser: pulses, noise and filters as physics has them; then it learns."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core import audio, promises
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Vocoder
from selfremaster.core.levels import resample
from selfremaster.core.promises.inputs import noise
from selfremaster.plugins.features.mel_cepstrum import synthesis_matrix
from selfremaster.plugins.features.source_filter import SourceFilter, SourceFilterConfig
from selfremaster.plugins.vocoders.ddsp import Ddsp, DdspConfig
from selfremaster.plugins.vocoders.harmonic_noise import (
    anchors,
    cycles,
    filter_frames,
    noise_share,
    onsets,
    phase_matrix,
    pulses,
    steady_noise,
)
from selfremaster.registry.building import build

RATE_HZ, HOP = 22050, 256
SPEECH = Path(__file__).parent.parent / "examples" / "speech" / "heart" / "heart-1.flac"
FEATURES = SourceFilter(SourceFilterConfig())
PUBLISHED = SourceFilter(SourceFilterConfig(preset="published"))


def ddsp(features: SourceFilter = FEATURES, seed: int = 0, **settings: Any) -> Ddsp:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Ddsp(DdspConfig(**settings), features).eval()


def speech(seconds: float = 1.5) -> Tensor:
    wave, rate_hz = audio.read(SPEECH)
    return resample(wave.float(), rate_hz, RATE_HZ)[:1, 5000 : 5000 + round(seconds * RATE_HZ)]


def flat(frames: int, level: float, f0_hz: float = 0.0) -> Tensor:
    """Features of a flat spectrum at a natural log magnitude; voiced if there is an F0."""
    rows = torch.zeros(1, FEATURES.channels, frames)
    rows[:, 0] = math.log2((f0_hz or 150.0) / 150.0)
    rows[:, 1] = float(f0_hz > 0)
    rows[:, 2] = level
    return rows


def power_db(wave: Tensor) -> float:
    return 10 * math.log10(wave.square().mean().item())


def lateness(wave: Tensor, original: Tensor) -> int:
    """By how many samples the loudness of a wave comes after the original's."""
    smooth = torch.hann_window(800)[None, None]
    loud = [
        torch.nn.functional.conv1d(sound.abs()[:, None], smooth)[0, 0] for sound in (wave, original)
    ]
    spectra = [torch.fft.rfft(sound - sound.mean(), 131072) for sound in loud]
    likeness = torch.fft.irfft(spectra[0] * spectra[1].conj())
    lag = int(likeness.argmax())
    return lag - 131072 if lag > 65536 else lag


# pulses and noise


@settings(max_examples=15, deadline=None)
@given(f0_hz=st.floats(60, 1000))
def test_pulses_have_equal_harmonics_below_half_the_rate_and_nothing_else(f0_hz: float) -> None:
    wave = pulses(torch.full((1, 22050), f0_hz), RATE_HZ)[0]
    assert wave[0] > 0.999 * wave.max()
    amplitude = torch.fft.rfft(wave * torch.hann_window(22050)).abs() / 22050 * 4
    harmonics = [round(f0_hz * number) for number in range(1, int(10000 / f0_hz))]
    highest = torch.stack([amplitude[place - 1 : place + 2].max() for place in harmonics])
    expected = 2 * math.sqrt(f0_hz / RATE_HZ)
    assert highest.min() > 0.84 * expected  # a Hann window loses 1.4 dB between two bins
    assert highest.max() < 1.01 * expected
    between = [round(f0_hz * (number + 0.5)) for number in range(1, int(10000 / f0_hz))]
    assert amplitude[between].max() < 2e-3 * expected
    fading, whole = math.modf(RATE_HZ / 2 / f0_hz)
    power = (whole - 1 + fading**2) * 2 * f0_hz / RATE_HZ  # near 1, where there are many
    broken = 1 / f0_hz  # the second does not hold a whole number of pulses
    assert wave.square().mean() == pytest.approx(power, abs=0.005 + broken)


def test_pulses_do_not_drift_in_two_million_samples() -> None:
    wave = pulses(torch.full((1, 2**21), RATE_HZ / 128), RATE_HZ)[0]
    assert torch.equal(wave[:128], wave[-128:])


def test_a_glide_makes_no_sound_between_its_harmonics() -> None:
    f0_hz = torch.linspace(2600, 3200, 22050)[None]  # the third and fourth leave on the way
    wave = pulses(f0_hz, RATE_HZ)[0]
    steps = torch.stft(wave, 1024, 256, window=torch.hann_window(1024), return_complex=True).abs()
    below_hz = torch.linspace(0, RATE_HZ / 2, 513) < 2000
    inner = steps[..., 3:-3]  # without the reflected ends
    assert inner[below_hz].max() < 1e-3 * inner.max()


def test_the_voice_begins_anew_where_it_sets_in() -> None:
    voiced = torch.tensor([[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]])
    starts = onsets(voiced)
    assert starts.nonzero().tolist() == [[0, 2]]
    f0_hz = torch.linspace(100, 130, 500)[None]
    anew = pulses(f0_hz, RATE_HZ, cycles(f0_hz, RATE_HZ, starts))[:, 200:]
    alone = pulses(f0_hz[:, 200:], RATE_HZ)
    torch.testing.assert_close(anew, alone, atol=1e-3, rtol=0)


def test_a_voice_that_goes_on_hangs_on_what_is_near_alone_and_is_hardly_retuned() -> None:
    times = torch.arange(8 * 16384) / RATE_HZ
    f0_hz = (150 + 20 * torch.sin(2 * math.pi * 0.3 * times))[None]
    other = f0_hz.clone()
    other[:, :1000] += 1.0
    every, frames = 16384, torch.zeros(1, 8 * 64, dtype=torch.bool)
    phase = cycles(f0_hz, RATE_HZ, frames, 64)
    assert not phase[:, ::every].any()
    assert torch.equal(cycles(other, RATE_HZ, frames, 64)[:, every:], phase[:, every:])
    spoken_hz = phase.diff().remainder(1) * RATE_HZ
    assert float((spoken_hz - f0_hz[:, :-1]).abs().max()) < 0.5 * RATE_HZ / every + 0.05


def test_a_voice_that_has_just_begun_is_not_retuned_in_haste() -> None:
    starts = torch.zeros(1, 1024, dtype=torch.bool)
    starts[:, 225] = True
    f0_hz = torch.full((1, 4096), 123.0)
    assert anchors(starts, 256).nonzero()[:, 1].tolist() == [0, 512, 768]
    phase = cycles(f0_hz, RATE_HZ, starts, 256)
    assert not phase[:, [0, 900, 2048, 3072]].any()
    assert phase[:, 1024].abs() > 0.1


def test_the_noise_is_white_always_the_same_and_has_no_end() -> None:
    like, state = torch.zeros(1), torch.random.get_rng_state()
    wave = steady_noise(70_000, like, 60_000)
    assert torch.equal(wave[:10_000], wave[60_000:])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert power_db(wave) == pytest.approx(0, abs=0.1)
    bands = torch.fft.rfft(wave[:65536]).abs().square().reshape(-1)[1:].unflatten(0, (8, -1))
    assert (bands.mean(dim=1) / 65536).log10().abs().max() < 0.02


def test_more_noise_at_higher_frequencies() -> None:
    share = noise_share(torch.linspace(0, 11025, 50), 6000.0)
    assert (share.diff() > 0).all()
    assert share[0] == 0
    assert 0.7 < share[-1] < 1


# filters


def test_filters_that_do_nothing_give_the_sound_back() -> None:
    sound = noise(2, 9 * 64)[None]
    wave = filter_frames(sound, torch.ones(1, 2, 8, 129, dtype=torch.complex64), 64)
    torch.testing.assert_close(wave, sound[0, :, 64 : 8 * 64])


@pytest.mark.parametrize("delay", [-20, 0, 70])
def test_filters_delay_by_their_phase(delay: int) -> None:
    sound = torch.zeros(1, 1, 9 * 64)
    sound[..., 300] = 1.0
    turn = -2 * math.pi * delay * torch.arange(129) / 256
    filters = torch.polar(torch.ones(129), turn).expand(1, 1, 8, 129)
    wave = filter_frames(sound, filters, 64)
    assert wave.argmax() == 300 - 64 + delay
    assert wave.sum() == pytest.approx(1, abs=1e-5)


def test_levels_fade_from_frame_to_frame() -> None:
    gain = torch.tensor([0.0, 0.0, 1.0, 1.0])
    filters = gain[None, None, :, None].expand(1, 1, 4, 129).to(torch.complex64)
    wave = filter_frames(torch.ones(1, 1, 5 * 64), filters, 64)[0]
    assert wave[[0, 64]].abs().max() < 1e-6
    assert wave[96] == pytest.approx(0.5, abs=1e-5)
    torch.testing.assert_close(wave[128:], torch.ones(64))


@pytest.mark.parametrize("pole", [0.3, 0.9])
def test_the_phase_of_a_resonance_is_that_of_its_decay(pole: float) -> None:
    order = 100
    powers = torch.arange(1, order + 1, dtype=torch.float64)
    cepstrum = torch.cat([torch.zeros(1, dtype=torch.float64), pole**powers / powers])
    response = torch.polar(
        (synthesis_matrix(1024, order, 0.0) @ cepstrum).exp(),
        phase_matrix(1024, order, 0.0) @ cepstrum,
    )
    decay = torch.fft.irfft(response)
    torch.testing.assert_close(decay[:50], pole ** torch.arange(50).double(), atol=1e-3, rtol=0)
    assert decay[512:].abs().max() < 1e-3


# the vocoder, untrained


@pytest.mark.parametrize("features", [FEATURES, PUBLISHED], ids=["log", "linear"])
@pytest.mark.parametrize("order", [8, 60])
def test_keeps_the_promises(features: SourceFilter, order: int) -> None:
    vocoder = ddsp(features, width=16, order=order)
    with torch.no_grad():  # as if it had been trained
        vocoder.last.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(3))
    promises.check("vocoder", vocoder, promises.Context(features=features))


@torch.no_grad()
@pytest.mark.parametrize("f0_hz", [0.0, 90.0, 331.0])
@pytest.mark.parametrize("level", [-5.0, -1.0])
def test_a_flat_envelope_sounds_at_its_level(f0_hz: float, level: float) -> None:
    wave = ddsp(width=4)(flat(80, level, f0_hz))
    assert power_db(wave) == pytest.approx(20 * level / math.log(10), abs=0.3)


@torch.no_grad()
def test_voiced_frames_sound_at_f0_and_unvoiced_ones_do_not_hear_it() -> None:
    wave = ddsp(width=4)(flat(87, -3, 200.0))[0, :22050]
    amplitude = torch.fft.rfft(wave * torch.hann_window(22050)).abs()
    assert amplitude[195:206].argmax() == 5
    assert amplitude[200] > 100 * amplitude[250:350].max()
    low, high = flat(20, -3), flat(20, -3)
    low[:, 0], high[:, 0] = -1.0, 1.0
    torch.testing.assert_close(ddsp(width=4)(low), ddsp(width=4)(high), atol=1e-4, rtol=0)


@torch.no_grad()
@settings(max_examples=8, deadline=None)
@given(gain_db=st.floats(-40, 20))
def test_a_higher_level_is_the_same_wave_louder(gain_db: float) -> None:
    vocoder, features = ddsp(width=4), flat(12, -4, 120.0)
    louder = features.clone()
    louder[:, 2] += gain_db * math.log(10) / 20
    scale = 10 ** (gain_db / 20)
    torch.testing.assert_close(
        vocoder(louder), scale * vocoder(features), rtol=1e-3, atol=1e-5 * scale
    )


@torch.no_grad()
def test_speech_comes_back_untrained_at_its_level_and_place() -> None:
    wave = speech()
    spoken = ddsp()(FEATURES(wave))
    assert power_db(spoken) == pytest.approx(power_db(wave), abs=1.5)
    assert abs(lateness(spoken, wave)) < 110  # 5 ms
    distance = build("loss", "mel-l1")(spoken, wave)
    assert distance < 0.5
    assert distance < 0.7 * build("loss", "mel-l1")(
        steady_noise(wave.shape[-1], wave, 65536)[None], wave
    )


@torch.no_grad()
def test_silence_stays_silent() -> None:
    assert ddsp()(FEATURES(torch.zeros(1, 8192))).abs().max() < 1e-4


@torch.no_grad()
def test_it_repeats_itself_and_uses_no_chance() -> None:
    vocoder, features, state = ddsp(), FEATURES(speech(0.3)), torch.random.get_rng_state()
    assert torch.equal(vocoder(features), vocoder(features))
    assert torch.equal(torch.random.get_rng_state(), state)


@torch.no_grad()
def test_frames_far_away_are_not_heard() -> None:
    vocoder = ddsp(width=16)
    vocoder.last.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(3))
    features = flat(60, -4, 140.0)
    other = features.clone()
    other[:, 2:, 40:] += 0.1
    reach = 1 + sum(vocoder.config.dilations) + 2  # a frame of sound, the network, the response
    same = slice(0, (40 - reach) * HOP)
    torch.testing.assert_close(
        vocoder(other)[:, same], vocoder(features)[:, same], atol=1e-5, rtol=0
    )


# the vocoder learns


def test_it_learns_to_say_a_second_of_speech() -> None:
    wave, vocoder, loss = speech(0.8), ddsp(seed=1, width=64), build("loss", "mel-l1")
    features = FEATURES(wave)
    optimizer = torch.optim.Adam(vocoder.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        distance = loss(vocoder(features), wave)
        optimizer.zero_grad()
        distance.backward()
        optimizer.step()
        losses.append(distance.item())
    assert losses[-1] < 0.75 * losses[0]


def test_gradients_reach_the_mel_cepstrum_and_not_f0() -> None:
    features = flat(10, -4, 130.0)
    features[:, 1] = 0.5  # half voiced: at its limits a slope is a matter of taste
    features.requires_grad_()
    ddsp(width=4)(features).square().sum().backward()
    assert features.grad is not None
    assert (features.grad[:, 2] > 0).all()  # louder is louder
    assert features.grad[:, 1].any()
    assert not features.grad[:, 0].any()


@torch.no_grad()
def test_half_precision_is_for_the_network_alone() -> None:
    features = FEATURES(speech(0.3))
    with torch.autocast("cpu", torch.bfloat16):
        spoken = ddsp()(features)
    torch.testing.assert_close(spoken, ddsp()(features), atol=1e-6, rtol=0)


def test_it_is_small() -> None:
    assert sum(parameter.numel() for parameter in ddsp().parameters()) < 1_000_000
    assert all(name.split(".")[0] in ("first", "blocks", "last") for name in ddsp().state_dict())


# errors, by their words


@pytest.mark.parametrize("name", ["ddsp", "world"])
def test_features_without_f0_are_refused(name: str) -> None:
    words = f"vocoder {name}: .*MelSpectrogram, .*speaks from F0: take features source-filter"
    with pytest.raises(ComponentError, match=words):
        build("vocoder", name, features=build("features", "mel"))


@pytest.mark.parametrize("name", ["ddsp", "world"])
def test_they_are_built_for_features_with_f0_where_none_are_named(name: str) -> None:
    vocoder: Vocoder = build("vocoder", name)
    assert vocoder.channels == FEATURES.channels
    with pytest.raises(ComponentError, match=r"\(1, 80, 4\); .*takes \(batch, 43, frames\)"):
        vocoder(torch.zeros(1, 80, 4))


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ComponentError, match="ddsp: kernel=4 is even; only odd kernels keep"):
        build("vocoder", "ddsp:kernel=4")
