"""Spectrogram pictures: what a recording looks like before and after."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from selfremaster.core.content import Second
from selfremaster.core.files import write_atomically
from selfremaster.core.signals import stft
from selfremaster.core.streaming import Sound, beginning, mixed

FLOOR_DB = -80.0
FAINTEST = 1e-6  # magnitude of a spectrogram below which all is silence
UNSUSPICIOUS, SUSPICIOUS = "#5a7fb0", "#c8362c"
LONGEST_SECONDS = 60.0  # of a picture
MOST_DRAWN = (500, 2000)  # bins and frames: twice the pixels of a panel
KILOHERTZ = (0.5, 1, 2, 4, 8, 16)  # marked on an axis in mel
WIDTH, HEIGHT, DPI = 640, 200, 100  # of a small picture, in pixels
ROWS, STRIP, TOP, LEFT, BETWEEN = 124, 32, 16, 34, 8  # its spectrograms and waveforms, and margins
SMALL_BYTES = 35_000
COLOURS = (96, 64, 48, 32, 24, 16, 12, 8)


def level_db(wave: Tensor, sample_rate: int) -> NDArray[np.float32]:
    """Spectrogram in dB below its loudest point, (samples,) -> (bins, frames), low bins first."""
    return _below_loudest(_power(wave, sample_rate))


def _power(wave: Tensor, sample_rate: int) -> Tensor:
    size = 2 ** round(np.log2(sample_rate * 0.03))
    return stft(wave.detach().float().cpu()[None], size, size // 4)[0].abs().square()


def _below_loudest(power: Tensor) -> NDArray[np.float32]:
    decibels = 10 * torch.log10(power.clamp(min=1e-14))
    clipped: NDArray[np.float32] = (decibels - decibels.max()).clamp(min=FLOOR_DB).numpy()
    return clipped


def spectrogram_image(wave: Tensor, sample_rate: int) -> NDArray[np.uint8]:
    """A spectrogram as an RGB picture, (samples,) -> (bins, frames, 3), high frequencies on top."""
    from matplotlib import colormaps  # slow to import

    level = (level_db(wave, sample_rate) - FLOOR_DB) / -FLOOR_DB
    coloured = colormaps["magma"](level[::-1])[..., :3]
    return np.asarray(coloured * 255, dtype=np.uint8)


def write_spectrograms(
    path: Path, waves: Mapping[str, Tensor], sample_rate: int, content: Sequence[Second] = ()
) -> None:
    """Draw waves (samples,) of one rate below each other, with titles, into a PNG; atomic.

    What the content meter told of each second is a strip below them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure

    heights = [2.6] * len(waves) + [0.9] * bool(content)
    figure = Figure(figsize=(9, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        len(heights), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for panel, (title, wave) in zip(panels, waves.items(), strict=False):
        seconds = wave.shape[-1] / sample_rate
        power = _power(wave, sample_rate)
        bins, frames = power.shape
        shape = min(bins, MOST_DRAWN[0]), min(frames, MOST_DRAWN[1])
        panel.imshow(
            _below_loudest(functional.adaptive_avg_pool2d(power[None], shape)[0]),
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, sample_rate / 2000),
            cmap="magma",
            vmin=FLOOR_DB,
            vmax=0,
        )
        panel.set_title(title, loc="left", fontsize=10)
        panel.set_ylabel("kHz")
    if content:
        _strip(panels[-1], content)
        panels[-1].set_xlim(0, max(wave.shape[-1] for wave in waves.values()) / sample_rate)
    panels[-1].set_xlabel("seconds")
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def write_beginnings(
    path: Path, sounds: Mapping[str, Sound], content: Sequence[Second] = ()
) -> None:
    """Draw the first minute of sounds of one rate, channels mixed, as `write_spectrograms` does."""
    rate = max(sound.sample_rate for sound in sounds.values())
    waves = {
        name: beginning(mixed(sound), round(LONGEST_SECONDS * rate))[0]
        for name, sound in sounds.items()
    }
    told = [one for one in content if one.start_seconds < LONGEST_SECONDS]
    write_spectrograms(path, waves, rate, told)


def _strip(panel: Any, content: Sequence[Second]) -> None:
    """The agreement of each second as a bar, red where it is suspicious, and what is invented."""
    starts = [one.start_seconds for one in content]
    agreement = [max(one.agreement, 0.0) for one in content]
    colours = [SUSPICIOUS if one.why else UNSUSPICIOUS for one in content]
    for one in content:
        if one.why:
            panel.axvspan(one.start_seconds, one.start_seconds + 1, color=SUSPICIOUS, alpha=0.2)
    panel.bar(starts, agreement, width=1.0, align="edge", color=colours, edgecolor="white")
    ends = [*starts, starts[-1] + 1]
    panel.stairs([one.invented_share for one in content], ends, color="black", label="invented")
    panel.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    panel.set_title(
        "content: agreement (bars, red: suspicious) and invented share (line)",
        loc="left",
        fontsize=10,
    )


def compare_levels(
    waves: Mapping[str, Tensor], sample_rate: int, columns: int, rows: int = ROWS
) -> dict[str, NDArray[np.float32]]:
    """Spectrograms in dB below the loudest point of all, so that their colours can be compared.

    Shape: waves (samples,) of one rate -> (rows, columns), evenly spaced in mel, low ones first.
    """
    powers = {name: _mel_power(wave, sample_rate, columns, rows) for name, wave in waves.items()}
    loudest = max(float(power.max()) for power in powers.values())
    reference = max(loudest, FAINTEST**2)
    return {
        name: (10 * (power / reference).clamp(min=10 ** (FLOOR_DB / 10)).log10()).float().numpy()
        for name, power in powers.items()
    }


def envelope(wave: Tensor, columns: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The lowest and the highest sample of each of so many stretches, (samples,) -> (columns,)."""
    sound = wave.detach().float().cpu()[None]
    highest, lowest = (
        functional.adaptive_max_pool1d(side, columns)[0].numpy() for side in (sound, -sound)
    )
    return -lowest, highest


def write_comparison(path: Path, waves: Mapping[str, Tensor], sample_rate: int) -> None:
    """Draw waves (samples,) of one rate side by side into a small PNG; atomic.

    Each has its spectrogram, on an axis in mel and in the same colours, and below its waveform.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure

    columns = (WIDTH - LEFT - BETWEEN * len(waves)) // len(waves)
    levels = compare_levels(waves, sample_rate, columns)
    loudest = max([1e-6, *(float(wave.abs().max()) for wave in waves.values())])
    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
    canvas: Any = FigureCanvasAgg(figure)
    for number, (title, wave) in enumerate(waves.items()):
        left = LEFT + number * (columns + BETWEEN)
        seconds = wave.shape[-1] / sample_rate
        panel = _axes(figure, left, TOP, columns, ROWS)
        panel.imshow(
            levels[title],
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, _mel(sample_rate / 2)),
            cmap="magma",
            vmin=FLOOR_DB,
            vmax=0,
            interpolation="nearest",
        )
        panel.set_title(title, loc="left", fontsize=7, pad=3)
        marked = [mark for mark in KILOHERTZ if number == 0 and 2000 * mark < sample_rate]
        panel.set_yticks([_mel(1000 * mark) for mark in marked], [f"{mark:g}" for mark in marked])
        panel.set_xticks([])
        if number == 0:
            panel.set_ylabel("kHz", fontsize=6, labelpad=1)
        strip = _axes(figure, left, TOP + ROWS + 2, columns, STRIP)
        time = (np.arange(columns) + 0.5) * seconds / columns
        strip.fill_between(time, *envelope(wave, columns), color="#3b0f70", linewidth=0.5)
        strip.set(xlim=(0, seconds), ylim=(-1.05 * loudest, 1.05 * loudest), yticks=[])
        strip.set_xlabel("seconds", fontsize=6, labelpad=1)
        for axes in (panel, strip):
            axes.tick_params(labelsize=6, length=2, pad=1, width=0.5)
    canvas.draw()
    data = _small_png(np.asarray(canvas.buffer_rgba())[..., :3])
    with write_atomically(path) as temporary:
        temporary.write_bytes(data)


def _axes(figure: Any, left: int, top: int, width: int, height: int) -> Any:
    """Axes at a place in pixels, counted from the upper left corner."""
    bottom = HEIGHT - top - height
    return figure.add_axes((left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT))


def _small_png(pixels: NDArray[np.uint8]) -> bytes:
    """A picture (height, width, 3) as PNG, in as many colours as `SMALL_BYTES` allow."""
    from PIL import Image  # comes with matplotlib

    picture = Image.fromarray(pixels)
    data = b""
    for colours in COLOURS:
        written = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
        data = written.getvalue()
        if len(data) <= SMALL_BYTES:
            break
    return data


def _mel_power(wave: Tensor, sample_rate: int, columns: int, rows: int) -> Tensor:
    """The mean power of each stretch of time and mel, (samples,) -> (rows, columns)."""
    size = 2 ** round(np.log2(sample_rate * 0.03))
    power = stft(wave.detach().float().cpu()[None], size, size // 4)[0].abs().double().square()
    limits = np.linspace(0, _mel(sample_rate / 2), rows + 1)
    bins = 700 * (10 ** (limits / 2595) - 1) * size / sample_rate
    below = np.minimum(bins[1:, None], np.arange(len(power)) + 0.5)
    share = np.clip(below - np.maximum(bins[:-1, None], np.arange(len(power)) - 0.5), 0, None)
    banded = torch.from_numpy(share / share.sum(axis=1, keepdims=True)) @ power
    return functional.adaptive_avg_pool1d(banded[None], columns)[0]


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
