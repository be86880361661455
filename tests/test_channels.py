"""Channel modules: the published numbers, what the small preset mends, learning, and errors."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import selfremaster as sr
from selfremaster.core.domains import in_domain
from selfremaster.core.errors import ComponentError
from selfremaster.plugins.channels.unet1d import UNet1d, UNet1dConfig
from tests import published
from tests.strategies import waves

TINY: dict[str, Any] = {"widths": (4, 8), "bottleneck_width": 4, "blocks": 1}


def some_wave(samples: int, seed: int = 0, batch: int = 1, level: float = 0.2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(batch, samples, generator=generator)


def tiny(channel_dim: int = 3, **settings: Any) -> UNet1d:
    """A narrow channel module that has left the place where it begins."""
    return published.fill(UNet1d(UNet1dConfig(**{**TINY, **settings}), channel_dim), "channel.")


def paper_output(kernel: Any, wave: Tensor, channel_features: Tensor) -> tuple[UNet1d, Tensor]:
    channel = UNet1d(UNet1dConfig(preset="paper", kernel=kernel), 128)
    with torch.no_grad():
        return channel, published.fill(channel, "channel.")(wave, channel_features)


@pytest.fixture(scope="module")
def wave() -> Tensor:
    return published.given("wave", "wave", (2, 3000))


@pytest.fixture(scope="module")
def vector() -> Tensor:
    return published.given("vec", "vector", (2, 128))


def test_paper_has_the_published_tensors_and_numbers(wave: Tensor, vector: Tensor) -> None:
    channel, damaged = paper_output(3, wave, vector)
    assert published.own_keys(channel) == published.keys("channel")
    assert published.parameters(channel) == 20_739_235
    wanted = published.output("channel/out/wave")
    torch.testing.assert_close(damaged, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", [5, 7])
def test_paper_has_the_kernels_of_its_second_version(
    kernel: int, wave: Tensor, vector: Tensor
) -> None:
    _, damaged = paper_output(kernel, wave[:1, :1500], vector[:1])
    wanted = published.output(f"channel_v2_kernel{kernel}/out/wave")
    torch.testing.assert_close(damaged, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("kernel", "millions"), [(3, "20.7"), (5, "33.8"), (7, "46.9"), (9, "60.0")]
)
def test_paper_is_as_large_as_published_with_each_kernel(kernel: int, millions: str) -> None:
    with torch.device("meta"):
        channel = sr.build("channel", f"unet1d:preset=paper,kernel={kernel}")
    assert f"{published.parameters(channel) / 1e6:.1f}" == millions


@settings(max_examples=40)
@given(
    samples=st.integers(1, 5000),
    kernel=st.sampled_from([3, 5, 7, 9]),
    factor=st.integers(2, 5),
    preset=st.sampled_from(["small", "paper"]),
)
def test_any_number_of_samples(samples: int, kernel: Any, factor: int, preset: Any) -> None:
    channel = tiny(preset=preset, kernel=kernel, factor=factor)
    with torch.no_grad():
        damaged = channel(some_wave(samples, batch=2), torch.ones(2, 3))
    assert damaged.shape == (2, samples)
    assert damaged.isfinite().all()


@settings(max_examples=20)
@given(wave=waves(max_samples=5000))
def test_a_residual_channel_begins_by_leaving_the_wave_alone(wave: Tensor) -> None:
    channel: UNet1d = sr.build("channel", "unet1d:residual=true", channel_dim=5)
    assert torch.equal(channel(wave, torch.ones(len(wave), 5)), wave)


def test_small_is_of_the_size_that_the_default_model_wants() -> None:
    assert 400_000 < published.parameters(sr.build("channel", "unet1d")) < 600_000


@pytest.mark.parametrize("samples", [1, 64, 101, 1000])
def test_every_sample_and_channel_feature_of_small_counts(samples: int) -> None:
    wave = some_wave(samples).requires_grad_()
    channel_features = torch.ones(1, 3, requires_grad=True)
    damaged = tiny(residual=False)(wave, channel_features)
    damaged.square().sum().backward()
    for given_ in (wave, channel_features):
        assert given_.grad is not None
        assert (given_.grad != 0).all()


def test_the_last_sample_of_a_full_wave_is_lost_when_dropped() -> None:
    multiple = 2 * 2**2  # as the paper's module of five levels has 64
    for samples, lost in ((5 * multiple, True), (5 * multiple - 1, False)):
        damaged = tiny(preset="paper")(some_wave(samples), torch.ones(1, 3))
        assert (damaged[0, -1] == 0) == lost
    kept = tiny(preset="paper", last_sample="keep")(some_wave(5 * multiple), torch.ones(1, 3))
    assert kept[0, -1] != 0


def test_nothing_is_delayed() -> None:
    click = torch.zeros(1, 2001)
    click[0, 1000] = 1.0
    channel = tiny(residual=False)
    answer = (channel(click, torch.ones(1, 3)) - channel(0 * click, torch.ones(1, 3)))[0].detach()
    times = torch.arange(2001.0)
    centre = (answer.square() * times).sum() / answer.square().sum()
    assert abs(float(centre) - 1000) < 8
    assert answer[:900].abs().max() < 1e-4 * answer.abs().max()
    assert answer[1100:].abs().max() < 1e-4 * answer.abs().max()


def test_two_domains_have_statistics_of_their_own() -> None:
    channel = tiny(norm="batch-by-domain")
    wave, vector = some_wave(400, batch=2), torch.ones(2, 3)
    channel.train()(wave, vector)
    before = channel.eval()(wave, vector)
    channel.train()
    with in_domain("simulated"):
        channel(wave + 0.5, vector)
    channel.eval()
    assert torch.equal(channel(wave, vector), before)
    with in_domain("simulated"):
        assert (channel(wave, vector) - before).abs().max() > 1e-3


@pytest.mark.parametrize("conditioning", ["film", "concat"])
def test_each_wave_has_its_own_channel_features(conditioning: Any) -> None:
    channel = tiny(conditioning=conditioning)
    wave = some_wave(300).expand(2, -1)
    first, second = channel(wave, torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 0.5]]))
    assert (first - second).abs().max() > 1e-3


def low_passed(wave: Tensor, decay: float = 0.8) -> Tensor:
    """A one-pole low-pass, as the convolution with its impulse response."""
    response = (1 - decay) * decay ** torch.arange(64.0)
    padded = torch.nn.functional.pad(wave[:, None], (63, 0))
    return torch.nn.functional.conv1d(padded, response.flip(0)[None, None])[:, 0]


def test_learns_a_filter_for_one_recording_and_a_gain_for_another() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        channel = UNet1d(UNet1dConfig(widths=(16, 16), residual=True), 2)
    recordings = torch.eye(2)
    optimizer = torch.optim.Adam(channel.parameters(), 5e-3)
    errors = []
    for step in range(120):
        wave = some_wave(1000, seed=step, batch=2)
        target = torch.cat([low_passed(wave[:1]), 1.5 * wave[1:]])
        error = (channel(wave, recordings) - target).square().mean(dim=1)
        optimizer.zero_grad()
        error.mean().backward()
        optimizer.step()
        errors.append(error.tolist())
    assert errors[0][0] > 10 * errors[-1][0]
    assert errors[0][1] > 10 * errors[-1][1]
    with torch.no_grad():
        tone = 0.2 * torch.sin(math.pi * 0.9 * torch.arange(1000))[None]
        damped, lifted = (channel(tone, one[None]) for one in recordings)
    assert damped.std() < 0.5 * tone.std()
    assert lifted.std() > 1.2 * tone.std()


@given(wave=waves(max_samples=5000))
def test_identity_changes_nothing(wave: Tensor) -> None:
    channel = sr.build("channel", "identity", channel_dim=4)
    assert torch.equal(channel(wave, torch.ones(len(wave), 4)), wave)
    assert not list(channel.parameters())


@pytest.mark.parametrize("shape", [(10,), (1, 0), (1, 1, 10)])
def test_another_shape_of_wave_is_refused_in_words(shape: tuple[int, ...]) -> None:
    with pytest.raises(ComponentError, match=r"a wave of shape .*; give \(batch, 1 sample or more"):
        tiny()(torch.zeros(shape), torch.zeros(1, 3))


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 4), (2, 4, 5), (2, 3, 0), (2, 3, 1, 1)])
def test_other_channel_features_are_refused_in_words(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ComponentError,
        match=r"channel features of shape .* 2 waves; give \(2, 3\), or \(2, 3, 1 time or more\)",
    ):
        tiny()(torch.zeros(2, 10), torch.zeros(shape))


def test_wrong_settings_are_refused_in_words() -> None:
    with pytest.raises(ComponentError, match="no preset 'larg'; known: paper, small"):
        sr.build("channel", "unet1d:preset=larg")
    with pytest.raises(ComponentError, match="kernel=4: Input should be 3, 5, 7 or 9"):
        sr.build("channel", "unet1d:kernel=4")
    with pytest.raises(ComponentError, match="did you mean 'last_sample'"):
        sr.build("channel", "unet1d:last_samples=keep")
