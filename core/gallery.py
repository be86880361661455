"""What degradations do to a voice, as pictures."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Generator, Tensor

from selfremaster.core import audio
from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.pictures import write_comparison

SPEECH = Path(__file__).with_name("speech.flac")
"""A sentence of 3.5 seconds with a pause: ``examples/speech/heart/heart-2.flac`` in 12 bits."""

LONGEST_SECONDS = 10.0
SUFFIX = ".png"
LONGEST_TITLE = 60  # characters


class Example(NamedTuple):
    """A degradation with the settings that show what it does, and what these are called."""

    caption: str
    spec: str
    file: str  # of its picture


def example_speech(path: Path | None = None) -> tuple[Tensor, int]:
    """A voice to damage, and its rate in Hz: the toolkit's own, or the beginning of a file.

    Shape: (samples,); channels are mixed, and 10 seconds taken.
    Raises `AudioError` for a file that cannot be read.
    """
    info = audio.inspect(path or SPEECH)
    wave, rate = audio.read(path or SPEECH, samples=round(LONGEST_SECONDS * info.sample_rate))
    return wave.mean(dim=0), rate


def examples_of(name: str, part_class: type[Any]) -> list[Example]:
    """The examples that a part says it is best shown by, as a mapping ``examples`` of its class.

    That has parts as text by their captions. A part without any is shown with its defaults.
    Raises `ComponentError` for what is no such mapping, and captions that give one file name.

    >>> class Tape: examples = {"a cassette": "tape:speed=4.76"}
    >>> examples_of("tape", Tape)
    [Example(caption='a cassette', spec='tape:speed=4.76', file='tape-a-cassette.png')]
    """
    told: Mapping[str, str] = getattr(part_class, "examples", None) or {}
    if not isinstance(told, Mapping) or not all(
        isinstance(text, str) for pair in told.items() for text in pair
    ):
        raise ComponentError(
            f"degradation {name}: its examples are {type(told).__name__} and no mapping of "
            f"captions to parts as text; write {{'as it is': {name!r}}}"
        )
    if not told:
        return [Example("", name, name + SUFFIX)]
    words = {caption: re.findall(r"[a-z0-9]+", caption.lower()) for caption in told}
    files = {caption: "-".join([name, *words[caption]]) + SUFFIX for caption in told}
    if len(set(files.values())) < len(files):
        raise ComponentError(
            f"degradation {name}: captions of its examples ({', '.join(files)}) give one file name "
            "twice; tell them apart by letters or digits"
        )
    return [Example(caption, spec, files[caption]) for caption, spec in told.items()]


def picture(
    path: Path, title: str, part: Degradation, wave: Tensor, sample_rate: int, seed: int = 0
) -> dict[str, Any]:
    """Draw a wave (samples,) before and after damage into a PNG; gives what was drawn by chance."""
    drawn = part.draw(Generator().manual_seed(seed), sample_rate)
    damaged = part.apply(wave[None], drawn, sample_rate)[0]
    if not damaged.isfinite().all():
        raise AudioError(f"degradation {title}: gives samples that are not finite numbers")
    shown = title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1] + "…"
    write_comparison(path, {"before": wave, f"after: {shown}": damaged}, sample_rate)
    return drawn
