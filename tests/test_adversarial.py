"""The losses that vocoders are trained by: adversarial, and the mel distance."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from selfremaster.core import promises
from selfremaster.core.errors import ComponentError
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
from selfremaster.plugins.losses.adversarial import (
    Adversarial,
    AdversarialConfig,
    PeriodDiscriminator,
    SpectralDiscriminator,
)
from selfremaster.plugins.losses.mel_l1 import MelL1
from selfremaster.plugins.vocoders.hifigan import HifiGan, HifiGanConfig
from selfremaster.registry.building import build

RATE_HZ = 22050
TINY = {"period_channels": (4, 4, 8, 8, 8), "scale_channels": (4, 4, 4, 8, 8, 8, 8)}


def tiny(seed: int = 0, **settings: Any) -> Adversarial:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Adversarial(AdversarialConfig(**{**TINY, **settings})).eval()


def tone(frequency_hz: float, samples: int = 8192, level: float = 0.3) -> Tensor:
    return level * torch.sin(2 * math.pi * frequency_hz * torch.arange(samples) / RATE_HZ)[None]


# the discriminators


def weights_and_biases(part: nn.Module) -> int:
    """Numbers without the norms' own, from the shapes of what is convolved with."""
    layers = [module for module in part.modules() if isinstance(module, nn.Conv1d | nn.Conv2d)]
    return sum(layer.weight.numel() + layer.out_channels for layer in layers)


@pytest.mark.parametrize(
    ("preset", "periods", "scales"),
    [("hifigan", 41_092_165, 29_610_627), ("small", 264_725, 117_075)],
)
def test_presets_have_their_sizes(preset: str, periods: int, scales: int) -> None:
    with torch.device("meta"):
        loss = Adversarial(AdversarialConfig(preset=preset))
    assert weights_and_biases(loss.period_discriminators) == periods
    assert weights_and_biases(loss.scale_discriminators) == scales


def test_small_has_a_quarter_of_the_channels_at_most() -> None:
    published, small = (AdversarialConfig(preset=name) for name in ("hifigan", "small"))
    for name in ("period_channels", "scale_channels"):
        pairs = zip(getattr(small, name), getattr(published, name), strict=True)
        assert all(4 * few <= many for few, many in pairs)


def test_spectral_looks_at_spectra_instead_of_long_stretches() -> None:
    loss = Adversarial(AdversarialConfig(preset="spectral"))
    assert [judge.size for judge in loss.spectral_discriminators] == [2048, 1024, 512]
    assert not loss.scale_discriminators
    assert weights_and_biases(loss.spectral_discriminators) == 3 * 24_129


@torch.no_grad()
def test_a_spectral_discriminator_sees_frames_of_its_window() -> None:
    judge = SpectralDiscriminator(64, 4)
    wave = noise(1, 1600, seed=3)
    touched = wave.clone()
    touched[0, 800] += 1
    first, second = judge(wave).maps[0], judge(touched).maps[0]
    moved = (first != second).any(dim=1).any(dim=-1)[0].nonzero()[:, 0].tolist()
    # frames 16 samples apart, windows of 64, and one neighbour on both sides
    assert set(moved) <= set(range(50 - 3, 50 + 4))
    assert moved
    soft, loud = (judge(gain * wave).maps[0] for gain in (1e-2, 1.0))
    assert 1 < float(loud.abs().mean() / soft.abs().mean()) < 20  # of 100, which 40 dB are


@pytest.mark.parametrize(
    "name", ["adversarial:preset=small", "adversarial:preset=spectral", "mel-l1"]
)
def test_keeps_the_promises(name: str) -> None:
    promises.check("loss", build("loss", name))


