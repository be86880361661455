"""Sound in and out of files."""

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import Tensor

from selfremaster.core.errors import AudioError
from selfremaster.core.files import write_atomically
from selfremaster.core.folders import find_audio
from selfremaster.core.formats import BITS, FORMATS, UNLIMITED, AudioInfo, storage
from selfremaster.core.levels import (
    HIGHEST_RATE,
    LOWEST_RATE,
    normalise_peak,
    peak_db,
    peak_gain,
    resample,
    resampled_length,
    rms_db,
)
from selfremaster.core.mpeg import stating_its_length

__all__ = [
    "FORMATS",
    "AudioInfo",
    "blocks",
    "check",
    "find_audio",
    "inspect",
    "normalise_peak",
    "peak_db",
    "peak_gain",
    "read",
    "resample",
    "resampled_length",
    "rms_db",
    "write",
]

PathLike = str | os.PathLike[str]

BLOCK_SAMPLES = 1 << 16
BYTES_PER_WAV = 2**32 - 2**16
STREAMED_BYTES = 0x7FFF0000  # programs that write into a pipe declare this much, or more
SAMPLES_UNKNOWN = 1 << 60

_LENGTHS = re.compile(
    r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE
)


def inspect(path: PathLike) -> AudioInfo:
    """Length, rate, channels and kind of a sound file, from its header.

    Raises `AudioError` when it is missing, no audio, empty, shorter than its header says, or has
    a rate outside 1000 to 768000 Hz.
    """
    with _opened(path) as file:
        return _info(path, file)


def read(path: PathLike, start: int = 0, samples: int | None = None) -> tuple[Tensor, int]:
    """Take the sound, or a stretch of it, out of a file: the wave and its rate in Hz.

    A stretch that goes beyond the end is as long as the file lasts. However long the header says
    the file is, no more memory is taken than there is sound.

    Shape: (channels, samples), float32, full scale = 1.
    Raises `AudioError` as `inspect` does, for samples that are not finite numbers, and when the
    stretch starts outside the file.
    """
    with _opened(path) as file:
        info = _info(path, file)
        if not 0 <= start < info.samples:
            raise AudioError(f"{path}: sample {start} is not within the {info.samples} of the file")
        wanted = info.samples - start
        if samples is not None:
            wanted = min(wanted, max(samples, 0))
        _go_to(file, start)
        sound = _sound(path, file, info, start, wanted)
    return torch.from_numpy(sound), info.sample_rate


def blocks(path: PathLike) -> Iterator[Tensor]:
    """The sound of a file from its beginning to its end, in pieces of up to 65536 samples.

    Shape: (channels, samples), float32, full scale = 1.
    Raises `AudioError` where `read` would.
    """
    with _opened(path) as file:
        info = _info(path, file)
        for _, block in _blocks(path, file, info, 0, info.samples):
            yield torch.from_numpy(np.ascontiguousarray(block.T))


def check(path: PathLike) -> AudioInfo:
    """Go through the whole sound file, keeping nothing; raises `AudioError` where `read` would."""
    with _opened(path) as file:
        info = _info(path, file)
        for _, _ in _blocks(path, file, info, 0, info.samples):
            pass
    return info


class _Sound(soundfile.SoundFile):  # type: ignore[misc]  # the library has no type information
    """A file that is read block by block from where it stands."""

    def seekable(self) -> bool:
        """Never: the library would seek after each block, and fails where the end is not known."""
        return False


@contextmanager
def _opened(path: PathLike) -> Iterator[soundfile.SoundFile]:
    place = Path(path)
    try:
        size = place.stat().st_size
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(f"{path}: cannot be read: {reason.lower()}; check the path") from None
    if place.is_dir():
        raise AudioError(f"{path}: is a folder; name a sound file")
    if size == 0:
        raise AudioError(f"{path}: 0 samples of audio; nothing to restore")
    try:
        file = _Sound(_source(place))
    except (soundfile.SoundFileError, TypeError, OSError) as error:
        if not os.access(place, os.R_OK):
            raise AudioError(
                f"{path}: cannot be read: permission denied; check its rights"
            ) from None
        reason = _reason(error)
        raise AudioError(
            f"{path}: not audio, or damaged ({reason}); readable are {', '.join(FORMATS)}"
        ) from None
    with file:
        yield file


