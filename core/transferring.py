"""Audio effect transfer: hear the sound of recordings, and put it onto other waves."""

import copy
import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from selfremaster.core import audio, jobs
from selfremaster.core.bundles import fold
from selfremaster.core.effects import Effect
from selfremaster.core.errors import AudioError, BundleError, ComponentError
from selfremaster.core.interfaces import AnalysisOutput, Channel
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.keeping import folder_for, keep, naming
from selfremaster.core.levels import peak_gain
from selfremaster.core.models import Model, Wave, check_wave, evaluating
from selfremaster.core.profiles import ChannelProfile, ModelIdentity, Source, describe_source
from selfremaster.core.signals import fit_length
from selfremaster.core.streaming import Filed, Held, Resampled, Sound, beginning, stretches
from selfremaster.core.tensorfiles import content_hash

CHUNK_SECONDS = 2.0  # as long as the segments that the published analysis learned on
QUIET_DB = -60.0  # relative to the peak of the recording
BATCH = 8
HIGHEST_STRENGTH = 1.5


class Heard(NamedTuple):
    """The channel features of the chunks of one recording."""

    source: Path
    taken_from: Source
    features: Tensor  # (chunks, channel_dim), float64
    seconds: Tensor  # of each chunk, (chunks,), float64
    notes: tuple[str, ...] = ()  # what is to be known of it


@dataclass(frozen=True)
class Transferred:
    """A file that was given another sound."""

    source: Path
    target: Path
    seconds: float  # of sound
    took_seconds: float
    notes: tuple[str, ...] = ()  # what is to be known of it


def identify(model: Model) -> ModelIdentity:
    """What tells a model from others as far as channel features go.

    The hash is of the weights of the analysis and the channel module as they are in a bundle.
    """
    tensors: dict[str, Tensor] = {}
    for role in ("analyzer", "channel"):
        part = copy.deepcopy(getattr(model, role))
        if part is None:
            continue
        fold(part)
        for key, value in part.state_dict().items():
            tensors[f"{role}.{key}"] = value.float() if value.is_floating_point() else value
    channel_dim = model.analyzer.channel_dim if model.analyzer is not None else None
    return ModelIdentity(
        name=model.name, sha256=content_hash(tensors, {"channel_dim": channel_dim})
    )


def hear(
    model: Model,
    recording: Wave,
    sample_rate: int,
    chunk_seconds: float = CHUNK_SECONDS,
    source: Source | None = None,
    path: Path | None = None,
) -> Heard:
    """The channel features of a recording, chunk by chunk, each channel by itself.

    Chunks whose level is 60 dB below the peak of the recording are left out, unless all are.

    Shape: (samples,) or (channels, samples), full scale = 1, rate in Hz.
    Raises `AudioError` as `Model.restore` does, `BundleError` for a model without analysis module.
    """
    given = check_wave(recording)
    sound = Held(given.reshape(-1, given.shape[-1]).float().cpu(), sample_rate)
    if source is None:
        content = np.ascontiguousarray(given.float().cpu().numpy()).tobytes()
        digest = hashlib.sha256(content).hexdigest()
        source = Source(file=None, seconds=given.shape[-1] / sample_rate, sha256=digest)
    return hear_sound(model, sound, source, path or Path(), chunk_seconds)


