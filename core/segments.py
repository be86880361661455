"""Random stretches of sound for training: the same item whoever asks for it, and whenever."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from selfremaster.core import audio
from selfremaster.core.corpora import Entry, entries_from
from selfremaster.core.errors import ExperimentError, SelfRemasterError

__all__ = [
    "Entry",
    "SegmentDataset",
    "cut",
    "entries_from",
    "fixed_segments",
    "loader",
]

MARGIN_SAMPLES = 512
"""What is read on both sides of a stretch to be resampled, at the lower of the two rates; the
filter of the resampler reaches less far."""


class SegmentDataset(Dataset[dict[str, Tensor]]):
    """Cut random stretches out of sound files, for ever: item 0, 1, 2, ... of every stream.

    An item is a function of the seed, the stream's name and its own number alone, so that neither
    the number of workers nor a restart changes what is learned from. The files of a stream are
    taken in passes, each in another order, a file of d seconds about d / segment times a pass, at
    least once. Where in the file the stretch begins is drawn evenly.

    Every stretch is brought to the peak level by itself (floor at -80 dBFS: silence stays silence).
    Files of several channels are averaged to one, those of another rate resampled, and those
    shorter than a segment are followed by silence.

    Shape: {stream: (samples,)}, float32, at the given rate in Hz.
    Source: SelfRemaster (Interspeech 2022): segments of 2 seconds, each at -3 dBFS.
    Raises `ExperimentError` for a stream without files, `AudioError` for files that cannot be read.
    """

    def __init__(
        self,
        streams: Mapping[str, Sequence[Entry]],
        sample_rate: int,
        segment_samples: int,
        seed: int = 0,
        peak_db: float = -3.0,
    ) -> None:
        if segment_samples < 1:
            raise ExperimentError(f"segments of {segment_samples} samples; 1 or more are needed")
        for name, entries in streams.items():
            if not entries:
                raise ExperimentError(f"the stream {name!r} has no files to learn from")
        self.streams = {name: tuple(entries) for name, entries in streams.items()}
        self.sample_rate = sample_rate
        self.segment_samples = segment_samples
        self.seed = seed
        self.peak_db = peak_db
        seconds = segment_samples / sample_rate
        self._pass_files = {
            name: np.repeat(
                np.arange(len(entries)),
                [max(1, round(entry.seconds / seconds)) for entry in entries],
            )
            for name, entries in self.streams.items()
        }
        self._order = lru_cache(maxsize=2 * len(self.streams))(self._draw_order)

    def __getstate__(self) -> dict[str, Any]:
        """What a worker process is given: all but the cache, which it builds itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_order"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._order = lru_cache(maxsize=2 * len(self.streams))(self._draw_order)

    def items_per_pass(self, stream: str) -> int:
        """After how many items every file of a stream has been taken."""
        return len(self._pass_files[stream])

    def place(self, stream: str, item: int) -> tuple[Entry, float]:
        """The file of an item, and how far into it the stretch lies: from 0, its start, to 1."""
        number, position = divmod(item, self.items_per_pass(stream))
        entry = self.streams[stream][self._order(stream, number)[position]]
        return entry, _generator(self.seed, stream, "place", item).random()

    def _draw_order(self, stream: str, number: int) -> npt.NDArray[np.int64]:
        files = self._pass_files[stream]
        return files[_generator(self.seed, stream, "order", number).permutation(len(files))]

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        """The stretches of one item, one a stream."""
        found = {}
        for stream in self.streams:
            entry, fraction = self.place(stream, item)
            segment = cut(entry.path, self.sample_rate, self.segment_samples, fraction)
            found[stream] = _levelled(segment, self.segment_samples, self.peak_db)
        return found


def _generator(seed: int, *words: str | int) -> np.random.Generator:
    text = "\0".join(str(word) for word in (seed, *words))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]))


def _levelled(segment: Tensor, samples: int, peak_db: float) -> Tensor:
    # in numpy, as all of an item: torch's threads made it forty times slower on a busy machine
    sound = np.zeros(samples, np.float32)
    given = segment.numpy()
    sound[: len(given)] = given * audio.peak_gain(float(np.abs(given).max(initial=0)), peak_db)
    return torch.from_numpy(sound)


def _average(wave: Tensor) -> Tensor:
    """One channel out of several."""
    sound = wave.numpy()
    return torch.from_numpy(sound[0] if len(sound) == 1 else sound.mean(axis=0, dtype=np.float32))