def _source(path: Path) -> Any:  # names in bytes hold any name; the library's types know of none
    return stating_its_length(path) or os.fsencode(path)


def _reason(error: Exception) -> str:
    text = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
    return text or "no reason given"


def _info(path: PathLike, file: soundfile.SoundFile) -> AudioInfo:
    rate = int(file.samplerate)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(
            f"{path}: the header says {rate} Hz; rates from {LOWEST_RATE} to {HIGHEST_RATE} Hz are "
            f"allowed; the header is damaged, or this is no sound"
        )
    for declared, there in _LENGTHS.findall(file.extra_info):
        if int(there) < int(declared) < STREAMED_BYTES:
            part = int(there) / int(declared)
            raise AudioError(_truncated(path, f"about {part:.0%} of the sound is there"))
    samples = int(file.frames)
    if samples >= SAMPLES_UNKNOWN or isinstance(file.name, io.BytesIO):
        status = os.stat(path)
        samples = _count(Path(path), status.st_size, status.st_mtime_ns)
    if samples <= 0:
        raise AudioError(f"{path}: 0 samples of audio; nothing to restore")
    return AudioInfo(samples, rate, int(file.channels), str(file.subtype), str(file.format))


def _truncated(path: PathLike, what: str) -> str:
    return f"{path}: truncated: {what}; copy it again, or save the part that is there as a new file"


@lru_cache(maxsize=256)
def _count(path: Path, _size: int, _changed: int) -> int:
    """The samples of a file whose header leaves them open, as one written into a pipe does."""
    counted = 0
    with _Sound(_source(path)) as file, suppress(soundfile.SoundFileError):
        while block := len(file.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)):
            counted += block
    return counted


def _go_to(file: soundfile.SoundFile, start: int) -> None:
    if start == 0:
        return
    try:
        file.seek(start)
    except soundfile.SoundFileError:  # GSM 06.10 in WAV, for one
        while start > 0 and (passed := len(file.read(min(start, BLOCK_SAMPLES)))):
            start -= passed


