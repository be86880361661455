"""Results as their recordings were kept: kind of file and samples, rate, texts."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selfremaster.core import audio
from selfremaster.core.copying import Unrounded
from selfremaster.core.errors import AudioError, ComponentError, PeakError
from selfremaster.core.files import nearest_folder
from selfremaster.core.formats import AudioInfo
from selfremaster.core.jobs import Job
from selfremaster.core.loudness import gain_to
from selfremaster.core.metering import PEAK_LIMIT, LevelMeter
from selfremaster.core.streaming import Altered, Filed, Resampled, Sound
from selfremaster.core.tags import read_tags

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
    gives what is to be known of that. The recording itself is written to its last bit.
    Raises `AudioError` as `audio.write` does.
    """
    tags = read_tags(job.source)
    notes: tuple[str, ...] = ()
    if isinstance(sound, Filed):
        sound = Unrounded(sound)
    if sample_rate is not None and sample_rate != sound.sample_rate:
        sound, tags = Resampled(sound, sample_rate), tags.at_another_rate()
        if lufs is not None:
            sound, notes = _at_loudness(sound, lufs)

    def put(given: Sound) -> None:
        audio.write_blocks(
            job.target,
            given.blocks(),
            given.sample_rate,
            given.channels,
            given.samples,
            like,
            subtype,
            tags,
        )

    try:
        put(sound)
    except PeakError:
        gain = PEAK_LIMIT / max(float(block.abs().max()) for block in sound.blocks())
        put(Altered(sound, lambda block: block * gain, sound.channels))
        told = f"{-20 * math.log10(gain):.1f} dB softer than asked for, so that its peaks fit"
        return (*notes, told)
    return notes


def _at_loudness(sound: Sound, lufs: float) -> tuple[Sound, tuple[str, ...]]:
    """A sound at a loudness, as far as full scale and what is left of it allow; says how far."""
    meter = LevelMeter(sound.sample_rate, sound.channels)
    for block in sound.blocks():
        meter.add(block)
    wanted, highest = gain_to(meter.whole_powers(), lufs), meter.true_peak
    fitting = max(PEAK_LIMIT / highest, 1.0) if highest > 0 else 1.0
    gain = min(wanted, fitting, MOST_MADE_UP)
    softer_db = 20 * math.log10(wanted / gain)
    told = f"{softer_db:.1f} dB softer than asked for, so much is lost at {sound.sample_rate} Hz"
    levelled = Altered(sound, lambda block: block * gain, sound.channels)
    return levelled, (told,) if softer_db > LEAST_TOLD_DB else ()
