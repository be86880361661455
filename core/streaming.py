"""Sounds that are not held in memory: read, worked on and kept block by block."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import soxr
import torch
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.errors import AudioError
from selfremaster.core.files import OUT_OF_SPACE, cannot_write
from selfremaster.core.levels import check_rates, long_enough, resampled_length

BLOCK_SAMPLES = 1 << 16


class Sound(Protocol):
    """A sound that can be gone through from its beginning, any number of times."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def channels(self) -> int:
        """How many."""

    @property
    def samples(self) -> int:
        """Of each channel."""

    def blocks(self) -> Iterator[Tensor]:
        """The sound in pieces of any lengths, (channels, samples) float32, full scale = 1."""


@dataclass(frozen=True)
class Held:
    """A sound in memory, (channels, samples) float32."""

    wave: Tensor
    sample_rate: int

    @property
    def channels(self) -> int:
        """How many."""
        return self.wave.shape[0]

    @property
    def samples(self) -> int:
        """Of each channel."""
        return self.wave.shape[1]

    def blocks(self) -> Iterator[Tensor]:
        """The sound in pieces."""
        yield from torch.split(self.wave, BLOCK_SAMPLES, dim=1)


@dataclass(frozen=True)
class Filed:
    """A sound in a file."""

    path: Path
    info: audio.AudioInfo
    strict: bool = True
    repair: bool = False

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.info.sample_rate

    @property
    def channels(self) -> int:
        """How many."""
        return self.info.channels

    @property
    def samples(self) -> int:
        """Of each channel."""
        return self.info.samples

    def blocks(self) -> Iterator[Tensor]:
        """The sound in pieces; raises `AudioError` as `audio.read` does."""
        yield from audio.blocks(self.path, strict=self.strict, repair=self.repair)


@dataclass(frozen=True)
class Altered:
    """A sound every block of which goes through a function that keeps its length."""

    sound: Sound
    function: Callable[[Tensor], Tensor]
    channels: int

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.sound.sample_rate

    @property
    def samples(self) -> int:
        """Of each channel."""
        return self.sound.samples

    def blocks(self) -> Iterator[Tensor]:
        """The sound in pieces."""
        return map(self.function, self.sound.blocks())


def mixed(sound: Sound) -> Sound:
    """The mean of a sound's channels."""
    return Altered(sound, lambda block: block.mean(dim=0, keepdim=True), 1)


@dataclass(frozen=True)
class Resampled:
    """A sound at another rate."""

    sound: Sound
    sample_rate: int

    @property
    def channels(self) -> int:
        """How many."""
        return self.sound.channels

    @property
    def samples(self) -> int:
        """Of each channel."""
        return resampled_length(self.sound.samples, self.sound.sample_rate, self.sample_rate)

    def blocks(self) -> Iterator[Tensor]:
        """The sound in pieces."""
        sound = self.sound
        return resample_blocks(sound.blocks(), sound.sample_rate, self.sample_rate, self.samples)


@dataclass(frozen=True)
class Beginning:
    """So many samples of a sound, or all that there are."""

    sound: Sound
    most: int

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.sound.sample_rate

    @property
    def channels(self) -> int:
        """How many."""
        return self.sound.channels

    @property
    def samples(self) -> int:
        """Of each channel."""
        return min(self.most, self.sound.samples)

    def blocks(self) -> Iterator[Tensor]:
        """The sound in pieces; what comes later is not read."""
        wanted = self.samples
        for block in self.sound.blocks():
            yield block[:, :wanted]
            wanted -= min(block.shape[1], wanted)
            if not wanted:
                break


class Spool:
    """A sound on its way: written down block by block, and read again.

    In the folder that is named, in a file without a name, which nobody has to clear away; without
    a folder, in memory. Raises `SelfRemasterError` when the disk is full.

    >>> with Spool(8000, 1) as spool:
    ...     spool.add(torch.tensor([[0.5, -0.5]]))
    ...     spool.add(torch.tensor([[1.0]]))
    ...     spool.samples, [block.tolist() for block in spool.blocks()]
    (3, [[[0.5, -0.5]], [[1.0]]])
    """

    def __init__(self, sample_rate: int, channels: int, folder: Path | None = None) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self.samples = 0
        self.folder = folder
        self._held: list[Tensor] = []
        self._open = ExitStack()
        self._file: Any = None
        if folder is not None:
            try:
                self._file = self._open.enter_context(tempfile.TemporaryFile(dir=folder))
            except OSError as error:
                raise cannot_write(folder, error) from None

    def __enter__(self) -> Self:
        """Ready to be written to."""
        return self

    def __exit__(self, *_: object) -> None:
        """Forget it."""
        self._held.clear()
        self._open.close()

    def add(self, block: Tensor) -> None:
        """Write the next block down, (channels, samples)."""
        self.samples += block.shape[1]
        if self.folder is None:
            self._held.append(block)
            return
        try:
            self._file.write(np.ascontiguousarray(block.numpy().T).tobytes())
            self._file.flush()
        except OSError as error:
            if error.errno in OUT_OF_SPACE:
                raise cannot_write(self.folder, error) from None
            raise

    def blocks(self) -> Iterator[Tensor]:
        """What was written, from its beginning."""
        if self.folder is None:
            yield from self._held
            return
        frame = 4 * self.channels
        for start in range(0, self.samples, BLOCK_SAMPLES):
            self._file.seek(start * frame)
            read = self._file.read(min(BLOCK_SAMPLES, self.samples - start) * frame)
            rows = np.frombuffer(read, np.float32).reshape(-1, self.channels)
            yield torch.from_numpy(np.array(rows.T, order="C"))


