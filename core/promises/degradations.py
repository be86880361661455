"""What simulated damage promises."""

import json
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import (
    DELAY_TOLERANCE_SECONDS,
    RATE_HZ,
    noise,
    speech_like,
    wave_cases,
)
from selfremaster.core.promises.judging import (
    demand,
    demand_close,
    demand_finite,
    demand_gradient,
    demand_shape,
    seeded,
    untouched,
)

LOUDEST_THAT_LEARNS = 1000.0  # full scale is 1; at the largest numbers gradients overflow
STEP = 1e-8  # of the differences that gradients are compared with
GRADIENT_TOLERANCE = 1e-3
NARROW_SECONDS = 0.0005  # by which one sort of damage may lag otherwise than it says
NEARLY = 0.9  # of the likeness at its highest: what rings has several heights


def keeps_shape_and_dtype(part: Degradation, wave: Tensor, seed: int) -> None:
    """Gives a wave of the same shape, dtype and device."""
    damaged, drawn = part(wave, seeded(seed), RATE_HZ)
    demand_shape(damaged, tuple(wave.shape), "the damaged wave")
    demand(damaged.dtype == wave.dtype, f"the wave comes back as {damaged.dtype}, not {wave.dtype}")
    demand(damaged.device == wave.device, f"the wave comes back on {damaged.device}")
    demand(len(drawn) == len(wave), f"{len(drawn)} parameter sets are drawn for {len(wave)} waves")


def leaves_its_input_alone(part: Degradation, wave: Tensor, seed: int) -> None:
    """Does not change the wave that it is given, nor give back the same memory."""
    with untouched(wave):
        damaged, _ = part(wave, seeded(seed), RATE_HZ)
        damaged.detach().fill_(0.123)


def stays_finite(part: Degradation, wave: Tensor, seed: int) -> None:
    """Gives finite samples for finite samples."""
    damaged, _ = part(wave, seeded(seed), RATE_HZ)
    demand_finite(damaged, "the damaged wave")


def repeats_itself(part: Degradation, wave: Tensor, seed: int) -> None:
    """Gives the same parameters and the same sound for the same seed; uses no other chance."""
    first, first_drawn = part(wave, seeded(seed), RATE_HZ)
    second, second_drawn = part(wave, seeded(seed), RATE_HZ)
    demand(first_drawn == second_drawn, f"one seed draws {first_drawn[0]}, then {second_drawn[0]}")
    demand(torch.equal(first, second), "the same seed gives two different sounds")


