"""The sounds of a listening test: equally loud, equally long, under names that tell nothing."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.signal import firwin, kaiserord, oaconvolve
from torch import Tensor

from selfremaster.benchmarks.listening.designs import Clip, Heard, Material, Sentence
from selfremaster.benchmarks.listening.material import LONGEST_APART
from selfremaster.core import audio
from selfremaster.core.errors import AudioError
from selfremaster.core.loudness import integrated_loudness

HIGHEST_PEAK_DB = -1.0  # dBFS; a sentence whose versions do not fit is made quieter as a whole
NOISE_DB = 0.0  # level of the noise checks below the speech
STOP_DB = 60.0
WIDTH = 1 / 7  # of an anchor's slope, as part of its frequency
SUFFIX = ".wav"  # not compressed, or the size of a file would tell how hard its sound is to code
NAME_DIGITS = 16

TONE_HZ, TONE_SECONDS, TONE_GAP_SECONDS = 800, 0.22, 0.45
TONE_LUFS_BELOW = 26.0  # how far the tones of the sound check lie below the speech, dB
TONE_RATE = 24000


def write_sounds(
    folder: Path, wanted: Iterable[Heard], material: Material, target_lufs: float, seed: int
) -> Iterator[tuple[Heard, str, Clip]]:
    """Write what is wanted into a folder, sentence by sentence; gives the name of each file.

    All versions of a sentence have the same loudness (ITU-R BS.1770): the target, or as much as
    lets the loudest peak of them stay below full scale. They have the same rate and length too, and
    a dither of their own, so that no size of a file and no comparison of bytes tells the hidden
    reference from a system. Raises `AudioError` for silence.
    """
    by_sentence: dict[str, list[Heard]] = {}
    for heard in sorted(set(wanted)):
        by_sentence.setdefault(heard.sentence, []).append(heard)
    for name, versions in by_sentence.items():
        sounds = {heard: _version(heard, material.sentences[name], seed) for heard in versions}
        rate = max(rate for _, rate in sounds.values())
        waves = {heard: audio.resample(wave, own, rate) for heard, (wave, own) in sounds.items()}
        levels = {heard: _loudness(heard, wave, rate) for heard, wave in waves.items()}
        lengths = [wave.shape[-1] for wave in waves.values()]
        room = min(
            HIGHEST_PEAK_DB - float(audio.peak_db(wave.reshape(-1))) + levels[heard]
            for heard, wave in waves.items()
        )
        loudness = min(target_lufs, room)
        for heard, wave in waves.items():
            levelled = wave * 10 ** ((loudness - levels[heard]) / 20)
            file = hashed_name(heard, levelled, seed)
            ended = _ended_with(levelled, lengths, round(LONGEST_APART * rate))
            audio.write(folder / file, ended + _dither(ended, file), rate, subtype="PCM_16")
            os.utime(folder / file, (0, 0))  # nor does the order of writing tell
            clip = Clip(
                kind=heard.kind,
                label=heard.label,
                sentence=name,
                seconds=round(ended.shape[-1] / rate, 3),
                loudness_lufs=round(loudness, 2),
            )
            yield heard, file, clip


def _ended_with(wave: Tensor, lengths: Iterable[int], most: int) -> Tensor:
    """Lengthen a sound by silence to the longest of versions that end where it does, or nearly."""
    own = wave.shape[-1]
    return torch.nn.functional.pad(wave, (0, max(n for n in lengths if n - own <= most) - own))


def _dither(wave: Tensor, name: str) -> Tensor:
    """Triangular noise of a step of 16 bits to either side, drawn by the name of the file."""
    generator = torch.Generator().manual_seed(int(name.removesuffix(SUFFIX), 16) % 2**63)
    noise = torch.rand((2, *wave.shape), generator=generator)
    return (noise[0] - noise[1]) / 2**15


def hashed_name(heard: Heard, wave: Tensor, seed: int) -> str:
    """A file name that cannot be guessed without the sound and the key."""
    told = hashlib.sha256(repr((seed, *heard)).encode())
    told.update(wave.numpy().tobytes())
    return told.hexdigest()[:NAME_DIGITS] + SUFFIX


def _version(heard: Heard, sentence: Sentence, seed: int) -> tuple[Tensor, int]:
    """The sound of one version of a sentence, and its rate."""
    if heard.kind == "system":
        return audio.read(sentence.systems[heard.label])
    wave, rate = audio.read(sentence.reference or next(iter(sentence.systems.values())))
    if heard.kind == "anchor":
        return low_pass(wave, rate, int(heard.label.split()[1])), rate
    if heard.kind == "noise":
        return modulated_noise(wave, NOISE_DB, seed), rate
    return wave, rate


def _loudness(heard: Heard, wave: Tensor, rate: int) -> float:
    loudness = integrated_loudness(wave, rate)
    if loudness == -np.inf:
        raise AudioError(
            f"{heard.sentence}: the version of {heard.label} is silent; nothing to rate, leave the "
            f"sentence or the system out"
        )
    return loudness


def low_pass(wave: Tensor, rate: int, cutoff_hz: int) -> Tensor:
    """Take away what lies above a frequency, as the anchors of ITU-R BS.1534-3 have it, no delay.

    The slope begins at the frequency and ends a seventh above it, 60 dB down.

    Shape: (channels, samples) -> (channels, samples). Raises `AudioError` for a frequency so high
    that there is nothing to take away.
    """
    if cutoff_hz * (1 + WIDTH) >= rate / 2:
        raise AudioError(
            f"an anchor of {cutoff_hz} Hz cannot be made of sounds at {rate} Hz; take a lower one"
        )
    taps, beta = kaiserord(STOP_DB, 2 * WIDTH * cutoff_hz / rate)
    taps |= 1  # odd: a delay of whole samples, which the convolution takes back
    kernel = firwin(taps, cutoff_hz * (1 + WIDTH / 2), window=("kaiser", beta), fs=rate)
    filtered = oaconvolve(wave.numpy().astype(np.float64), kernel[None], mode="full", axes=-1)
    start = taps // 2
    return torch.from_numpy(filtered[:, start : start + wave.shape[-1]].astype(np.float32))


def modulated_noise(wave: Tensor, quality_db: float, seed: int) -> Tensor:
    """Add noise that follows the speech: the modulated noise reference unit of ITU-T P.810.

    Shape: (channels, samples) -> (channels, samples); the quality Q is speech to noise, dB.
    """
    noise = torch.randn(wave.shape, generator=torch.Generator().manual_seed(seed))
    return wave * (1 + 10 ** (-quality_db / 20) * noise)


def tones(count: int, loudness_lufs: float) -> Tensor:
    """So many quiet tones, with silence around each: who counts them right hears quiet sounds.

    Shape: (samples,) at 24000 Hz.
    """
    time = torch.arange(round(TONE_SECONDS * TONE_RATE)) / TONE_RATE
    ramp = (time * (TONE_SECONDS - time) / (TONE_SECONDS / 2) ** 2).clamp(0, 1).sqrt()
    tone = torch.sin(2 * torch.pi * TONE_HZ * time) * ramp
    gap = torch.zeros(round(TONE_GAP_SECONDS * TONE_RATE))
    level = integrated_loudness(tone, TONE_RATE)
    tone = tone * 10 ** ((loudness_lufs - TONE_LUFS_BELOW - level) / 20)
    return torch.cat([gap, *[part for _ in range(count) for part in (tone, gap)]])
