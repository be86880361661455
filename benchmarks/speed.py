"""How fast vocoders are on this machine: a Markdown table, measured when it is printed.

``python -m selfremaster.benchmarks.speed hifigan:preset=v3 griffin-lim`` compares those two.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.benchmarks.tables import NOTHING, markdown
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.interfaces import Features, Vocoder
from selfremaster.registry.building import build, component_class, list_components

MILLION = 1_000_000


class Speed(NamedTuple):
    """Seconds of work for each second of sound."""

    name: str
    parameters: int
    speaking: float
    learning: float | None  # forward and backward; none where there is nothing to learn


class PlainConvolution(nn.Module):
    """The same convolution of a one-row picture by torch's one-dimensional one, channels first.

    Shape: (batch, channels_in, 1, samples) -> (batch, channels_out, 1, samples or their multiple).
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden: Tensor) -> Tensor:
        """Convolve."""
        layer, sound = self.layer, hidden[:, :, 0].contiguous()
        weight, padding = layer.effective_weight(), layer.padding
        if layer.transposed:
            made = functional.conv_transpose1d(sound, weight, layer.bias, layer.stride, padding)
        else:
            made = functional.conv1d(sound, weight, layer.bias, 1, padding, layer.dilation)
        return made[:, :, None]


def with_plain_convolutions(module: nn.Module) -> int:
    """Replace every convolution that works on one-row pictures, in place; gives how many."""
    replaced = 0
    for name, child in list(module.named_children()):
        if hasattr(child, "effective_weight"):
            setattr(module, name, PlainConvolution(child))
            replaced += 1
        else:
            replaced += with_plain_convolutions(child)
    return replaced


def vocoder_specs() -> list[str]:
    """Every registered vocoder, in each of its presets."""
    specs = []
    for info in list_components("vocoder"):
        presets = component_class("vocoder", info.name).Config.presets
        specs += [f"{info.name}:preset={preset}" for preset in presets] or [info.name]
    return specs


def measure(name: str, vocoder: Vocoder, features: Features, seconds: float, repeats: int) -> Speed:
    """Time the vocoder on noise: the fastest of several runs after a first one.

    It learns as it was built, and speaks as a bundle would hold it (with weight norm folded).
    """
    samples = round(seconds * features.sample_rate)
    generator = torch.Generator().manual_seed(0)
    wave = 0.1 * torch.randn(1, samples, generator=generator)
    with torch.no_grad():
        speech = features(wave)
    parameters = sum(parameter.numel() for parameter in vocoder.parameters())

    def speak() -> None:
        with torch.no_grad():
            vocoder(speech, wave)

    def learn() -> None:
        vocoder.zero_grad()
        vocoder(speech, wave).square().mean().backward()

    learns = parameters > 0 and vocoder.differentiable
    learning = _seconds(learn, repeats) / seconds if learns else None
    fold = getattr(vocoder.eval(), "fold", None)
    if callable(fold):
        fold()
    return Speed(name, parameters, _seconds(speak, repeats) / seconds, learning)


def _seconds(work: Callable[[], None], repeats: int) -> float:
    work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def table(speeds: Sequence[Speed]) -> str:
    """The speeds as Markdown.

    >>> print(table([Speed("one", 1_500_000, 0.25, None)]).splitlines()[-1])
    | one | 1.50 | 0.250 | 4.0 | - |
    """
    rows = [
        [
            speed.name,
            f"{speed.parameters / MILLION:.2f}",
            f"{speed.speaking:.3f}",
            f"{1 / speed.speaking:.1f}",
            NOTHING if speed.learning is None else f"{speed.learning:.3f}",
        ]
        for speed in speeds
    ]
    heading = ["vocoder", "parameters, M", "real-time factor", "times real time", "with gradient"]
    return markdown(heading, rows)


def run(specs: Sequence[str], features_name: str, seconds: float, repeats: int) -> list[Speed]:
    """Measure vocoders; those with convolutions of their own also with torch's plain ones.

    Those that do not work with the features are left out, with a word about it on stderr.
    """
    features = build("features", features_name)
    speeds = []
    for spec in specs:
        try:
            vocoder = build("vocoder", spec, features=features)
        except SelfRemasterError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        plain = copy.deepcopy(vocoder)
        speeds.append(measure(spec, vocoder, features, seconds, repeats))
        if with_plain_convolutions(plain):
            name = f"{spec}, plain conv1d"
            speeds.append(measure(name, plain, features, seconds, repeats))
    return speeds


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m selfremaster.benchmarks.speed",
        description="Time vocoders on this machine and print a Markdown table.",
    )
    add = parser.add_argument
    add("vocoders", nargs="*", help="as NAME:key=value; by default all, in each preset")
    add("--features", default="mel", help="what the vocoders speak from")
    add("--seconds", type=float, default=2.0, help="length of the sound")
    add("--repeats", type=int, default=3, help="how often each is timed")
    add("--threads", type=int, default=torch.get_num_threads(), help="of the processor")
    given = parser.parse_args(words)
    before = torch.get_num_threads()
    torch.set_num_threads(given.threads)
    try:
        specs = given.vocoders or vocoder_specs()
        speeds = run(specs, given.features, given.seconds, given.repeats)
    except SelfRemasterError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        torch.set_num_threads(before)
    print(f"{given.seconds:g} s of sound, threads: {given.threads}, torch {torch.__version__}\n")
    print(table(speeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
