"""What to do with a sound that a kind of file does not hold."""

import io
from pathlib import Path

import numpy as np
import soundfile

from selfremaster.core.formats import FORMATS

COMMON_HZ = 48000
OTHERS = (".wav", ".flac", ".caf")
MOST_OF_OGG = 255  # channels; libsndfile breaks down at more


def remedy_for(place: Path, subtype: str, channels: int, sample_rate: int) -> str:
    """What to take instead, in words: another rate, other suffixes; each of them is tried.

    >>> remedy_for(Path("a.flac"), "PCM_16", 9, 8000)
    'take .wav or .caf'
    >>> remedy_for(Path("a.opus"), "OPUS", 1, 22050)
    'take .wav, .flac or .caf, or 48000 Hz (restore --rate 48000)'
    """
    own = FORMATS[place.suffix.lower()]
    others = (suffix for suffix in OTHERS if FORMATS[suffix] != own)
    suffixes = [name for name in others if holds(FORMATS[name], "PCM_16", channels, sample_rate)]
    ways = [" or ".join([", ".join(suffixes[:-1]), *suffixes[-1:]]).removeprefix(" or ")]
    if sample_rate != COMMON_HZ and holds(own, subtype, channels, COMMON_HZ):
        ways.append(f"{COMMON_HZ} Hz (restore --rate {COMMON_HZ})")
    told = ", or ".join(filter(None, ways))
    return f"take {told}" if told else "no kind of file here holds it"


def holds(container: str, subtype: str, channels: int, sample_rate: int) -> bool:
    """Whether a file of such a kind can be begun."""
    if container == "OGG" and channels > MOST_OF_OGG:
        return False
    try:
        with soundfile.SoundFile(
            io.BytesIO(), "w", sample_rate, channels, subtype, format=container
        ) as file:
            file.write(np.zeros((1, channels), np.float32))  # some encoders begin no sooner
    except (soundfile.SoundFileError, ValueError, TypeError, AssertionError):
        return False
    return True
