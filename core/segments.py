"""Random stretches of sound for training: the same item whoever asks for it, and whenever."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from selfremaster.core import audio
from selfremaster.core.corpora import Entry
from selfremaster.core.errors import ExperimentError, SelfRemasterError

__all__ = [
    "Beside",
    "Entry",
    "SegmentDataset",
    "cut",
    "loader",
]

MARGIN_SAMPLES = 512
"""What is read on both sides of a stretch to be resampled, at the lower of the two rates; the
filter of the resampler reaches less far."""


Beside = Callable[[Entry, int, int, float], Tensor]
"""Further numbers of a stretch of a file: given its first sample at the rate of the model, how many
samples it has, and by what it was multiplied. The files may be shorter."""


class SegmentDataset(Dataset[dict[str, Tensor]]):
    """Cut random stretches out of sound files, for ever: item 0, 1, 2, ... of every stream.

    An item is a function of the seed, the stream's name and its own number alone, so that neither
    the number of workers nor a restart changes what is learned from. The files of a stream are
    taken in passes, each in another order, a file of d seconds about d / segment times a pass, at
    least once. Where in the file the stretch begins is drawn evenly.

    Every stretch is brought to the peak level by itself (floor at -80 dBFS: silence stays silence).
    Files of several channels are averaged to one, those of another rate resampled, and those
    shorter than a segment are followed by silence.

    ``beside`` are further numbers of a stream's stretches, by "STREAM/word": rows of speech
    features, or a label. Where there are any, stretches begin at a multiple of ``grid_samples``,
    so that rows kept of the whole file are those of the stretch. ``follows`` (follower -> leader)
    names streams whose files are those of another, one by one, and are cut at the same place.

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
        *,
        beside: Mapping[str, Beside] | None = None,
        grid_samples: int = 1,
        follows: Mapping[str, str] | None = None,
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
        self.beside = dict(beside or {})
        self.grid_samples = grid_samples
        self.follows = dict(follows or {})
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
        leader = self.follows.get(stream, stream)
        number, position = divmod(item, self.items_per_pass(leader))
        entry = self.streams[stream][self._order(leader, number)[position]]
        return entry, _generator(self.seed, leader, "place", item).random()

    def _draw_order(self, stream: str, number: int) -> npt.NDArray[np.int64]:
        files = self._pass_files[stream]
        return files[_generator(self.seed, stream, "order", number).permutation(len(files))]

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        """The stretches of one item, one a stream, and the numbers beside them."""
        found: dict[str, Tensor] = {}
        for stream in self.streams:
            entry, fraction = self.place(stream, item)
            leader, _ = self.place(self.follows.get(stream, stream), item)
            found |= self._stretch(stream, entry, leader, fraction)
        return found

    def held_out(self, limit: int) -> list[dict[str, Tensor]]:
        """Fixed items for validation: the middles of files spread evenly over each stream.

        As many as the smallest stream has files, or the limit.
        """
        count = min(limit, *map(len, self.streams.values()))
        items: list[dict[str, Tensor]] = [{} for _ in range(count)]
        for stream, entries in self.streams.items():
            leaders = self.streams[self.follows.get(stream, stream)]
            for index, item in enumerate(items):
                number = (2 * index + 1) * len(entries) // (2 * count)
                item |= self._stretch(stream, entries[number], leaders[number], 0.5)
        return items

    def _stretch(
        self, stream: str, entry: Entry, leader: Entry, fraction: float
    ) -> dict[str, Tensor]:
        rate, samples = self.sample_rate, self.segment_samples
        start = _start(leader.path, rate, samples, fraction)
        start -= start % self.grid_samples
        segment = _cut(entry.path, rate, samples, start)
        sound, gain = _levelled(segment, self.segment_samples, self.peak_db)
        found = {stream: sound}
        for name, numbers in self.beside.items():
            if name.partition("/")[0] == stream:
                found[name] = numbers(entry, start, self.segment_samples, gain)
        return found


def _generator(seed: int, *words: str | int) -> np.random.Generator:
    text = "\0".join(str(word) for word in (seed, *words))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]))


def _levelled(segment: Tensor, samples: int, peak_db: float) -> tuple[Tensor, float]:
    """The segment at its level, followed by silence, and by what it was multiplied."""
    # in numpy, as all of an item: torch's threads made it forty times slower on a busy machine
    sound = np.zeros(samples, np.float32)
    given = segment.numpy()
    gain = audio.peak_gain(float(np.abs(given).max(initial=0)), peak_db)
    sound[: len(given)] = given * gain
    return torch.from_numpy(sound), gain


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
    return _cut(path, sample_rate, samples, _start(path, sample_rate, samples, fraction))


def _start(path: Path, sample_rate: int, samples: int, fraction: float) -> int:
    """Where a stretch begins that lies so far into a file, in samples at the rate asked for."""
    info = audio.inspect(path)
    total = audio.resampled_length(info.samples, info.sample_rate, sample_rate)
    return min(int(fraction * (total - samples + 1)), total - samples) if total > samples else 0


def _cut(path: Path, sample_rate: int, samples: int, start: int) -> Tensor:
    info = audio.inspect(path)
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


@dataclass(frozen=True)
class Labels:
    """The number of a file's label, an integer, ()."""

    numbers: Mapping[str, int]

    def __call__(self, entry: Entry, start: int, samples: int, gain: float) -> Tensor:
        """The label of the file, wherever the stretch lies."""
        del start, samples, gain
        return torch.tensor(self.numbers[entry.label])


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
    whole = []
    for item in items:
        if isinstance(item, SelfRemasterError):
            return item
        whole.append(item)
    return stacked(whole)


def stacked(items: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """A batch of items."""
    # by numpy: torch's threads get in each other's way on a busy machine, for nothing here
    return {
        name: torch.from_numpy(np.stack([item[name].numpy() for item in items]))
        for name in items[0]
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
