"""Make the clean speech of the package: ``pip install hibari-tts==0.2.1 soxr soundfile``.

Run as ``python examples/make_voices.py``. Four voices read eight sentences each, as
`make_speech` makes them; they are kept as Ogg Vorbis in ``registry/voices``.
"""

from pathlib import Path

import soundfile
from hibari import Hibari
from make_speech import RATE_HZ, Voice, finish, speak

FOLDER = Path(__file__).parents[1] / "registry" / "voices"
COMPRESSION = 0.5  # of Vorbis, 0 is the largest file

SENTENCES = (
    "Good evening, and welcome to another hour of stories from the harbour.",
    "The first reel was found in a cupboard, behind jars of plum jam.",
    "We measured the wind at noon, and again when the ships came home.",
    "Nobody knew which of the five brothers had written the letter.",
    "A small orchestra played outside, though few people stopped to listen.",
    "If you go through the garden, you will see a yellow gate on your right.",
    "His voice was quiet, but every child in the back row understood him.",
    "They have just opened the old theatre; the seats are still blue velvet.",
    "In August the river is low, and you can walk across on the stones.",
    "Would you pass me the sugar, or shall I ask the other table?",
    "The judge read each page twice before she put on her glasses.",
    "My sister chose a purple thread, and mended the coat by candle light.",
    "Five hundred people had crossed the bridge before the fog lifted.",
    "This engine was built by hand, and it has never once failed.",
    "You may hear a rough noise near the end; it is only the rain.",
    "Thank you for keeping these tapes, and please be careful with them.",
)

VOICES = (
    Voice("heart", 1.0, 1.0, 1.0, SENTENCES[:8]),
    Voice("alder", 0.97, 0.85, 0.8, SENTENCES[8:]),
    Voice("birch", 1.0, 1.05, 1.09, SENTENCES[8:]),
    Voice("cedar", 0.95, 0.8, 0.87, SENTENCES[:8]),
)


def main() -> None:
    """Write every file, and print how long it is."""
    synthesiser = Hibari()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for voice in VOICES:
        for number, text in enumerate(voice.sentences, start=1):
            spoken = speak(synthesiser, voice, text, seed=number)
            wave = finish(spoken, synthesiser.sample_rate * voice.playback)
            path = FOLDER / f"{voice.name}-{number}.ogg"
            soundfile.write(
                path, wave, RATE_HZ, format="OGG", subtype="VORBIS", compression_level=COMPRESSION
            )
            print(f"{path.name}  {len(wave) / RATE_HZ:.2f} s  {text}")


if __name__ == "__main__":
    main()
