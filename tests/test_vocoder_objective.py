"""What vocoders are taught, and what speech of a lower rate does not teach them."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.models import Model
from selfremaster.core.promises import check
from selfremaster.core.promises.inputs import noise
from selfremaster.core.promises.stubs import RATE_HZ, StubFeatures, StubVocoder, stub_model
from selfremaster.plugins.objectives.vocoder import below_limit
from selfremaster.registry.building import build
from tests.teaching import ALONE, context, only

SAMPLES = 4096
LIMIT_HZ = RATE_HZ / 4


def narrow(wave: Tensor, limit_hz: float = LIMIT_HZ) -> Tensor:
    """The wave as from a recording of twice the limit's rate: nothing at all above it."""
    padded = torch.nn.functional.pad(wave, (SAMPLES, SAMPLES)).double()
    spectrum = torch.fft.rfft(padded)
    hertz = torch.linspace(0, RATE_HZ / 2, spectrum.shape[-1])
    spectrum[:, hertz > limit_hz] = 0
    return torch.fft.irfft(spectrum)[:, SAMPLES:-SAMPLES].float()


def power_above(wave: Tensor, limit_hz: float) -> float:
    power = torch.fft.rfft(wave * torch.hann_window(wave.shape[-1])).abs().square()
    hertz = torch.linspace(0, RATE_HZ / 2, power.shape[-1])
    return float(power[:, hertz > limit_hz].sum() / power.sum())


def test_what_a_wave_cannot_tell_is_left_out_of_both() -> None:
    full = noise(2, SAMPLES)
    clean = torch.cat([narrow(full[:1]), full[1:]])
    spoken, true = below_limit(noise(2, SAMPLES, seed=2), clean, RATE_HZ, LIMIT_HZ)
    assert torch.equal(true[1], full[1])
    assert torch.equal(spoken[1], noise(2, SAMPLES, seed=2)[1])
    assert power_above(spoken[:1], LIMIT_HZ) < 1e-6
    below = power_above(noise(2, SAMPLES, seed=2)[:1], LIMIT_HZ - 200)
    kept = float(spoken[0].square().sum() / noise(2, SAMPLES, seed=2)[0].square().sum())
    assert kept == pytest.approx(1 - below, abs=0.05)


def test_soft_high_sounds_are_not_taken_for_none() -> None:
    clean = narrow(noise(1, SAMPLES)) + 1e-3 * noise(1, SAMPLES, seed=2)
    spoken, true = below_limit(noise(1, SAMPLES, seed=3), clean, RATE_HZ, LIMIT_HZ)
    assert torch.equal(true, clean)
    assert torch.equal(spoken, noise(1, SAMPLES, seed=3))


class Teaching(StubVocoder):
    """Wants to learn something beside the sound."""

    def own_losses(self, features: Tensor, wave: Tensor) -> Mapping[str, Tensor]:
        """A number that can be counted on, of the parameters, features and wave."""
        return {"mine": self.sounds.square().sum() + 0 * features.sum() + 0 * wave.sum()}


def test_what_the_vocoder_wants_to_learn_is_added_and_logged() -> None:
    config = ComponentConfig()
    features = StubFeatures(config)
    objective = build("objective", ALONE)
    losses = []
    for vocoder in (StubVocoder(config, features), Teaching(config, features)):
        model = Model(features, vocoder, None, None)
        losses.append(only(objective.losses(model, {"clean": noise(2, SAMPLES)}, context())))
    plain, taught = losses
    mine = Teaching(config, features).sounds.square().sum()
    torch.testing.assert_close(taught.parts["mine"], mine)
    torch.testing.assert_close(taught.total, plain.total + mine)
    assert "mine" not in plain.parts
    validated = objective.validation_losses(model, {"clean": noise(2, SAMPLES)}, context())
    assert set(validated) == {"total", "mine"}
    torch.testing.assert_close(validated["mine"], mine)


def test_waves_are_changed_before_they_are_learned() -> None:
    spec = {**ALONE, "gain_db": 0.0}
    model, batch = stub_model("vocoder"), {"clean": noise(2, SAMPLES)}
    totals = {}
    for name, augmentation in (("none", None), ("eq", "eq")):
        objective = build("objective", {**spec, "augmentation": augmentation})
        first, again = (only(objective.losses(model, batch, context())) for _ in range(2))
        assert torch.equal(first.total, again.total)
        totals[name] = float(first.total.detach())
    assert totals["eq"] != pytest.approx(totals["none"], rel=1e-3)
    check("objective", build("objective", {**spec, "augmentation": "eq"}))


class Saying(StubVocoder):
    """Says one wave, whatever it is told."""

    said: Tensor

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The wave."""
        del features, source
        return self.said


def test_speech_of_a_lower_rate_teaches_silence_only_where_it_is_asked_to() -> None:
    clean = narrow(0.1 * noise(1, SAMPLES))
    times = torch.arange(SAMPLES) / RATE_HZ
    high = 0.05 * torch.sin(2 * torch.pi * (LIMIT_HZ + 1000) * times)[None]
    config = ComponentConfig()
    features = StubFeatures(config)
    vocoder = Saying(config, features)
    model = Model(features, vocoder, None, None)
    losses = {}
    for limit_hz in (LIMIT_HZ, None):
        for name, said in (("plain", 0.5 * clean), ("high", 0.5 * clean + high)):
            vocoder.said = said
            spec = {**ALONE, "missing_above_hz": limit_hz, "gain_db": 0.0}
            step = only(build("objective", spec).losses(model, {"clean": clean}, context()))
            losses[limit_hz, name] = float(step.total)
    held_against = {
        limit: losses[limit, "high"] - losses[limit, "plain"] for limit in (LIMIT_HZ, None)
    }
    assert held_against[None] > 0.2 * losses[None, "plain"]
    assert abs(held_against[LIMIT_HZ]) < 0.1 * held_against[None]
