"""HiFi-GAN: the published sizes and numbers, both layouts of its weights, and its errors."""

import math
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from selfremaster.core import promises
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Features
from selfremaster.plugins.vocoders.hifigan import HifiGan, HifiGanConfig
from selfremaster.registry.building import build

REFERENCE = Path(__file__).parent / "reference"
FILL = runpy.run_path(str(REFERENCE / "fill.py"))
TINY: Mapping[str, Any] = {
    "upsample_rates": (4, 2),
    "upsample_kernels": (8, 4),
    "initial_channels": 8,
    "block_kernels": (3, 5),
    "block_dilations": ((1, 2), (1,)),
}


class Frames(Features):
    """Features of which only the sizes matter."""

    def __init__(self, channels: int = 5, hop_samples: int = 8) -> None:
        super().__init__(ComponentConfig())
        self.channels, self.hop_samples, self.sample_rate = channels, hop_samples, 22050


def tiny(seed: int = 0, **settings: Any) -> HifiGan:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return HifiGan(HifiGanConfig(**{**TINY, **settings}), Frames()).eval()


def some_features(frames: int, seed: int = 1, batch: int = 1, channels: int = 5) -> Tensor:
    return torch.randn(batch, channels, frames, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=["mel", "source-filter"])
def published(request: pytest.FixtureRequest) -> tuple[str, HifiGan, Tensor]:
    """The published generator, filled as the reference was, and its input."""
    kind = request.param
    channels, preset = (80, "v1") if kind == "mel" else (42, "v1-source-filter")
    vocoder = HifiGan(HifiGanConfig(preset=preset), Frames(channels, 256)).eval()
    filled = {
        key: torch.from_numpy(FILL["fill"](f"generator.{key}", tensor.shape))
        for key, tensor in vocoder.state_dict().items()
    }
    vocoder.load_state_dict(filled)
    if kind == "mel":
        return kind, vocoder, torch.from_numpy(FILL["mel_input"]("hifigan", (1, 80, 20)))
    return kind, vocoder, torch.from_numpy(FILL["vocfeats_input"]("hifigan", 1, 40, 20))


@torch.no_grad()
def test_published_numbers_and_layouts(published: tuple[str, HifiGan, Tensor]) -> None:
    kind, vocoder, features = published
    stored = np.load(REFERENCE / "hifigan.npz")
    atol = 1e-5 if kind == "mel" else 2e-5
    kept = vocoder(features)
    np.testing.assert_allclose(kept, stored[f"{kind}/wave"], rtol=0, atol=atol)
    keys = list(vocoder.state_dict())
    assert len(keys) == 234
    assert keys[:3] == ["conv_pre.bias", "conv_pre.weight_g", "conv_pre.weight_v"]
    assert "resblocks.11.convs2.2.weight_g" in keys
    assert keys[-1] == "conv_post.weight_v"
    assert vocoder.fold() is vocoder
    torch.testing.assert_close(vocoder(features), kept, rtol=0, atol=1e-6)
    folded = vocoder.state_dict()
    assert len(folded) == 156
    assert list(folded)[:2] == ["conv_pre.bias", "conv_pre.weight"]
    if kind == "mel":
        for name in ("conv_pre", "ups.0", "resblocks.4.convs2.1"):
            corner = folded[f"{name}.weight"][:2, :2]
            wanted = stored[f"folded/{name}.weight"]
            np.testing.assert_allclose(corner, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("preset", "parameters"), [("v1", 13_926_017), ("v2", 925_985), ("v3", 1_462_273)]
)
def test_presets_have_the_published_sizes(preset: str, parameters: int) -> None:
    with torch.device("meta"):
        vocoder = HifiGan(HifiGanConfig(preset=preset), Frames(80, 256))
    assert sum(parameter.numel() for parameter in vocoder.fold().parameters()) == parameters


@pytest.mark.parametrize(("features", "channels"), [("preset=published", 42), ("order=40", 43)])
def test_the_source_filter_preset_takes_the_rows_that_there_are(
    features: str, channels: int
) -> None:
    speech = build("features", f"source-filter:{features}")
    with torch.device("meta"):
        vocoder = build("vocoder", "hifigan:preset=v1-source-filter", features=speech)
    assert vocoder.state_dict()["conv_pre.weight_v"].shape == (512, channels, 7)


def test_settings_beside_a_preset_win() -> None:
    config = HifiGanConfig(preset="v3", initial_channels=64)
    assert (config.block, config.upsample_rates, config.initial_channels) == (2, (8, 8, 4), 64)


@pytest.mark.parametrize("settings", [{}, {"block": 2}, {"lag_samples": 3}, {"weight_norm": False}])
def test_keeps_the_promises(settings: dict[str, Any]) -> None:
    promises.check("vocoder", tiny(**settings))


@torch.no_grad()
@pytest.mark.parametrize("saved_norm", [True, False])
@pytest.mark.parametrize("loading_norm", [True, False])
def test_either_layout_loads_into_either_state(saved_norm: bool, loading_norm: bool) -> None:
    saved, loading = tiny(1, weight_norm=saved_norm), tiny(2, weight_norm=loading_norm)
    features = some_features(6)
    assert not torch.allclose(loading(features), saved(features), atol=1e-3)
    layout = set(loading.state_dict())
    loading.load_state_dict(saved.state_dict())
    torch.testing.assert_close(loading(features), saved(features), rtol=0, atol=1e-6)
    assert set(loading.state_dict()) == layout


