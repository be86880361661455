"""What speech features promise."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from selfremaster.core.interfaces import Features
from selfremaster.core.promises.inputs import noise, wave_cases
from selfremaster.core.promises.judging import (
    demand,
    demand_close,
    demand_finite,
    demand_shape,
    evaluating,
    untouched,
)


def states_its_sizes(part: Features) -> None:
    """States rate, hop, channels, mel bands and predicted channels as whole numbers from 1."""
    for name in ("sample_rate", "hop_samples", "channels", "mel_bands", "predicted_channels"):
        size = getattr(part, name, None)
        demand(isinstance(size, int) and size >= 1, f"{name} is {size!r}, not a number from 1")


def gives_a_frame_every_hop(part: Features, wave: Tensor) -> None:
    """Gives 1 + samples // hop frames of finite numbers, and leaves the wave alone."""
    batch, frames = wave.shape[0], 1 + wave.shape[-1] // part.hop_samples
    demand(
        part.frames(wave.shape[-1]) == frames,
        f"frames({wave.shape[-1]}) is {part.frames(wave.shape[-1])}, not {frames}",
    )
    with torch.no_grad(), untouched(wave), evaluating(part):
        features, log_mel = part(wave), part.log_mel(wave)
    demand_shape(features, (batch, part.channels, frames), "forward's result")
    demand_shape(log_mel, (batch, part.mel_bands, frames), "log_mel's result")
    demand_finite(features, "forward's result")
    demand_finite(log_mel, "log_mel's result")


def hears_each_wave_alone(part: Features, wave: Tensor) -> None:
    """Gives for a batch what it gives for its waves one by one."""
    with torch.no_grad(), evaluating(part):
        for hear, name in ((part.forward, "forward"), (part.log_mel, "log_mel")):
            alone = torch.cat([hear(item[None]) for item in wave])
            demand_close(hear(wave), alone, f"{name} of a batch", 1e-3)


def centres_its_frames(part: Features) -> None:
    """Hears a click at sample k * hop loudest in frame k."""
    for frame in (4, 7):
        wave = torch.zeros(1, 12 * part.hop_samples)
        wave[0, frame * part.hop_samples] = 1.0
        with torch.no_grad(), evaluating(part):
            heard = int(part.log_mel(wave)[0].exp().sum(dim=0).argmax())
        demand(heard == frame, f"a click at {frame} * hop_samples is loudest in frame {heard}")


def knows_silence(part: Features) -> None:
    """Gives the value of ``silence`` for silence, and more for sound."""
    with torch.no_grad(), evaluating(part):
        silent = part.log_mel(torch.zeros(1, 8 * part.hop_samples))
        loud = part.log_mel(noise(1, 8 * part.hop_samples))
    demand_close(silent, torch.full_like(silent, part.silence), "the log-mel of silence")
    demand(loud.mean() > part.silence, f"noise is no louder than silence = {part.silence:.4g}")


def completes_what_is_predicted(part: Features, wave: Tensor) -> None:
    """Completes a perfect prediction to the features themselves."""
    with torch.no_grad(), evaluating(part):
        features = part(wave)
        predicted = part.predicted(features)
        wanted = (wave.shape[0], part.predicted_channels, features.shape[-1])
        demand_shape(predicted, wanted, "predicted's result")
        demand_close(part.complete(predicted, wave), features, "complete's result", 1e-3)


def cases(part: Features, context: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Waves of every sort, and one of a whole number of hops."""
    del context
    yield from wave_cases()
    yield "a whole number of hops", {"wave": noise(1, 9 * part.hop_samples), "seed": 0}


PROMISES = (
    states_its_sizes,
    gives_a_frame_every_hop,
    hears_each_wave_alone,
    centres_its_frames,
    knows_silence,
    completes_what_is_predicted,
)
