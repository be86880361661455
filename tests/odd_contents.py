"""Files that are no sound, sounds with odd samples, and sounds with odd names."""

import gzip
import io
import os
import socket
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from zlib import compress

import numpy as np

from tests.odd import REFUSED, RESTORED, Odd, holding, refused, restored, warned
from tests.odd_bytes import SAMPLES, Sound, encoded, floats, mp3, noise, sound, wav

NAN, INF = float("nan"), float("inf")
NO_FILE = "a pipe, socket or device"
LOOP = "too many levels"


def zipped() -> bytes:
    """An archive of a sound."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("sound.wav", wav())
    return file.getvalue()


def tarred() -> bytes:
    """An archive of a sound."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as opened:
        about = tarfile.TarInfo("sound.wav")
        about.size = len(wav())
        opened.addfile(about, io.BytesIO(wav()))
    return file.getvalue()


def link_to(target: str) -> Callable[[Path], None]:
    """What makes a link."""

    def make(path: Path) -> None:
        if not path.is_symlink():
            path.symlink_to(target)

    return make


def linked_sound(path: Path) -> None:
    """A link to a sound, beside it."""
    hidden = path.with_name(".linked-sound")
    hidden.write_bytes(wav())
    link_to(hidden.name)(path)


def pipe(path: Path) -> None:
    """A pipe that nobody writes into."""
    if not path.exists():
        os.mkfifo(path)


def socket_at(path: Path) -> None:
    """A socket that nobody answers at."""
    if path.exists():
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:  # an address may not be long
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def with_sample(value: float, place: int | slice) -> Callable[[Path], object]:
    """A sound of floating-point numbers with another in one place."""
    return holding(lambda: floats((place, value)))