def beginning(sound: Sound, samples: int | None = None) -> Tensor:
    """The sound, or so much of its beginning, in memory, (channels, samples).

    >>> beginning(Held(torch.arange(5.0)[None], 8000), 2)
    tensor([[0., 1.]])
    """
    wanted = sound.samples if samples is None else samples
    return torch.cat([*Beginning(sound, wanted).blocks()], dim=1)


def resample_blocks(
    blocks: Iterable[Tensor], from_hz: int, to_hz: int, samples: int
) -> Iterator[Tensor]:
    """Change the rate of a sound that comes in blocks, to the same bits as `levels.resample`.

    ``samples`` is the length of what comes out. Raises `AudioError` as `levels.resample` does.

    >>> blocks = torch.ones(1, 10).split(3, dim=1)
    >>> [block.shape[1] for block in resample_blocks(blocks, 8000, 8000, 10)]
    [3, 3, 3, 1]
    """
    check_rates(from_hz, to_hz)
    if from_hz == to_hz:
        yield from blocks
        return
    given = samples
    stream: soxr.ResampleStream | None = None
    for block, last in _with_last(blocks):
        rows = np.ascontiguousarray(block.float().numpy().T)
        if stream is None and last:
            rows = long_enough(rows, from_hz, to_hz)
        if stream is None:
            stream = soxr.ResampleStream(
                from_hz, to_hz, rows.shape[1], dtype="float32", quality="VHQ"
            )
        made = stream.resample_chunk(rows, last=last)[:given]
        given -= len(made)
        if last and given:
            made = np.pad(made, ((0, given), (0, 0)))
        if len(made):
            yield torch.from_numpy(np.ascontiguousarray(made.T))


def _with_last(blocks: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Each block, and whether it is the last one."""
    waiting: Tensor | None = None
    for block in blocks:
        if waiting is not None:
            yield waiting, False
        waiting = block
    if waiting is not None:
        yield waiting, True


def stretches(blocks: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    """A sound that comes in blocks, in stretches of so many samples; the last may be shorter.

    >>> [piece.shape[1] for piece in stretches(torch.ones(1, 10).split(3, dim=1), 4)]
    [4, 4, 2]
    """
    waiting: list[Tensor] = []
    length = 0
    for block in blocks:
        waiting.append(block)
        length += block.shape[1]
        if length < samples:
            continue
        *whole, rest = torch.split(torch.cat(waiting, dim=1), samples, dim=1)
        if rest.shape[1] == samples:
            whole, rest = [*whole, rest], rest[:, :0]
        yield from whole
        waiting, length = [rest.clone()], rest.shape[1]
    if length:
        yield torch.cat(waiting, dim=1)


def side_by_side(one: Sound, other: Sound) -> Iterator[tuple[Tensor, Tensor]]:
    """The blocks of two sounds of the same length, cut so that those beside each other are as long.

    Raises `AudioError` where one ends before the other.

    >>> one, other = Held(torch.zeros(1, 5), 8000), Held(torch.ones(2, 5), 8000)
    >>> [(len(left), len(right)) for left, right in side_by_side(one, other)]
    [(1, 2)]
    """
    left, right = _Cutter(one.blocks()), _Cutter(other.blocks())
    while length := min(left.ready(), right.ready()):
        yield left.cut(length), right.cut(length)
    if left.ready() or right.ready():
        raise AudioError("a sound ended before the other one; it was changed meanwhile")


class _Cutter:
    """Gives blocks in other lengths than they come in."""

    def __init__(self, blocks: Iterator[Tensor]) -> None:
        self._blocks = blocks
        self._block = torch.zeros(1, 0)

    def ready(self) -> int:
        """How many samples can be cut off at once; none at the end."""
        while not self._block.shape[1]:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._block = block
        return self._block.shape[1]

    def cut(self, length: int) -> Tensor:
        """The next samples, (channels, length)."""
        piece, self._block = self._block[:, :length], self._block[:, length:]
        return piece
