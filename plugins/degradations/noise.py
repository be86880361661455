"""Noise beneath the sound: hiss, rumble, or what was recorded."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from selfremaster.core import audio
from selfremaster.core.damage import (
    Drawn,
    Measure,
    Seed,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
    draw_chance,
    factors,
    level_of,
    over_peak,
    rms,
)
from selfremaster.core.errors import ComponentError
from selfremaster.core.folders import find_audio
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.levels import resample
from selfremaster.core.noises import FloorDb, coloured, shaped_noise, white_noise

Decibels = Annotated[float, Field(ge=-60, le=120)]
Colour = Literal["white", "pink", "brown"]
SLOPES = {"pink": -1, "brown": -2}
MARGIN_SAMPLES = 256  # before and after a stretch: as far as a resampler looks
FAINTEST = 1e-15  # level of a noise, whose peak is about 1 if it is not silence


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
        Field(
            description="white, pink (3 dB less an octave) or brown (6 dB); a list draws one of it"
        ),
    ] = "white"
    folder: Annotated[
        Path | None, Field(description="take stretches of the sound files below it instead")
    ] = None
    level: Annotated[
        Measure,
        Field(
            description="how levels are measured: by RMS, by the RMS of the wave's speech without "
            "its pauses, or by the mean of |x| as published"
        ),
    ] = "rms"
    floor_db: FloorDb = -60.0
    seed: Seed = None
    file: Annotated[
        str | None, Field(description="one of the folder; none draws one for each wave")
    ] = None
    start: Annotated[
        float | None,
        Field(ge=0, lt=1, description="part of the file before the stretch; none draws it"),
    ] = None

    @model_validator(mode="after")
    def _check_file(self) -> "NoiseConfig":
        if self.folder is None and (self.file is not None or self.start is not None):
            raise ValueError("file and start go with a folder of noises; set folder")
        return self


class Noise(SettledDegradation):
    """Put hiss, or stretches of recorded noise, beneath the sound at a signal-to-noise ratio.

    Noise is made from a seed that is drawn for each wave, or is a stretch of a file, which is
    drawn, with the place where it begins; a file that is too short is repeated. A silent wave gets
    noise as if it had the level ``floor_db``.

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

    def __init__(self, config: NoiseConfig) -> None:
        super().__init__(config)
        self.own_seeds = config.folder is None  # what was recorded was so on all channels

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """The settings, a value of each range, and the seed or the file and place of the noise."""
        drawn = super().draw(generator, sample_rate)
        if self.config.folder is None:
            return drawn
        if drawn["file"] is None:
            names = noise_files(self.config.folder)
            drawn["file"] = names[int(draw_chance(generator) * len(names))]
        if drawn["start"] is None:
            drawn["start"] = draw_chance(generator)
        return drawn

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Add to every wave its noise, at a level that goes with its own."""
        wanted = _levels(wave, values, sample_rate)
        sorts = _alike(values, "folder", "kind")
        if len(sorts) == 1:
            noise = _noise(values, next(iter(sorts)), wave, sample_rate)
        else:
            noise = wave.new_empty(wave.shape)
            for sort, places in sorts.items():
                rows = [values[place] for place in places]
                noise[places] = _noise(rows, sort, wave, sample_rate)
        noise.mul_(wanted / _own_levels(noise, values).clamp(min=FAINTEST))
        # a part of something longer is not handed on
        return noise.add_(wave) if noise.is_contiguous() else wave + noise


def _alike(values: Sequence[Mapping[str, Any]], *names: str) -> dict[tuple[Any, ...], list[int]]:
    """The rows that have the same values of some settings, by those values."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for place, own in enumerate(values):
        found.setdefault(tuple(own[name] for name in names), []).append(place)
    return found


def _levels(wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int) -> Tensor:
    """The level that each wave's noise is to have, (batch, 1)."""
    sorts = _alike(values, "level", "floor_db")
    parts = [
        (
            places,
            level_of(wave if len(sorts) == 1 else wave[places], measure, sample_rate, floor_db),
        )
        for (measure, floor_db), places in sorts.items()
    ]
    level = parts[0][1]
    if len(parts) > 1:
        level = torch.empty_like(wave[:, :1])
        for places, own in parts:
            level[places] = own
    return level / factors(values, "snr_db", wave)


def _own_levels(noise: Tensor, values: Sequence[Mapping[str, Any]]) -> Tensor:
    """The level that each noise has, by the mean of |x| where it is asked for, (batch, 1)."""
    own = rms(noise)
    for place, one in enumerate(values):
        if one["level"] == "magnitude":
            own[place] = noise[place].abs().mean()
    return own


def _noise(
    values: Sequence[Mapping[str, Any]], sort: tuple[Any, ...], wave: Tensor, sample_rate: int
) -> Tensor:
    """Noise of one sort at any level, (values, samples)."""
    folder, kind = sort
    samples = wave.shape[-1]
    if folder is not None:
        return torch.stack([recorded(own, samples, sample_rate) for own in values]).to(wave)
    seeds = [own["seed"] for own in values]
    if kind == "white":
        return white_noise(seeds, samples, wave)
    return shaped_noise(seeds, samples, coloured(SLOPES[kind], sample_rate), wave)


def recorded(values: Mapping[str, Any], samples: int, sample_rate: int) -> Tensor:
    """So many samples of the file of the folder that the values name, peak 1, (samples,)."""
    folder, file, start = values["folder"], values["file"], values["start"]
    for name in ("file", "start"):
        if values[name] is None:
            raise ComponentError(
                f"{name} is to be drawn; give apply() the parameters that draw() gives"
            )
    if file not in noise_files(folder):
        raise ComponentError(f"file={file} is not a sound file of the folder {folder}")
    return over_peak(stretch(folder / file, start, samples, sample_rate)[None])[0][0]


def stretch(path: Path, start: float, samples: int, sample_rate: int) -> Tensor:
    """So many samples at a rate (Hz) from a part of a file on, from its beginning after its end.

    Only what is heard is read, and a little before and after it, for resampling. Channels are
    mixed.

    Shape: -> (samples,), float32.
    """
    info = audio.inspect(path)
    divisor = math.gcd(info.sample_rate, sample_rate)
    step, own_step = sample_rate // divisor, info.sample_rate // divisor
    margin = 0 if step == own_step else math.ceil(MARGIN_SAMPLES / min(step, own_step))
    needed = math.ceil(samples * own_step / step) + 2 * margin * own_step
    first = (int(start * info.samples) - margin * own_step) % info.samples
    if needed >= info.samples:
        whole = audio.read(path)[0].mean(dim=0).roll(-first)
        sound = whole.repeat(-(-needed // len(whole)))[:needed]
    else:
        parts = [audio.read(path, first, needed)[0].mean(dim=0)]
        if len(parts[0]) < needed:
            parts.append(audio.read(path, 0, needed - len(parts[0]))[0].mean(dim=0))
        sound = torch.cat(parts)
    return resample(sound, info.sample_rate, sample_rate)[margin * step :][:samples]


@lru_cache(maxsize=16)
def noise_files(folder: Path) -> tuple[str, ...]:
    """The sound files below a folder, sorted, by their place in it; raises `AudioError`."""
    return tuple(place.as_posix() for _, place in find_audio(folder))
