"""The room that a voice was recorded in, heard from some way off."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor

from selfremaster.core.damage import (
    Drawn,
    Seed,
    SettledDegradation,
    ValueOrChoices,
    ValueOrRange,
    draw_chance,
)
from selfremaster.core.errors import ComponentError
from selfremaster.core.filtering import convolve
from selfremaster.core.interfaces import ComponentConfig
from selfremaster.core.rooms import Array, decaying_noise, placed, room_reverberation
from selfremaster.core.signals import fit_length

Kind = Literal["decay", "room"]
Seconds = Annotated[float, Field(ge=0.05, le=10)]
Decibels = Annotated[float, Field(ge=-20, le=60)]
Volume = Annotated[float, Field(ge=5, le=20000)]
Side = Annotated[float, Field(ge=1, le=100)]
Metres = Annotated[float, Field(ge=0.05, le=50)]

DIRECT_SECONDS = (
    0.0025  # what comes within them is no reverberation to the ear, or to a measurement
)
HEIGHTS = (0.6, 0.9)  # of a room, as parts of the side of a cube of its volume
STEP_TAPS = 4096  # that the taps of a kernel are a multiple of
LENGTHS = (1.0, 1.8)  # of a room over its width


class ReverbConfig(ComponentConfig):
    """Settings of `Reverb`."""

    kind: Annotated[
        ValueOrChoices[Kind],
        Drawn("choice"),
        Field(
            description="decay (noise that dies away) or room (the echoes of a box, then such "
            "noise); a list draws one of it"
        ),
    ] = "decay"
    rt60_seconds: Annotated[
        ValueOrRange[Seconds],
        Drawn("log"),
        Field(description="time in which it dies away by 60 dB; [low, high] draws it"),
    ] = 0.5
    drr_db: Annotated[
        ValueOrRange[Decibels],
        Drawn(),
        Field(
            description="decay: energy of the voice itself over what the room adds, dB; a room's "
            "follows from its size and the distance; [low, high] draws it"
        ),
    ] = 3.0
    volume_m3: Annotated[
        ValueOrRange[Volume],
        Drawn("log"),
        Field(description="room: its volume, of which a shape is drawn; [low, high] draws it"),
    ] = 60.0
    size_m: Annotated[
        tuple[Side, Side, Side] | None,
        Field(description="room: its length, width and height; none draws them from the volume"),
    ] = None
    distance_m: Annotated[
        ValueOrRange[Metres],
        Drawn("log"),
        Field(description="room: from voice to microphone; [low, high] draws it"),
    ] = 1.5
    seed: Seed = None


class Reverb(SettledDegradation):
    """Put the voice into a room: it goes on after each sound, and blurs the next.

    The voice itself arrives at once and at its own level; what the room adds comes on top. A
    ``decay`` is noise that dies away evenly, from 2.5 ms on. A ``room`` is a box whose walls mirror
    voice and microphone, which stand by chance, at the distance told or as far as the room allows;
    there a distance of 0.057 * sqrt(volume / time) metres makes the room as loud as the voice.
    Each channel has a microphone, and with it a seed, of its own.

    Shape: wave (batch, samples) -> (batch, samples). Full scale is 1.
    Source: J. A. Moorer, About This Reverberation Business (Computer Music Journal 3, 1979); Allen
    and Berkley, Image method for efficiently simulating small-room acoustics (JASA 65, 1979).
    Raises `ComponentError` for parameters that are not settings or out of their range.

    At 0 dB the room adds the energy of the voice once more:

    >>> click = torch.zeros(1, 22050)
    >>> click[0, 0] = 1
    >>> heard = Reverb(ReverbConfig(drr_db=0, seed=1)).apply(click, {}, sample_rate=22050)
    >>> heard[0, 0].item(), round(heard.square().sum().item(), 3)
    (1.0, 2.0)
    """

    Config = ReverbConfig
    config: ReverbConfig
    differentiable = True
    own_seeds = True

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """The settings, a value of each range, and the shape of a room."""
        drawn = super().draw(generator, sample_rate)
        if drawn["kind"] == "room" and drawn["size_m"] is None:
            drawn["size_m"] = shape_of(drawn["volume_m3"], generator)
        return drawn

    def damage(self, wave: Tensor, values: Mapping[str, Any], sample_rate: int) -> Tensor:
        """Put every wave of a batch into the same room, at the same place."""
        return self._heard(wave, [values], sample_rate)

    def damage_each(
        self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int
    ) -> Tensor:
        """Put every wave into a room of its own."""
        return self._heard(wave, values, sample_rate)

    def _heard(self, wave: Tensor, values: Sequence[Mapping[str, Any]], sample_rate: int) -> Tensor:
        # no more of an answer than the wave is long will be heard
        rows = [torch.tensor(reverberation(own, sample_rate)[: wave.shape[-1]]) for own in values]
        if len(rows) == 1:
            return wave + convolve(wave, _in_steps(rows))
        # rows go together by length: the size of a transform must not hang on the other rows
        added = torch.empty_like(wave)
        for steps in {_steps(row) for row in rows}:
            alike = [place for place, row in enumerate(rows) if _steps(row) == steps]
            places = torch.tensor(alike, device=wave.device)
            kernels = _in_steps([rows[place] for place in alike])
            added = added.index_copy(0, places, convolve(wave[places], kernels))
        return wave + added


def _steps(response: Tensor) -> int:
    return math.ceil(len(response) / STEP_TAPS)


def _in_steps(rows: Sequence[Tensor]) -> Tensor:
    """Answers of as many steps as kernels, (rows, taps)."""
    taps = STEP_TAPS * _steps(rows[0])
    return torch.stack([fit_length(row, taps) for row in rows])


def reverberation(values: Mapping[str, Any], sample_rate: int) -> Array:
    """What a room adds to a click, (taps,), from the moment that this itself arrives."""
    rt60_seconds, seed = values["rt60_seconds"], values["seed"]
    if values["kind"] == "room":
        if values["size_m"] is None:
            raise ComponentError(
                "size_m is to be drawn; give apply() the parameters that draw() gives"
            )
        size = tuple(values["size_m"])
        return _of_room(size, values["distance_m"], rt60_seconds, seed, sample_rate)
    response = decaying_noise(rt60_seconds, sample_rate, seed)
    response[: max(round(DIRECT_SECONDS * sample_rate), 1)] = 0
    level: float = 10 ** (-values["drr_db"] / 20) / np.linalg.norm(response)
    return response * level


@lru_cache(maxsize=8)
def _of_room(
    size: tuple[float, ...], distance: float, rt60_seconds: float, seed: int, sample_rate: int
) -> Array:
    response = room_reverberation(placed(size, distance, seed), rt60_seconds, sample_rate, seed)
    response.flags.writeable = False
    return response


def shape_of(volume_m3: float, generator: Generator) -> list[float]:
    """Length, width and height in metres of a room of a volume, as rooms are."""
    low, high = HEIGHTS
    height = volume_m3 ** (1 / 3) * (low + (high - low) * draw_chance(generator))
    low, high = LENGTHS
    length = (volume_m3 / height * (low + (high - low) * draw_chance(generator))) ** 0.5
    return [length, volume_m3 / height / length, height]
