"""How fast slow speech features are had: a Markdown table, measured when it is printed.

``python -m selfremaster.benchmarks.feature_speed FOLDER`` takes 2-second items of the sounds there
in the published way, item by item and again in every epoch, and in ours: once a file, kept, read.
"""

import argparse
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfremaster.benchmarks.tables import markdown
from selfremaster.core.components import ComponentSpec
from selfremaster.core.corpora import Entry, entries_from
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.feature_caches import WORDS, FeatureCache
from selfremaster.core.interfaces import Features
from selfremaster.core.segments import cut
from selfremaster.registry.building import build

ITEM_SECONDS = 2.0
RATE_HZ, HOP_SAMPLES, SIZE, ORDER = 22050, 256, 1024, 40  # the published settings
PROCESSES = 2

Wave = npt.NDArray[np.float64]


def published_item(wave: Wave, extractor: str) -> npt.NDArray[np.float64]:
    """The features of an item as the published loader computes them, all that it throws away too.

    WORLD's whole analysis, aperiodicity included; the mel-cepstrum frame by frame, twice; and F0
    once more by the extractor asked for.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that are old
        world, sptk = import_module("pyworld"), import_module("pysptk")
    period = 1000 * HOP_SAMPLES / RATE_HZ
    alpha = sptk.util.mcepalpha(RATE_HZ)
    for _ in range(2):
        f0, moments = world.dio(wave, RATE_HZ, frame_period=period)
        f0 = world.stonemask(wave, f0, moments, RATE_HZ)
        envelope = world.cheaptrick(wave, f0, moments, RATE_HZ, fft_size=SIZE)
        if _ == 0:
            world.d4c(wave, f0, moments, RATE_HZ, fft_size=SIZE)
        cepstrum = np.stack([sptk.sp2mc(frame, ORDER, alpha) for frame in envelope])
    found, moments = getattr(world, extractor)(wave, RATE_HZ, frame_period=period)
    found = world.stonemask(wave, found, moments, RATE_HZ)
    rows: npt.NDArray[np.float64] = np.concatenate([found[:, None], cepstrum], axis=1)
    return rows


def seconds_of(work: Callable[[], Any]) -> float:
    """How long the work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(entries: Sequence[Entry], spec: str, folder: Path) -> str:
    """The table: seconds of work for each second of sound, in the first epoch and later.

    Each way is compared with the published one on as many processes. Ours computes whole files in
    the first epoch, the published one an item of each in every epoch.
    """
    features: Features = build("features", spec)
    extractor = str(ComponentSpec.parse(spec).settings.get("f0", "dio"))
    items = [
        cut(entry.path, RATE_HZ, round(ITEM_SECONDS * RATE_HZ), 0.5).double().numpy()
        for entry in entries
    ]
    heard = sum(map(len, items)) / RATE_HZ
    whole = sum(entry.seconds for entry in entries)
    one_by_one = partial(published_item, extractor=extractor)
    rows = []
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        list(pool.map(one_by_one, items[:PROCESSES]))  # the processes start, packages are imported
        published = {
            1: seconds_of(lambda: [one_by_one(item) for item in items]) / heard,
            PROCESSES: seconds_of(lambda: list(pool.map(one_by_one, items))) / heard,
        }
    for processes, seconds in published.items():
        rows.append(_row(f"published, {_processes(processes)}", seconds, seconds, seconds))
    for processes, seconds in published.items():
        cache = FeatureCache(features, folder / str(processes))
        fill = partial(cache.fill, entries, processes=processes)
        first = seconds_of(fill) / whole
        later = seconds_of(partial(_read, cache, entries)) / (ITEM_SECONDS * len(entries))
        rows.append(_row(f"ours, {_processes(processes)}", first, later, seconds))
    heading = ["way", "first epoch", "later epochs", "times as fast as published", "later"]
    return markdown(heading, rows)


def _processes(count: int) -> str:
    return f"{count} process{'es' if count > 1 else ''}"


def _row(name: str, first: float, later: float, published: float) -> list[str]:
    faster = [f"{published / max(value, 1e-9):.1f}" for value in (first, later)]
    return [name, f"{first:.4f}", f"{later:.4f}", *faster]


def _read(cache: FeatureCache, entries: Sequence[Entry]) -> None:
    for rows in map(cache.rows, WORDS):
        for entry in entries:
            middle = max(0.0, entry.seconds - ITEM_SECONDS) / 2
            start = math.floor(middle * RATE_HZ / HOP_SAMPLES) * HOP_SAMPLES
            rows(entry, start, round(ITEM_SECONDS * RATE_HZ), 1.0)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m selfremaster.benchmarks.feature_speed",
        description="Compare the published way to slow speech features with ours.",
    )
    made.add_argument("folder", type=Path, help="sounds, a minute or more")
    made.add_argument("--features", default="source-filter", help="part, as NAME:key=value")
    made.add_argument("--limit", type=int, default=40, help="so many files at most")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    given = parser().parse_args(words)
    try:
        entries = entries_from(folder=given.folder)[: given.limit]
        with tempfile.TemporaryDirectory() as folder:
            print(measure(entries, given.features, Path(folder)))
    except (SelfRemasterError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
