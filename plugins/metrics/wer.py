"""Word error rate, whether a machine still understands the words."""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.levels import resample
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, pair
from selfremaster.plugins.metrics.recognisers import (
    RATE_HZ,
    FasterWhisper,
    PocketSphinx,
    Recogniser,
)

LEVEL_DB = -26.0
APOSTROPHES = str.maketrans("\u2019\u02bc", "''")
SPOKEN = "LNM"  # letters, numbers and marks, as Unicode sorts them


class WordErrorsConfig(ComponentConfig):
    """Settings of `WordErrors`."""

    recogniser: Annotated[
        Literal["pocketsphinx", "faster-whisper"],
        Field(description="who listens: the first has a small English model in its package"),
    ] = "pocketsphinx"
    model: Annotated[
        str | None, Field(description="folder of the model for faster-whisper; never downloaded")
    ] = None
    language: Annotated[
        str | None, Field(description="what is spoken, such as ja; none: faster-whisper finds out")
    ] = None


class WordErrors(Metric):
    """Count the words that a speech recogniser no longer understands as in the clean wave.

    Both waves are written down by the same recogniser; what it writes for the reference is taken
    for what was said, so its own mistakes cancel and need no transcript. ``wer`` is the least
    number of words to be changed, left out and added, in percent of the reference's; ``cer`` the
    same for letters, without the spaces, for languages that do not write any. Case and punctuation
    do not count; numbers are words as they are written. Rate: both waves are brought to 16000 Hz,
    so nothing above 8000 Hz counts. Gain: taken out; both are given an RMS level of -26 dBFS. Lag:
    has nearly no influence. A reference in which the recogniser finds no words gives no number.

    Shape: waves (samples,) -> {"wer": percent, "cer": percent, lower is better}.
    Source: Levenshtein (1966), by the packages faster-whisper (Radford et al., "Robust speech
    recognition via large-scale weak supervision", 2022) or pocketsphinx.
    Raises `ComponentError` without the package or the model, or without a reference.
    """

    Config = WordErrorsConfig
    config: WordErrorsConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "wer": "lower",
        "cer": "lower",
    }
    ideal: ClassVar[Mapping[str, float]] = {"wer": 0.0, "cer": 0.0}
    packages: ClassVar[tuple[str, ...]] = ("pocketsphinx", "faster-whisper")
    policy = Policy(rate_hz=RATE_HZ, gain="removed", lag="removed")

    def __init__(self, config: WordErrorsConfig, recogniser: Recogniser | None = None) -> None:
        super().__init__(config)
        listener = PocketSphinx if config.recogniser == "pocketsphinx" else FasterWhisper
        self.recogniser = recogniser or listener(config.model, config.language)
        self._said: dict[bytes, str] = {}

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The errors."""
        heard, clean = (resample(wave, sample_rate, RATE_HZ) for wave in pair(estimate, reference))
        said = plain(self._listen(clean))
        if not said:
            return dict.fromkeys(self.directions, NOT_A_NUMBER)
        found = plain(self._listen(heard))
        words, letters = (said.split(), found.split()), (_letters(said), _letters(found))
        return {"wer": error_rate(*words), "cer": error_rate(*letters)}

    def _listen(self, wave: Tensor) -> str:
        """What is said, remembered: a benchmark has many estimates of one reference."""
        level = float(wave.double().square().mean().sqrt())
        if level == 0:
            return ""
        levelled = wave * (10 ** (LEVEL_DB / 20) / level)
        key = hashlib.sha256(levelled.numpy().tobytes()).digest()
        if key not in self._said:
            self._said[key] = self.recogniser.transcribe(levelled)
        return self._said[key]


def plain(text: str) -> str:
    """Words in lower case, one space between them, without punctuation.

    >>> plain(" Don't  stop, O.K.? ")
    "don't stop o k"
    """
    folded = unicodedata.normalize("NFKC", text).casefold().translate(APOSTROPHES)
    kept = "".join(
        sign if sign == "'" or unicodedata.category(sign)[0] in SPOKEN else " " for sign in folded
    )
    return " ".join(word for word in (part.strip("'") for part in kept.split()) if word)


def _letters(text: str) -> str:
    return text.replace(" ", "")


def error_rate(said: Sequence[str], found: Sequence[str]) -> float:
    """The least number of changes that lead from what was said to what was found, in percent.

    >>> error_rate("the old reel".split(), "old real".split())
    66.66666666666667
    """
    return 100 * changes(said, found) / len(said)


def changes(said: Sequence[str], found: Sequence[str]) -> int:
    """How many items must be changed, left out or added.

    >>> changes("kitten", "sitting")
    3
    """
    numbers = {item: number for number, item in enumerate(dict.fromkeys([*said, *found]))}
    across = np.array([numbers[item] for item in found], dtype=np.int64)
    steps = np.arange(len(found) + 1)
    row = steps.copy()
    for item in said:
        below = row + 1  # left out
        below[1:] = np.minimum(below[1:], row[:-1] + (across != numbers[item]))
        # added: the least of what stands to the left, and a step for each column
        row = np.minimum.accumulate(below - steps) + steps
    return int(row[-1])
