"""Sound files as libsndfile reads them, piece by piece, and what it does not say of them."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import soundfile

from selfremaster.core.delays import delay_of_file
from selfremaster.core.endings import Understated, bytes_behind, ogg_has_its_end, promised_frames
from selfremaster.core.errors import AudioError
from selfremaster.core.formats import FORMATS, SAMPLE_BYTES, AudioInfo
from selfremaster.core.levels import HIGHEST_RATE, LOWEST_RATE
from selfremaster.core.readings import BLOCK_SAMPLES, PACKED, Block, Reading, Within
from selfremaster.core.stretches import stretch_of
from selfremaster.core.writing import reason_of

STREAMED_BYTES = 0x7FFF0000  # programs that write into a pipe declare this much, or more
SAMPLES_UNKNOWN = 1 << 60
LONGEST_PADDING = 4096  # samples that fill the last block of ADPCM and its like
END_IS_MISSING = "truncated: the end is missing; how long it was cannot be told"
_LENGTHS = re.compile(
    r"^\s*(data|SSND|BODY|Data Size|riff|Riff size)\s*:\s*(\d+) \(should be (\d+)\)",
    re.MULTILINE,
)
_FACT = re.compile(r"^fact : \d+\n\s*frames\s*: (\d+)$", re.MULTILINE)


class Source(Protocol):
    """A sound that is read from its beginning to its end."""

    info: AudioInfo

    def take(self, samples: int) -> Block:
        """Up to so many samples, (samples, channels); none where it ends, or cannot be read."""

    def skip(self, samples: int) -> None:
        """Go on without so many samples."""

    def close(self) -> None:
        """Let go of the file."""


def truncated(path: Path, what: str) -> AudioError:
    """The error for a file that ends too early."""
    return AudioError(
        f"{path}: truncated: {what}; copy it again, or save the part that is there as a new file"
    )


def not_audio(path: Path, reason: str) -> AudioError:
    """The error for a file without a sound that can be read."""
    words = " ".join(reason.split()) or "no reason given"
    if words.startswith("File does not exist"):  # what libsndfile says of a tag without an end
        words = "its beginning leads beyond its end"
    readable = f"{', '.join(FORMATS)} and sound tracks such as .m4a, .mp4, .wma and .mkv"
    return AudioError(f"{path}: not audio, or damaged ({words}); readable are {readable}")


def nothing_in(path: Path) -> AudioError:
    """The error for a file without a single sample."""
    return AudioError(f"{path}: 0 samples of audio; nothing to restore")


def check_rate(path: Path, rate: int) -> None:
    """Raise `AudioError` for a rate that no recording has."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(
            f"{path}: the header says {rate} Hz; rates from {LOWEST_RATE} to {HIGHEST_RATE} Hz are "
            f"allowed; the header is damaged, or this is no sound"
        )


