"""Every registered part keeps the promises of its kind, on listed and on generated inputs."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.components import KINDS, nested_parts
from selfremaster.core.damage import Drawn
from selfremaster.core.errors import BundleError, ComponentError
from selfremaster.core.interfaces import Degradation, Loss
from selfremaster.core.promises import Context, check, promises_of
from selfremaster.core.promises import degradations as degradation_promises
from selfremaster.core.promises import losses as loss_promises
from selfremaster.core.promises.inputs import speech_like
from selfremaster.registry.building import component_class, smallest
from tests.ranges import RANGES
from tests.strategies import seeds, waves

PARTS = [(info.kind, info.name) for info in sr.list_components()]


def names(kind: str) -> list[str]:
    return [name for found, name in PARTS if found == kind]


def needs_a_model(kind: str, name: str) -> bool:
    """Parts that are given a whole model are tried where there is one."""
    return "model" in nested_parts(component_class(kind, name).Config).values()


def build(kind: str, name: str) -> tuple[Any, Context]:
    """A part in its small preset, if it has one, and what it is to be tried with.

    A part that does not work with one sort of speech features is built for the next.
    """
    spec = smallest(kind, name)
    if kind not in {"analyzer", "vocoder"}:
        return sr.build(kind, spec), Context()
    refusals = []
    for features_name in names("features"):
        features = sr.build("features", features_name)
        try:
            return sr.build(kind, spec, features=features), Context(features=features)
        except ComponentError as error:
            refusals.append(str(error))
    raise ComponentError("; ".join(refusals))


@pytest.mark.parametrize(
    ("kind", "name"),
    [pytest.param(*part, id="-".join(part)) for part in PARTS if not needs_a_model(*part)],
)
def test_every_part_keeps_its_promises(kind: str, name: str) -> None:
    try:
        part, context = build(kind, name)
    except ComponentError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and "selfremaster" not in str(missing.name):
            pytest.skip(f"an optional package is not installed: {missing.name}")
        raise
    except BundleError as error:
        pytest.skip(f"needs a model: {error}")
    check(kind, part, context)


def test_every_built_in_degradation_that_can_draw_is_tried_with_ranges() -> None:
    drawing = {
        info.name
        for info in sr.list_components("degradation")
        if info.owner == "selfremaster"
        and any(
            isinstance(mark, Drawn)
            for field in component_class("degradation", info.name).Config.model_fields.values()
            for mark in field.metadata
        )
    }
    assert drawing == {spec.partition(":")[0] for spec in RANGES}


@pytest.mark.parametrize("spec", RANGES)
def test_degradations_that_draw_draw_others_each_time(spec: str) -> None:
    part = sr.build("degradation", spec)
    first, second = (
        part.draw(Generator().manual_seed(1), 22050),
        part.draw(Generator().manual_seed(2), 22050),
    )
    assert first != second


@pytest.fixture(scope="module", params=[*names("degradation"), *RANGES])
def degradation(request: pytest.FixtureRequest) -> Degradation:
    part: Degradation = sr.build("degradation", request.param)
    return part


@settings(max_examples=30)
@given(
    wave=waves(),
    seed=seeds(),
    promise=st.sampled_from(
        [promise for promise in degradation_promises.PROMISES if "wave" in promise.__annotations__]
    ),
)
def test_degradations_keep_promises_on_any_wave(
    degradation: Degradation, wave: Tensor, seed: int, promise: Any
) -> None:
    promise(degradation, wave, seed)


@st.composite
def feature_maps(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 80))
    generator = Generator().manual_seed(draw(seeds()))
    shapes = [(batch, channels, draw(st.integers(1, 40))) for _ in range(2)]
    maps = [4 * torch.randn(shape, generator=generator) - 5 for shape in shapes]
    return maps[0], maps[1]


@st.composite
def wave_pairs(draw: st.DrawFn, max_samples: int) -> tuple[Tensor, Tensor]:
    first, second = draw(waves(max_samples=max_samples)), draw(waves(max_samples=max_samples))
    batch = min(len(first), len(second))
    return first[:batch], second[:batch]


def compares(name: str) -> bool:
    """Losses that judge by a network, without a target, are slow: the listed inputs must do."""
    return bool(getattr(component_class("loss", name), "needs_target", True))


@pytest.fixture(scope="module", params=filter(compares, names("loss")))
def loss(request: pytest.FixtureRequest) -> Loss:
    part: Loss = build("loss", request.param)[0]
    return part


@settings(max_examples=20)
@given(data=st.data())
def test_losses_keep_promises_on_any_pair(loss: Loss, data: st.DataObject) -> None:
    learned = any(True for _ in loss.parameters())
    pairs = feature_maps() if loss.takes == "features" else wave_pairs(2000 if learned else 60_000)
    estimate, target = data.draw(pairs)
    loss_promises.gives_one_number(loss, estimate, target)
    loss_promises.repeats_itself(loss, estimate, target)
    loss_promises.is_the_mean_of_its_items(loss, estimate, target)
    loss_promises.has_a_gradient(loss, estimate, target)
    loss_promises.is_zero_for_equals(loss, target)


@settings(max_examples=2)
@given(samples=st.integers(60_000, 100_000), seed=seeds())
def test_losses_keep_promises_on_long_pairs(loss: Loss, samples: int, seed: int) -> None:
    shape = (1, samples) if loss.takes == "wave" else (1, 80, samples // 256)
    generator = Generator().manual_seed(seed)
    estimate, target = (0.2 * torch.randn(shape, generator=generator) for _ in range(2))
    loss_promises.gives_one_number(loss, estimate, target[..., :-7])
    loss_promises.has_a_gradient(loss, estimate, target)
    loss_promises.is_zero_for_equals(loss, target)


def test_every_kind_has_promises_with_a_summary() -> None:
    for kind in KINDS:
        for promise in promises_of(kind):
            assert (promise.__doc__ or "").partition("\n")[0].endswith("."), promise.__name__


def test_a_wrong_kind_is_refused_in_words() -> None:
    clip = sr.build("degradation", "clip")
    with pytest.raises(ComponentError, match="did you mean 'degradation'"):
        check("degradations", clip)
    with pytest.raises(
        ComponentError, match=r"Clip is no loss; derive it from .*interfaces\.Loss$"
    ):
        check("loss", clip)


def test_the_speech_like_sound_has_pauses_pitch_and_a_level() -> None:
    wave = speech_like(22050)[0]
    assert wave.abs().max() == pytest.approx(0.6)
    levels = wave.unfold(0, 441, 441).square().mean(-1).sqrt()
    assert levels.max() > 50 * levels.min()
    voiced = wave[2000:4048]
    likeness = torch.fft.irfft(torch.fft.rfft(voiced, 8192).abs().square())[100:300]
    assert 22050 / (100 + int(likeness.argmax())) == pytest.approx(120, abs=35)