@torch.no_grad()
@settings(max_examples=20, deadline=None)
@given(period=st.integers(1, 11), position=st.integers(0, 199))
def test_a_period_discriminator_sees_samples_one_period_apart(period: int, position: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        judge = PeriodDiscriminator(period, (4, 4, 4, 4, 4))
    wave = noise(1, 200 - 200 % period, seed=period)
    position %= wave.shape[-1]
    touched = wave.clone()
    touched[0, position] += 1
    for before, after in zip(judge(wave).maps, judge(touched).maps, strict=True):
        moved = (before != after).any(dim=1).any(dim=1)[0]
        assert set(moved.nonzero()[:, 0].tolist()) <= {position % period}


@torch.no_grad()
@settings(max_examples=8, deadline=None)
@given(samples=st.integers(1, 400), longer=st.integers(0, 50))
def test_any_length_is_judged_and_the_longer_wave_cut(samples: int, longer: int) -> None:
    loss = tiny()
    estimate, target = noise(2, samples, seed=1), noise(2, samples + longer, seed=2)
    value = loss(estimate, target)
    assert value.isfinite()
    assert torch.equal(value, loss(estimate, target[:, :samples]))
    assert loss.discriminator_loss(target, estimate).isfinite()


# the two sides


@torch.no_grad()
def test_both_sides_are_least_squares_of_the_scores() -> None:
    loss = tiny(periods=(3,), scales=0, feature_weight=0)
    estimate, target = noise(2, 300, seed=1), speech_like(300).expand(2, -1)
    judge = loss.period_discriminators[0]
    made, true = judge(estimate).score, judge(target).score
    torch.testing.assert_close(loss(estimate, target), ((made - 1) ** 2).mean())
    wanted = ((true - 1) ** 2).mean() + (made**2).mean()
    torch.testing.assert_close(loss.discriminator_loss(estimate, target), wanted)


@torch.no_grad()
def test_feature_matching_is_zero_for_equals_and_weighs_as_told() -> None:
    weights = (0.0, 1.0, 2.0)
    losses = [tiny(feature_weight=weight) for weight in weights]
    estimate, target = noise(1, 900), speech_like(900)
    equal = [loss(target, target) for loss in losses]
    torch.testing.assert_close(equal[2], equal[0])
    none, once, twice = (loss(estimate, target) for loss in losses)
    assert once > none
    torch.testing.assert_close(twice - none, 2 * (once - none))


def test_each_side_teaches_only_its_own() -> None:
    loss = tiny().train()
    loss.period_discriminators[0].requires_grad_(False)
    asked = [parameter.requires_grad for parameter in loss.parameters()]
    estimate, target = noise(1, 900).requires_grad_(), speech_like(900).requires_grad_()
    loss(estimate, target).backward()
    assert estimate.grad.abs().sum() > 0
    assert target.grad is None
    assert all(parameter.grad is None for parameter in loss.parameters())
    assert [parameter.requires_grad for parameter in loss.parameters()] == asked
    estimate.grad = None
    loss.discriminator_loss(estimate, target).backward()
    assert estimate.grad is None
    assert target.grad is None
    taught = [parameter.grad is not None for parameter in loss.parameters()]
    assert taught == asked


def test_what_stops_the_generators_side_leaves_the_discriminators_trainable() -> None:
    loss = tiny()
    with pytest.raises(RuntimeError):
        loss(torch.zeros(1, 50, dtype=torch.long), torch.zeros(1, 50))
    assert all(parameter.requires_grad for parameter in loss.parameters())


def test_discriminators_learn_to_tell_a_tone_from_noise() -> None:
    loss = tiny().train()
    optimizer = torch.optim.AdamW(loss.parameters(), lr=3e-3, betas=(0.8, 0.99))
    estimates, target = [noise(1, 2048, seed=seed) for seed in range(12)], tone(440, 2048)
    untaught = loss.discriminator_loss(estimates[0], target).item()
    for estimate in estimates:
        optimizer.zero_grad()
        loss.discriminator_loss(estimate, target).backward()
        optimizer.step()
    unseen = noise(1, 2048, seed=99)
    loss.eval()
    assert loss.discriminator_loss(unseen, target).item() < 0.7 * untaught
    assert loss(unseen, target) > loss(target, target)


def test_a_generator_learns_from_both_losses() -> None:
    features = MelSpectrogram(MelConfig(size=256, hop_samples=32, bands=20))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = HifiGanConfig(
            upsample_rates=(8, 4),
            upsample_kernels=(16, 8),
            initial_channels=32,
            block_kernels=(3,),
            block_dilations=((1, 3),),
        )
        vocoder = HifiGan(config, features)
    judge, distance = tiny(1).train(), build("loss", "mel-l1")
    target = speech_like(4095)
    mel = features(target)
    optimizers = [
        torch.optim.AdamW(module.parameters(), lr=rate, betas=(0.8, 0.99))
        for module, rate in ((vocoder, 5e-3), (judge, 1e-3))
    ]
    distances = []
    for _ in range(40):
        wave = vocoder(mel)
        for optimizer, loss in (
            (optimizers[1], judge.discriminator_loss(wave, target)),
            (optimizers[0], judge(wave, target) + 45 * distance(wave, target)),
        ):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        distances.append(distance(wave, target).item())
    assert min(distances[-5:]) < 0.5 * distances[0]


# the mel distance


@settings(max_examples=15, deadline=None)
@given(gain=st.floats(0.1, 10), samples=st.integers(1, 3000))
def test_the_mel_distance_of_a_louder_wave_is_the_log_of_the_gain(
    gain: float, samples: int
) -> None:
    wave = noise(2, samples) + 0.3
    loss = build("loss", "mel-l1:features={name: mel, fmax_hz: 11025, floor: 1.0e-9}")
    assert loss(gain * wave, wave).item() == pytest.approx(abs(math.log(gain)), abs=1e-3)


def test_the_mel_distance_hears_the_full_band() -> None:
    hum = tone(200) + noise(1, 8192, level=0.01)
    whistle = hum + tone(10_000, level=0.1)
    full, narrow = build("loss", "mel-l1"), build("loss", "mel-l1:features=mel")
    assert full(whistle, hum) > 10 * narrow(whistle, hum)
    assert isinstance(full, MelL1)


# errors, by their words


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("adversarial:periods=[],scales=0", "leave no discriminator; ask for one"),
        ("adversarial:preset=big", "no preset 'big'.*known: hifigan, small, spectral"),
        ("adversarial:period_channels=[8,8]", "period_channels=.*at least 5 items"),
        ("adversarial:scales=-1", "scales=-1: .*greater than or equal to 0"),
        ("mel-l1:features=mle", "no features named 'mle'; did you mean 'mel'"),
    ],
)
def test_wrong_settings_are_told(spec: str, words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        build("loss", spec)


def test_waves_of_other_shapes_are_told() -> None:
    words = r"\(2, 50\) and \(3, 50\); give two of \(batch, samples\) with the same batch"
    for side in (tiny(), tiny().discriminator_loss):
        with pytest.raises(ComponentError, match=words):
            side(noise(2, 50), noise(3, 50))