def hear_sound(
    model: Model,
    sound: Sound,
    source: Source,
    path: Path,
    chunk_seconds: float = CHUNK_SECONDS,
) -> Heard:
    """What `hear` tells, of a sound that is gone through twice and never held as a whole."""
    if not chunk_seconds > 0:
        raise ComponentError(f"chunks of {chunk_seconds} seconds; give a length above 0")
    resampled = Resampled(sound, model.sample_rate)
    if not resampled.samples:
        raise AudioError(
            f"{sound.samples} samples at {sound.sample_rate} Hz are not one at the model's "
            f"{model.sample_rate} Hz; nothing to hear"
        )
    peak = max(float(block.abs().max()) for block in resampled.blocks())
    gain = peak_gain(peak, model.peak_db)
    length = max(round(chunk_seconds * model.sample_rate), 1)
    quiet = gain * peak * 10 ** (QUIET_DB / 20)

    def chunks(least: float) -> Iterator[Tensor]:
        blocks = (gain * block for block in resampled.blocks())
        for piece in stretches(blocks, length):
            yield from (row for row in piece if row.square().mean().sqrt() > least)

    features, lengths = _analysed(model, chunks(quiet))
    if not features:  # all of them are quiet
        features, lengths = _analysed(model, chunks(-1.0))
    return Heard(path, source, torch.cat(features), torch.tensor(lengths).double())


def _analysed(model: Model, chunks: Iterable[Tensor]) -> tuple[list[Tensor], list[float]]:
    """The channel features of chunks, and how long they are in seconds."""
    features, seconds = [], []
    with torch.inference_mode(), evaluating(model):
        for batch in _equally_long(chunks):
            found: AnalysisOutput = model.analyse(batch.to(model.device))
            channel = found.channel_features
            features.append((channel.mean(-1) if channel.ndim == 3 else channel).cpu().double())
            seconds += [batch.shape[-1] / model.sample_rate] * len(batch)
    return features, seconds


