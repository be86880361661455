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
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation, Loss
from selfremaster.core.promises import Context, check, promises_of
from selfremaster.core.promises import degradations as degradation_promises
from selfremaster.core.promises import losses as loss_promises
from selfremaster.core.promises.inputs import speech_like
from selfremaster.registry.building import component_class, smallest
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
    check(kind, part, context)


RANGES = (
    "agc:target_db=[-30,-10],ratio=[1,20],attack_seconds=[0.005,0.5],release_seconds=[0.1,4]",
    "azimuth:minutes=[-60,60],track_mm=[0.6,2.2],speed_cm_s=[4.76,38.1],spacing_mm=[2.5,6],"
    "summed=[true,false]",
    "band-limit:cutoff_hz=[300,4000]",
    "bit-depth:bits=[2,16],dither=[none,rectangular,triangular]",
    "clicks:per_second=[0,9],level_db=[-10,20],spread_db=[0,10],decay_seconds=[0.001,0.05],"
    "low_hz=[100,900],high_hz=[1000,9000],"
    "turns_per_minute=[null,33.3,45,78],jitter_percent=[0,2]",
    "clip:ratio=[0.06,0.9]",
    "codec:kind=[a-law,gsm,mp3,opus],bitrate_kbps=[8,64],passes=[1,2]",
    "crackle:per_second=[5,1000],level_db=[-40,0],spread_db=[2,12],"
    "resonance_hz=[2000,15000],decay_seconds=[0.0002,0.004]",
    "dc-offset:offset=[-0.1,0.1],drift=[0,0.1],drift_seconds=[0.1,1]",
    "dropout:per_second=[0,20],spacing_um=[0,10],speed_cm_s=[4.76,38.1]",
    "eq:spread_db=[0,20],octaves=[0.3,4],tilt_db_per_octave=[-3,3],zero_phase=[true,false]",
    "filter:high_hz=[850,11025],order=[2,9],zero_phase=[true,false],ripple_db=[0.1,3],"
    "stop_db=[30,80],"
    "kind=[butterworth,chebyshev1,chebyshev2,bessel,elliptic]",
    "filter:low_hz=[50,400],high_hz=[2000,12000],order=[1,12]",
    "gain:gain_db=[-20,20]",
    "hiss:level_db=[-60,-10],corner_hz=[300,5000],slope_db=[0,9],top_hz=[4000,30000]",
    "horn:low_hz=[80,400],high_hz=[1500,5000],length_m=[0.3,1.5],resonances=[0,12],"
    "resonance_db=[0,18],q=[2,20]",
    "hum:mains_hz=[50,60],level_db=[-50,-10],harmonics=[1,60],rolloff_db=[0,18],"
    "even_db=[-20,20],spread_db=[0,9],drift_percent=[0,2]",
    "noise:snr_db=[-5,40],kind=[white,pink,brown]",
    "overdrive:gain=[0,60],colour=[0,100]",
    "packet-loss:loss_percent=[1,60],burst_packets=[1,5],packet_ms=[10,20,60],"
    "concealment=[silence,repeat]",
    "print-through:seconds=[0.05,3],level_db=[-60,-30],post_db=[-6,6],strongest_hz=[200,2000]",
    "quantize-resample:levels=[64,1024],rate_hz=[8000,11025,16000]",
    "resample:rate_hz=[4000,8000,16000],aliasing=[false,true],rebuilt=[filtered,linear,held]",
    "reverb:rt60_seconds=[0.05,3],drr_db=[-10,30]",
    "reverb:kind=[decay,room],rt60_seconds=[0.1,2],volume_m3=[20,5000],distance_m=[0.1,3]",
    "speed:percent=[-60,140]",
    "stereo-imbalance:balance_db=[-10,10]",
    "wow-flutter:wow_percent=[0,3],wow_hz=[0.5,6],flutter_percent=[0,1],flutter_hz=[6,100],"
    "irregular=[0,1]",
)
"""Degradations whose defaults draw nothing, with settings from which something is drawn."""


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
def test_degradations_that_draw_keep_their_promises(spec: str) -> None:
    part = sr.build("degradation", spec)
    first, second = (
        part.draw(Generator().manual_seed(1), 22050),
        part.draw(Generator().manual_seed(2), 22050),
    )
    assert first != second
    check("degradation", part)


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