def replays_from_json(part: Degradation, wave: Tensor, seed: int) -> None:
    """Draws plain JSON values, from which the sound is had again exactly."""
    damaged, drawn = part(wave, seeded(seed), RATE_HZ)
    try:
        logged = json.loads(json.dumps(drawn, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ComponentError(f"draws what is not JSON: {error}") from None
    demand(logged == drawn, f"{drawn[0]} reads back from JSON as {logged[0]}")
    demand(torch.equal(part.apply(wave, logged, RATE_HZ), damaged), "the replayed wave differs")


def damages_each_wave_alone(part: Degradation, wave: Tensor, seed: int) -> None:
    """Gives for a batch in any order what it gives for its waves one by one."""
    chance = seeded(seed)
    drawn = [part.draw(chance, RATE_HZ) for _ in wave]
    alone = torch.cat(
        [part.apply(row[None], own, RATE_HZ) for row, own in zip(wave, drawn, strict=True)]
    )
    demand_close(part.apply(wave, drawn, RATE_HZ), alone, "the wave of a batch", 1e-5)
    if len(wave) > 1:
        turned = part.apply(wave.flip(0), drawn[::-1], RATE_HZ).flip(0)
        demand_close(turned, alone, "the wave of a batch in another order", 1e-5)
        alike = torch.cat([part.apply(row[None], drawn[0], RATE_HZ) for row in wave])
        demand_close(
            part.apply(wave, drawn[0], RATE_HZ), alike, "the wave of a batch damaged alike", 1e-5
        )


def draws_for_channels(part: Degradation, wave: Tensor, seed: int) -> None:
    """Draws JSON for every channel of a recording; for the first one what `draw` gives."""
    drawn = part.draw_channels(seeded(seed), RATE_HZ, 2)
    demand(len(drawn) == 2, f"{len(drawn)} parameter sets are drawn for 2 channels")
    demand(drawn[0] == part.draw(seeded(seed), RATE_HZ), "the first channel is drawn another way")
    logged = json.loads(json.dumps(drawn, allow_nan=False))
    demand(logged == drawn, f"{drawn[1]} reads back from JSON as {logged[1]}")
    both = wave[:1].expand(2, -1)
    demand_shape(part.apply(both, drawn, RATE_HZ), tuple(both.shape), "the damaged recording")


def counts_its_parameters(part: Degradation, wave: Tensor, seed: int) -> None:
    """Raises `ComponentError` when there are more parameter sets than waves."""
    drawn = [part.draw(seeded(seed), RATE_HZ)] * (wave.shape[0] + 1)
    try:
        part.apply(wave, drawn, RATE_HZ)
    except ComponentError:
        return
    demand(False, f"takes {len(drawn)} parameter sets for {wave.shape[0]} waves without a word")


def keeps_silence(part: Degradation, wave: Tensor, seed: int) -> None:
    """Leaves silence silent, unless it says ``adds_sound = True`` (hum, hiss, clicks)."""
    if part.adds_sound:
        return
    damaged, _ = part(torch.zeros_like(wave), seeded(seed), RATE_HZ)
    demand(not damaged.any(), f"silence becomes a sound of peak {damaged.abs().max():.2g}")


def takes_any_rate(part: Degradation, wave: Tensor, seed: int) -> None:
    """Works at the rates that recordings have, not only at the model's."""
    for rate_hz in (8000, 16000, 48000):
        damaged, _ = part(wave, seeded(seed), rate_hz)
        demand_shape(damaged, tuple(wave.shape), f"the damaged wave at {rate_hz} Hz")
        demand_finite(damaged, f"the damaged wave at {rate_hz} Hz")


def lags_as_it_says(part: Degradation, seed: int) -> None:
    """Delays the sound by what `delay_of` says of the damage drawn, unless ``moves_time``.

    At that lag or near it (0.5 ms; 2 ms for several sorts of damage together) noise is as like what
    it was as at any other, or nearly so.
    """
    if part.moves_time:
        return
    wave = noise(1, 16384, seed=6)
    damaged, drawn = part(wave, seeded(seed), RATE_HZ)
    size = 2 * wave.shape[-1]
    spectra = [torch.fft.rfft(sound.double(), size) for sound in (damaged, wave)]
    likeness = torch.fft.irfft(spectra[0] * spectra[1].conj(), size)[0].abs()
    lag = int(likeness.argmax())
    lag -= size if lag > size // 2 else 0
    said = part.delay_of(drawn[0], RATE_HZ)
    together = "parameters" in drawn[0] or "steps" in drawn[0]
    seconds = DELAY_TOLERANCE_SECONDS if together else NARROW_SECONDS
    allowed = math.floor(seconds * RATE_HZ)
    near = likeness[torch.arange(said - allowed, said + allowed + 1) % size]
    demand(
        bool(near.max() >= NEARLY * likeness.max()),
        f"noise comes out {lag} samples late; delay_of says {said}",
    )


def takes_waves_that_learn(part: Degradation, wave: Tensor, seed: int) -> None:
    """Takes waves that ask for a gradient, and sends them a finite one if it is differentiable."""
    if wave.abs().max() > LOUDEST_THAT_LEARNS:
        return
    asking = wave.clone().requires_grad_()
    with torch.enable_grad():
        damaged, _ = part(asking, seeded(seed), RATE_HZ)
        if part.differentiable:
            demand_gradient(damaged, asking, "the wave", allow_zero=True)


def has_the_gradient_of_its_sound(part: Degradation, seed: int) -> None:
    """Sends speech the gradient that differences of its sound show, if it is differentiable."""
    if not part.differentiable:
        return
    wave = speech_like(4000).double()
    direction, weights = (noise(1, 4000, seed=seed, level=1).double() for seed in (5, 6))
    drawn = part.draw(seeded(seed), RATE_HZ)

    def heard(given: Tensor) -> Tensor:
        return (part.apply(given, drawn, RATE_HZ) * weights).sum()

    if torch.equal(heard(wave), heard(wave + direction)):
        return  # nothing of it is heard, such as where every packet got lost
    asking = wave.clone().requires_grad_()
    with torch.enable_grad():
        sound = heard(asking)
        demand(sound.requires_grad, "no gradient reaches the wave")
        (gradient,) = torch.autograd.grad(sound, asking, allow_unused=True)
    demand(gradient is not None and gradient.any(), "no gradient reaches the wave")
    told = float((gradient * direction).sum())
    apart = heard(wave + STEP * direction) - heard(wave - STEP * direction)
    found = float(apart) / (2 * STEP)
    demand(
        abs(told - found) <= GRADIENT_TOLERANCE * max(abs(told), abs(found)),
        f"the gradient along a direction is {told:.6g}, differences of the sound say {found:.6g}",
    )


def cases(part: Degradation, context: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Waves of every sort, in float32 and float64, up to the largest numbers there are."""
    del part, context
    yield from wave_cases()
    yield "a wave in float64", {"wave": noise(1, 2000).double(), "seed": 1}
    for dtype in (torch.float32, torch.float64):
        largest = torch.finfo(dtype).max * torch.sign(noise(1, 500)).to(dtype)
        yield f"the largest numbers of {dtype}", {"wave": largest, "seed": 2}


PROMISES = (
    keeps_shape_and_dtype,
    leaves_its_input_alone,
    stays_finite,
    repeats_itself,
    replays_from_json,
    damages_each_wave_alone,
    draws_for_channels,
    counts_its_parameters,
    keeps_silence,
    takes_any_rate,
    lags_as_it_says,
    takes_waves_that_learn,
    has_the_gradient_of_its_sound,
)
