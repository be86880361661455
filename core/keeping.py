"""Results as their recordings were kept: kind of file and samples, rate, texts."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from selfremaster.core import audio
from selfremaster.core.copying import Unrounded
from selfremaster.core.encoded_levels import EncodedLevel
from selfremaster.core.errors import AudioError, ComponentError, LevelError, PeakError
from selfremaster.core.files import nearest_folder
from selfremaster.core.formats import (
    EXACT,
    FORMATS,
    ORDINARY_SPEAKERS,
    SPEAKERS_HOLDING,
    AudioInfo,
    storage,
)
from selfremaster.core.jobs import Job
from selfremaster.core.loudness import gain_to
from selfremaster.core.metering import PEAK_LIMIT, LevelMeter
from selfremaster.core.streaming import Altered, Filed, Resampled, Sound
from selfremaster.core.tags import read_tags

MOST_NAMED = 6  # of the tags that are left out
LEAST_TOLD_DB = 0.1
MOST_MADE_UP = 4.0  # a gain, for what another rate takes away
MOST_VALUES_HELD = 1 << 24  # samples of all channels, 64 MiB: longer sounds wait on the disk


@contextmanager
def naming(job: Job) -> Iterator[None]:
    """Say of which file an error is."""
    try:
        yield
    except (AudioError, ComponentError) as error:
        if str(job.source) in str(error) or str(job.target) in str(error):
            raise
        raise type(error)(f"{job.source}: {error}") from None


def folder_for(recording: Sound, job: Job) -> Path | None:
    """Where a sound waits on its way into a file: beside the file, or in memory if it is short."""
    if recording.samples * recording.channels <= MOST_VALUES_HELD:
        return None
    return nearest_folder(job.target.parent)


def check_result(
    job: Job, like: AudioInfo, channels: int, sample_rate: int | None, subtype: str | None
) -> None:
    """Raise `AudioError` where the result could not be written, before anything is restored."""
    rate = sample_rate or like.sample_rate
    samples = audio.resampled_length(like.samples, like.sample_rate, rate)
    audio.check_place(job.target, channels, samples, rate, like, subtype)


def keep(
    job: Job,
    sound: Sound,
    like: AudioInfo,
    sample_rate: int | None = None,
    subtype: str | None = None,
    lufs: float | None = None,
) -> tuple[str, ...]:
    """Write a result as its recording was kept, at another rate or as other samples if wanted.

    At another rate it is given the loudness ``lufs``: what lies beyond the half of a low rate is
    gone, and was heard.
    A sound that goes beyond full scale where the file cannot, as one from MP3 may, is made softer;
    gives what is to be known of that. Where encoding changes the level, as packing and 8 bits do,
    it is set right by what was written. The recording itself is written to its last bit.
    Raises `AudioError` as `audio.write` does.
    """
    tags = read_tags(job.source)
    notes = _lost_speakers(job, like, sound.channels)
    if isinstance(sound, Filed):
        sound = Unrounded(sound)
    if sample_rate is not None and sample_rate != sound.sample_rate:
        tags = tags.at_another_rate(sound.sample_rate, sample_rate)
        sound = Resampled(sound, sample_rate)
        if lufs is not None:
            sound, told = _at_loudness(sound, lufs, like)
            notes = (*notes, *told)

    speakers = like.speakers if sound.channels == like.channels else None
    level: EncodedLevel | None = None
    container, stored = storage(job.target, like, subtype)
    is_alike = container == ("WAV" if like.format in {"WAVEX", "RF64"} else like.format)
    if subtype is None and is_alike and stored != like.subtype:
        notes = (*notes, f"stored as {stored}; {container} is not written as {like.subtype} here")
    if stored not in EXACT and not isinstance(sound, Unrounded):
        level = EncodedLevel(sound.blocks(), sound.sample_rate, sound.channels, speakers)
    gain = 1.0
    while True:
        given = sound if gain == 1 else Altered(sound, partial(torch.mul, gain), sound.channels)
        try:
            left = audio.write_blocks(
                job.target,
                given.blocks(),
                given.sample_rate,
                given.channels,
                given.samples,
                like,
                subtype,
                tags,
                level,
            )
            break
        except LevelError as error:
            gain *= error.gain
        except PeakError:
            fitting = PEAK_LIMIT / max(float(block.abs().max()) for block in given.blocks())
            gain *= fitting
            if level is None:
                softer_db = -20 * math.log10(gain)
                softer = f"{softer_db:.1f} dB softer than asked for, so that its peaks fit"
                notes = (*notes, softer)
    if level is not None:
        notes = (*notes, *level.notes)
    return (*notes, *_left(job, left))


def _left(job: Job, left: tuple[str, ...]) -> tuple[str, ...]:
    """What is said of tags for which the result has no place."""
    if not left:
        return ()
    shown = [" ".join(name.split()) for name in left[:MOST_NAMED]]
    more = [f"and {len(left) - MOST_NAMED} others"] if len(left) > MOST_NAMED else []
    container = FORMATS.get(job.target.suffix.lower())
    return (f"not kept, {container} has no place for it: {', '.join([*shown, *more])}",)


def _lost_speakers(job: Job, like: AudioInfo, channels: int) -> tuple[str, ...]:
    """What is said where the result cannot tell which speaker each of its channels is for."""
    container = FORMATS.get(job.target.suffix.lower())
    if not like.speakers or channels != like.channels or container in SPEAKERS_HOLDING:
        return ()
    if channels < 3 or like.speakers in ORDINARY_SPEAKERS.get(channels, ()):
        return ()
    return (
        f"its speaker layout, {like.speakers:#x}, is not kept: {container} has no place for it",
    )


def _at_loudness(sound: Sound, lufs: float, like: AudioInfo) -> tuple[Sound, tuple[str, ...]]:
    """A sound at a loudness, as far as full scale and what is left of it allow; says how far."""
    speakers = like.speakers if sound.channels == like.channels else None
    meter = LevelMeter(sound.sample_rate, sound.channels, speakers=speakers)
    for block in sound.blocks():
        meter.add(block)
    wanted, highest = gain_to(meter.whole_powers(), lufs), meter.true_peak
    fitting = max(PEAK_LIMIT / highest, 1.0) if highest > 0 else 1.0
    gain = min(wanted, fitting, MOST_MADE_UP)
    softer_db = 20 * math.log10(wanted / gain)
    told = f"{softer_db:.1f} dB softer than asked for, so much is lost at {sound.sample_rate} Hz"
    levelled = Altered(sound, lambda block: block * gain, sound.channels)
    return levelled, (told,) if softer_db > LEAST_TOLD_DB else ()
