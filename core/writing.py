"""Sound into files."""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import Tensor

from selfremaster.core.errors import AudioError, PeakError
from selfremaster.core.files import write_atomically
from selfremaster.core.formats import BITS, FINER, SAMPLE_BYTES, UNLIMITED, AudioInfo, storage
from selfremaster.core.remedies import MOST_OF_OGG, remedy_for
from selfremaster.core.stretches import put_speakers
from selfremaster.core.tags import Tags, left_out, put_pieces, read_tags, write_texts

PathLike = str | os.PathLike[str]
Samples = npt.NDArray[np.float32] | npt.NDArray[np.float64]

BLOCK_SAMPLES = 1 << 16
MOST_BYTES = 2**32 - 2**16  # of sound where lengths have 32 bits
NO_LONGER = frozenset({"AIFF", "AU"})  # WAV has RF64 for what is longer
VORBIS_RATE_HZ = 200_000  # that libsndfile does not break down at


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


def write_blocks(
    path: PathLike,
    blocks: Iterable[Tensor],
    sample_rate: int,
    channels: int,
    samples: int,
    like: AudioInfo | None = None,
    subtype: str | None = None,
    tags: Tags | None = None,
    hear: Callable[[Path], None] | None = None,
) -> tuple[str, ...]:
    """Put a sound that comes in blocks into a file, as `write` does.

    ``samples`` are how many there are of each channel. What is wrong with a block is found when it
    comes; then no file is there. ``tags`` are written as far as the container has a place for them;
    what is left out is given, in words. ``hear`` is called with the file before it takes its place,
    which it does not if that raises.

    Shape: blocks (channels, samples), full scale = 1. Raises `AudioError` as `write` does.
    """
    place = Path(path)
    container, stored = _storage(place, channels * samples, like, subtype)

    def checked() -> Iterator[Samples]:
        done = 0
        for block in blocks:
            yield _checked(place, block, stored, done)
            done += block.shape[1]
            if done > samples:
                break
        if done != samples:
            raise AudioError(f"{path}: {done} samples came of {samples}; nothing is written")

    with write_atomically(path) as temporary:
        _put(temporary, place, checked(), sample_rate, channels, container, stored, tags)
        _put_speakers(temporary, channels, like)
        if hear is not None:
            hear(temporary)
        return () if tags is None else left_out(tags, read_tags(temporary))


def writer(
    path: PathLike,
    wave: Tensor | npt.ArrayLike,
    sample_rate: int,
    like: AudioInfo | None = None,
    subtype: str | None = None,
) -> Callable[[Path], None]:
    """Check a sound as `write` does; gives what puts it into a temporary file of that path."""
    place = Path(path)
    tensor = torch.as_tensor(wave)
    container, stored = _storage(place, tensor.numel(), like, subtype)
    sound = _checked(place, tensor, stored)

    def put(temporary: Path) -> None:
        starts = range(0, sound.shape[1], BLOCK_SAMPLES)
        blocks = (sound[:, start : start + BLOCK_SAMPLES] for start in starts)
        _put(temporary, place, blocks, sample_rate, len(sound), container, stored)
        _put_speakers(temporary, len(sound), like)

    return put


def check_place(
    path: PathLike,
    channels: int,
    samples: int,
    sample_rate: int,
    like: AudioInfo | None = None,
    subtype: str | None = None,
) -> None:
    """Raise `AudioError` as `write` would for such a sound, before there is one."""
    place = Path(path)
    container, stored = _storage(place, channels * samples, like, subtype)
    _check_vorbis(place, channels, sample_rate, stored)
    try:
        with soundfile.SoundFile(
            io.BytesIO(), "w", sample_rate, channels, stored, format=container
        ) as file:
            file.write(np.zeros((1, channels), np.float32))  # some encoders begin no sooner
    except (soundfile.SoundFileError, ValueError, TypeError, AssertionError) as error:
        raise _refusal(place, channels, sample_rate, container, stored, error) from None


