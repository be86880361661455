"""How fast speech features are had: in a batch, once a file, and kept."""

import math
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np

from selfremaster.benchmarks.performance import references
from selfremaster.benchmarks.performance.comparing import (
    Comparison,
    Options,
    Section,
    Timed,
    in_turns,
    table,
)
from selfremaster.benchmarks.timing import apart, median_seconds
from selfremaster.core import audio
from selfremaster.core.corpora import Entry, entries_from
from selfremaster.core.feature_caches import WORDS, FeatureCache
from selfremaster.core.interfaces import Features
from selfremaster.core.promises.inputs import noise
from selfremaster.core.segments import cut
from selfremaster.registry.building import build

BATCH, ITEM_SECONDS = 8, 2.0
COPIES = 8  # of a file that is given alone
MOST_FILES = 40
EXTRACTORS = ("dio", "harvest")


def measure(options: Options) -> Section:
    """The table of both feature variants."""
    about = (
        f"Milliseconds of work for each second of sound. `mel`: {BATCH} items of "
        f"{ITEM_SECONDS:g} s in a batch, against window and filters made anew. `source-filter`: "
        "whole files once, then read; the reference takes items in every epoch as the published "
        "loader does (WORLD's whole analysis, the mel-cepstrum frame by frame and twice, F0 once "
        "more)."
    )
    return Section("Features", about, table(apart(times, options), "ms per s", 1000))


def times(options: Options) -> list[Timed]:
    """Seconds of work for each second of sound."""
    return [*mel_times(options), *source_filter_times(options)]


def mel_times(options: Options) -> list[Timed]:
    """Those of the log-mel spectrogram."""
    features: Features = build("features", "mel")
    waves = noise(BATCH, round(ITEM_SECONDS * references.RATE_HZ))
    made = in_turns(
        [Comparison("mel", lambda: features(waves), lambda: references.log_mel(waves))], options
    )
    return [_for_each_second(one, BATCH * ITEM_SECONDS) for one in made]


def source_filter_times(options: Options) -> list[Timed]:
    """Those of F0 and mel-cepstrum, for both extractors of F0, computed and read."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entries = _entries(options.speech, folder / "speech")
        samples = round(ITEM_SECONDS * references.RATE_HZ)
        items = [
            cut(entry.path, references.RATE_HZ, samples, 0.5).double().numpy() for entry in entries
        ]
        whole = sum(entry.seconds for entry in entries)
        for extractor in EXTRACTORS:
            published = partial(_published, items, extractor)
            features = build("features", f"source-filter:f0={extractor}")
            places = (folder / f"{extractor}-{number}" for number in count())
            first = partial(_fill, features, places, entries)
            cache = FeatureCache(features, folder / extractor)
            cache.fill(entries, processes=1)
            later = partial(_read, cache, entries)
            taken = median_seconds(
                [first, later, published], min(options.repeats, 3), options.least_seconds
            )
            heard = ITEM_SECONDS * len(items)
            reference = taken[2] / heard
            title = f"source-filter, {extractor}"
            found.append(Timed(f"{title}, first epoch", taken[0] / whole, reference))
            found.append(Timed(f"{title}, later epochs", taken[1] / heard, reference))
    return found


def _entries(speech: Path, folder: Path) -> list[Entry]:
    """The files of a folder; of one file some copies, so that there is something to do."""
    if speech.is_dir():
        return entries_from(folder=speech)[:MOST_FILES]
    wave, rate = audio.read(speech)
    for number in range(COPIES):
        audio.write(folder / f"{number}.wav", wave.roll(number * rate // COPIES, dims=-1), rate)
    return entries_from(folder=folder)


def _published(items: list[references.Wave], extractor: str) -> None:
    for item in items:
        references.source_filter_item(np.ascontiguousarray(item), extractor)


def _fill(features: Features, places: Iterator[Path], entries: list[Entry]) -> None:
    """Compute all of them, each time into another folder."""
    FeatureCache(features, next(places)).fill(entries, processes=1)


def _read(cache: FeatureCache, entries: list[Entry]) -> None:
    for rows in map(cache.rows, WORDS):
        for entry in entries:
            middle = max(0.0, entry.seconds - ITEM_SECONDS) / 2
            hop = references.HOP_SAMPLES
            start = math.floor(middle * references.RATE_HZ / hop) * hop
            rows(entry, start, round(ITEM_SECONDS * references.RATE_HZ), 1.0)


def _for_each_second(one: Timed, seconds: float) -> Timed:
    reference = None if one.reference is None else one.reference / seconds
    return Timed(one.work, one.ours / seconds, reference)
