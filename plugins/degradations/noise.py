"""Noise beneath the sound: hiss, rumble, or what was recorded."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from selfremaster.core import audio
from selfremaster.core.damage import (
    Drawn,
    PeakDb,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
    back_to,
    draw_chance,
    draw_settings,
    in_double,
    over_peak,
    to_peak,
)
from selfremaster.core.errors import ComponentError
from selfremaster.core.folders import find_audio
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.levels import resample

Decibels = Annotated[float, Field(ge=-60, le=120)]
Colour = Literal["white", "pink"]
SEEDS = 2**31
LONGEST_SECONDS = 600  # of a noise file: what is kept has to fit the memory


class NoiseConfig(ComponentConfig):
    """Settings of `Noise`."""

    snr_db: Annotated[
        ValueOrRange[Decibels],
        Drawn(),
        Field(description="level of the wave over that of the noise, dB; [low, high] draws it"),
    ] = 20.0
    kind: Annotated[
        ValueOrChoices[Colour],
        Drawn("choice"),
        Field(description="white, or pink (3 dB less an octave); a list draws one of it"),
    ] = "white"
    folder: Annotated[
        Path | None, Field(description="take stretches of the sound files below it instead")
    ] = None
    level: Annotated[
        Literal["rms", "magnitude"],
        Field(description="how levels are measured: by RMS, or by the mean of |x| as published"),
    ] = "rms"
    floor_db: Annotated[
        float,
        Field(ge=-200, le=0, description="level that a softer wave is taken to have, dBFS"),
    ] = -60.0
    seed: Annotated[
        int | None, Field(ge=0, lt=SEEDS, description="of the noise; none draws one for each wave")
    ] = None
    file: Annotated[
        str | None, Field(description="one of the folder; none draws one for each wave")
    ] = None
    start: Annotated[
        float | None,
        Field(ge=0, lt=1, description="part of the file before the stretch; none draws it"),
    ] = None
    peak_db: PeakDb = None

    @model_validator(mode="after")
    def _check_file(self) -> "NoiseConfig":
        if self.folder is None and (self.file is not None or self.start is not None):
            raise ValueError("file and start go with a folder of noises; set folder")
        return self


class Noise(SettledDegradation):
    """Put hiss, or stretches of recorded noise, beneath the sound at a signal-to-noise ratio.

    Noise is made from a seed that is drawn for each wave, or is a stretch of a file, which is
    drawn, with the place where it begins; a file that is too short is repeated. The first ten
    minutes of a file are read once and kept. A silent wave gets noise as if it had the level
    ``floor_db``.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: the augmentation of IEEE Access 2024, with levels by RMS.
    Raises `ComponentError` for parameters that are not settings or out of their range, and for a
    file that is not in the folder; `AudioError` for a folder without sound, or a bad file.

    At 20 dB the noise has a tenth of the level of the wave:

    >>> wave = torch.ones(1, 4)
    >>> noisy, _ = Noise(NoiseConfig(snr_db=20))(wave, torch.Generator().manual_seed(1))
    >>> round((noisy - wave).square().mean().sqrt().item(), 6)
    0.1
    """

    Config = NoiseConfig
    config: NoiseConfig
    differentiable = True
    adds_sound = True

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """The settings, a value of each range, and the seed or the file and place of the noise."""
        del sample_rate
        drawn = draw_settings(self.config, generator)
        if self.config.folder is None:
            if drawn["seed"] is None:
                drawn["seed"] = int(draw_chance(generator) * SEEDS)
            return drawn
        if drawn["file"] is None:
            names = noise_files(self.config.folder)
            drawn["file"] = names[int(draw_chance(generator) * len(names))]
        if drawn["start"] is None:
            drawn["start"] = draw_chance(generator)
        return drawn

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Add the same noise to every wave of a batch, at a level that goes with its own."""
        samples = wave.shape[-1]
        if values["folder"] is None:
            noise = made_noise(samples, values["kind"], _told(values, "seed"))
        else:
            folder, file = values["folder"], _told(values, "file")
            if file not in noise_files(folder):
                raise ComponentError(f"file={file} is not a sound file of the folder {folder}")
            noise = stretch(
                recorded_noise(folder / file, sample_rate), samples, _told(values, "start")
            )
        exact = in_double(wave)
        noise = noise.to(exact)
        own = _level(noise[None], values["level"])
        wanted = _level(exact.detach(), values["level"]).clamp(min=10 ** (values["floor_db"] / 20))
        gain = wanted * 10 ** (-values["snr_db"] / 20) / torch.where(own > 0, own, 1)
        limit = torch.finfo(exact.dtype).max  # infinity times a sample of 0 is no number
        noisy = (exact + gain.clamp(max=limit) * noise).clamp(-limit, limit)
        return back_to(to_peak(noisy, values["peak_db"]), wave)


def made_noise(samples: int, kind: str, seed: int) -> Tensor:
    """White or pink noise from a seed, (samples,), float64."""
    white = torch.randn(samples, generator=Generator().manual_seed(seed), dtype=torch.float64)
    if kind == "white":
        return white
    spectrum = torch.fft.rfft(white)
    octaves = torch.arange(len(spectrum), dtype=torch.float64).clamp(min=1).sqrt()
    pink: Tensor = torch.fft.irfft(spectrum / octaves, n=samples)
    return pink


def stretch(noise: Tensor, samples: int, start: float) -> Tensor:
    """So many samples of a noise from a part of it on, from its beginning again after its end.

    >>> stretch(torch.tensor([0.0, 1.0, 2.0, 3.0]), 5, 0.5).tolist()
    [2.0, 3.0, 0.0, 1.0, 2.0]
    """
    return noise[(int(start * len(noise)) + torch.arange(samples)) % len(noise)]


@lru_cache(maxsize=16)
def noise_files(folder: Path) -> tuple[str, ...]:
    """The sound files below a folder, sorted, by their place in it; raises `AudioError`."""
    return tuple(place.as_posix() for _, place in find_audio(folder))


@lru_cache(maxsize=32)
def recorded_noise(path: Path, sample_rate: int) -> Tensor:
    """The first ten minutes of a file, its channels mixed, at a rate (Hz); (samples,)."""
    samples = LONGEST_SECONDS * audio.inspect(path).sample_rate
    sound, rate = audio.read(path, samples=samples)
    return resample(sound.mean(dim=0), rate, sample_rate)


def _level(wave: Tensor, measure: str) -> Tensor:
    """The RMS or mean magnitude of each row, (batch, 1), without squares beyond all numbers."""
    shape, peak = over_peak(wave)
    mean = shape.square().mean(-1, keepdim=True).sqrt()
    return peak * (mean if measure == "rms" else shape.abs().mean(-1, keepdim=True))


def _told(values: Mapping[str, Any], name: str) -> Any:
    if values[name] is None:
        raise ComponentError(f"{name} is to be drawn; give apply() the parameters that draw() gave")
    return values[name]
