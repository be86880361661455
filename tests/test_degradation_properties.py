"""Every degradation keeps every promise on waves of any length, level and sort.

Each of them is tried on 200 waves, settings drawn from ranges on a quarter of that; the variable
SELFREMASTER_EXAMPLES asks for another number.
"""

import os

import pytest
from hypothesis import given, settings
from torch import Tensor

import selfremaster as sr
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.degradations import PROMISES
from tests.ranges import RANGES
from tests.strategies import recordings, seeds

NAMES = [info.name for info in sr.list_components("degradation")]
EXAMPLES = int(os.environ.get("SELFREMASTER_EXAMPLES", "200"))
ON_WAVES = [promise for promise in PROMISES if "wave" in promise.__annotations__]
ON_DRAWS = [promise for promise in PROMISES if "wave" not in promise.__annotations__]


@pytest.fixture(scope="module", params=NAMES)
def degradation(request: pytest.FixtureRequest) -> Degradation:
    part: Degradation = sr.build("degradation", request.param)
    return part


@settings(max_examples=EXAMPLES)
@given(wave=recordings(), seed=seeds())
def test_promises_are_kept_on_any_wave(degradation: Degradation, wave: Tensor, seed: int) -> None:
    for promise in ON_WAVES:
        promise(degradation, wave, seed)


@pytest.mark.parametrize("spec", RANGES)
@settings(max_examples=EXAMPLES // 4)
@given(wave=recordings(), seed=seeds())
def test_promises_are_kept_on_any_wave_by_any_settings(spec: str, wave: Tensor, seed: int) -> None:
    part = sr.build("degradation", spec)
    for promise in ON_WAVES:
        promise(part, wave, seed)


@pytest.mark.parametrize("spec", [*NAMES, *RANGES])
@settings(max_examples=EXAMPLES // 10)
@given(seed=seeds())
def test_promises_are_kept_whatever_is_drawn(spec: str, seed: int) -> None:
    part = sr.build("degradation", spec)
    for promise in ON_DRAWS:
        promise(part, seed)
