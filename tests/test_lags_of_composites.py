"""How late composites are: the sum of their steps, or nothing that can be told."""

from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from selfremaster.core.interfaces import ComponentConfig, Degradation, Parameters
from selfremaster.plugins.degradations.chain import Chain, ChainConfig
from selfremaster.plugins.degradations.clip import Clip, ClipConfig
from selfremaster.plugins.degradations.one_of import OneOf, OneOfConfig
from selfremaster.plugins.degradations.sometimes import Sometimes, SometimesConfig
from selfremaster.plugins.degradations.speed import Speed, SpeedConfig

LATE_SAMPLES = 100


class Late(Degradation):
    """Let the sound come late."""

    delay_samples = LATE_SAMPLES

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """Nothing."""
        del generator, sample_rate
        return {}

    def apply_one(self, wave: Tensor, parameters: Parameters, sample_rate: int) -> Tensor:
        """Move the wave."""
        del parameters, sample_rate
        return torch.cat([torch.zeros(len(wave), LATE_SAMPLES), wave], -1)[:, : wave.shape[-1]]


def late() -> Late:
    return Late(ComponentConfig())


def on_time() -> Clip:
    return Clip(ClipConfig(ratio=1))


def lag(part: Degradation) -> int:
    """By how much a click comes late."""
    click = torch.zeros(1, 1000)
    click[0, 200] = 1
    heard, _ = part(click, Generator().manual_seed(1))
    return int(heard[0].argmax()) - 200


@pytest.mark.parametrize(("number", "wanted"), [(0, 0), (1, 100), (2, 200), (3, 300)])
def test_the_lags_of_steps_add_up(number: int, wanted: int) -> None:
    whole = Chain(ChainConfig(), [on_time(), *(late() for _ in range(number))])
    assert whole.delay_samples == wanted == lag(whole)
    nested = Chain(ChainConfig(), [whole, late()])
    assert nested.delay_samples == wanted + LATE_SAMPLES == lag(nested)
    assert not nested.moves_time


def test_a_chain_moves_time_where_a_step_does() -> None:
    swift = Speed(SpeedConfig())
    assert swift.moves_time
    assert Chain(ChainConfig(), [on_time(), swift]).moves_time
    assert Chain(ChainConfig(), [swift, on_time()]).moves_time
    assert not Chain(ChainConfig(), [on_time(), on_time()]).moves_time


def test_the_one_that_is_drawn_says_the_lag() -> None:
    alike = OneOf(OneOfConfig(), [late(), late()])
    assert alike.delay_samples == LATE_SAMPLES == lag(alike)
    assert alike.keeps_pairs
    unlike = OneOf(OneOfConfig(), [on_time(), late()])
    assert not unlike.keeps_pairs
    for choice, wanted in enumerate((0, LATE_SAMPLES)):
        assert unlike.delay_of({"choice": choice, "parameters": {}}, 22050) == wanted
    both = Chain(ChainConfig(), [late(), unlike])
    told = {"steps": [{}, {"choice": 1, "parameters": {}}]}
    assert both.delay_of(told, 22050) == 2 * LATE_SAMPLES


def test_what_lags_sometimes_lags_where_it_is_done() -> None:
    now_and_then = Sometimes(SometimesConfig(), late())
    assert now_and_then.delay_of({"parameters": {}}, 22050) == LATE_SAMPLES
    assert now_and_then.delay_of({"parameters": None}, 22050) == 0
    assert not now_and_then.keeps_pairs
    assert Sometimes(SometimesConfig(), on_time()).keeps_pairs
    assert not Sometimes(SometimesConfig(), on_time()).moves_time
    assert Sometimes(SometimesConfig(), Speed(SpeedConfig())).moves_time