def cut(path: Path, sample_rate: int, samples: int, fraction: float) -> Tensor:
    """Take a stretch out of a file: fraction 0 is its start, 0.5 its middle, near 1 its end.

    The same as that part of the whole file averaged to one channel and resampled, but only what is
    needed is read. The whole of a file that is shorter.

    Shape: (samples or fewer,).
    """
    info = audio.inspect(path)
    total = audio.resampled_length(info.samples, info.sample_rate, sample_rate)
    start = min(int(fraction * (total - samples + 1)), total - samples) if total > samples else 0
    if info.sample_rate == sample_rate:
        return _average(audio.read(path, start, samples)[0])
    divisor = math.gcd(info.sample_rate, sample_rate)
    source, target = info.sample_rate // divisor, sample_rate // divisor
    margin = MARGIN_SAMPLES * max(1, math.ceil(source / target))
    # only every source-th sample of the file falls on a sample of the result
    steps = max(0, (start * source // target - margin) // source)
    end = min(info.samples, math.ceil((start + samples) * source / target) + margin)
    stretch = _average(audio.read(path, steps * source, end - steps * source)[0])
    offset = start - steps * target
    return audio.resample(stretch, info.sample_rate, sample_rate)[offset : offset + samples]


def fixed_segments(
    entries: Sequence[Entry],
    sample_rate: int,
    segment_samples: int,
    limit: int,
    peak_db: float = -3.0,
) -> Tensor:
    """Take the middle of up to so many files, spread evenly over those given: for validation.

    Shape: (files, samples), levelled and padded as `SegmentDataset` does.
    Raises `ExperimentError` when there is no file.
    """
    if not entries or limit < 1:
        raise ExperimentError(
            f"{len(entries)} files, and {limit} segments asked for; nothing to cut"
        )
    count = min(limit, len(entries))
    chosen = [entries[(2 * index + 1) * len(entries) // (2 * count)] for index in range(count)]
    return torch.stack(
        [
            _levelled(cut(entry.path, sample_rate, segment_samples, 0.5), segment_samples, peak_db)
            for entry in chosen
        ]
    )


class _Careful(Dataset["dict[str, Tensor] | SelfRemasterError"]):
    """Hands an error over as an item: a worker process would make a page of its one line."""

    def __init__(self, dataset: SegmentDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, item: int) -> dict[str, Tensor] | SelfRemasterError:
        try:
            return self.dataset[item]
        except SelfRemasterError as error:
            return error


def _batch(
    items: Sequence[dict[str, Tensor] | SelfRemasterError],
) -> dict[str, Tensor] | SelfRemasterError:
    waves: dict[str, list[Tensor]] = {}
    for item in items:
        if isinstance(item, SelfRemasterError):
            return item
        for stream, wave in item.items():
            waves.setdefault(stream, []).append(wave)
    return {
        stream: torch.from_numpy(np.stack([row.numpy() for row in rows]))
        for stream, rows in waves.items()
    }


class _Order:
    """Numbers of the items of every batch, without end."""

    def __init__(self, batch_size: int, first_item: int, step: int) -> None:
        self.batch_size, self.first_item, self.step = batch_size, first_item, step

    def __iter__(self) -> Iterator[list[int]]:
        first = self.first_item
        while True:
            yield [first + self.step * index for index in range(self.batch_size)]
            first += self.step * self.batch_size


def loader(
    dataset: SegmentDataset,
    batch_size: int,
    first_item: int = 0,
    workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[dict[str, Tensor]]:
    """Batches without end, beginning with an item; the same whatever the number of workers.

    Of several processes that train together (``world_size``), each takes every world_size-th item,
    and one step of all takes batch_size * world_size items: to go on after a number of steps, begin
    with steps * batch_size * world_size in all of them. Torch's global random state is not touched.

    Shape: {stream: (batch, samples)}.
    """
    if batch_size < 1 or first_item < 0 or workers < 0 or not 0 <= rank < world_size:
        raise ExperimentError(
            f"batch_size={batch_size}, first_item={first_item}, workers={workers}, rank={rank} of "
            f"{world_size}: a batch has 1 item or more, and the others are not below 0"
        )
    batches = DataLoader(
        _Careful(dataset),
        batch_sampler=_Order(batch_size, first_item + rank, world_size),
        num_workers=workers,
        collate_fn=_batch,
        generator=torch.Generator(),
    )
    return _raising(batches)


def _raising(batches: DataLoader[Any]) -> Iterator[dict[str, Tensor]]:
    for batch in batches:
        if isinstance(batch, SelfRemasterError):
            raise batch
        yield batch
