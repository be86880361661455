"""Containers of sound files, and how samples are stored in them."""

from dataclasses import dataclass
from pathlib import Path

import soundfile

from selfremaster.core.errors import AudioError

FORMATS = {
    ".wav": "WAV",
    ".wave": "WAV",
    ".bwf": "WAV",
    ".flac": "FLAC",
    ".ogg": "OGG",
    ".oga": "OGG",
    ".opus": "OGG",
    ".mp3": "MP3",
    ".aiff": "AIFF",
    ".aif": "AIFF",
    ".aifc": "AIFF",
    ".au": "AU",
    ".snd": "AU",
    ".caf": "CAF",
    ".w64": "W64",
    ".rf64": "RF64",
}
"""Containers by suffix, for reading and for writing."""

READ_ALONE = (".8svx", ".avr", ".ircam", ".mp2", ".mpa", ".nist", ".sph", ".svx", ".voc")
"""Of files that libsndfile reads, as which nothing is written."""

TRACK_SUFFIXES = (
    *(".3g2", ".3ga", ".3gp", ".aac", ".ac3", ".amr", ".asf", ".avi", ".awb", ".dv", ".eac3"),
    *(".ec3", ".f4a", ".f4v", ".flv", ".m2t", ".m2ts", ".m4a", ".m4b", ".m4r", ".m4v", ".mka"),
    *(".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".ogx", ".qt"),
    *(".ra", ".rm", ".ts", ".tta", ".vob", ".weba", ".webm", ".wma", ".wmv", ".wv"),
)
"""Of files whose sound tracks PyAV reads; nothing is written as they are."""

READABLE = (*FORMATS, *READ_ALONE, *TRACK_SUFFIXES)
"""Suffixes that folders are searched for."""

SPEAKERS_HOLDING = frozenset({"WAV", "RF64"})
ORDINARY_SPEAKERS = {
    3: {0x7},
    4: {0x33},
    5: {0x37, 0x607},
    6: {0x3F, 0x60F},
    7: {0x70F},
    8: {0x63F},
}
"""Masks by number of channels: what FLAC files mean, which cannot say anything else."""

LOSSLESS_SUFFIX = ".flac"

DEFAULT_SUBTYPES = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
"""How samples are stored in the containers that hold no 16-bit samples."""

BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
SAMPLE_BYTES = {
    **{name: bits // 8 for name, bits in BITS.items()},
    **{"FLOAT": 4, "DOUBLE": 8, "ULAW": 1, "ALAW": 1},
}
"""Of the subtypes that are not packed."""

ALAC = frozenset({"ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32"})
EXACT = frozenset({"PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"}) | ALAC
"""Subtypes that hardly change the level of what is stored as they are."""

UNLIMITED = frozenset({"FLOAT", "DOUBLE"})
FINER = frozenset({"PCM_32", "DOUBLE"})
"""Subtypes whose samples float32 rounds."""

DEEP = frozenset({"PCM_24", "PCM_32", "FLOAT", "DOUBLE"}) | ALAC - {"ALAC_16"}
"""Subtypes that are not to be cut to 16 bits when the new container cannot hold them."""

KEPT_SUBTYPES = (
    frozenset(BITS) | ALAC | UNLIMITED | {"ULAW", "ALAW", "VORBIS", "OPUS", "MPEG_LAYER_III"}
)
"""Subtypes of an input that an output is given; the others change the number of samples."""

NOT_KEPT = {
    "AIFF": frozenset({"PCM_S8", "PCM_U8", "ULAW", "ALAW"}),  # odd lengths grow by one sample
    "WAV": frozenset({"MPEG_LAYER_III"}),  # can be read, but not written
}
"""Subtypes that are not kept in some containers, because of what libsndfile makes of them."""


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file holds: length in samples, rate in Hz, how samples are stored.

    ``missing_seconds`` of its sound cannot be read, ``repaired_samples`` are no finite numbers and
    are made up from their neighbours, and ``notes`` say what else there is to know. ``speakers`` is
    the mask by which WAV files say which speaker each channel is for, if they do.
    """

    samples: int
    sample_rate: int
    channels: int
    subtype: str
    format: str
    missing_seconds: float = 0.0
    repaired_samples: int = 0
    notes: tuple[str, ...] = ()
    speakers: int | None = None
    is_ambisonic: bool = False

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.samples / self.sample_rate

    @property
    def remarks(self) -> tuple[str, ...]:
        """What someone who listens to the sound has to be told, in words.

        >>> AudioInfo(8000, 8000, 1, "PCM_16", "WAV", missing_seconds=0.5).remarks
        ('truncated: 0.50 seconds of the sound are missing',)
        """
        told = list(self.notes)
        if self.missing_seconds > 0:
            told.insert(
                0, f"truncated: {self.missing_seconds:.2f} seconds of the sound are missing"
            )
        if self.repaired_samples:
            samples = f"{self.repaired_samples} of {self.samples * self.channels} samples"
            told.append(f"{samples} are no finite numbers and are made up from their neighbours")
        return tuple(told)


def writable_suffix(path: Path) -> str:
    """The suffix of a result: that of the path, or .flac where nothing is written as the path is.

    >>> writable_suffix(Path("a.Wav")), writable_suffix(Path("a.m4a"))
    ('.Wav', '.flac')
    """
    return path.suffix if path.suffix.lower() in FORMATS else LOSSLESS_SUFFIX


def storage(place: Path, like: AudioInfo | None, subtype: str | None) -> tuple[str, str]:
    """The container and subtype that a file is written in, as `audio.write` describes.

    Raises `AudioError` for a suffix or a subtype that there is not.
    """
    suffix = place.suffix.lower()
    container = FORMATS.get(suffix)
    if container is None or container not in soundfile.available_formats():
        raise AudioError(f"{place}: no sound is written as {suffix!r}; known: {', '.join(FORMATS)}")
    if subtype is not None:
        stored = subtype.upper()
        if not soundfile.check_format(container, stored):
            allowed = ", ".join(soundfile.available_subtypes(container))
            raise AudioError(f"{place}: {container} holds no {subtype!r}; known: {allowed}")
        return container, stored
    kept = KEPT_SUBTYPES - NOT_KEPT.get(container, frozenset())
    wished = [like.subtype] if like is not None and like.subtype in kept else []
    if suffix == ".opus":
        wished = ["OPUS"]
    if like is not None and like.subtype in DEEP:
        wished.append("PCM_24")
    wished += [DEFAULT_SUBTYPES.get(container, "PCM_16"), "PCM_16"]
    return container, next(name for name in wished if soundfile.check_format(container, name))
