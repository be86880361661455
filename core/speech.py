"""Finding speech in old, noisy recordings: what is voiced, comes and goes, and what lies around."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_dilation, percentile_filter

from selfremaster.core.voicing import HOP_SECONDS, Array, Voice, hear_voice, noise_floor

Frames = NDArray[np.bool_]

VOICED_STRENGTH = 0.6  # periodic to this degree is voiced
VOICED_ABOVE = 2.0  # times the noise: 3 dB
SHORTEST_FRAMES, LONGEST_SECONDS = 3, 2.0  # of a voiced stretch of speech
AROUND_SECONDS = 0.2  # before and after it, unvoiced sounds belong to it
PAUSE_SECONDS = 0.4  # shorter ones are within speech
MODULATION_SECONDS, MODULATION_DB = 1.5, 4.0  # speech comes and goes so much in such a time


class Speech(NamedTuple):
    """What of each frame is speech."""

    spoken: Frames
    voiced: Frames
    voice: Voice
    floor: Array  # power of the steady noise in each bin


def find_speech(spectra: Array, sample_rate: int) -> Speech:
    """Tell the frames with speech from those without.

    Speech is where stretches of 48 ms to 2 s are voiced (periodic with 65 to 400 Hz, 3 dB or more
    above the steady noise between 80 and 1800 Hz) and the level comes and goes by 4 dB within
    1.5 s; with 0.2 s before and after, and pauses below 0.4 s. Hum, hiss, steady tones, clicks and
    crackle are no speech. Limits: whispering is not found, nor speech that lies beneath its noise
    by more than about 3 dB; singing and music of one voice count as speech, and so do animals.

    Shape: power spectra (frames, bins), as `power_spectra` gives them, of some seconds at least.
    """
    floor = noise_floor(spectra)
    voice = hear_voice(spectra, floor, sample_rate)
    voiced = (voice.strength > VOICED_STRENGTH) & (voice.above > VOICED_ABOVE)
    voiced = _of_length(voiced, SHORTEST_FRAMES, round(LONGEST_SECONDS / HOP_SECONDS))
    if not voiced.any():
        return Speech(voiced, voiced, voice, floor)
    level_db = 10 * np.log10(np.maximum(voice.above, 1))
    window = round(MODULATION_SECONDS / HOP_SECONDS)
    loud, soft = (percentile_filter(level_db, part, window, mode="nearest") for part in (90, 10))
    voiced &= loud - soft >= MODULATION_DB
    spoken = _widened(voiced, AROUND_SECONDS)
    reach = round(PAUSE_SECONDS / HOP_SECONDS)
    closed = binary_closing(np.pad(spoken, reach), np.ones(reach, bool))[reach:-reach]
    return Speech(closed, voiced, voice, floor)


def away_from(frames: Frames, seconds: float) -> Frames:
    """The frames that are farther than some time from all of these."""
    return ~_widened(frames, seconds)


def _widened(frames: Frames, seconds: float) -> Frames:
    widened: Frames = binary_dilation(frames, np.ones(2 * round(seconds / HOP_SECONDS) + 1, bool))
    return widened


def _of_length(frames: Frames, least: int, most: int) -> Frames:
    """Only the stretches that are neither shorter nor longer.

    >>> _of_length(np.array([1, 0, 1, 1, 0, 1, 1, 1], bool), 2, 2).astype(int).tolist()
    [0, 0, 1, 1, 0, 0, 0, 0]
    """
    edges = np.diff(np.concatenate([[0], frames.astype(np.int8), [0]]))
    kept = np.zeros(len(frames), bool)
    for start, end in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
        kept[start:end] = least <= end - start <= most
    return kept
