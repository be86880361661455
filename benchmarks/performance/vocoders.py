"""How fast vocoders speak and learn."""

import copy
import sys
from typing import NamedTuple

import torch

from selfremaster.benchmarks.performance.comparing import (
    Comparison,
    Options,
    Section,
    Timed,
    in_turns,
)
from selfremaster.benchmarks.performance.references import with_plain_convolutions
from selfremaster.benchmarks.tables import NOTHING, markdown
from selfremaster.benchmarks.timing import apart
from selfremaster.core.bundles import fold
from selfremaster.core.components import ComponentSpec
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.interfaces import Features, Vocoder
from selfremaster.core.promises.inputs import noise
from selfremaster.registry.building import (
    DEFAULT_FEATURES,
    build,
    component_class,
    list_components,
)

MILLION = 1_000_000


class Speed(NamedTuple):
    """Seconds of work for each second of sound; the reference's and learning's where there are."""

    name: str
    parameters: int
    speaking: float
    plain_speaking: float | None
    learning: float | None  # forward and backward
    plain_learning: float | None


def vocoder_specs() -> list[str]:
    """Every registered vocoder, in each of its presets."""
    specs = []
    for info in list_components("vocoder"):
        presets = component_class("vocoder", info.name).Config.presets
        specs += [f"{info.name}:preset={preset}" for preset in presets] or [info.name]
    return specs


def measure(options: Options) -> Section:
    """The table of all vocoders."""
    speeds, left_out = apart(speeds_of, options)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    rows = [_row(speed) for speed in speeds]
    heading = [
        "vocoder",
        "parameters, M",
        "real-time factor",
        "reference",
        "times as fast",
        "with gradient",
        "reference",
        "times as fast",
    ]
    about = (
        f"Seconds of work for each second of sound, {options.seconds:g} s at a time. The reference "
        "is the same network with the same weights: one-dimensional convolutions, channels first, "
        "and weight norm that is not folded. With gradient: forward and backward."
    )
    return Section("Vocoders", about, markdown(heading, rows))


def speeds_of(options: Options) -> tuple[list[Speed], list[str]]:
    """The speed of each vocoder, and why others are left out."""
    speeds, left_out = [], []
    for spec in options.vocoders or vocoder_specs():
        try:
            features = build("features", options.features or own_features(spec))
            vocoder = build("vocoder", spec, features=features)
        except SelfRemasterError as error:
            left_out.append(str(error))
            continue
        speeds.append(speed_of(spec, vocoder, features, options))
    return speeds, left_out


def own_features(spec: str) -> str:
    """The features that a vocoder speaks from, if no others are asked for."""
    part = component_class("vocoder", ComponentSpec.parse(spec).name)
    return str(getattr(part, "default_features", DEFAULT_FEATURES))


def speed_of(name: str, vocoder: Vocoder, features: Features, options: Options) -> Speed:
    """Time a vocoder on noise. It learns as it was built, and speaks as a bundle would hold it."""
    wave = noise(1, round(options.seconds * features.sample_rate), level=0.1)
    with torch.no_grad():
        speech = features(wave)
    plain = copy.deepcopy(vocoder)
    has_plain = with_plain_convolutions(plain) > 0
    parameters = sum(parameter.numel() for parameter in vocoder.parameters())
    given = (speech, wave, wave) if vocoder.needs_filling else (speech, wave)

    def speak(part: Vocoder) -> None:
        with torch.no_grad():
            part(*given)

    def learn(part: Vocoder) -> None:
        part.zero_grad()
        part(*given).square().mean().backward()

    learning: Timed | None = None
    if parameters and vocoder.differentiable:
        reference = (lambda: learn(plain)) if has_plain else None
        (learning,) = in_turns([Comparison(name, lambda: learn(vocoder), reference)], options)
    fold(vocoder.eval())
    reference = (lambda: speak(plain.eval())) if has_plain else None
    (speaking,) = in_turns([Comparison(name, lambda: speak(vocoder), reference)], options)
    return Speed(
        name,
        parameters,
        speaking.ours / options.seconds,
        _for_each_second(speaking.reference, options),
        _for_each_second(learning and learning.ours, options),
        _for_each_second(learning and learning.reference, options),
    )


def _for_each_second(taken: float | None, options: Options) -> float | None:
    return None if taken is None else taken / options.seconds


def _row(speed: Speed) -> list[str]:
    numbers = [
        *_pair(speed.speaking, speed.plain_speaking),
        *_pair(speed.learning, speed.plain_learning),
    ]
    return [speed.name, f"{speed.parameters / MILLION:.2f}", *numbers]


def _pair(ours: float | None, reference: float | None) -> list[str]:
    shown = [NOTHING if one is None else f"{one:.3f}" for one in (ours, reference)]
    both = ours is not None and reference is not None
    return [*shown, f"{reference / ours:.1f}" if both and ours and reference else NOTHING]
