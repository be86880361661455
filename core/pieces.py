"""Speech cut out of recordings of any length: the pieces that a model learns from."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from selfremaster.core import audio, manifests
from selfremaster.core.choices import evenly
from selfremaster.core.errors import AudioError
from selfremaster.core.files import sha256_of
from selfremaster.core.surveys import FileSurvey, Survey

SHORTEST_SECONDS, LONGEST_SECONDS = 6.0, 12.0  # of a piece, where there is enough speech
AROUND_SECONDS = 1.0  # of what is beside speech, so that the sound of the pauses is learned, too
LEAST_SECONDS = 1.0  # of a piece that stands alone
GAP_SECONDS = 1.0  # a longer pause ends a piece
PIECES_WANTED = 20  # of little speech shorter ones are made, so that some can be held out
HELD_OUT_EVERY, HELD_OUT_LEAST = 10, 3
PEAK_DB = -3.0
TRAIN, HELD_OUT, HEARD = "train", "val", "heard"
HEARD_COUNT, HEARD_SECONDS = 6, 8.0
MANIFEST_NAME = "manifest.csv"

Told = Callable[[int, int], None]
"""Told after each piece how many of how many are done."""


class Piece(NamedTuple):
    """A stretch of speech in a recording."""

    recording: Path
    start: float  # seconds
    seconds: float


def find_pieces(survey: Survey) -> list[Piece]:
    """The speech of surveyed recordings in pieces of 6 to 12 seconds, in order.

    A second before and after comes with it. Stretches that then lie within a second of each other
    are joined, long ones parted, and what stands alone is left out if it is shorter than a second.
    Where there is little speech, pieces are of 6 seconds rather than 12, so that there are some to
    hold out.
    """
    longest = min(max(survey.speech_seconds / PIECES_WANTED, SHORTEST_SECONDS), LONGEST_SECONDS)
    stretches = [piece for one in survey.files for piece in _widened(one)]
    return list(_joined(stretches, longest))


def find_heard(survey: Survey) -> list[Piece]:
    """Six windows of 8 seconds around speech, drawn evenly over all of it; fewer where it is short.

    They are what the criterion listens to, pauses and all; they may be among what is learned from,
    since nothing is told about them there.
    """
    stretches = [piece for one in survey.files for piece in _widened(one)]
    lengths = {one.source: one.seconds for one in survey.files}
    total = sum(piece.seconds for piece in stretches)
    count = min(HEARD_COUNT, max(1, int(total // HEARD_SECONDS)))
    found: list[Piece] = []
    passed, wanted = 0.0, [(2 * index + 1) * total / (2 * count) for index in range(count)]
    for piece in stretches:
        while wanted and passed + piece.seconds >= wanted[0]:
            middle = piece.start + wanted.pop(0) - passed
            seconds = min(HEARD_SECONDS, lengths[piece.recording])
            start = min(max(middle - seconds / 2, 0.0), lengths[piece.recording] - seconds)
            found.append(Piece(piece.recording, start, seconds))
        passed += piece.seconds
    return found


def draw_pieces(pieces: Sequence[Piece], most_seconds: float) -> list[Piece]:
    """The pieces, or of more speech than asked for, some drawn evenly; raises without any."""
    if not pieces:
        raise AudioError(
            "no stretch of speech is as long as a second, recordings and pauses together; join the "
            "recordings into longer ones"
        )
    seconds = sum(piece.seconds for piece in pieces)
    return evenly(pieces, max(int(len(pieces) * min(1.0, most_seconds / seconds)), 1))


def piece_name(number: int) -> str:
    """The file of a piece, which are counted from 1.

    >>> piece_name(7)
    '0007.flac'
    """
    return f"{number:04d}.flac"


def cut_pieces(
    pieces: Sequence[Piece],
    heard: Sequence[Piece],
    folder: Path,
    sample_rate: int,
    told: Told | None = None,
) -> manifests.Manifest:
    """Write the pieces as FLAC into a folder, each at its peak level, with ``manifest.csv``.

    Every tenth, three at least where there are enough of them, is held out: split ``val``, spread
    over recordings and time. What is ``heard`` comes on top, as a split of its own.

    Raises `AudioError` where a recording cannot be read, or `SelfRemasterError` a piece written.
    """
    kept = held_out(len(pieces))
    splits = [HELD_OUT if number in kept else TRAIN for number in range(len(pieces))]
    chosen, splits = [*pieces, *heard], [*splits, *[HEARD] * len(heard)]
    items = []
    for number, (piece, split) in enumerate(zip(chosen, splits, strict=True)):
        name = piece_name(number + 1)
        wave = _read(piece, sample_rate)
        audio.write(folder / name, audio.normalise_peak(wave, PEAK_DB), sample_rate)
        items.append(
            manifests.Item(
                name,
                split,
                seconds=wave.shape[-1] / sample_rate,
                sample_rate=sample_rate,
                channels=1,
                sha256=sha256_of(folder / name),
                others={"recording": str(piece.recording), "from_second": f"{piece.start:.2f}"},
            )
        )
        if told is not None:
            told(number + 1, len(chosen))
    manifest = manifests.Manifest(folder, tuple(items))
    manifests.write(manifest, folder / MANIFEST_NAME)
    return manifest


def held_out(count: int) -> set[int]:
    """Which of so many pieces are held out: every tenth, three at least, never most of them.

    >>> sorted(held_out(40)), sorted(held_out(12)), sorted(held_out(4)), sorted(held_out(1))
    ([5, 15, 25, 35], [2, 6, 10], [2], [])
    """
    wanted = max(count // HELD_OUT_EVERY, min(HELD_OUT_LEAST, count // 3), min(count - 1, 1))
    return {(2 * index + 1) * count // (2 * wanted) for index in range(wanted)}


def _widened(one: FileSurvey) -> Iterator[Piece]:
    """The speech of a recording with what is beside it; what then overlaps is one."""
    held: tuple[float, float] | None = None
    for start, end in one.stretches:
        first, last = max(start - AROUND_SECONDS, 0.0), min(end + AROUND_SECONDS, one.seconds)
        if held is not None and first <= held[1]:
            held = (held[0], last)
            continue
        if held is not None:
            yield Piece(one.source, held[0], held[1] - held[0])
        held = (first, last)
    if held is not None:
        yield Piece(one.source, held[0], held[1] - held[0])


def _joined(stretches: Sequence[Piece], longest: float) -> Iterator[Piece]:
    """Join stretches that lie near to each other into pieces, and part those that are long."""
    held: Piece | None = None
    for stretch in stretches:
        for part in _parts(stretch, longest):
            if held is not None and _fits(held, part, longest):
                held = held._replace(seconds=part.start + part.seconds - held.start)
                continue
            if held is not None and held.seconds >= LEAST_SECONDS:
                yield held
            held = part
    if held is not None and held.seconds >= LEAST_SECONDS:
        yield held


def _fits(held: Piece, part: Piece, longest: float) -> bool:
    gap = part.start - held.start - held.seconds
    together = part.start + part.seconds - held.start
    near = held.recording == part.recording and gap <= GAP_SECONDS
    return near and (together <= longest or min(held.seconds, part.seconds) < LEAST_SECONDS)


def _parts(stretch: Piece, longest: float) -> Iterator[Piece]:
    count = max(1, math.ceil(stretch.seconds / longest))
    for index in range(count):
        seconds = stretch.seconds / count
        yield Piece(stretch.recording, stretch.start + index * seconds, seconds)


def _read(piece: Piece, sample_rate: int) -> Tensor:
    """The mean of the channels, (samples,), at a rate."""
    info = audio.inspect(piece.recording, strict=False)
    first = min(round(piece.start * info.sample_rate), info.samples - 1)
    samples = max(round(piece.seconds * info.sample_rate), 1)
    strict = not info.remarks  # packed samples before the stretch are not decoded then
    wave, rate = audio.read(piece.recording, first, samples, strict=strict)
    return audio.resample(wave.mean(dim=0), rate, sample_rate)
