"""Pairs of a real telephone channel: prompts of Asterisk as they are, and through GSM 06.10.

``python -m selfremaster.benchmarks.telephone --output FOLDER`` takes the sounds of the Debian
packages asterisk-core-sounds-en-g722 and -gsm, lays each prompt and its telephone version over
each other, and writes both with a manifest of pairs.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from selfremaster.core import audio, manifests
from selfremaster.core.errors import AudioError, ExperimentError, SelfRemasterError
from selfremaster.core.experiments import CLEAN
from selfremaster.core.files import sha256_of
from selfremaster.core.levels import resample
from selfremaster.core.manifests import HASH_SUFFIX, Item, Manifest
from selfremaster.core.packages import require
from selfremaster.core.splits import draw_splits

SOUNDS = Path("/usr/share/asterisk/sounds")
PACKAGES = "asterisk-core-sounds-en-g722 asterisk-core-sounds-en-gsm"
RATE_HZ = 16000
LATEST_SECONDS = 0.02  # that one version may be behind the other
SCATTER_SECONDS = 0.0005  # around the median
LEAST_LIKENESS = 0.4
LOWEST_HZ, HIGHEST_HZ = 800.0, 3400.0
SHORTEST_SECONDS = 1.0
FRACTIONS = (0.8, 0.1, 0.1)
SHOWN = 5  # of what is left out
CLEAN_SUFFIX, LINE_SUFFIX, LINE = ".g722", ".gsm", "telephone"


class Alignment(NamedTuple):
    """How two versions of one sound lie to each other."""

    lag_samples: int  # by which the first is behind the second
    likeness: float  # correlation at that lag; below 0: the other way up


class Prompt(NamedTuple):
    """One prompt, twice, at one rate (samples,)."""

    name: str
    line: Tensor
    clean: Tensor
    alignment: Alignment

    @property
    def seconds(self) -> float:
        """The length of the clean version."""
        return len(self.clean) / RATE_HZ

    @property
    def sign(self) -> int:
        """Minus 1 where the versions are each other's upside down."""
        return 1 if self.alignment.likeness > 0 else -1


class Found(NamedTuple):
    """The prompts that can be used, and how their versions lie to each other."""

    prompts: list[Prompt]
    lag_samples: int  # of the telephone version
    sign: int
    left_out: list[str]  # with the reason


def align(first: Tensor, second: Tensor, latest_samples: int) -> Alignment:
    """Where two waves (samples,) at 16 kHz are most alike, either way up, at most so far apart.

    By the phases of 800 to 3400 Hz, every frequency counting the same: below, where voices have
    their power, the high-pass of telephones turns the phase, and would be taken for a lag.

    >>> wave = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    >>> late = torch.nn.functional.pad(-wave, (3, 0))
    >>> lag, likeness = align(late, wave, 10)
    >>> lag, round(likeness, 2)
    (3, -1.0)
    """
    size = 2 ** (len(first) + len(second)).bit_length()
    hz = torch.fft.rfftfreq(size, 1 / RATE_HZ)
    heard = ((hz >= LOWEST_HZ) & (hz <= HIGHEST_HZ)).double()
    spectra = [torch.fft.rfft(wave.double(), size) * heard for wave in (first, second)]
    cross = spectra[0] * spectra[1].conj()
    phases = torch.fft.irfft(cross / cross.abs().clamp(min=1e-30), size)
    near = torch.cat([phases[-latest_samples:], phases[: latest_samples + 1]])
    lag = int(near.abs().argmax()) - latest_samples
    alike = float(torch.fft.irfft(cross, size)[lag])
    energies = [float(torch.fft.irfft(one, size).norm()) for one in spectra]
    energy = energies[0] * energies[1]
    return Alignment(lag, alike / energy if energy else 0.0)


def decode(path: Path) -> Tensor:
    """A file of raw G.722 or GSM, (samples,) at 16 kHz; raises `AudioError`."""
    av = require("av", "codecs")
    try:
        with av.open(str(path), format=path.suffix[1:]) as opened:
            stream = opened.streams.audio[0]
            blocks = [frame.to_ndarray() for frame in opened.decode(stream)]
            rate: int = stream.rate
    except (OSError, ValueError) as error:  # PyAV's own errors are of these
        raise AudioError(f"{path}: cannot be decoded ({type(error).__name__})") from None
    if not blocks:
        raise AudioError(f"{path}: 0 samples of audio")
    samples = np.concatenate([block.reshape(-1) for block in blocks])
    scale = 32768.0 if samples.dtype == np.int16 else 1.0
    return resample(torch.from_numpy(samples.astype(np.float32) / scale), rate, RATE_HZ)


def find_pairs(sounds: Path) -> list[tuple[str, Path, Path]]:
    """Every prompt that is there in both versions: name, telephone and clean file, sorted."""
    clean = {_name(path, sounds): path for path in sounds.rglob(f"*{CLEAN_SUFFIX}")}
    line = {_name(path, sounds): path for path in sounds.rglob(f"*{LINE_SUFFIX}")}
    both = sorted(clean.keys() & line.keys())
    if not both:
        raise ExperimentError(
            f"{sounds}: no prompts in both {CLEAN_SUFFIX} and {LINE_SUFFIX}; `apt-get install "
            f"{PACKAGES}`, or `apt-get download` them, unpack them with `dpkg -x` and give --sounds"
        )
    return [(name, line[name], clean[name]) for name in both]


