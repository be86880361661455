"""The style-token variant: the published numbers, any number of frames, learning, and errors."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.promises import check
from selfremaster.plugins.analyzers.style_tokens import UNet2dGst, UNet2dGstConfig
from tests import published
from tests.test_unet2d import SILENCE, Bands, some_mel

TINY: dict[str, Any] = {
    "widths": (4, 8),
    "channel_dim": 6,
    "heads": 2,
    "reference_widths": (4, 4),
    "summary_width": 5,
    "tokens": 3,
}


def tiny(bands: int = 12, predicted: int | None = None, **settings: Any) -> UNet2dGst:
    """A narrow analysis module that has left the place where it begins."""
    features = Bands(bands, bands if predicted is None else predicted)
    return published.fill(UNet2dGst(UNet2dGstConfig(**{**TINY, **settings}), features))


@pytest.fixture(scope="module")
def paper() -> UNet2dGst:
    return published.fill(UNet2dGst(UNet2dGstConfig(preset="paper"), Bands()))


@pytest.fixture(scope="module")
def paper_mel() -> Tensor:
    return published.given("mel", "mel", (2, 50, 80)).transpose(1, 2)


def test_paper_has_the_published_tensors_in_their_order(paper: UNet2dGst) -> None:
    expected = [f"encoder.{key}" for key in published.keys("encoder_without_channel")]
    expected += [f"gst.{key}" for key in published.keys("gst")]
    assert published.own_keys(paper) == expected
    assert published.parameters(paper.encoder) == 15_339_059
    assert published.parameters(paper.gst) == 719_104


def test_paper_gives_the_published_numbers(paper: UNet2dGst, paper_mel: Tensor) -> None:
    with torch.no_grad():
        whole, beginning = paper(paper_mel), paper(paper_mel[..., :37])
    vector = published.output("gst/out/vector")
    torch.testing.assert_close(whole.channel_features, vector, atol=1e-6, rtol=0)
    wanted = published.output("encoder_melspec_without_channel/out/feature")[:, 0].transpose(1, 2)
    torch.testing.assert_close(beginning.features, wanted, atol=1e-4, rtol=0)


def test_paper_keeps_the_promises_of_an_analyzer_when_narrow() -> None:
    check("analyzer", tiny(preset="paper", reference_widths=(4,) * 6))


@settings(max_examples=40)
@given(
    frames=st.integers(1, 200),
    bands=st.integers(2, 90),
    predicted=st.integers(1, 50),
    preset=st.sampled_from(["small", "paper"]),
    norm=st.sampled_from(["batch", "batch-by-domain", "group", "none"]),
)
def test_any_frames_and_bands(
    frames: int, bands: int, predicted: int, preset: Any, norm: Any
) -> None:
    analyzer = tiny(bands, predicted, preset=preset, norm=norm, blocks=1)
    with torch.no_grad():
        heard = analyzer(some_mel(bands, frames, batch=2))
    assert heard.features.shape == (2, predicted, frames)
    assert heard.channel_features.shape == (2, 6)
    assert heard.channel_features.isfinite().all()


@pytest.mark.parametrize("bands", [12, 13, 80])
@pytest.mark.parametrize("frames", [1, 37])
def test_every_band_and_frame_of_small_is_heard(bands: int, frames: int) -> None:
    mel = some_mel(bands, frames).requires_grad_()
    for output in tiny(bands, residual=False, reference_widths=(16, 16))(mel):
        (gradient,) = torch.autograd.grad(output.square().sum(), mel, retain_graph=True)
        assert (gradient != 0).any(dim=1).all()
        assert (gradient != 0).any(dim=2).all()


def test_small_begins_by_leaving_the_mel_alone_and_is_narrow() -> None:
    analyzer: UNet2dGst = sr.build("analyzer", "unet2d-gst", features=Bands())
    mel = some_mel(80, 50)
    assert torch.equal(analyzer(mel).features, mel)
    assert published.parameters(analyzer.encoder) < 1_000_000
    assert published.parameters(analyzer.gst) < 200_000


def test_beyond_the_ends_of_small_is_silence() -> None:
    """A frame of silence before a recording of odd length is what is there anyway."""
    analyzer = tiny(reference_widths=(4,))
    mel = some_mel(12, 9)
    silence = torch.full((1, 12, 1), SILENCE)
    torch.testing.assert_close(
        analyzer.gst.encoder_post.convs[0](entered(analyzer, torch.cat([mel, silence], dim=2))),
        analyzer.gst.encoder_post.convs[0](entered(analyzer, mel)),
    )


def entered(analyzer: UNet2dGst, mel: Tensor) -> Tensor:
    return analyzer.config.entered(mel, SILENCE).transpose(1, 2)[:, None]


def test_channel_features_are_a_mixture_of_tokens() -> None:
    analyzer = tiny().requires_grad_(False)
    tokens = torch.tanh(analyzer.gst.stl.embed)
    values = analyzer.gst.stl.attention.W_value(tokens).unflatten(1, (2, 3))
    mixed = analyzer(some_mel(12, 40)).channel_features.unflatten(1, (2, 3))
    for head in range(2):
        corners = torch.cat([values[:, head], torch.ones(3, 1)], dim=1)
        weights = torch.linalg.lstsq(corners.T, torch.cat([mixed[0, head], torch.ones(1)])).solution
        torch.testing.assert_close(weights.sum(), torch.tensor(1.0), atol=1e-4, rtol=0)
        assert (weights > 0).all()


def test_tokens_learn_to_tell_recordings_apart() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = UNet2dGstConfig(
            **{**TINY, "widths": (4,), "reference_widths": (8, 8), "summary_width": 16}
        )
        analyzer = UNet2dGst(config, Bands(12, 12))
    optimizer = torch.optim.Adam(analyzer.channel_parameters(), 1e-2)
    slopes = torch.tensor([-1.0, 1.0]).repeat(4)
    errors = []
    for step in range(60):
        mel = some_mel(12, 20, seed=step, batch=8)
        coloured = mel + slopes[:, None, None] * torch.linspace(-2, 2, 12)[:, None]
        error = (analyzer(coloured).channel_features[:, 0] - 0.2 * slopes).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[0] > 0.15
    assert sum(errors[-5:]) / 5 < errors[0] / 3


def test_its_channel_parameters_are_those_of_the_channel_features_alone() -> None:
    analyzer = tiny()
    heard = analyzer(some_mel(12, 20))
    own = analyzer.channel_parameters()
    gradients = torch.autograd.grad(heard.features.sum(), own, allow_unused=True, retain_graph=True)
    assert all(gradient is None for gradient in gradients)
    assert all(
        gradient is not None
        for gradient in torch.autograd.grad(heard.channel_features.sum(), own, allow_unused=True)
    )
    assert sum(map(torch.numel, own)) == published.parameters(analyzer.gst)


def test_wrong_settings_and_shapes_are_refused_in_words() -> None:
    with pytest.raises(ComponentError, match=r"channel_dim=100 cannot be shared by heads=8"):
        sr.build("analyzer", "unet2d-gst:channel_dim=100")
    with pytest.raises(ComponentError, match="no setting 'channel_seconds'"):
        sr.build("analyzer", "unet2d-gst:channel_seconds=1")
    with pytest.raises(ComponentError, match="no preset 'large'; known: paper, small"):
        sr.build("analyzer", "unet2d-gst:preset=large")
    with pytest.raises(ComponentError, match=r"log-mel of shape .*; give \(batch, 12 mel bands"):
        tiny()(torch.zeros(1, 11, 4))
