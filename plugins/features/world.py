"""What WORLD and SWIPE' hear in a wave: F0 and spectral envelope, on the processor, in float64.

The packages are imported when they are first used. Both hold Python's lock while they compute, so
that only processes run side by side, not threads.
"""

import warnings
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal

import numpy as np

from selfremaster.core.errors import ComponentError

Extractor = Literal["dio", "harvest", "swipe"]

LEAST_SAMPLES = 8  # of the shortest period, for DIO
SHORTEST_PERIOD = 12  # samples: StoneMask takes what is shorter for no pitch
LONGEST_PERIODS = 3.0  # of the lowest F0, in the window of WORLD's spectral envelope
SHORTEST_SECONDS = 0.25  # shorter waves are padded with silence: too little to find a pitch in
TURN_SECONDS = 60.0  # longer waves are heard in turns, for the memory that one FFT of all takes
AROUND_SECONDS = 1.0  # of the neighbours, with each turn


@lru_cache(maxsize=2)
def package(name: Literal["pyworld", "pysptk"]) -> Any:
    """Import WORLD or SPTK; raises `ComponentError` where it is missing or does not start."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pkg_resources, which both import, says it will go
            return import_module(name)
    except ModuleNotFoundError as error:
        if error.name == "pkg_resources":
            hint = f'{name} needs pkg_resources; pip install "setuptools<81"'
        else:
            hint = f"needs the package {name}; pip install {name}"
        raise ComponentError(hint) from error
    except (ImportError, ValueError) as error:
        raise ComponentError(f"{name} does not start ({error}); reinstall it") from error


def lowest_f0_hz(sample_rate: int, size: int) -> float:
    """The lowest F0 whose spectral envelope WORLD can take from an FFT of this size, Hz.

    >>> round(lowest_f0_hz(22050, 1024), 1)
    64.8
    """
    return LONGEST_PERIODS * sample_rate / (size - 3)


def highest_f0_hz(sample_rate: int) -> float:
    """The highest F0 that DIO and StoneMask hear, Hz.

    >>> highest_f0_hz(22050)
    1837.5
    """
    return sample_rate / SHORTEST_PERIOD


def f0_track(
    wave: np.ndarray,
    sample_rate: int,
    hop_samples: int,
    extractor: Extractor,
    range_hz: tuple[float, float],
    dio_decimation: int = 1,
) -> np.ndarray:
    """F0 of a wave (samples,) at every hop, Hz; 0 where the voice does not sound.

    DIO looks at every so many samples, as far as eight of them remain in the shortest period.

    Shape: (samples,) float64 -> (1 + samples // hop_samples,).
    Source: DIO (Morise et al., 2009) and Harvest (Morise, 2017), each refined by StoneMask; SWIPE'
    (Camacho and Harris, 2008).
    """
    tracks = []
    for frames, before, heard in turns(len(wave), sample_rate, hop_samples):
        piece = wave[heard]
        track = _f0_at_once(piece, sample_rate, hop_samples, extractor, range_hz, dio_decimation)
        tracks.append(track[before : before + len(frames)])
    return np.concatenate(tracks)


def _f0_at_once(
    wave: np.ndarray,
    sample_rate: int,
    hop_samples: int,
    extractor: Extractor,
    range_hz: tuple[float, float],
    dio_decimation: int,
) -> np.ndarray:
    frames = 1 + len(wave) // hop_samples
    wave = padded(wave, sample_rate)
    if not wave.any():
        return np.zeros(frames)
    if extractor == "swipe":
        low, high = range_hz
        f0 = package("pysptk").swipe(wave, sample_rate, hop_samples, min=low, max=high, otype="f0")
        return fit_frames(np.nan_to_num(f0), frames)
    world = package("pyworld")
    period = 1000 * hop_samples / sample_rate
    if extractor == "dio":
        speed = max(1, min(dio_decimation, int(sample_rate / (LEAST_SAMPLES * range_hz[1]))))
        f0, _ = world.dio(wave, sample_rate, *range_hz, frame_period=period, speed=speed)
    else:
        f0, _ = world.harvest(wave, sample_rate, *range_hz, frame_period=period)
    moments = np.arange(frames) * hop_samples / sample_rate
    refined: np.ndarray = world.stonemask(wave, fit_frames(f0, frames), moments, sample_rate)
    return refined


def log_envelopes(
    wave: np.ndarray, f0: np.ndarray, sample_rate: int, hop_samples: int, size: int
) -> Iterator[np.ndarray]:
    """WORLD's spectral envelope, the natural logarithm of its magnitude, a turn at a time.

    White noise of an RMS value has about that magnitude in every bin.

    Shape: (samples,), (frames,) Hz -> (frames, size // 2 + 1) in turns.
    Source: CheapTrick (Morise, 2015).
    """
    for frames, before, heard in turns(len(wave), sample_rate, hop_samples):
        moments = np.arange(before, before + len(frames)) * hop_samples / sample_rate
        piece, pitch = padded(wave[heard], sample_rate), f0[frames.start : frames.stop]
        power = package("pyworld").cheaptrick(piece, pitch, moments, sample_rate, fft_size=size)
        yield 0.5 * np.log(power)


def turns(samples: int, sample_rate: int, hop_samples: int) -> Iterator[tuple[range, int, slice]]:
    """The frames of a long wave in turns, how many come before each, and the samples to be heard.

    >>> list(turns(100, 1, 1))[1]
    (range(60, 101), 1, slice(59, 102, None))
    """
    every = 1 + samples // hop_samples
    turn, around = (
        max(1, round(seconds * sample_rate / hop_samples))
        for seconds in (TURN_SECONDS, AROUND_SECONDS)
    )
    for first in range(0, every, turn):
        last, begin = min(first + turn, every), max(0, first - around)
        yield (
            range(first, last),
            first - begin,
            slice(begin * hop_samples, (last + around) * hop_samples),
        )


def padded(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """A wave long enough to find a pitch in, with silence at its end."""
    missing = int(SHORTEST_SECONDS * sample_rate) - len(wave)
    return np.pad(wave, (0, max(missing, 0)))


def fit_frames(track: np.ndarray, frames: int) -> np.ndarray:
    """Cut a track, or hold its last value, to exactly so many frames."""
    missing = max(frames - len(track), 0)
    return np.pad(track[:frames], (0, missing), mode="edge")
