"""Sounds of any length through a model: pieces, channels, silence, level, memory."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core import effects
from selfremaster.core.effects import Frame, pieces_of, sent_through
from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.loudness import integrated_loudness
from selfremaster.core.models import Model
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.core.streaming import Held, side_by_side
from selfremaster.registry.assembling import load
from tests.test_model_sound import repeating

RATE = 22050
FRAME = Frame(RATE, 256, -3.0, torch.device("cpu"))


@pytest.fixture
def default() -> Model:
    return load("default")


def send(wave: Tensor, sample_rate: int = RATE, **settings: object) -> Tensor:
    with sent_through(torch.clone, Held(wave, sample_rate), FRAME, **settings) as sent:  # type: ignore[arg-type]  # settings of any kind
        return torch.cat([*sent.sound.blocks()], dim=1)


def changing(softer: float, noisier: float) -> Tensor:
    wave = speech_like(RATE * 16, sample_rate=RATE)
    wave[:, ::RATE] = 0
    wave[:, : RATE * 8] *= softer
    wave[:, RATE * 8 :] += noisier * noise(1, RATE * 8)
    return wave


def held_vowel() -> Tensor:
    """Sixteen seconds of one voice, its pitch gliding: nothing to begin anew at."""
    times = torch.arange(RATE * 16, dtype=torch.float64) / RATE
    f0_hz = 150 * (1 + 0.02 * torch.sin(2 * math.pi * 0.13 * times))
    phase = 2 * math.pi * (f0_hz / RATE).cumsum(0)
    harmonics = [torch.sin(number * phase) / number**1.2 for number in range(1, 25)]
    return 0.1 * torch.stack(harmonics).sum(dim=0).float()[None]


def sparse() -> Tensor:
    """Three seconds of speech, eight of nothing, and speech again, on a zero line that is none."""
    wave = speech_like(RATE * 16, sample_rate=RATE)
    wave[:, RATE * 3 : RATE * 11] = 0
    return 0.8 * wave + 0.1


@pytest.mark.parametrize(
    ("wave", "resynthesise"),
    [
        *((changing(1, 0), False), (changing(0.05, 0), False), (changing(1, 0.03), False)),
        *((changing(1, 0), True), (held_vowel(), False), (held_vowel(), True), (sparse(), True)),
    ],
    ids=["speech", "louder", "noisier", "speech-anew", "held", "held-anew", "sparse-anew"],
)
def test_pieces_give_what_the_whole_wave_gives(
    default: Model, wave: Tensor, resynthesise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if resynthesise:
        default.output = None
    whole = default.restore(wave, RATE)
    monkeypatch.setattr(effects, "PIECE_GRIDS", 1)
    pieces = default.restore(wave, RATE)
    assert not torch.equal(pieces, whole)
    error = (pieces - whole).square() / whole.square().mean()
    assert 10 * float(error.mean().log10()) < -100
    soft = slice(0, RATE * 7)
    error = (pieces - whole)[:, soft].square().mean() / whole[:, soft].square().mean()
    assert 10 * float(error.log10()) < -90


@given(hop=st.integers(1, 5000))
def test_pieces_are_whole_hops_and_wide_enough(hop: int) -> None:
    chunk, context = pieces_of(hop)
    assert chunk % hop == context % (2 * hop) == chunk % context == 0
    assert 2**16 <= context < 2**16 + 2 * hop


@settings(max_examples=60)
@given(
    samples=st.integers(1, 200_000),
    rate_hz=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000]),
    channels=st.integers(1, 8),
    how=st.sampled_from(effects.CHANNELS),
)
def test_any_length_rate_and_number_of_channels_is_kept(
    samples: int, rate_hz: int, channels: int, how: effects.Channels
) -> None:
    made = send(0.3 * noise(channels, samples), rate_hz, channels=how)
    assert made.shape == (1 if how == "mono" else channels, samples)
    assert made.isfinite().all()


def test_where_nothing_is_recorded_nothing_comes_back() -> None:
    wave = 0.5 * speech_like(RATE)
    wave[:, 8000:16000] = 0

    def hiss(piece: Tensor) -> Tensor:
        return piece + 0.01 * noise(1, piece.shape[-1])

    with sent_through(hiss, Held(wave, RATE), FRAME) as sent:
        made = torch.cat([*sent.sound.blocks()], dim=1)
    assert not made[:, 8600:15400].any()
    assert made[:, 2000:7000].any()


def test_linked_channels_keep_each_sound_at_its_place(default: Model) -> None:
    voice = speech_like(RATE * 2)
    panned = torch.cat([voice, 0.25 * voice]) + 0.01 * noise(2, RATE * 2)
    made = default.restore(panned, RATE)
    before, after = (
        10 * (w[0].square().mean() / w[1].square().mean()).log10() for w in (panned, made)
    )
    assert float(after) == pytest.approx(float(before), abs=0.1)
    apart = default.restore(panned, RATE, channels="independent")
    assert not torch.allclose(apart, made, atol=1e-3)


def test_mono_is_one_channel_even_of_two_in_anti_phase() -> None:
    wave = 0.3 * speech_like(RATE)
    for other in (wave, -wave):
        made = repeating().restore(torch.cat([wave, other]), RATE, channels="mono")
        assert made.shape == wave.shape
        torch.testing.assert_close(made, wave, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("strength", [0.3, 0.7, 1.0])
def test_loudness_is_kept_within_a_tenth(default: Model, strength: float) -> None:
    wave = 0.2 * speech_like(RATE * 3) + 0.003 * noise(1, RATE * 3)
    made = default.restore(wave, RATE, strength)
    assert integrated_loudness(made, RATE) == pytest.approx(
        integrated_loudness(wave, RATE), abs=0.1
    )


def test_a_sound_that_ends_before_the_other_one_is_told() -> None:
    pair = side_by_side(Held(noise(1, 900), RATE), Held(noise(1, 800), RATE))
    with pytest.raises(AudioError, match="ended before the other one"):
        list(pair)


def test_other_channels_are_told() -> None:
    with pytest.raises(ComponentError, match="channels 'both'; allowed: linked, independent, mono"):
        repeating().restore(noise(1, 900), RATE, channels="both")  # type: ignore[arg-type]  # wrong
