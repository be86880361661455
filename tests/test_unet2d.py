"""The 2-D U-Net: the published numbers, what the small preset mends, and its errors."""

import copy
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import selfremaster as sr
from selfremaster.core.domains import in_domain
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Features
from selfremaster.plugins.analyzers.unet2d import (
    ChannelFeatures,
    MelUNet,
    UNet2d,
    UNet2dConfig,
)
from tests import published

SILENCE = -11.5
TINY: dict[str, Any] = {"widths": (4, 8), "branch_widths": (8, 8), "channel_dim": 6}


class Bands(Features):
    """Speech features of which only the sizes and the silence matter."""

    silence = SILENCE
    sample_rate, hop_samples = 1000, 100

    def __init__(self, mel_bands: int = 80, predicted_channels: int = 80) -> None:
        super().__init__(ComponentConfig())
        self.mel_bands, self.predicted_channels = mel_bands, predicted_channels

    def rough(self, log_mel: Tensor) -> Tensor | None:
        """The log-mel, where that is what is predicted."""
        return log_mel if self.predicted_channels == self.mel_bands else None


class Cepstra(Bands):
    """Speech features that the log-mel tells roughly: sums of neighbouring bands, and a level."""

    def __init__(self, mel_bands: int = 12, predicted_channels: int = 5) -> None:
        super().__init__(mel_bands, predicted_channels)
        self.register_buffer("matrix", torch.ones(predicted_channels, mel_bands), persistent=False)

    def rough(self, log_mel: Tensor) -> Tensor:
        """The same for every coefficient."""
        return torch.matmul(self.get_buffer("matrix"), log_mel) - 3


def some_mel(bands: int, frames: int, seed: int = 0, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(batch, bands, frames, generator=generator) - 5).clamp(min=SILENCE)


def tiny(bands: int = 12, predicted: int | None = None, **settings: Any) -> UNet2d:
    """A narrow analysis module that has left the place where it begins."""
    features = Bands(bands, bands if predicted is None else predicted)
    return published.fill(UNet2d(UNet2dConfig(**{**TINY, **settings}), features))


@pytest.fixture(scope="module")
def paper() -> UNet2d:
    return published.fill(UNet2d(UNet2dConfig(preset="paper"), Bands()))


@pytest.fixture(scope="module")
def paper_mel() -> Tensor:
    return published.given("mel", "mel", (2, 1, 50, 80))[:, 0].transpose(1, 2)


def test_paper_has_the_published_tensors_in_their_order(paper: UNet2d) -> None:
    expected = [f"encoder.{key}" for key in published.keys("encoder")]
    expected += [f"channelfeats.{key}" for key in published.keys("channelfeats")]
    assert published.own_keys(paper) == expected
    assert published.parameters(paper.encoder) == 16_519_731
    assert published.parameters(paper.channelfeats) == 14_315_136