def click() -> Sound:
    """One sample in the middle."""
    wave = np.zeros((SAMPLES, 1), np.float32)
    wave[SAMPLES // 2] = 0.9
    return wave


def sides(right: float) -> Sound:
    """Stereo, whose right side is so much of the left."""
    return np.concatenate([sound(), right * sound()], axis=1).astype(np.float32)


NOT_SOUND = (
    refused("empty.wav", "no bytes at all", lambda: b"", "0 samples of audio"),
    refused("one-byte.wav", "a single byte", lambda: b"R"),
    refused("zeros.wav", "4096 zero bytes", lambda: bytes(4096)),
    refused("letter.wav", "a text", lambda: b"Dear archivist,\n" * 40),
    refused("page.aiff", "a web page", lambda: b"<!DOCTYPE html><html></html>\n" * 9),
    refused("picture.wav", "a picture's beginning", lambda: b"\x89PNG\r\n\x1a\n" + noise(500)),
    refused("archive.wav", "a ZIP archive of a sound", zipped),
    refused("tape.wav", "a tar archive of a sound", tarred),
    refused("packed.wav", "a sound packed by gzip", lambda: gzip.compress(wav(), mtime=0)),
    refused("packed.flac", "a sound packed by zlib", lambda: compress(wav())),
    refused("chance.flac", "FLAC's mark and bytes by chance", lambda: b"fLaC" + noise(3000)),
    refused("chance.ogg", "Ogg's mark and bytes by chance", lambda: b"OggS\0" + noise(3000)),
    refused("chance.w64", "bytes by chance", lambda: b"\0" + noise(3000, 5)),
    warned(
        "bare.au", "bytes by chance that may be sound", lambda: b"\0" + noise(3000, 5), "no header"
    ),
    Odd("folder.wav", "a folder", lambda path: path.mkdir(exist_ok=True), REFUSED, "is a folder"),
    Odd("nowhere.wav", "a link to nothing", link_to("gone.wav"), REFUSED, "no such file"),
    Odd("loop.wav", "a link to itself", link_to("loop.wav"), REFUSED, LOOP),
    Odd("link.wav", "a link to a sound", linked_sound, RESTORED, "", SAMPLES),
    Odd("pipe.wav", "a named pipe", pipe, REFUSED, NO_FILE),
    Odd("socket.wav", "a socket", socket_at, REFUSED, NO_FILE),
    Odd("null.wav", "a link to /dev/null", link_to("/dev/null"), REFUSED, NO_FILE),
    Odd("endless.wav", "a link to /dev/zero", link_to("/dev/zero"), REFUSED, NO_FILE),
)

SAMPLES_OF_ALL_SORTS = (
    restored("one.wav", "a single sample", lambda: wav(sound(1)), 1),
    restored("two.flac", "two samples", lambda: encoded("FLAC", None, sound(2)), 2),
    restored("silence.wav", "digital silence", lambda: wav(sound() * 0)),
    restored("offset.wav", "a constant, without a sound", lambda: wav(sound() * 0 + 0.5)),
    restored("square.wav", "full scale up and down", lambda: wav(np.sign(sound()))),
    restored("clipped.wav", "clipped at full scale", lambda: wav(np.clip(sound() * 9, -1, 1))),
    restored("click.wav", "one sample that is not zero", lambda: wav(click())),
    restored("loud.wav", "floating point, far over full scale", lambda: floats(wave=sound() * 70)),
    restored("faint.wav", "numbers below the normal ones", lambda: floats(wave=sound() * 1e-40)),
    Odd("enormous.wav", "one sample of 1e30", with_sample(1e30, 100), samples=SAMPLES),
    restored("one-side.wav", "stereo, one side silent", lambda: wav(sides(0))),
    restored("opposed.wav", "stereo, one side the other turned over", lambda: wav(sides(-1))),
    Odd("nan.wav", "one NaN", with_sample(NAN, 100), REFUSED, "sample 100 (0.006 s"),
    Odd("first-nan.wav", "NaN at first", with_sample(NAN, 0), REFUSED, "sample 0 "),
    Odd("last-nan.wav", "NaN at last", with_sample(NAN, -1), REFUSED, "sample 4799 "),
    Odd("all-nan.wav", "nothing but NaN", with_sample(NAN, slice(None)), REFUSED, "sample 0 "),
    Odd("infinite.wav", "one infinity", with_sample(INF, 100), REFUSED, "is inf, not"),
    Odd("negative.wav", "one negative infinity", with_sample(-INF, 9), REFUSED, "is -inf"),
    refused(
        "double.wav",
        "64 bits, and a sample of 1e300",
        lambda: floats((100, 1e300), subtype="DOUBLE"),
        "is inf, not",
    ),
)

NAMES = (
    ("LOUD.WAV", "a name in capitals"),
    ("no suffix", "a name without a suffix"),
    ("take.1.of.2.wav", "a name with several dots"),
    (".hidden.wav", "a hidden file"),
    ("-rf.wav", "a name that looks like an option"),
    (" .wav", "a name of a space"),
    ("two\nlines.wav", "a name with a line break"),
    ("tab\tand\x1b[31mred.wav", "a name that would colour the terminal"),
    ("[bold]price[red] {0} %s.wav", "a name with marks of several languages"),
    ("'$(reboot)`;.wav", "a name that a shell would run"),
    ("\u5f55\u97f3\U0001f3a4.wav", "a name in Chinese, with a picture"),
    (unicodedata.normalize("NFD", "\u00e9t\u00e9.wav"), "accents as signs of their own"),
    ("\u202egnp.wav", "a name that turns round the direction of writing"),
    (os.fsdecode(b"caf\xe9.wav"), "a name in another encoding than UTF-8"),
    ("n" * 251 + ".wav", "a name of 255 letters"),
)

ODD_NAMES = (
    *(restored(name, about, wav) for name, about in NAMES),
    restored("flac.wav", "a FLAC file by the name of a WAV file", lambda: encoded("FLAC")),
    restored("wav.mp3", "a WAV file by the name of an MP3 file", wav),
    restored("mp3.flac", "an MP3 file by the name of a FLAC file", lambda: mp3(SAMPLES)),
)

CONTENTS = (*NOT_SOUND, *SAMPLES_OF_ALL_SORTS)
