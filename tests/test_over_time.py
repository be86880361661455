"""Channel features over time: which times there are, what each stands for, what it does."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.interfaces import AnalysisOutput, ComponentConfig
from selfremaster.core.promises import check, run
from selfremaster.core.promises.stubs import StubAnalyzer, StubChannel, StubFeatures
from selfremaster.plugins.analyzers.conditions import Condition
from selfremaster.plugins.analyzers.unet2d import UNet2d, UNet2dConfig, mean_of_parts
from selfremaster.plugins.channels.unet1d import UNet1d, UNet1dConfig
from selfremaster.registry.assembling import assemble
from tests import published
from tests.test_unet2d import TINY, Bands, some_mel

# Bands has 10 frames a second; the branch of TINY shrinks 8 frames to one column


def analyzer_over(seconds: float | None, **settings: Any) -> UNet2d:
    config = UNet2dConfig(**{**TINY, **settings}, channel_seconds=seconds)
    return published.fill(UNet2d(config, Bands(12, 12)))


def channel_of(**settings: Any) -> UNet1d:
    tiny = {"widths": (4, 8), "bottleneck_width": 4, "blocks": 1, **settings}
    return published.fill(UNet1d(UNet1dConfig(**tiny), 3), "channel.")


def some_wave(samples: int, batch: int = 1) -> Tensor:
    return 0.2 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "spec", ["unet2d:channel_seconds=1", "unet2d:channel_seconds=0.05", "unet2d:channel_seconds=60"]
)
def test_analyzers_over_time_keep_their_promises(spec: str) -> None:
    analyzer = sr.build("analyzer", spec)
    assert analyzer.over_time
    check("analyzer", analyzer)


@pytest.mark.parametrize("conditioning", ["film", "concat"])
@pytest.mark.parametrize("preset", ["small", "paper"])
def test_channels_over_time_keep_their_promises(preset: str, conditioning: str) -> None:
    settings = "widths=[4,8,8],bottleneck_width=4,kernel=3"
    spec = f"unet1d:preset={preset},conditioning={conditioning},{settings}"
    check("channel", sr.build("channel", spec, channel_dim=3))


class OneVectorAnalyzer(StubAnalyzer):
    """Says that it is over time, and gives one vector."""

    over_time = True


class ForgetfulAnalyzer(StubAnalyzer):
    """Has the fewer times the longer the recording is."""

    over_time = True

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        """As many times as 50 frames lack."""
        heard = super().forward(log_mel)
        times = max(1, 50 - log_mel.shape[-1])
        return AnalysisOutput(heard.features, heard.channel_features[..., None].repeat(1, 1, times))


class CountingChannel(StubChannel):
    """Goes by the number of times, not by what they say."""

    over_time = True

    def forward(self, wave: Tensor, channel_features: Tensor) -> Tensor:
        """The sum of all times."""
        if channel_features.dim() == 2:
            return super().forward(wave, channel_features)
        return super().forward(wave, channel_features.sum(dim=2))


def test_parts_that_break_promises_over_time_are_caught() -> None:
    config = ComponentConfig()
    features = StubFeatures(config)
    for kind, part, wanted in (
        (
            "analyzer",
            OneVectorAnalyzer(config, features),
            {"analyses_any_length": "has shape (1, 3), not (1, 3, 1)"},
        ),
        (
            "analyzer",
            ForgetfulAnalyzer(config, features),
            {"hears_more_times_in_more_sound": "1 frames have 49 times, four times as many"},
        ),
        (
            "channel",
            CountingChannel(config, 3),
            {"takes_channel_features_over_time": "the wave with 3 equal times differs"},
        ),
    ):
        found = {result.promise: result.reason for result in run(kind, part) if not result.kept}
        assert found.keys() == wanted.keys()
        assert all(words in found[promise] for promise, words in wanted.items())


@settings(max_examples=30)
@given(frames=st.integers(1, 400), seconds=st.floats(0.1, 30))
def test_there_is_a_time_about_every_so_many_seconds(frames: int, seconds: float) -> None:
    with torch.no_grad():
        heard = analyzer_over(seconds)(some_mel(12, frames)).channel_features
        whole = analyzer_over(None)(some_mel(12, frames)).channel_features
    times = heard.shape[2]
    assert heard.shape == (1, 6, times)
    assert times == 1 or abs(frames / 10 / seconds - times) <= 0.501
    torch.testing.assert_close(heard.mean(dim=2), whole)


def test_each_time_is_the_mean_of_its_part() -> None:
    hidden = torch.arange(6.0)[None, None]
    assert mean_of_parts(hidden, 6, 3).tolist() == [[[0.5, 2.5, 4.5]]]
    assert mean_of_parts(hidden, 5.5, 1)[0, 0, 0] == pytest.approx((0 + 1 + 2 + 3 + 4 + 2.5) / 5.5)
    torch.testing.assert_close(mean_of_parts(hidden, 2, 4)[0, 0], torch.tensor([0.0, 0, 1, 1]))
    torch.testing.assert_close(mean_of_parts(hidden, 3, 2)[0, 0], torch.tensor([1 / 3, 5 / 3]))


@settings(max_examples=40)
@given(times=st.integers(1, 40), columns=st.floats(0.05, 30))
def test_what_does_not_change_is_the_same_at_all_times(times: int, columns: float) -> None:
    constant = torch.full((2, 3, int(columns) + 1), 0.7)
    torch.testing.assert_close(
        mean_of_parts(constant, columns, times), torch.full((2, 3, times), 0.7)
    )


def test_a_steady_sound_has_one_vector_but_near_its_ends() -> None:
    steady = some_mel(12, 1).expand(-1, -1, 800)
    heard = analyzer_over(1.6)(steady).channel_features
    assert heard.shape == (1, 6, 50)
    middle = heard[..., 15:35]
    torch.testing.assert_close(middle, middle[..., :1].expand_as(middle))


def test_a_change_is_heard_at_its_time_alone() -> None:
    analyzer = analyzer_over(0.8)
    mel = some_mel(12, 800)
    louder = mel.clone()
    louder[..., 400:408] += 3
    change = (analyzer(louder).channel_features - analyzer(mel).channel_features)[0].abs().sum(0)
    assert change.shape == (100,)
    assert int(change.argmax()) in (49, 50, 51)
    assert change[:40].max() < 1e-5
    assert change[61:].max() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"residual": True},
        {"conditioning": "concat"},
        {"preset": "paper"},
        {"preset": "paper", "conditioning": "film", "factor": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("samples", [1, 77, 1000])
def test_one_time_is_one_vector_exactly(settings: dict[str, Any], samples: int) -> None:
    channel, wave = channel_of(**settings), some_wave(samples, batch=2)
    vector = torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, -1.0]])
    whole = channel(wave, vector)
    assert torch.equal(channel(wave, vector[..., None]), whole)
    torch.testing.assert_close(channel(wave, vector[..., None].repeat(1, 1, 5)), whole)


@pytest.mark.parametrize("settings", [{}, {"conditioning": "concat"}, {"preset": "paper"}])
def test_a_change_of_one_time_is_put_onto_its_time_alone(settings: dict[str, Any]) -> None:
    channel, wave = channel_of(**settings), some_wave(4000)
    channel_features = torch.ones(1, 3, 10)
    other = channel_features.clone()
    other[..., 6] = -1.0
    change = (channel(wave, other) - channel(wave, channel_features))[0].detach().abs()
    places = torch.arange(4000.0)
    centre = (change.square() * places).sum() / change.square().sum()
    assert abs(float(centre) - 2600) < 60
    assert change[: 2200 - 150].max() == 0
    assert change[3000 + 150 :].max() == 0


@pytest.mark.parametrize("settings", [{}, {"conditioning": "concat"}])
def test_the_first_and_the_last_time_hold_to_the_ends(settings: dict[str, Any]) -> None:
    channel, wave = channel_of(**settings), some_wave(4000)
    first, last = torch.tensor([[0.0, 1.0, 0.5]]), torch.tensor([[1.0, -1.0, 0.5]])
    changing = channel(wave, torch.stack([first, last], dim=2))[0]
    torch.testing.assert_close(changing[:800], channel(wave, first)[0, :800])
    torch.testing.assert_close(changing[3200:], channel(wave, last)[0, 3200:])
    middle = channel(wave, (first + last) / 2)[0, 1990:2010]
    ends = torch.stack([channel(wave, end)[0, 1990:2010] for end in (first, last)])
    distances = (ends - changing[1990:2010]).abs().mean(dim=1)
    assert (changing[1990:2010] - middle).abs().mean() < distances.min() / 5


@settings(max_examples=40)
@given(
    samples=st.integers(1, 3000),
    times=st.integers(2, 30),
    level=st.integers(0, 4),
    factor=st.integers(2, 5),
    filled=st.integers(0, 100),
)
def test_vectors_lie_at_the_centres_of_their_parts(
    samples: int, times: int, level: int, factor: int, filled: int
) -> None:
    """A line stays a line between the first and the last centre."""
    elements = -(-samples // factor**level) + filled
    values = torch.arange(times, dtype=torch.float64)[None, None]
    condition = Condition(values, samples, factor).at_level(level)
    found = condition.along(values, elements)[0, 0]
    centres = (torch.arange(elements, dtype=torch.float64) + 0.5) * factor**level
    wanted = (centres * times / samples - 0.5).clamp(0, times - 1)
    torch.testing.assert_close(found, wanted)


def test_gradients_reach_every_time() -> None:
    channel_features = torch.ones(2, 3, 4, requires_grad=True)
    for conditioning in ("film", "concat"):
        damaged = channel_of(conditioning=conditioning)(some_wave(500, batch=2), channel_features)
        (gradient,) = torch.autograd.grad(damaged.square().sum(), channel_features)
        assert (gradient != 0).all()


def test_learns_a_level_that_changes() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        channel = UNet1d(UNet1dConfig(widths=(8,), factor=2, residual=True), 1)
    fade = torch.tensor([[[0.0, 1.0, 0.0]]])
    gain = Condition(fade, 600).along(fade, 600)[0]
    optimizer = torch.optim.Adam(channel.parameters(), 1e-2)
    errors = []
    for step in range(80):
        wave = 0.2 * torch.randn(1, 600, generator=torch.Generator().manual_seed(step))
        error = (channel(wave, fade) - wave * (1 - gain)).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < errors[0] / 20


def test_identity_takes_any_times() -> None:
    identity = sr.build("channel", "identity", channel_dim=2)
    wave = some_wave(50)
    assert identity.over_time
    assert torch.equal(identity(wave, torch.ones(1, 2, 7)), wave)


def experiment(**parts: Any) -> Experiment:
    model = {"vocoder": "griffin-lim", "analyzer": {"name": "unet2d", **TINY}, "channel": "unet1d"}
    return Experiment.from_mapping({"model": {**model, **parts}})


def test_a_model_over_time_is_put_together_and_hears_and_degrades() -> None:
    over_time = {"name": "unet2d", **TINY, "channel_seconds": 0.5}
    model = assemble(experiment(analyzer=over_time))
    wave = some_wave(22050)
    heard = model.analyse(wave)
    assert heard.channel_features.shape == (1, 6, 2)
    assert model.degrade(wave, heard.channel_features).shape == wave.shape


@pytest.mark.parametrize("move", ["meta", torch.float64], ids=str)
def test_device_and_type_follow_the_input(move: Any) -> None:
    model = assemble(experiment(analyzer={"name": "unet2d", **TINY, "channel_seconds": 0.5}))
    analyzer, channel = model.analyzer, model.channel
    assert analyzer is not None
    assert channel is not None
    heard = analyzer.to(move)(some_mel(80, 200).to(move))
    damaged = channel.to(move)(some_wave(3000).to(move), heard.channel_features)
    expected = torch.empty(0).to(move)
    for found in (*heard, damaged):
        assert (found.device, found.dtype) == (expected.device, expected.dtype)


def test_a_channel_that_takes_one_vector_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over_time = {"name": "unet2d", **TINY, "channel_seconds": 1.0}
    monkeypatch.setattr(UNet1d, "over_time", False)
    with pytest.raises(
        ComponentError, match=r"unet2d gives .* over time, and channel unet1d takes one vector"
    ):
        assemble(experiment(analyzer=over_time))
    assert assemble(experiment()).channel is not None
    assert assemble(experiment(analyzer=over_time, channel=None)).channel is None