class SoundFile(Reading):
    """A file that libsndfile reads, and what its header says.

    Unless ``strict``, its info is that of what can be read, which takes going through all of it
    where samples are packed. ``within`` says which bytes of a file are one of their own.
    Raises `AudioError` for what is no sound, and for what is truncated where it is strict.
    """

    info: AudioInfo
    _delay = 0  # samples that the codec puts before the sound

    def __init__(self, path: Path, strict: bool, within: Within | None = None) -> None:
        try:
            super().__init__(path, strict, within)
        except (soundfile.SoundFileError, TypeError, OSError) as error:
            raise not_audio(path, reason_of(error)) from None
        try:
            self.info = self._look()
            self.skip(self._delay)
        except BaseException:
            self.close()
            raise

    def _look(self) -> AudioInfo:
        file, path, status = self.file, self._path, self._path.stat()
        rate, declared = int(file.samplerate), int(file.frames)
        check_rate(path, rate)
        missing = self._cut_off() + self.lost_seconds
        if missing and self._strict:
            raise truncated(path, f"{missing:.2f} seconds of the sound cannot be read")
        notes: tuple[str, ...] = ()
        if (file.format == "OGG" and not ogg_has_its_end(path, self._within)) or (
            file.format == "VOC" and "truncated" in file.extra_info
        ):
            notes = (END_IS_MISSING,)
        if notes and self._strict:
            raise truncated(path, "the end is missing")
        if self.understated is not None and self.understated.told_part < 1:
            notes = (self._too_little(self.understated, rate),)
        elif more := bytes_behind(path):
            notes = (f"{more} bytes follow the sound and are left out; they are no chunk of it",)
        raw = file.format == "RAW"  # and its length a little too great
        if raw:
            notes = (f"no header; taken for {file.subtype} at {rate} Hz because of its name",)
        samples, unknown = declared, raw or declared >= SAMPLES_UNKNOWN
        if unknown or self.counts_anew or not (self._strict or self._is_plain(status.st_size)):
            samples, lost = _count(
                path, self._strict, self._within, status.st_size, status.st_mtime_ns
            )
            if not (unknown or self.counts_anew):
                missing += max(declared - samples, 0) / rate
                if missing and file.format == "OGG":  # its reader says nothing of where
                    notes += ("what follows the damage comes so much earlier",)
            missing += lost / rate
        samples = _without_padding(samples, file.extra_info)
        if samples <= 0:
            raise nothing_in(path)
        delay = delay_of_file(file.subtype, not self.made_up)
        if delay.samples < samples:
            self._delay = delay.samples
            samples -= self._delay
            notes += (delay.note,) * bool(delay.note)
        subtype, container = str(file.subtype), str(file.format)
        told = stretch_of(path)
        return AudioInfo(
            samples,
            rate,
            int(file.channels),
            subtype,
            container,
            missing,
            0,
            notes,
            told.mask if told else None,
            told.is_ambisonic if told else False,
        )

    def _cut_off(self) -> float:
        """How many seconds the header promises beyond the end; raises where it must not."""
        found = {
            name.lower(): (int(declared), int(there))
            for name, declared, there in _LENGTHS.findall(self.file.extra_info)
            if int(there) < int(declared) < STREAMED_BYTES
        }
        promised = promised_frames(self._path, self.file.format, self.file.extra_info)
        if promised > self.file.frames > 0:
            found["frames"] = (promised, self.file.frames)
        if found and self._strict:
            declared, there = next(iter(found.values()))
            raise truncated(self._path, f"about {there / declared:.0%} of the sound is there")
        if self.file.format not in {"RF64", "W64"}:  # the others tell of the sound itself, too
            found.pop("riff", None)
        for name, (declared, there) in found.items():
            if name == "frames":
                return float((declared - there) / self.file.samplerate)
            plain = SAMPLE_BYTES.get(self.file.subtype, 0) * self.file.channels
            samples = (
                (declared - there) / plain
                if plain
                else (self.file.frames * (declared - there) / max(there, 1))
            )
            return float(samples / self.file.samplerate)
        return 0.0

    def _too_little(self, found: Understated, rate: int) -> str:
        """What is said of a header that tells of less sound than there is; raises if strict."""
        seconds = self.file.frames / rate
        told = f"{seconds * found.told_part:.2f} of {seconds:.2f} seconds"
        if self._strict:
            raise AudioError(
                f"{self._path}: its header tells of {told} alone; copy it again, or save it as a "
                "new file"
            )
        return f"its header tells of {told} alone; the sound is read to the end of the file"

    def _is_plain(self, size: int) -> bool:
        """Whether the number of samples follows from the number of bytes, and the last is there."""
        file = self.file
        stored = SAMPLE_BYTES.get(file.subtype)
        if stored is None or file.format in PACKED:
            return False
        if not 0 < file.frames * file.channels * stored <= size:
            return False
        try:  # what comes before the sound, such as a tag, counts as sound in some files
            file.seek(file.frames - 1)
            is_there = len(file.read(1, dtype="float32")) == 1
            file.seek(0)
        except soundfile.SoundFileError:
            return False
        return is_there


@lru_cache(maxsize=256)
def _count(
    path: Path, strict: bool, within: Within | None, _size: int, _changed: int
) -> tuple[int, int]:
    """The samples that can be read, and how many of them are silence in place of damage."""
    counted = 0
    reading = Reading(path, strict, within)
    try:
        while count := len(reading.take(BLOCK_SAMPLES)):
            counted += count
    finally:
        reading.close()
    return counted, reading.lost_samples


def _without_padding(samples: int, told: str) -> int:
    """Without what fills the last block of packed samples, where the file tells their number."""
    fact = _FACT.search(told)
    stated = int(fact.group(1)) if fact else samples
    return stated if 0 < stated and 0 <= samples - stated < LONGEST_PADDING else samples