def _name(path: Path, sounds: Path) -> str:
    return path.relative_to(sounds).with_suffix("").as_posix()


def read_prompts(sounds: Path) -> Found:
    """The prompts whose versions lie over each other, and why others are left out.

    All went through the same programs: the median lag is that of all, and one that lies far from
    it, or the other way up than most, is no speech that can be compared.
    """
    prompts, left_out = [], []
    for name, line_file, clean_file in find_pairs(sounds):
        line, clean = decode(line_file), decode(clean_file)
        prompt = Prompt(name, line, clean, align(line, clean, round(LATEST_SECONDS * RATE_HZ)))
        if prompt.seconds < SHORTEST_SECONDS:
            left_out.append(f"{name}: {prompt.seconds:.2f} s")
        elif abs(prompt.alignment.likeness) < LEAST_LIKENESS:
            left_out.append(f"{name}: correlation {prompt.alignment.likeness:.2f}")
        else:
            prompts.append(prompt)
    if not prompts:
        raise ExperimentError(
            f"{sounds}: no prompt of {SHORTEST_SECONDS:g} s or more of which both versions are the "
            "same speech"
        )
    lag = round(statistics.median(prompt.alignment.lag_samples for prompt in prompts))
    sign = 1 if sum(prompt.sign for prompt in prompts) > 0 else -1
    kept = []
    for prompt in prompts:
        away = abs(prompt.alignment.lag_samples - lag) / RATE_HZ
        if away > SCATTER_SECONDS or prompt.sign != sign:
            left_out.append(f"{prompt.name}: lies otherwise, {away * 1000:.1f} ms from the median")
        else:
            kept.append(prompt)
    return Found(kept, lag, sign, left_out)


def laid_over(prompt: Prompt, lag_samples: int, sign: int) -> tuple[Tensor, Tensor]:
    """Telephone and clean version (samples,), from the same moment to the same, same way up."""
    line = prompt.line[max(lag_samples, 0) :]
    clean = prompt.clean[max(-lag_samples, 0) :]
    samples = min(len(line), len(clean))
    return sign * line[:samples], clean[:samples]


def prepare(sounds: Path, output: Path, seed: int = 0) -> tuple[Manifest, Found]:
    """Write all pairs and their manifest; gives it, and what was found.

    Raises `ExperimentError` where there are no pairs, `ComponentError` without the package av.
    """
    found = read_prompts(sounds)
    speakers = {prompt.name: _speaker(prompt.name, sounds) for prompt in found.prompts}
    splits = draw_splits(speakers, "multi-seen", FRACTIONS, seed)
    items = []
    for prompt in found.prompts:
        waves = laid_over(prompt, found.lag_samples, found.sign)
        line, clean = (output / part / f"{prompt.name}.flac" for part in (LINE, CLEAN))
        for path, wave in zip((line, clean), waves, strict=True):
            audio.write(path, wave.clamp(-1, 1)[None], RATE_HZ, subtype="PCM_16")
        original = {
            CLEAN: clean.relative_to(output).as_posix(),
            CLEAN + HASH_SUFFIX: sha256_of(clean),
        }
        items.append(
            Item(
                line.relative_to(output).as_posix(),
                splits[prompt.name],
                speakers[prompt.name],
                len(waves[0]) / RATE_HZ,
                RATE_HZ,
                1,
                sha256_of(line),
                original,
            )
        )
    manifest = Manifest(output, tuple(sorted(items, key=lambda item: item.path)))
    manifests.write(manifest, output / "manifest.csv")
    return manifest, found


def _speaker(name: str, sounds: Path) -> str:
    """The packages have a folder for each voice."""
    folder, slash, _ = name.partition("/")
    return folder if slash else sounds.resolve().name


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m selfremaster.benchmarks.telephone",
        description="Make pairs of clean speech and the same over a real telephone codec.",
    )
    made.add_argument("--output", required=True, type=Path, help="folder of the pairs")
    made.add_argument("--sounds", type=Path, default=SOUNDS, help="folder of the prompts")
    made.add_argument("--seed", type=int, default=0, help="of the splits")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    given = parser().parse_args(words)
    try:
        manifest, found = prepare(given.sounds, given.output, given.seed)
    except (SelfRemasterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    minutes = sum(item.seconds or 0 for item in manifest.items) / 60
    print(f"{len(manifest.items)} pairs, {minutes:.1f} minutes -> {given.output / 'manifest.csv'}")
    print(", ".join(f"{name} {count}" for name, count in manifest.splits().items()))
    turned = ", upside down, which is undone" if found.sign < 0 else ""
    late_ms = 1000 * found.lag_samples / RATE_HZ
    word = "late" if late_ms >= 0 else "early"
    print(f"the telephone version is {abs(late_ms):.2f} ms {word}, which is taken out{turned}")
    say_left_out(found.left_out)
    return 0


def say_left_out(lines: Sequence[str]) -> None:
    """Name a few of the files that are not used, and count the others."""
    for line in lines[:SHOWN]:
        print(f"left out: {line}")
    if len(lines) > SHOWN:
        print(f"and {len(lines) - SHOWN} more")


if __name__ == "__main__":
    sys.exit(main())