def _blocks(
    path: PathLike, file: soundfile.SoundFile, info: AudioInfo, start: int, wanted: int
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Stretches of the sound, each with its place in what was wanted, checked to be finite."""
    done = 0
    while done < wanted:
        try:
            read = file.read(min(BLOCK_SAMPLES, wanted - done), dtype="float32", always_2d=True)
            block = cast("npt.NDArray[np.float32]", read)
        except soundfile.SoundFileError:
            block = np.empty((0, info.channels), np.float32)
        if not len(block):
            found = (start + done) / info.sample_rate
            what = f"it can be read up to {found:.2f} of {info.seconds:.2f} seconds"
            if not start + done:
                what = f"the end of its {info.seconds:.2f} seconds is missing"
            raise AudioError(_truncated(path, what))
        if not np.isfinite(block).all():
            _refuse_not_finite(path, block, start + done, info.sample_rate)
        yield done, block
        done += len(block)


def _refuse_not_finite(
    path: PathLike, block: npt.NDArray[np.float32], first: int, sample_rate: int
) -> None:
    row, channel = np.argwhere(~np.isfinite(block))[0]
    position = first + int(row)
    raise AudioError(
        f"{path}: sample {position} ({position / sample_rate:.3f} seconds) is "
        f"{block[row, channel]}, not a finite number; cut it out or write the file anew"
    )


def _sound(
    path: PathLike, file: soundfile.SoundFile, info: AudioInfo, start: int, wanted: int
) -> npt.NDArray[np.float32]:
    # a header may declare any length: begin with what a file of this size may well hold
    plausible = 64 * Path(path).stat().st_size
    sound = np.empty((info.channels, min(wanted, plausible)), np.float32)
    for done, block in _blocks(path, file, info, start, wanted):
        end = done + len(block)
        if end > sound.shape[1]:
            larger = np.empty((info.channels, min(wanted, 2 * end)), np.float32)
            larger[:, :done] = sound[:, :done]
            sound = larger
        sound[:, done:end] = block.T
    return sound


def write(
    path: PathLike,
    wave: Tensor | npt.ArrayLike,
    sample_rate: int,
    like: AudioInfo | None = None,
    subtype: str | None = None,
) -> None:
    """Put a sound into a file, whole or not at all; the suffix says which container.

    Samples are stored as ``subtype`` says, or as in the file that the info ``like`` is of, or the
    nearest that the container holds: 24 bits for more than 16, otherwise 16 (Vorbis in Ogg).
    Whole numbers are rounded to the nearest, so that what was read unchanged is written unchanged.
    Nothing is clipped in silence: the level is the caller's matter.

    Shape: (samples,) or (channels, samples), full scale = 1.
    Raises `AudioError` for an unknown suffix, an empty wave, samples that are not finite, a peak
    beyond full scale (but for floating-point subtypes), and what the container cannot hold.
    """
    put = writer(path, wave, sample_rate, like, subtype)
    with write_atomically(path) as temporary:
        put(temporary)


def writer(
    path: PathLike,
    wave: Tensor | npt.ArrayLike,
    sample_rate: int,
    like: AudioInfo | None = None,
    subtype: str | None = None,
) -> Callable[[Path], None]:
    """Check a sound as `write` does; gives what puts it into a temporary file of that path."""
    place = Path(path)
    container, stored = storage(place, like, subtype)
    sound = _checked(place, torch.as_tensor(wave), stored)
    channels, samples = sound.shape
    if container == "WAV" and sound.size * max(BITS.get(stored, 32) // 8, 1) > BYTES_PER_WAV:
        container = "RF64"
    elif container == "WAV" and like is not None and like.format in {"WAVEX", "RF64"}:
        container = like.format

    def put(temporary: Path) -> None:
        name: Any = os.fsencode(temporary)
        try:
            with soundfile.SoundFile(
                name, "w", sample_rate, channels, stored, format=container
            ) as file:
                for start in range(0, samples, BLOCK_SAMPLES):
                    file.write(_stored(sound[:, start : start + BLOCK_SAMPLES].T, stored))
        except (soundfile.SoundFileError, ValueError, TypeError, AssertionError) as error:
            what = f"{channels} channels at {sample_rate} Hz as {container} {stored}"
            raise AudioError(
                f"{path}: {what} cannot be written ({_reason(error)}); take .wav or .flac"
            ) from None

    return put


def _checked(place: Path, wave: Tensor, stored: str) -> npt.NDArray[np.float32]:
    if wave.ndim not in {1, 2} or wave.numel() == 0:
        shape = tuple(wave.shape)
        raise AudioError(f"{place}: a wave is (samples,) or (channels, samples), not {shape}")
    sound: npt.NDArray[np.float32] = np.atleast_2d(wave.detach().float().cpu().numpy())
    if not np.isfinite(sound).all():
        position = int(np.argwhere(~np.isfinite(sound))[0, 1])
        raise AudioError(f"{place}: sample {position} is not a finite number; nothing is written")
    peak = float(np.abs(sound).max())
    if stored not in UNLIMITED and peak > 1 + 2.0 ** (1 - min(BITS.get(stored, 16), 24)):
        raise AudioError(
            f"{place}: the peak of {peak:.4g} is beyond full scale (1) and {stored} would clip it; "
            f"lower the level, or write it as FLOAT"
        )
    return sound


def _stored(block: npt.NDArray[np.float32], subtype: str) -> npt.NDArray[Any]:
    """Samples as libsndfile takes them: whole numbers in the upper bits, or parts of full scale."""
    if subtype in UNLIMITED:
        return block
    if subtype not in BITS:
        return np.clip(block, -1, 1)
    bits = BITS[subtype]
    whole = np.rint(block.astype(np.float64) * 2 ** (bits - 1))
    limited = np.clip(whole, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    upper: npt.NDArray[np.int32] = (limited * 2.0 ** (32 - bits)).astype(np.int32)
    return upper