def test_paper_gives_the_published_numbers(paper: UNet2d, paper_mel: Tensor) -> None:
    with torch.no_grad():
        features, channel_map = paper.encoder(paper_mel)
        heard = paper(paper_mel)
    wanted = published.output("encoder_melspec/out/feature")[:, 0].transpose(1, 2)
    torch.testing.assert_close(features, wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(heard.features, wanted, atol=1e-4, rtol=0)
    hidden = published.output("encoder_melspec/out/hidden")
    torch.testing.assert_close(channel_map, hidden, atol=1e-4, rtol=0)
    vector = published.output("channelfeats/out/vector")
    torch.testing.assert_close(heard.channel_features, vector, atol=1e-4, rtol=0)


def test_paper_predicts_mel_cepstra_as_published(paper_mel: Tensor) -> None:
    network = MelUNet(UNet2dConfig(preset="paper"), Bands(predicted_channels=41))
    with torch.no_grad():
        features, _ = published.fill(network, "encoder.")(paper_mel)
    wanted = published.output("encoder_vocfeats/out/feature")[:, 0].transpose(1, 2)
    torch.testing.assert_close(features, wanted, atol=1e-4, rtol=0)


def test_paper_without_a_channel_map_is_that_of_the_style_tokens(paper_mel: Tensor) -> None:
    network = MelUNet(UNet2dConfig(preset="paper"), Bands(), channel_map=False)
    assert published.own_keys(network) == published.keys("encoder_without_channel")
    assert published.parameters(network) == 15_339_059
    with torch.no_grad():
        features, channel_map = published.fill(network, "encoder.")(paper_mel[..., :37])
    wanted = published.output("encoder_melspec_without_channel/out/feature")[:, 0].transpose(1, 2)
    torch.testing.assert_close(features, wanted, atol=1e-4, rtol=0)
    assert channel_map is None


def test_paper_updates_its_statistics_as_slowly_as_published() -> None:
    analyzer = UNet2d(UNet2dConfig(**TINY, norm="batch", level="raw"), Bands(16, 16))
    mel = some_mel(16, 16, batch=3)
    analyzer.train()(mel)
    statistics = analyzer.get_buffer("encoder.down_block1.conv_block1.bn1.running_mean")
    torch.testing.assert_close(statistics, 0.01 * mel.mean()[None])


def test_paper_takes_what_the_published_one_refuses(paper: UNet2d) -> None:
    with torch.no_grad():
        heard = paper(some_mel(80, 1))
    assert heard.features.shape == (1, 80, 1)
    assert heard.channel_features.isfinite().all()


@settings(max_examples=40)
@given(
    frames=st.integers(1, 200),
    bands=st.integers(2, 90),
    predicted=st.integers(1, 50),
    preset=st.sampled_from(["small", "paper"]),
)
def test_any_frames_and_bands(frames: int, bands: int, predicted: int, preset: Any) -> None:
    config = UNet2dConfig(preset=preset, **TINY, blocks=1)
    analyzer = UNet2d(config, Bands(bands, predicted)).eval()
    with torch.no_grad():
        heard = analyzer(some_mel(bands, frames, batch=2))
    assert heard.features.shape == (2, predicted, frames)
    assert heard.channel_features.shape == (2, 6)
    assert heard.features.isfinite().all()


def test_one_band_is_enough_for_small() -> None:
    heard = tiny(bands=1)(some_mel(1, 3))
    assert heard.features.shape == (1, 1, 3)


@pytest.mark.parametrize("bands", [12, 13, 80])
@pytest.mark.parametrize("frames", [1, 37])
def test_every_band_and_frame_of_small_is_heard(bands: int, frames: int) -> None:
    analyzer = tiny(bands, residual=False)
    mel = some_mel(bands, frames).requires_grad_()
    for output in analyzer(mel):
        (gradient,) = torch.autograd.grad(output.square().sum(), mel, retain_graph=True)
        assert (gradient != 0).all()


def test_the_top_band_is_not_heard_when_dropped() -> None:
    mel = some_mel(12, 20).requires_grad_()
    features, channel_features = tiny(residual=False, top_band="drop")(mel)
    (features.square().sum() + channel_features.square().sum()).backward()
    assert mel.grad is not None
    assert (mel.grad[:, -1] == 0).all()
    assert (mel.grad[:, :-1] != 0).any()


@pytest.mark.parametrize(("frame_padding", "value"), [("floor", SILENCE), ("zero", 0.0)])
@pytest.mark.parametrize("preset", ["small", "paper"])
def test_frames_are_filled_up_with(preset: Any, frame_padding: Any, value: float) -> None:
    analyzer = tiny(preset=preset, frame_padding=frame_padding, pooling="all", blocks=1)
    mel = some_mel(12, 18)
    found, filled = analyzer(mel), analyzer(functional.pad(mel, (0, 2), value=value))
    torch.testing.assert_close(found.features, filled.features[..., :18])
    torch.testing.assert_close(found.channel_features, filled.channel_features)


def test_small_begins_by_leaving_the_mel_alone() -> None:
    analyzer: UNet2d = sr.build("analyzer", "unet2d", features=Bands())
    mel = some_mel(80, 50)
    assert torch.equal(analyzer(mel).features, mel)
    with torch.no_grad():
        other = analyzer(mel + 0.5 * torch.sin(torch.arange(80.0))[:, None]).channel_features
    assert (other - analyzer(mel).channel_features).abs().max() > 1e-3


def test_small_is_of_the_size_that_the_default_model_wants() -> None:
    analyzer: UNet2d = sr.build("analyzer", "unet2d", features=Bands())
    assert 1_000_000 < published.parameters(analyzer.encoder) < 1_300_000
    assert published.parameters(analyzer.channelfeats) < 600_000


def test_small_begins_with_what_the_log_mel_tells_of_cepstra() -> None:
    features = Cepstra()
    analyzer = UNet2d(UNet2dConfig(**TINY), features)
    mel = some_mel(12, 20)
    begun = mel.sum(dim=1, keepdim=True).expand(-1, 5, -1) - 3
    torch.testing.assert_close(analyzer(mel).features, begun)
    assert list(analyzer.state_dict()) == list(tiny(12, 5).state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        alone = UNet2d(UNet2dConfig(**TINY, residual=False), features)(mel).features
    assert 0.01 < alone.std() < 4


def test_a_change_of_cepstra_is_in_units_of_one_and_of_a_log_mel_of_four_nepers() -> None:
    mel = some_mel(12, 20)
    for features, step in ((Cepstra(12, 5), 1.0), (Bands(12, 12), 4.0)):
        analyzer = UNet2d(UNet2dConfig(**TINY), features)
        with torch.no_grad():
            analyzer.encoder.after_linear.bias.add_(0.5)
        begun = features.rough(mel)
        assert begun is not None
        torch.testing.assert_close(analyzer(mel).features, begun + 0.5 * step)


def test_copies_and_casts_take_their_features_along() -> None:
    pair = nn.ModuleDict({"features": Cepstra()})
    pair["analyzer"] = UNet2d(UNet2dConfig(**TINY), pair["features"])
    mel = some_mel(12, 20)
    wanted = pair["analyzer"](mel).features
    for copied in (copy.deepcopy(pair), pickle.loads(pickle.dumps(pair))):
        assert copied["analyzer"].encoder.rough.__self__ is copied["features"]
        pair["features"].matrix.zero_()
        assert torch.equal(copied["analyzer"](mel).features, wanted)
        pair["features"].matrix.fill_(1.0)
    elsewhere = copy.deepcopy(pair).to("meta")["analyzer"](mel.to("meta"))
    assert elsewhere.features.device.type == "meta"
    double = copy.deepcopy(pair).double()["analyzer"](mel.double()).features
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), wanted)