def _equally_long(chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Batches of neighbouring chunks of the same length."""
    batch: list[Tensor] = []
    for chunk in chunks:
        if batch and (len(chunk) != len(batch[0]) or len(batch) == BATCH):
            yield torch.stack(batch)
            batch = []
        batch.append(chunk)
    if batch:
        yield torch.stack(batch)


def make_profile(
    heard: Sequence[Heard],
    model: ModelIdentity,
    name: str = "",
    chunk_seconds: float = CHUNK_SECONDS,
) -> ChannelProfile:
    """The mean over all chunks of all recordings, weighted by their length in seconds."""
    if not heard:
        raise AudioError("no recordings; a profile needs one at least")
    features = torch.cat([recording.features for recording in heard])
    weight = torch.cat([recording.seconds for recording in heard])
    weight = (weight / weight.sum())[:, None]
    mean = (weight * features).sum(0)
    spread = (weight * (features - mean).square()).sum(0).sqrt()
    if not torch.isfinite(mean).all():
        raise BundleError("the analysis module gives channel features that are not finite")
    return ChannelProfile(
        name=name or next((item.taken_from.file or "" for item in heard), ""),
        values=_written(mean),
        spread=_written(spread),
        model=model,
        sources=tuple(recording.taken_from for recording in heard),
        chunks=len(features),
        chunk_seconds=chunk_seconds,
    )


def _written(values: Tensor) -> tuple[float, ...]:
    """As many digits as float32 has."""
    return tuple(float(f"{value:.9g}") for value in values.tolist())


def hear_files(
    model: Model, paths: Sequence[Path], chunk_seconds: float = CHUNK_SECONDS
) -> Iterator[Heard | Failure]:
    """Hear one file after another, and give what came of each."""

    def work(job: Job) -> Heard:
        info = audio.inspect(job.source, strict=False)
        recording = Filed(job.source, info, strict=False)
        source = describe_source(job.source)
        with naming(job):
            heard = hear_sound(model, recording, source, job.source, chunk_seconds)
        return heard._replace(notes=info.remarks)

    return jobs.run([Job(path, path, path, path) for path in paths], work)


def check_channel(model: Model) -> Channel:
    """The channel module; raises `BundleError` for a model without."""
    if model.channel is None:
        raise BundleError("this model has no channel module to put the sound of a recording on")
    return model.channel


def check_profile(model: Model, profile: ChannelProfile) -> None:
    """Raise `BundleError` for a profile that another model made, naming both."""
    channel = check_channel(model)
    own = identify(model)
    if own.sha256 != profile.model.sha256:
        raise BundleError(
            f"profile {profile.name!r} was made by model {profile.model}, and this is another "
            f"one ({own.sha256[:8]}); take that model, or make the profile anew"
        )
    if len(profile.values) != channel.channel_dim:
        raise BundleError(
            f"profile {profile.name!r} has {len(profile.values)} values, the model takes "
            f"{channel.channel_dim}; it is damaged"
        )


def check_strength(strength: float) -> None:
    """Raise `ComponentError` for a strength outside 0 to 1.5."""
    if not 0 <= strength <= HIGHEST_STRENGTH:
        raise ComponentError(
            f"strength {strength:g}: give 0 (the sound as it is) to 1 (the whole effect), or up to "
            f"{HIGHEST_STRENGTH:g} to exaggerate"
        )


def transfer(
    model: Model, wave: Wave, sample_rate: int, profile: ChannelProfile, strength: float = 1.0
) -> Wave:
    """Put the sound of a profile onto a wave; see `Model.transfer`."""
    check_strength(strength)
    check_profile(model, profile)
    return put_on(channel_of(model, profile), wave, sample_rate, strength)


def redegrade(
    model: Model, wave: Wave, sample_rate: int, profile: ChannelProfile | None = None
) -> Wave:
    """Restore a recording and put its sound back; see `Model.redegrade`."""
    check_channel(model)
    if profile is None:
        profile = make_profile([hear(model, wave, sample_rate)], identify(model))
    else:
        check_profile(model, profile)
    sound = profile.features

    def explain(heard: Tensor) -> Tensor:
        speech = model.features.complete(model.predict(heard), heard)
        return colour(model, model.speak(speech, heard), sound)

    return model.through(explain, wave, sample_rate)


def channel_of(model: Model, profile: ChannelProfile) -> Effect:
    """What sends sounds of any rate and length through the channel module."""
    work = model.inferring(partial(colour, model, channel_features=profile.features))
    return Effect(lambda _: (work, model.frame))


def colour(model: Model, wave: Tensor, channel_features: Tensor) -> Tensor:
    """The channel module on waves at the model's rate and level.

    Shape: wave (channels, samples), channel features (channel_dim,) -> (channels, samples).
    """
    features = channel_features.to(wave).expand(wave.shape[0], -1)
    return fit_length(model.degrade(wave, features), wave.shape[-1])


def put_on(effect: Effect, wave: Wave, sample_rate: int, strength: float = 1.0) -> Wave:
    """A wave under an effect, as strongly as wanted, at the wave's own level and the same way up.

    Strength 0 is the wave itself to the last bit, 1 the effect, more than 1 exaggerates.
    """
    check_strength(strength)
    made = _put_on(effect, check_wave(wave), sample_rate, strength)
    if isinstance(wave, np.ndarray):
        return made.cpu().numpy().astype(wave.dtype)
    return made.to(wave)


def _put_on(effect: Effect, given: Tensor, sample_rate: int, strength: float) -> Tensor:
    if strength == 0:
        return given.clone()
    sound = Held(given.reshape(-1, given.shape[-1]).float().cpu(), sample_rate)
    with effect.sent(sound, strength) as sent:
        return beginning(sent.sound).reshape(given.shape)


def transfer_files(
    planned: Sequence[Job], effect: Effect, strength: float = 1.0
) -> Iterator[Transferred | Failure]:
    """Put an effect onto one file after another, and give what came of each.

    A result has the rate, channels, length, level, tags and kind of samples of its recording.
    """
    check_strength(strength)

    def work(job: Job) -> Transferred:
        started = time.monotonic()
        info = audio.inspect(job.source, strict=False)
        recording = Filed(job.source, info, strict=False)
        with naming(job), effect.sent(recording, strength, folder_for(recording, job)) as sent:
            kept = keep(job, recording if strength == 0 else sent.sound, info)
        took_seconds = time.monotonic() - started
        return Transferred(
            job.source, job.target, info.seconds, took_seconds, (*info.remarks, *kept)
        )

    return jobs.run(planned, work)
