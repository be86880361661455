"""The analysis module at the frame rate: what it leaves alone, how far it hears, what it pools."""

import pytest
import torch
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.plugins.analyzers.convnext import ConvNext
from selfremaster.registry.building import build

FEATURES = build("features", "mel")


def some_mel(batch: int, frames: int, seed: int = 1) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 80, frames, generator=chance) - 5


def analyzer(spec: str = "convnext:preset=tiny", stirred: bool = True) -> ConvNext:
    """One whose last layers are drawn, so that something is heard."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made: ConvNext = build("analyzer", spec, features=FEATURES).eval()
        if stirred:
            torch.nn.init.normal_(made.trunk.last.weight, std=0.1)
    return made


def test_it_begins_by_leaving_the_log_mel_as_it_is() -> None:
    mel = some_mel(2, 30)
    assert torch.equal(analyzer(stirred=False)(mel).features, mel)
    other = analyzer("convnext:preset=tiny,residual=false", stirred=False)(mel).features
    assert not torch.allclose(other, mel, atol=0.1)


def test_a_frame_is_heard_with_so_many_neighbours_and_no_more() -> None:
    module, mel = analyzer(), some_mel(1, 60)
    changed = mel.clone()
    changed[:, :, 30] += 1
    moved = (module.predict(changed) - module.predict(mel)).abs().amax(dim=1)[0]
    heard = (moved > 1e-6).nonzero()[:, 0].tolist()
    assert heard == list(range(30 - 9, 30 + 10))  # 3 of the first layer, 3 of each of two blocks


def test_channel_features_do_not_hang_on_the_order_of_long_stretches() -> None:
    """Mean and spread know no order: only the seams tell."""
    module = analyzer()
    first, second = some_mel(1, 300, seed=1), some_mel(1, 300, seed=2) + 1
    there = module(torch.cat([first, second], dim=-1)).channel_features
    back = module(torch.cat([second, first], dim=-1)).channel_features
    alone = module(first).channel_features
    assert float((there - back).norm().detach()) < 0.1 * float((there - alone).norm().detach())


def test_the_spread_tells_what_the_mean_cannot() -> None:
    module, steady = analyzer(), some_mel(1, 1).expand(1, 80, 200)
    restless = steady + 2 * torch.sin(torch.arange(200) * 0.02)
    assert not torch.allclose(
        module(steady).channel_features, module(restless).channel_features, atol=1e-3
    )
    module.zero_grad()
    module(steady.contiguous()).channel_features.sum().backward()
    assert all(
        bool(part.grad.isfinite().all()) for part in module.parameters() if part.grad is not None
    )


def test_it_predicts_the_mel_cepstrum_from_its_rough_guess() -> None:
    features = build("features", "source-filter")
    module = build("analyzer", "convnext:preset=tiny", features=features).eval()
    mel = some_mel(1, 20)
    assert torch.equal(module(mel).features, features.rough(mel))


def test_the_branch_alone_moves_the_channel_features() -> None:
    module = analyzer()
    module(some_mel(1, 20)).features.sum().backward()
    assert all(part.grad is None for part in module.channel_parameters())
    assert sum(part.numel() for part in module.channel_parameters()) == 64 * 32 + 32 + 32 * 16 + 16


def test_other_bands_are_refused() -> None:
    with pytest.raises(
        ComponentError, match=r"log-mel of shape \(1, 79, 4\); give \(batch, 80 mel"
    ):
        analyzer()(torch.zeros(1, 79, 4))
