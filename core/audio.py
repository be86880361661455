"""Sound in and out of files."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from selfremaster.core.chains import Chain, parts_of
from selfremaster.core.containers import Track, is_container
from selfremaster.core.errors import AudioError
from selfremaster.core.folders import find_audio
from selfremaster.core.formats import (
    FORMATS,
    TRACK_SUFFIXES,
    UNLIMITED,
    AudioInfo,
    writable_suffix,
)
from selfremaster.core.levels import (
    normalise_peak,
    peak_db,
    peak_gain,
    resample,
    resampled_length,
    rms_db,
)
from selfremaster.core.mending import mended
from selfremaster.core.readings import Block
from selfremaster.core.sources import SoundFile, Source, nothing_in, truncated
from selfremaster.core.writing import check_place, write, write_blocks, writer

__all__ = [
    "FORMATS",
    "AudioInfo",
    "blocks",
    "check",
    "check_place",
    "find_audio",
    "inspect",
    "normalise_peak",
    "peak_db",
    "peak_gain",
    "read",
    "resample",
    "resampled_length",
    "rms_db",
    "writable_suffix",
    "write",
    "write_blocks",
    "writer",
]

PathLike = str | os.PathLike[str]

LEAST_FURTHER = 2304  # samples: two frames of MP3, which decoders begin and end otherwise by


def inspect(path: PathLike, *, strict: bool = True, repair: bool = False) -> AudioInfo:
    """Length, rate, channels and kind of a sound file, and what is wrong with it.

    From the header, where that tells; sound tracks are decoded for it. Unless ``strict``, what can
    be read of a truncated or damaged file counts as its length, and the info says how much is
    missing; packed samples are decoded for that. With ``repair`` the samples that are no finite
    numbers are counted, by reading the files that can hold such.

    Raises `AudioError` when it is missing, no audio, empty, shorter than its header says if
    ``strict``, or has a rate outside 1000 to 768000 Hz.
    """
    with _opened(path, strict) as source:
        info = source.info
        if repair and info.subtype in UNLIMITED:  # the others hold finite numbers only
            info = _with_repairs(path, source, strict)
    return info


def read(
    path: PathLike,
    start: int = 0,
    samples: int | None = None,
    *,
    strict: bool = True,
    repair: bool = False,
) -> tuple[Tensor, int]:
    """Take the sound, or a stretch of it, out of a file: the wave and its rate in Hz.

    A stretch that goes beyond the end is as long as the file lasts. However long the header says
    the file is, no more memory is taken than there is sound. Unless ``strict``, what there is of a
    truncated or damaged file is read. With ``repair``, samples that are no finite numbers are made
    up from their neighbours within the stretch, as `mended` says.

    Shape: (channels, samples), float32, full scale = 1.
    Raises `AudioError` as `inspect` does, for samples that are not finite numbers unless
    ``repair``, and when the stretch starts outside the file.
    """
    with _opened(path, strict) as source:
        info = source.info
        if not 0 <= start < info.samples:
            raise AudioError(f"{path}: sample {start} is not within the {info.samples} of the file")
        wanted = info.samples - start
        if samples is not None:
            wanted = min(wanted, max(samples, 0))
        source.skip(start)
        pieces = _blocks(path, source, start, wanted, strict, repair)
        sound = _joined(pieces, info.channels, min(wanted, 64 * Path(path).stat().st_size))
    return torch.from_numpy(sound), info.sample_rate


def blocks(path: PathLike, *, strict: bool = True, repair: bool = False) -> Iterator[Tensor]:
    """The sound of a file from its beginning to its end, in pieces of up to 65536 samples.

    Together they are what `read` gives with the same ``strict`` and ``repair``. Pieces of more
    channels than eight are shorter, and those beside many repaired samples longer.

    Shape: (channels, samples), float32, full scale = 1.
    Raises `AudioError` where `read` would.
    """
    with _opened(path, strict) as source:
        for _, block, _ in _blocks(path, source, 0, source.info.samples, strict, repair):
            yield torch.from_numpy(np.ascontiguousarray(block.T))


def check(path: PathLike, *, strict: bool = True, repair: bool = False) -> AudioInfo:
    """Go through the whole sound file, keeping nothing; raises `AudioError` where `read` would."""
    with _opened(path, strict) as source:
        if repair:
            return _with_repairs(path, source, strict)
        for _, _, _ in _blocks(path, source, 0, source.info.samples, strict, repair):
            pass
        return source.info


@contextmanager
def _opened(path: PathLike, strict: bool) -> Iterator[Source]:
    place = Path(path)
    head = _head(place)
    source: Source
    if is_container(head):
        source = Track(place, strict)
    elif parts := parts_of(place, head):
        source = Chain(place, strict, parts)
    else:
        try:
            source = _beyond_damage(SoundFile(place, strict), place)
        except AudioError:
            if place.suffix.lower() not in TRACK_SUFFIXES:
                raise
            source = Track(place, strict)
    try:
        yield source
    finally:
        source.close()


def _beyond_damage(source: SoundFile, place: Path) -> Source:
    """The source, or what PyAV reads of an MP3 file behind damage that libsndfile stops at."""
    info = source.info
    if info.format != "MP3" or not info.missing_seconds:
        return source
    try:
        track = Track(place, strict=False)
    except AudioError:  # the package may be missing
        return source
    own = track.info
    further = own.samples - info.samples
    same = (own.sample_rate, own.channels) == (info.sample_rate, info.channels)
    if not same or further < LEAST_FURTHER:
        track.close()
        return source
    source.close()
    missing = max(info.missing_seconds - further / info.sample_rate, own.missing_seconds)
    track.info = replace(own, missing_seconds=missing, format=info.format, subtype=info.subtype)
    return track


def _head(place: Path) -> bytes:
    """The first bytes of a file; raises for what is none, before waiting for a pipe to speak."""
    try:
        status = place.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{place}: is a folder; name a sound file")
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(
                f"{place}: is no file but a pipe, socket or device; copy its sound into a file"
            )
        if status.st_size == 0:
            raise nothing_in(place)
        with place.open("rb") as file:
            return file.read(16)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        remedy = "check its rights" if isinstance(error, PermissionError) else "check the path"
        raise AudioError(f"{place}: cannot be read: {reason}; {remedy}") from None


def _with_repairs(path: PathLike, source: Source, strict: bool) -> AudioInfo:
    """The info of a source that is read to its end, with the number of samples made up."""
    info = source.info
    made_up = sum(count for _, _, count in _blocks(path, source, 0, info.samples, strict, True))
    if made_up == info.samples * info.channels:
        raise AudioError(f"{path}: not one sample is a finite number; nothing to repair it from")
    return replace(info, repaired_samples=made_up)


def _blocks(
    path: PathLike, source: Source, start: int, wanted: int, strict: bool, repair: bool
) -> Iterator[tuple[int, Block, int]]:
    """Stretches of finite samples: the place in what was wanted, and how many were made up."""
    taken = _taken(path, source, start, wanted, strict)
    done = 0
    for block, count in mended(taken) if repair else ((block, 0) for block in taken):
        if not repair and not np.isfinite(block).all():
            _refuse_not_finite(path, block, start + done, source.info.sample_rate)
        yield done, block, count
        done += len(block)


def _taken(
    path: PathLike, source: Source, start: int, wanted: int, strict: bool
) -> Iterator[Block]:
    """What a source gives, until all that was wanted is there."""
    done = 0
    while done < wanted:
        block = source.take(wanted - done)
        if not len(block) and strict:
            info = source.info
            found = (start + done) / info.sample_rate
            what = f"it can be read up to {found:.2f} of {info.seconds:.2f} seconds"
            if not start + done:
                what = f"the end of its {info.seconds:.2f} seconds is missing"
            raise truncated(Path(path), what)
        if not len(block):
            return
        yield block
        done += len(block)


def _refuse_not_finite(path: PathLike, block: Block, first: int, sample_rate: int) -> None:
    row, channel = np.argwhere(~np.isfinite(block))[0]
    position = first + int(row)
    raise AudioError(
        f"{path}: sample {position} ({position / sample_rate:.3f} seconds) is "
        f"{block[row, channel]}, not a finite number; cut it out or write the file anew"
    )


def _joined(pieces: Iterable[tuple[int, Block, int]], channels: int, plausible: int) -> Block:
    # a header may declare any length: begin with what a file of this size may well hold
    sound = np.empty((channels, plausible), np.float32)
    end = 0
    for done, block, _ in pieces:
        end = done + len(block)
        if end > sound.shape[1]:
            larger = np.empty((channels, 2 * end), np.float32)
            larger[:, :done] = sound[:, :done]
            sound = larger
        sound[:, done:end] = block.T
    return sound if end == sound.shape[1] else sound[:, :end].copy()
