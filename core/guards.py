"""Strangers' parts at work: what they print, raise, change or give wrong is named and kept apart.

The functions here call a part where a model, a damage or a measurement hands something over to it.
What goes wrong is a `ComponentError` that names the part, so that it is a failure of one file.
While something learns, with gradients, parts are called as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor

from selfremaster.core import diaries
from selfremaster.core.asides import prints_beside
from selfremaster.core.errors import ADVICE, STOPS, ComponentError, SelfRemasterError, one_line
from selfremaster.core.interfaces import (
    AnalysisOutput,
    Analyzer,
    Channel,
    Component,
    Degradation,
    Features,
    Metric,
    Parameters,
    Vocoder,
)

Made = TypeVar("Made")

BUILTIN = "selfremaster"
WORD_BYTES = 8
FULL = "allocate memory"  # in what torch says of a full memory


def log_mel(features: Features, wave: Tensor) -> Tensor:
    """What the analysis module reads, (batch, samples) -> (batch, mel_bands, frames)."""
    if torch.is_grad_enabled():
        return features.log_mel(wave)
    made = called(features, features.log_mel, wave)
    shape = (len(wave), features.mel_bands, features.frames(wave.shape[-1]))
    return checked(features, made, shape, wave, "a log-mel")


def completed(features: Features, predicted: Tensor, wave: Tensor) -> Tensor:
    """A prediction with the source rows of the degraded wave before it."""
    trivial = not features.source_channels and _unchanged(features, "complete")
    if torch.is_grad_enabled() or trivial:
        return features.complete(predicted, wave)
    made = called(features, features.complete, predicted, wave)
    shape = (len(wave), features.channels, predicted.shape[-1])
    return checked(features, made, shape, predicted, "speech features")


def predicted(
    analyzer: Analyzer, heard: Tensor, runner: Callable[..., Tensor] | None = None
) -> Tensor:
    """The clean speech features alone, of a log-mel; by what runs the analyzer, if not torch."""
    if torch.is_grad_enabled():
        return analyzer.predict(heard)
    made = called(analyzer, runner or analyzer.predict, heard)
    return checked(analyzer, made, _predicted_shape(analyzer, heard), heard, "speech features")


def analysed(analyzer: Analyzer, heard: Tensor) -> AnalysisOutput:
    """Clean speech features and channel features of a log-mel."""
    if torch.is_grad_enabled():
        output: AnalysisOutput = analyzer(heard)
        return output
    made = called(analyzer, analyzer, heard)
    if not isinstance(made, AnalysisOutput):
        raise wrong(analyzer, f"gives a {type(made).__name__}, not an AnalysisOutput")
    shape = _predicted_shape(analyzer, heard)
    checked(analyzer, made.features, shape, heard, "speech features")
    times = made.channel_features.shape[2:] if isinstance(made.channel_features, Tensor) else ()
    wanted = (len(heard), analyzer.channel_dim, *(times if analyzer.over_time else ()))
    checked(analyzer, made.channel_features, wanted, heard, "channel features")
    return made


def spoken(
    vocoder: Vocoder, given: Sequence[Tensor], runner: Callable[..., Tensor] | None = None
) -> Tensor:
    """The wave of speech features, with the source and the filling where they are given.

    By what runs the vocoder, if that is not torch.
    """
    if torch.is_grad_enabled():
        wave: Tensor = vocoder(*given)
        return wave
    made = called(vocoder, runner or vocoder, *given)
    features = given[0]
    shape = (len(features), features.shape[-1] * vocoder.hop_samples)
    return checked(vocoder, made, shape, features, "a wave")


def put_on(channel: Channel, wave: Tensor, channel_features: Tensor) -> Tensor:
    """A clean wave with the sound of a recording."""
    if torch.is_grad_enabled():
        damaged: Tensor = channel(wave, channel_features)
        return damaged
    made = called(channel, channel, wave, channel_features)
    return checked(channel, made, tuple(wave.shape), wave, "a wave")


def drawn(
    part: Degradation, generator: Generator, rate: int, channels: int
) -> Sequence[Parameters]:
    """What a degradation draws for each channel of a recording."""
    made = called(part, lambda: part.draw_channels(generator, rate, channels))
    if not isinstance(made, Sequence) or not all(isinstance(own, Mapping) for own in made):
        raise wrong(part, f"draws {_described(made)}, not a mapping for each channel")
    if len(made) != channels:
        raise wrong(part, f"draws for {len(made)} channels, not {channels}")
    return made


def damaged(
    part: Degradation, wave: Tensor, parameters: Parameters | Sequence[Parameters], rate: int
) -> Tensor:
    """Waves after a degradation; who calls it looks at the shape."""
    made = called(part, lambda given: part.apply(given, parameters, rate), wave)
    shape = tuple(made.shape) if isinstance(made, Tensor) else ()
    return checked(part, made, shape, wave, "a wave")


def measured(
    metric: Metric, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
) -> dict[str, float]:
    """The numbers of a metric, by name; one that is not a number is a measurement without any."""
    waves = [estimate] if reference is None else [estimate, reference]
    made = called(
        metric, lambda first, *others: metric.compute(first, sample_rate, *others), *waves
    )
    if not isinstance(made, Mapping) or not all(
        isinstance(name, str) and isinstance(number, (int, float)) for name, number in made.items()
    ):
        raise wrong(metric, f"gives {_described(made)}, not a mapping of names to numbers")
    return {name: float(number) for name, number in made.items()}


def called(part: Component, work: Callable[..., Made], *given: Tensor) -> Made:
    """What a part makes of tensors, which are afterwards what they were.

    What it prints goes to stderr. Raises `ComponentError` where it raises anything, or changes what
    it was given.
    """
    before = [tensor.clone() for tensor in given]
    with diaries.at_work(name_of(part)), prints_beside():
        try:
            made = work(*given)
        except (*STOPS, torch.OutOfMemoryError):
            raise
        except BaseException as error:
            raise _named(part, error) from error
    for tensor, kept in zip(given, before, strict=True):
        if not _same(tensor, kept):
            with suppress(RuntimeError):  # where that cannot be undone, the error is enough
                tensor.resize_(kept.shape).copy_(kept)
            raise wrong(part, "changes what it is given in place")
    return made


def checked(part: Component, made: Any, shape: tuple[int, ...], like: Tensor, what: str) -> Tensor:
    """What a part made, if it is a tensor of this shape, on the device and of the type of another.

    In mixed precision any floating point will do. Raises `ComponentError` otherwise, and where it
    holds numbers that are not finite.
    """
    if not isinstance(made, Tensor):
        raise wrong(part, f"gives a {type(made).__name__}, not a tensor")
    if tuple(made.shape) != shape:
        raise wrong(part, f"gives {what} of shape {tuple(made.shape)}, not {shape}")
    if made.device != like.device:
        raise wrong(part, f"gives {what} on the device {made.device}, not {like.device}")
    mixed = torch.is_autocast_enabled(like.device.type)
    if made.dtype != like.dtype and not (mixed and made.is_floating_point()):
        raise wrong(part, f"gives {what} of {made.dtype}, not {like.dtype}")
    if not made.sum().isfinite() and not made.isfinite().all():  # the sum is had much sooner
        count = int((~torch.isfinite(made)).sum())
        raise wrong(part, f"gives {what} in which {count} numbers are not finite")
    return made


def wrong(part: Component, what: str) -> ComponentError:
    """What to raise for a part that breaks a promise at work."""
    return ComponentError(f"{name_of(part)} {what}; {ADVICE}")


def name_of(part: Component) -> str:
    """A part in words: its kind and name, and who it comes from."""
    origin, kind = getattr(part, "origin", ""), getattr(part, "kind", "part")
    return str(origin) or f"{kind} {type(part).__name__} of {type(part).__module__}"


def _named(part: Component, error: BaseException) -> BaseException:
    """An error with the name of the part that raised it."""
    if isinstance(error, SelfRemasterError):
        told = one_line(error).removeprefix(f"{type(error).__name__}: ")
        return error if is_ours(part) else ComponentError(f"{name_of(part)}: {told}")
    if isinstance(error, RuntimeError) and FULL in one_line(error):
        return MemoryError(one_line(error))
    return wrong(part, f"raises {one_line(error)}")


def _unchanged(features: Features, method: str) -> bool:
    """Whether a method is that of the base class."""
    own = vars(features).get(method) or getattr(type(features), method)
    return own is getattr(Features, method)


def is_ours(part: Component) -> bool:
    """Whether a part comes with the toolkit, and its errors are in words of ours."""
    origin = getattr(part, "origin", "")
    if origin:
        return origin.endswith(f" of {BUILTIN}")
    return type(part).__module__.startswith(f"{BUILTIN}.")


def _predicted_shape(analyzer: Analyzer, heard: Tensor) -> tuple[int, ...]:
    return (len(heard), analyzer.predicted_channels, heard.shape[-1])


def _same(tensor: Tensor, kept: Tensor) -> bool:
    """Whether all numbers are the same, those that are none included."""
    if tensor.shape != kept.shape:
        return False
    begins = tensor.storage_offset() * tensor.element_size()
    in_words = not begins % WORD_BYTES and not tensor.nbytes % WORD_BYTES
    if in_words and tensor.is_contiguous() and kept.is_contiguous():
        flat, before = tensor.view(-1), kept.view(-1)
        return torch.equal(flat.view(torch.int64), before.view(torch.int64))  # twice as fast
    return torch.equal(tensor, kept) or bool(
        torch.isclose(tensor, kept, rtol=0, atol=0, equal_nan=True).all()
    )


def _described(made: Any) -> str:
    if isinstance(made, Mapping):
        return ", ".join(f"{name} = {type(number).__name__}" for name, number in made.items())
    return f"a {type(made).__name__}"
