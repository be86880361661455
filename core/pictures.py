"""Spectrogram pictures: what a recording looks like before and after."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from selfremaster.core.files import write_atomically
from selfremaster.core.signals import stft

FLOOR_DB = -80.0


def level_db(wave: Tensor, sample_rate: int) -> NDArray[np.float32]:
    """Spectrogram in dB below its loudest point, (samples,) -> (bins, frames), low bins first."""
    size = 2 ** round(np.log2(sample_rate * 0.03))
    magnitude = stft(wave.detach().float().cpu()[None], size, size // 4)[0].abs()
    decibels = 20 * torch.log10(magnitude.clamp(min=1e-7))
    clipped: NDArray[np.float32] = (decibels - decibels.max()).clamp(min=FLOOR_DB).numpy()
    return clipped


def spectrogram_image(wave: Tensor, sample_rate: int) -> NDArray[np.uint8]:
    """A spectrogram as an RGB picture, (samples,) -> (bins, frames, 3), high frequencies on top."""
    from matplotlib import colormaps  # slow to import

    level = (level_db(wave, sample_rate) - FLOOR_DB) / -FLOOR_DB
    coloured = colormaps["magma"](level[::-1])[..., :3]
    return np.asarray(coloured * 255, dtype=np.uint8)


def write_spectrograms(path: Path, waves: Mapping[str, Tensor], sample_rate: int) -> None:
    """Draw waves (samples,) of one rate below each other, with titles, into a PNG; atomic."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.6 * len(waves)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(waves), 1, squeeze=False, sharex=True)[:, 0]
    for panel, (title, wave) in zip(panels, waves.items(), strict=True):
        seconds = wave.shape[-1] / sample_rate
        panel.imshow(
            level_db(wave, sample_rate),
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, sample_rate / 2000),
            cmap="magma",
            vmin=FLOOR_DB,
            vmax=0,
        )
        panel.set_title(title, loc="left", fontsize=10)
        panel.set_ylabel("kHz")
    panels[-1].set_xlabel("seconds")
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