def test_two_domains_have_statistics_of_their_own_and_weights_together() -> None:
    config = UNet2dConfig(**TINY, norm="batch-by-domain", level="raw", residual=False)
    analyzer = UNet2d(config, Bands(16, 16)).train()
    loud, soft = some_mel(16, 16, batch=3), some_mel(16, 16, seed=1, batch=3) - 4
    analyzer(loud)
    with in_domain("simulated"):
        analyzer(soft)
    norm = "encoder.down_block1.conv_block1.bn1"
    first = 0.01 * loud.mean()[None]  # which the other domain goes on from
    for name, mean in (
        ("running_mean", first),
        ("simulated.running_mean", 0.99 * first + 0.01 * soft.mean()),
    ):
        torch.testing.assert_close(analyzer.get_buffer(f"{norm}.{name}"), mean)
    analyzer.eval()
    outside = analyzer(soft).features
    with in_domain("recordings"):
        assert torch.equal(analyzer(soft).features, outside)
    with in_domain("simulated"):
        assert (analyzer(soft).features - outside).abs().max() > 1e-3
    assert published.parameters(analyzer) == published.parameters(tiny(16, norm="batch"))


def test_two_domains_begin_with_the_statistics_of_one() -> None:
    trained, adapted = tiny(norm="batch"), tiny(norm="batch-by-domain")
    mel = some_mel(12, 20)
    adapted.load_state_dict(trained.state_dict())
    for domain in ("recordings", "simulated"):
        with in_domain(domain):
            torch.testing.assert_close(adapted(mel).features, trained(mel).features)
    again = tiny(norm="batch-by-domain")
    again.load_state_dict(adapted.state_dict())
    assert torch.equal(again(mel).features, adapted(mel).features)


