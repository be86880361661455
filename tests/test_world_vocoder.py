"""WORLD's synthesiser behind F0 and mel-cepstrum: its level, place, pitch and noise."""

import math

import pytest
import torch
from torch import Tensor

from selfremaster.core import promises
from selfremaster.core.promises.inputs import noise
from selfremaster.plugins.features.source_filter import SourceFilter, SourceFilterConfig
from selfremaster.plugins.vocoders.world import World, WorldConfig
from selfremaster.registry.building import build
from tests.test_ddsp import FEATURES, HOP, PUBLISHED, flat, lateness, power_db, speech

WORLD = World(WorldConfig(), FEATURES)


def spectrum(wave: Tensor) -> Tensor:
    """The amplitudes of the first second, by Hz."""
    return torch.fft.rfft(wave[0, :22050] * torch.hann_window(22050)).abs()


@pytest.mark.parametrize("features", [FEATURES, PUBLISHED], ids=["log", "linear"])
def test_keeps_the_promises(features: SourceFilter) -> None:
    promises.check("vocoder", World(WorldConfig(), features), promises.Context(features=features))


@pytest.mark.parametrize("f0_hz", [0.0, 90.0, 331.0])
@pytest.mark.parametrize("level", [-5.0, -1.0])
def test_a_flat_envelope_sounds_at_its_level(f0_hz: float, level: float) -> None:
    wave = WORLD(flat(80, level, f0_hz))[:, HOP : -2 * HOP]
    assert power_db(wave) == pytest.approx(20 * level / math.log(10), abs=1)


def test_speech_comes_back_at_its_level_and_place() -> None:
    wave = speech()
    for features in (FEATURES, PUBLISHED):
        spoken = World(WorldConfig(), features)(features(wave))
        assert power_db(spoken) == pytest.approx(power_db(wave), abs=1.5)
        assert abs(lateness(spoken, wave)) < 110  # 5 ms
        assert build("loss", "mel-l1")(spoken, wave) < 0.5


def test_voiced_frames_sound_at_f0() -> None:
    amplitude = spectrum(WORLD(flat(87, -3, 200.0)))
    assert amplitude[150:260].argmax() == 50
    assert amplitude[200] > 20 * amplitude[250:350].max()


def test_a_lower_corner_is_a_hoarser_voice() -> None:
    features = flat(87, -3, 200.0)
    between = [
        spectrum(World(WorldConfig(noise_corner_hz=corner), FEATURES)(features))[4030:4170]
        for corner in (1000.0, 20000.0)
    ]
    assert between[0].square().mean() > 10 * between[1].square().mean()


def test_silence_stays_silent_and_nothing_hangs_on_chance() -> None:
    assert WORLD(FEATURES(torch.zeros(1, 8192))).abs().max() < 1e-4
    features = FEATURES(noise(1, 4000))
    first, state = WORLD(features), torch.random.get_rng_state()
    assert torch.equal(WORLD(features), first)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_no_gradient_reaches_the_features() -> None:
    features = flat(5, -3, 200.0).requires_grad_()
    assert not WORLD.differentiable
    assert not WORLD(features).requires_grad


def test_other_sizes_of_hop_and_order() -> None:
    features = SourceFilter(SourceFilterConfig(hop_samples=128, order=24))
    wave = speech(0.5)
    for name in ("world", "ddsp"):
        vocoder = build("vocoder", name, features=features)
        with torch.no_grad():
            spoken = vocoder(features(wave))
        assert spoken.shape == (1, features.frames(wave.shape[-1]) * 128)
        assert power_db(spoken) == pytest.approx(power_db(wave), abs=2)
