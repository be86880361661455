"""Pictures of a report, small enough to be kept with it."""

import io
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from selfremaster.core.files import write_atomically
from selfremaster.core.pictures import write_spectrograms

LARGEST_BYTES = 290_000
COLOURS = (128, 64, 32)
SHRINKING = 0.85


def write_small_spectrograms(
    path: Path, waves: Mapping[str, Tensor], sample_rate: int, largest_bytes: int = LARGEST_BYTES
) -> None:
    """Draw waves (samples,) below each other into a PNG of so many bytes at most.

    Colours are made fewer first, then the picture smaller.
    """
    from PIL import Image  # comes with matplotlib, and is as slow to import

    write_spectrograms(path, waves, sample_rate)
    with Image.open(path) as opened:
        full = opened.convert("RGB")
    scale = 1.0
    while True:
        size = round(full.width * scale), round(full.height * scale)
        scaled = full.resize(size, Image.Resampling.LANCZOS)
        for colours in COLOURS:
            buffer = io.BytesIO()
            scaled.quantize(colours, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
            if buffer.tell() <= largest_bytes or max(size) < 100:
                with write_atomically(path) as temporary:
                    temporary.write_bytes(buffer.getvalue())
                return
        scale *= SHRINKING