@pytest.mark.parametrize("weight_norm", [True, False])
def test_a_missing_or_foreign_weight_is_not_overlooked(weight_norm: bool) -> None:
    weights = tiny().state_dict()
    del weights["ups.1.weight_g"]
    with pytest.raises(RuntimeError, match=r"ups\.1\.weight"):
        tiny(weight_norm=weight_norm).load_state_dict(weights)
    with pytest.raises(RuntimeError, match=r"Unexpected key.*conv_pre\.gain"):
        tiny().load_state_dict({**tiny().state_dict(), "conv_pre.gain": torch.ones(1)})


def test_folding_keeps_frozen_weights_frozen_and_is_done_once() -> None:
    vocoder = tiny().requires_grad_(False).fold()
    before = vocoder.state_dict()
    assert not any(parameter.requires_grad for parameter in vocoder.parameters())
    assert vocoder.fold().state_dict().keys() == before.keys()


def test_a_channel_of_zeros_stays_zeros_when_it_is_folded() -> None:
    vocoder = tiny(weight_norm=True)
    weights = vocoder.state_dict()
    name = next(key for key in weights if key.endswith("weight_v"))
    weights[name][0] = 0
    vocoder.load_state_dict(weights)
    vocoder.fold()
    folded = vocoder.state_dict()[name.replace("weight_v", "weight")]
    assert torch.isfinite(folded).all()
    assert folded[0].abs().max() == 0


def test_weight_norm_trains_length_and_direction() -> None:
    vocoder = tiny()
    vocoder(some_features(4)).square().sum().backward()
    for name, parameter in vocoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@settings(max_examples=15, deadline=None)
@given(
    rates=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    longer=st.integers(0, 3),
    frames=st.integers(1, 9),
)
def test_a_frame_makes_one_hop_whatever_the_rates(
    rates: list[int], longer: int, frames: int
) -> None:
    config = HifiGanConfig(
        **{
            **TINY,
            "upsample_rates": rates,
            "upsample_kernels": [rate + 2 * longer for rate in rates],
        }
    )
    hop_samples = math.prod(rates)
    wave = HifiGan(config, Frames(hop_samples=hop_samples))(some_features(frames, batch=2))
    assert wave.shape == (2, frames * hop_samples)
    assert wave.abs().max() <= 1


@torch.no_grad()
def test_later_frames_sound_the_same_later() -> None:
    vocoder, features = tiny(), some_features(60)
    wave, later = vocoder(features), vocoder(features.roll(5, dims=-1))
    inner = slice(25 * 8, 45 * 8)
    torch.testing.assert_close(later[:, 5 * 8 :][:, inner], wave[:, inner], rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("settings", [{}, {"block": 2}, {"lag_samples": 3}])
@pytest.mark.parametrize("batch", [1, 3])
def test_long_features_are_spoken_in_pieces_to_the_same_numbers(
    settings: dict[str, Any], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocoder = tiny(**settings)
    features = some_features(4 * 4 * vocoder.reach_frames + 7, batch=batch)
    whole = vocoder(features)
    spoken: list[int] = []
    at_once = vocoder.spoken
    monkeypatch.setattr(
        vocoder, "spoken", lambda some: spoken.append(some.shape[-1]) or at_once(some)
    )
    monkeypatch.setattr("selfremaster.plugins.vocoders.hifigan.PIECE_SAMPLES", 1)
    torch.testing.assert_close(vocoder(features), whole, rtol=0, atol=1e-6)
    assert len(spoken) == 5
    assert max(spoken) == 6 * vocoder.reach_frames


@torch.no_grad()
@pytest.mark.parametrize("settings", [{}, {"block": 2}])
def test_no_sound_hangs_on_frames_beyond_its_reach(settings: dict[str, Any]) -> None:
    vocoder = tiny(**settings)
    reach, hop = vocoder.reach_frames, vocoder.hop_samples
    features = some_features(4 * reach)
    changed = features.clone()
    changed[..., 2 * reach :] += 1
    moved = (vocoder.spoken(features) - vocoder.spoken(changed)).abs()[0].nonzero().min()
    assert reach * hop <= int(moved) < 2 * reach * hop
    assert int(moved) < (reach + 4) * hop  # and it is no wider than it has to be


@torch.no_grad()
def test_a_lag_is_cut_off_and_the_length_kept() -> None:
    features = some_features(7)
    prompt, lagging = tiny(), tiny(lag_samples=3)
    longer = prompt(functional.pad(features, (0, 1), mode="replicate"))
    assert torch.equal(lagging(features), longer[:, 3 : 3 + 7 * 8])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("hifigan:preset=v4", "no preset 'v4'.*known: v1, v1-source-filter, v2, v3"),
        ("hifigan:preset=v2,upsample_rates=[8,8,2],upsample_kernels=[16,16,4]", "make 128 .*=256"),
        ("hifigan:upsample_rates=[8,8]", "2 upsample_rates and 4 upsample_kernels"),
        ("hifigan:upsample_kernels=[16,16,4,3]", "kernel 3 for rate 2; .*such as 4"),
        ("hifigan:block_kernels=[3,4,6]", r"block_kernels \[4, 6\] are even"),
        ("hifigan:block_dilations=[[1,3]]", "3 block_kernels need as many groups"),
        ("hifigan:initial_channels=20", "cannot be halved 4 times; choose a multiple of 16"),
        ("hifigan:preset=v2,lag_samples=300", "lag_samples=300 is more than one frame of 256"),
        ("hifigan:chanels=3", "no setting 'chanels'"),
    ],
)
def test_wrong_settings_are_told(spec: str, words: str) -> None:
    with pytest.raises(ComponentError, match=f"vocoder hifigan: .*{words}"):
        build("vocoder", spec)


def test_features_of_other_channels_are_told() -> None:
    with pytest.raises(ComponentError, match=r"\(1, 3, 4\); this vocoder takes \(batch, 5, frames"):
        tiny()(some_features(4, channels=3))
