"""The same damage by other packages, beside ours: how fast each is, and whether it is the same."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from selfremaster.benchmarks.degradations.works import PACKAGES, WORKS, Call, Work
from selfremaster.benchmarks.tables import NOTHING, markdown
from selfremaster.benchmarks.timing import CRASHED, apart, median_seconds
from selfremaster.core.errors import one_line
from selfremaster.core.promises.inputs import speech_like
from selfremaster.registry.building import build

BEHIND = (
    "numpy",
    "scipy",
    "torch",
    "julius",
    "soxr",
    "fast-mp3-augment",
    "pyroomacoustics",
)
OURS = ""
SLOWER = 0.9  # times as fast as the fastest peer: below that ours is called slower
SAME_DB = -80.0  # a difference below that is one of rounding


class Comparison(NamedTuple):
    """All results for a sort of damage at a rate, by package; ours is that without a name."""

    work: str
    rate_hz: int
    seconds: float  # of sound
    speeds: Mapping[str, float]  # times real time
    differences: Mapping[str, str]  # from ours, in words
    gaps: Mapping[str, str]  # why a package has no speed


def speech(seconds: float, rate_hz: int) -> Tensor:
    """Something like speech, (1, samples), float32."""
    return speech_like(max(1, round(seconds * rate_hz)), sample_rate=rate_hz)


def compare_apart(
    name: str, rates_hz: Sequence[int], seconds: float, repeats: int, least_seconds: float
) -> list[Comparison]:
    """Compare a sort of damage at every rate, in a process of its own."""
    try:
        return apart(_compare_named, name, rates_hz, seconds, repeats, least_seconds)
    except BrokenProcessPool:
        gaps = dict.fromkeys((OURS, *PACKAGES), CRASHED)
        return [Comparison(name, rate_hz, seconds, {}, {}, gaps) for rate_hz in rates_hz]


def _compare_named(
    name: str, rates_hz: Sequence[int], seconds: float, repeats: int, least_seconds: float
) -> list[Comparison]:
    (work,) = [work for work in WORKS if work.name == name]
    return [compare(work, rate_hz, seconds, repeats, least_seconds) for rate_hz in rates_hz]


def compare(
    work: Work, rate_hz: int, seconds: float, repeats: int, least_seconds: float
) -> Comparison:
    """Time ours and the others in turns, and compare what comes out."""
    wave = speech(seconds, rate_hz)
    calls: dict[str, Call] = {}
    heard: dict[str, Tensor] = {}
    gaps: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that are not ours
        for package, prepare in [(OURS, _ours(work)), *_peers(work)]:
            try:
                call = prepare(wave, rate_hz)
                heard[package] = _as_wave(call())
                calls[package] = call
            except ModuleNotFoundError as error:
                gaps[package] = f"{error.name} is not installed"
            except Exception as error:  # strangers raise what they like; the others are measured
                gaps[package] = one_line(error)
        taken = median_seconds(list(calls.values()), repeats, least_seconds)
    speeds = {package: seconds / time for package, time in zip(calls, taken, strict=True)}
    return Comparison(work.name, rate_hz, seconds, speeds, _differences(work, wave, heard), gaps)


def _ours(work: Work) -> Callable[[Tensor, int], Call]:
    def prepare(wave: Tensor, rate_hz: int) -> Call:
        return partial(build("degradation", work.ours), wave, Generator().manual_seed(0), rate_hz)

    return prepare


def _peers(work: Work) -> list[tuple[str, Callable[[Tensor, int], Call]]]:
    return [(peer.package, peer.prepare) for peer in work.peers]


def _as_wave(result: Any) -> Tensor:
    """What a package gives, its parameters left away, as (samples,) in float64."""
    found = result[0] if isinstance(result, tuple) else result
    return torch.as_tensor(found).double().flatten()


def _differences(work: Work, wave: Tensor, heard: Mapping[str, Tensor]) -> dict[str, str]:
    clean = wave.double().flatten()
    if work.compared == "noise":
        return {
            package: f"SNR {decibels(clean, sound - clean):.2f} dB"
            for package, sound in heard.items()
        }
    ours = heard.get(OURS)
    if ours is None or work.compared == "no":
        return {}
    return {
        package: difference(_later_half(ours), _later_half(sound))
        for package, sound in heard.items()
        if package != OURS
    }


def _later_half(sound: Tensor) -> Tensor:
    """Where filters have forgotten how they began."""
    return sound[len(sound) // 2 :]


def difference(ours: Tensor, theirs: Tensor) -> str:
    """How far two sounds are apart, in words.

    >>> difference(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.1]))
    'differs: -23.0 dB'
    """
    if ours.shape != theirs.shape:
        return f"has {len(theirs)} samples for {len(ours)}"
    apart = -decibels(ours, theirs - ours)
    if apart == -math.inf:
        return "equal"
    return f"{'the same but for rounding' if apart < SAME_DB else 'differs'}: {apart:.1f} dB"


def decibels(sound: Tensor, other: Tensor) -> float:
    """The level of a sound over that of another."""
    energy, rest = float(sound.square().sum()), float(other.square().sum())
    return 10 * math.log10(energy / rest) if energy > 0 and rest > 0 else math.inf


def describe(found: Sequence[Comparison]) -> str:
    """The comparison as Markdown: a table for each rate, what was compared, and the gaps."""
    works = {work.name: work for work in WORKS}
    sections = [_summary(found)]
    for rate_hz in dict.fromkeys(one.rate_hz for one in found):
        own = [one for one in found if one.rate_hz == rate_hz]
        rows = [
            [one.work, *(_speed(one, package) for package in (OURS, *PACKAGES)), _verdict(one)]
            for one in own
        ]
        heading = ["damage", "ours", *PACKAGES, "ours / fastest"]
        sections += [f"At {rate_hz:,} Hz:", markdown(heading, rows)]
    rows = []
    for name in dict.fromkeys(one.work for one in found):
        for peer in works[name].peers:
            told = [_difference(one, peer.package) for one in found if one.work == name]
            differs = " / ".join(dict.fromkeys(told))
            rows.append(
                [f"`{works[name].ours}`", f"{peer.package} `{peer.call}`", differs, peer.note]
            )
    heading = ["ours", "theirs", "their sound's second half against ours", "known differences"]
    sections += ["What was compared:", markdown(heading, rows), _versions()]
    return "\n\n".join(sections)


def _speed(one: Comparison, package: str) -> str:
    speed = one.speeds.get(package)
    return NOTHING if speed is None else f"{speed:.0f}"


def ratio(one: Comparison) -> float | None:
    """How many times as fast as the fastest peer ours is; none where there is nothing to say."""
    fastest = _fastest(one)
    return one.speeds[OURS] / fastest if fastest and OURS in one.speeds else None


def _fastest(one: Comparison) -> float | None:
    """How many times real time the fastest of the others is that does as much."""
    left_out = {
        peer.package
        for work in WORKS
        for peer in work.peers
        if work.name == one.work and peer.does_less
    }
    return max(
        (speed for package, speed in one.speeds.items() if package not in {OURS, *left_out}),
        default=None,
    )


def _lost(one: Comparison, faster: float) -> float:
    """Milliseconds that ours takes longer than the fastest."""
    return 1000 * one.seconds / one.speeds[OURS] * (1 - faster)


def _verdict(one: Comparison) -> str:
    faster = ratio(one)
    if faster is None:
        return NOTHING
    return f"**{faster:.2f}, slower**" if faster < SLOWER else f"{faster:.2f}"


def _difference(one: Comparison, package: str) -> str:
    if package in one.gaps:
        return f"gap: {one.gaps[package]}"
    if OURS in one.gaps:
        return f"ours: {one.gaps[OURS]}"
    told = one.differences.get(package, NOTHING)
    ours = one.differences.get(OURS)  # of noise
    return told if ours is None else f"{told}, ours {ours.removeprefix('SNR ')}"


def _summary(found: Sequence[Comparison]) -> str:
    slower: dict[str, list[str]] = {}
    for one in found:
        faster = ratio(one)
        if faster is not None and faster < SLOWER:
            told = f"{faster:.2f} at {one.rate_hz:,} Hz, {_lost(one, faster):.2f} ms more"
            slower.setdefault(one.work, []).append(told)
    lines = [f"- {work}: {'; '.join(told)}" for work, told in slower.items()]
    seconds = f"{found[0].seconds:g} s" if found else ""
    listed = f"Slower than the fastest, for {seconds} of sound:\n\n" + "\n".join(lines)
    return (
        "The same work by other packages in the same process, in turns; times real time, higher is "
        "better. Each is called as its users call it, drawing included, with settings that leave "
        "nothing to chance but noise; sounds are handed over in the package's own form. "
        f"Within {1 - SLOWER:.0%} is equal. "
        + (listed if lines else "Ours is slower in none of them.")
    )


def _versions() -> str:
    told = []
    for package in (*PACKAGES, *BEHIND):
        try:
            told.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            told.append(f"{package} not installed")
    return f"Versions: {', '.join(told)}."
