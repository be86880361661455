"""Sound tracks of films and phones, whole, odd and damaged."""

import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np

from tests.encoded import RECIPES, Film, encode, encode_film, encode_late_film
from tests.odd import NOT_AUDIO, REFUSED, RESTORED, WARNED, Odd, holding
from tests.odd_bytes import SAMPLES, changed, cut, noise, sound, wav

SECONDS = 2


@cache
def track(kind: str, channels: int = 1, tracks: int = 1) -> bytes:
    """A file of two seconds by PyAV."""
    rate_hz = RECIPES[kind].rate_hz
    wave = np.ascontiguousarray(sound(SECONDS * rate_hz, channels, rate_hz).T)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "made")
        encode(path, wave, kind, tracks)
        return path.read_bytes()


def film() -> bytes:
    """A film without sound."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "made")
        encode_film(path)
        return path.read_bytes()


def late_film() -> bytes:
    """A film whose sound begins two seconds after its pictures."""
    wave = np.ascontiguousarray(sound(SECONDS * 48000, 1, 48000).T)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "made")
        encode_late_film(path, Film("mpeg4", "flac", "matroska"), wave, {"audio": 2.0})
        return path.read_bytes()


def damaged(kind: str, size: int) -> bytes:
    """Bytes by chance in the middle."""
    content = track(kind)
    return changed(content, len(content) // 2, noise(size))


def lying(length: int) -> bytes:
    """An MP4 file whose headers say another length."""
    content = track("m4a")
    for name, behind in ((b"mvhd", 16), (b"mdhd", 16)):
        content = changed(content, name, length.to_bytes(4, "big"), behind)
    return content


def odd(
    name: str,
    about: str,
    content: Callable[[], bytes],
    outcome: str = RESTORED,
    says: str = "",
    samples: int = 0,
) -> Odd:
    """A file that takes PyAV."""
    return Odd(name, about, holding(content), outcome, says, samples, needs_av=True)


def mp4_by_chance() -> bytes:
    """What begins as MP4 does."""
    return b"\0\0\0\x18ftypM4A " + noise(3000)


def matroska_by_chance() -> bytes:
    """What begins as Matroska does."""
    return b"\x1aE\xdf\xa3" + noise(3000)


def playlist() -> bytes:
    """What FFmpeg would follow elsewhere."""
    return b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"


def cut_track(kind: str) -> bytes:
    """Two thirds of it."""
    return cut(track(kind))


EXACT = ("m4a", "mp4", "alac.m4a", "mov", "3gp", "float.mkv", "webm", "avi", "wv", "tta")
"""Kinds whose decoded length is that of what was encoded, as their headers tell of padding."""

LIKELY = ("aac", "aac.ts", "f4v", "flv", "mp3.avi", "wma", "wma1.wma")
"""Kinds that do not tell how much their encoders delay, which is likely, but not sure."""

LIKELY_NAMES = {
    f"track-{number}.{kind.rpartition('.')[2]}"
    for number, kind in enumerate(RECIPES)
    if kind in LIKELY
}

TELLING = ("m4a", "mov", "mka", "webm", "wma", "avi", "flv", "tta")
"""Kinds that tell how long they are before the sound, so that a part of them can be read."""


CONTAINERS = (
    *(
        odd(
            f"track-{number}.{kind.rpartition('.')[2]}",
            f"{recipe.codec} in {recipe.container}",
            partial(track, kind),
            WARNED if kind in LIKELY else RESTORED,
            "as most encoders need" if kind in LIKELY else "",
            samples=SECONDS * recipe.rate_hz if kind in EXACT else 0,
        )
        for number, (kind, recipe) in enumerate(RECIPES.items())
    ),
    *(
        odd(f"cut.{kind}", f"two thirds of a .{kind}", partial(cut_track, kind), WARNED, "missing")
        for kind in TELLING
    ),
    odd("cut.aac", "two thirds of a .aac", partial(cut_track, "aac"), WARNED, "unknown length"),
    odd("cut.amr", "two thirds of a .amr", partial(cut_track, "amr"), WARNED, "unknown length"),
    odd("cut.mp4", "two thirds, without what comes last", partial(cut_track, "mp4"), REFUSED),
    odd("stereo.m4a", "stereo", lambda: track("m4a", 2), samples=2 * 16000),
    odd("m4a.wav", "MP4 by the name of a WAV file", partial(track, "m4a"), samples=2 * 16000),
    odd("wav.m4a", "a WAV file by the name of MP4", wav, samples=SAMPLES),
    odd("languages.mov", "two sound tracks", lambda: track("mov", 1, 2), WARNED, "2 sound tracks"),
    odd(
        "late.mkv",
        "sound that begins two seconds after its film",
        late_film,
        WARNED,
        "the sound begins 2.00 s after the film; silence fills that",
        4 * 48000,
    ),
    odd("silent-film.mp4", "a film without sound", film, REFUSED, "no sound track"),
    odd("damaged.m4a", "damaged packets", lambda: damaged("m4a", 900), WARNED, "gaps in time"),
    odd("long.m4a", "a length of two days", lambda: lying(2**32 - 9), samples=2 * 16000),
    odd("short.m4a", "a length of nothing", lambda: lying(1)),
    odd("chance.m4a", "MP4's mark and bytes by chance", mp4_by_chance, REFUSED, NOT_AUDIO),
    odd("chance.mkv", "Matroska's mark and bytes by chance", matroska_by_chance, REFUSED),
    odd("playlist.m4a", "a playlist that names another file", playlist, REFUSED, NOT_AUDIO),
)