def _storage(
    place: Path, values: int, like: AudioInfo | None, subtype: str | None
) -> tuple[str, str]:
    """Container and subtype for so many samples of all channels together."""
    container, stored = storage(place, like, subtype)
    size = values * SAMPLE_BYTES.get(stored, 1)
    if size > MOST_BYTES and container in NO_LONGER:
        raise AudioError(
            f"{place}: the sound has {size / 2**30:.1f} GiB and {container} holds no more than 4; "
            "take .wav, .flac or .caf"
        )
    if container == "WAV" and size > MOST_BYTES and soundfile.check_format("RF64", stored):
        container = "RF64"
    elif container == "WAV" and like is not None and like.format in {"WAVEX", "RF64"}:
        container = like.format
    return container, stored


def _put(
    temporary: Path,
    place: Path,
    blocks: Iterable[Samples],
    sample_rate: int,
    channels: int,
    container: str,
    stored: str,
    tags: Tags | None = None,
) -> None:
    told = tags or Tags()
    _check_vorbis(place, channels, sample_rate, stored)
    name: Any = os.fsencode(temporary)
    try:
        file = soundfile.SoundFile(name, "w", sample_rate, channels, stored, format=container)
        with file:
            write_texts(file, told)
            for block in blocks:
                file.write(_stored(block.T, stored))
        put_pieces(temporary, container, told)
    except (soundfile.SoundFileError, ValueError, TypeError, AssertionError) as error:
        _try_the_disk(temporary)
        raise _refusal(place, channels, sample_rate, container, stored, error) from None


def _check_vorbis(place: Path, channels: int, sample_rate: int, stored: str) -> None:
    """Raise `AudioError` for what the library would not refuse, but end the process at."""
    if stored == "VORBIS" and not (channels <= MOST_OF_OGG and sample_rate <= VORBIS_RATE_HZ):
        most = f"{MOST_OF_OGG} channels and a sample rate of {VORBIS_RATE_HZ} Hz at most"
        raise _refusal(place, channels, sample_rate, "OGG", stored, ValueError(most))


def _put_speakers(temporary: Path, channels: int, like: AudioInfo | None) -> None:
    if like is not None and like.speakers is not None and like.channels == channels:
        put_speakers(temporary, like.speakers, like.is_ambisonic)


def _refusal(
    place: Path, channels: int, sample_rate: int, container: str, stored: str, error: Exception
) -> AudioError:
    """What is said of a sound that a kind of file cannot hold, and which can."""
    what = f"{channels} channels at {sample_rate} Hz as {container} {stored}"
    advice = remedy_for(place, stored, channels, sample_rate)
    return AudioError(f"{place}: {what} cannot be written ({reason_of(error)}); {advice}")


def _try_the_disk(temporary: Path) -> None:
    """Raise what the system says of a file that grows no more; libsndfile does not tell."""
    with temporary.open("ab") as file:
        file.write(bytes(BLOCK_SAMPLES))


def reason_of(error: Exception) -> str:
    """What libsndfile says is wrong, in one line."""
    text = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
    return text or "no reason given"


def _checked(place: Path, wave: Tensor, stored: str, before: int = 0) -> Samples:
    if wave.ndim not in {1, 2} or wave.numel() == 0:
        shape = tuple(wave.shape)
        raise AudioError(f"{place}: a wave is (samples,) or (channels, samples), not {shape}")
    exact = stored in FINER and wave.dtype == torch.float64
    held = wave.detach() if exact else wave.detach().float()
    sound: Samples = np.atleast_2d(held.cpu().numpy())
    if not np.isfinite(sound).all():
        position = before + int(np.argwhere(~np.isfinite(sound))[0, 1])
        raise AudioError(f"{place}: sample {position} is not a finite number; nothing is written")
    peak = float(np.abs(sound).max())
    if stored not in UNLIMITED and peak > 1 + 2.0 ** (1 - min(BITS.get(stored, 16), 24)):
        raise PeakError(
            f"{place}: the peak of {peak:.4g} is beyond full scale (1) and {stored} would clip it; "
            f"lower the level, or write it as FLOAT"
        )
    return sound


def _stored(block: Samples, subtype: str) -> npt.NDArray[Any]:
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