@pytest.mark.parametrize("norm", ["batch", "batch-by-domain", "group", "none"])
def test_masked_pooling_hears_no_padding(norm: Any) -> None:
    settings: dict[str, Any] = {**TINY, "branch_widths": (8, 8, 8), "norm": norm}
    branch = published.fill(ChannelFeatures(UNet2dConfig(**settings)))
    channel_map = torch.randn(2, 8, 9, 3, generator=torch.Generator().manual_seed(1))
    padded = functional.pad(channel_map, (0, 0, 0, 5), value=7.0)
    torch.testing.assert_close(branch(padded, 8.3), branch(channel_map, 8.3))
    everything = published.fill(ChannelFeatures(UNet2dConfig(**settings, pooling="all")))
    difference = everything(padded, 8.3) - everything(channel_map, 8.3)
    assert difference.abs().max() > 0.1


def test_masked_pooling_is_the_mean_over_time_where_nothing_is_padded() -> None:
    masked, everything = tiny(16, pooling="masked"), tiny(16, pooling="all")
    mel = some_mel(16, 32)
    torch.testing.assert_close(masked(mel).channel_features, everything(mel).channel_features)


def test_the_beginning_of_a_recording_does_not_depend_on_its_length() -> None:
    mel = some_mel(12, 400)
    alone, within = (tiny()(mel[..., :frames]).features[..., :100] for frames in (200, 400))
    torch.testing.assert_close(alone, within)
    alone, within = (
        tiny(norm="group")(mel[..., :frames]).features[..., :100] for frames in (200, 400)
    )
    assert (alone - within).abs().max() > 1e-3


def test_learns_to_lift_the_bands_that_a_recording_lost() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        analyzer = UNet2d(UNet2dConfig(widths=(8, 16), branch_widths=(8,)), Bands(20, 20))
    clean = some_mel(20, 16, batch=2)
    lost = torch.linspace(0, 4, 20)[:, None] * torch.tensor([0.5, 1.0])[:, None, None]
    dull = (clean - lost).clamp(min=SILENCE)
    optimizer = torch.optim.Adam(analyzer.parameters(), 3e-3)
    errors = []
    for _ in range(50):
        error = (analyzer(dull).features - clean).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[0] > 1.4
    assert errors[-1] < errors[0] / 4


@pytest.mark.parametrize("shape", [(80, 10), (1, 79, 10), (1, 80, 0), (1, 1, 80, 10)])
def test_another_shape_is_refused_in_words(shape: tuple[int, ...]) -> None:
    with pytest.raises(ComponentError, match=r"log-mel of shape .*; give \(batch, 80 mel bands"):
        UNet2d(UNet2dConfig(**TINY), Bands())(torch.zeros(shape))


def test_wrong_settings_are_refused_in_words() -> None:
    with pytest.raises(ComponentError, match="no preset 'papr'; did you mean 'paper'"):
        sr.build("analyzer", "unet2d:preset=papr")
    with pytest.raises(ComponentError, match="did you mean 'frame_padding'"):
        sr.build("analyzer", "unet2d:frame_pading=floor")
    with pytest.raises(ComponentError, match="frame_padding=ceiling: Input should be 'floor'"):
        sr.build("analyzer", "unet2d:frame_padding=ceiling")
    with pytest.raises(ComponentError, match="top_band=drop leaves nothing of 1 mel band"):
        sr.build("analyzer", "unet2d:top_band=drop", features=Bands(1, 1))
    with pytest.raises(ComponentError, match="channel_seconds needs pooling=masked"):
        sr.build("analyzer", "unet2d:preset=paper,channel_seconds=1")
    with pytest.raises(ComponentError, match=r"channel_seconds=0: .*greater than 0"):
        sr.build("analyzer", "unet2d:channel_seconds=0")


def test_each_quirk_of_paper_is_a_setting_of_its_own() -> None:
    mended = sr.build("analyzer", "unet2d:preset=paper,widths=[4],branch_widths=[4],top_band=keep")
    assert (mended.config.top_band, mended.config.frame_padding) == ("keep", "zero")
    assert (mended.config.blocks, mended.config.norm) == (4, "batch")
