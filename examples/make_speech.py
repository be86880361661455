"""Make the clean speech of this folder again: ``pip install hibari-tts==0.2.1 soxr soundfile``.

Run as ``python examples/make_speech.py``. Two voices read three sentences each. The voice `heart`
is that of the synthesiser. The voice `alder` is the same one made deeper: spoken faster at a lower
pitch, then played slower, as a longer vocal tract sounds.
"""

from pathlib import Path
from typing import Any, NamedTuple

import hibari.dsp
import numpy as np
import soundfile
import soxr
from hibari import Hibari

RATE_HZ = 22050
PEAK_DB = -3.0
FOLDER = Path(__file__).parent / "speech"


class Voice(NamedTuple):
    """How a voice is made from the synthesiser's own, and what it reads."""

    name: str
    pace: float  # as heard; 1 is the synthesiser's own
    pitch: float  # F0 inside the synthesiser, as a part of its own
    playback: float  # speed at which the synthesised wave is played: pitch and formants move by it
    sentences: tuple[str, ...]


VOICES = (
    Voice(
        "heart",
        pace=1.0,
        pitch=1.0,
        playback=1.0,
        sentences=(
            "The archive keeps a thousand voices on shelves of brown tape.",
            "She threaded the old reel gently, and a choir began to sing.",
            "Every hiss and crackle hides a word that someone chose to save.",
        ),
    ),
    Voice(
        "alder",
        pace=0.97,
        pitch=0.85,
        playback=0.8,
        sentences=(
            "My grandfather spoke into the machine just once, in the winter.",
            "Dust on the needle, a scratch in the wax, and still we hear him laugh.",
            "Please label each box with the year, the place, and the speaker.",
        ),
    ),
)


def speak(synthesiser: Any, voice: Voice, text: str, seed: int) -> np.ndarray:
    """One sentence at 24 kHz, to be played at the voice's speed of playback."""
    generator = np.random.default_rng(seed)
    speed = np.asarray([voice.pace / voice.playback], np.float32)
    pieces = []
    for phonemes in synthesiser.phonemize(text):
        ids = np.asarray([synthesiser.ids(phonemes)], np.int64)
        *spectrum, f0 = (
            part[0] for part in synthesiser.sess.run(None, {"ids": ids, "speed": speed})
        )
        pieces.append(hibari.dsp.synth(*spectrum, f0 * voice.pitch, generator))
    return np.concatenate(pieces)


def finish(wave: np.ndarray, rate_hz: float) -> np.ndarray:
    """Resample, keep a tenth of a second around the speech, and set the peak."""
    wave = soxr.resample(wave, rate_hz, RATE_HZ, quality="HQ")
    loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max())
    margin = RATE_HZ // 10
    wave = wave[max(loud[0] - margin, 0) : loud[-1] + margin]
    return wave * 10 ** (PEAK_DB / 20) / np.abs(wave).max()


def main() -> None:
    """Write every file, and print how long it is."""
    synthesiser = Hibari()
    for voice in VOICES:
        (FOLDER / voice.name).mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(voice.sentences, start=1):
            spoken = speak(synthesiser, voice, text, seed=number)
            wave = finish(spoken, synthesiser.sample_rate * voice.playback)
            path = FOLDER / voice.name / f"{voice.name}-{number}.flac"
            soundfile.write(path, wave, RATE_HZ, subtype="PCM_16")
            print(f"{path.relative_to(FOLDER)}  {len(wave) / RATE_HZ:.2f} s  {text}")


if __name__ == "__main__":
    main()
