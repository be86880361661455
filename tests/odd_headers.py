"""Files whose headers are wrong, rare or damaged, and files that end too early."""

import struct
from functools import partial

from tests.odd import refused, restored, warned
from tests.odd_bytes import (
    LONG,
    RATE,
    SAMPLES,
    changed,
    chunk,
    cut,
    encoded,
    flac_of_length,
    id3,
    mp3,
    noise,
    ogg_without_page,
    old_wav,
    sound,
    wav,
    without_xing,
)

RATES = "rates from 1000 to 768000 Hz"
EMPTY = "0 samples of audio"
LATE = "how long it was cannot be told"

KINDS = (  # name, what it is, container, subtype, rate
    ("8.wav", "8 bits", "WAV", "PCM_U8", RATE),
    ("24.wav", "24 bits", "WAV", "PCM_24", RATE),
    ("32.wav", "32 bits", "WAV", "PCM_32", RATE),
    ("float.wav", "32 bits, floating point", "WAV", "FLOAT", RATE),
    ("64.wav", "64 bits, floating point", "WAV", "DOUBLE", RATE),
    ("a-law.wav", "A-law", "WAV", "ALAW", 8000),
    ("mu-law.wav", "mu-law", "WAV", "ULAW", 8000),
    ("extensible.wav", "an extensible header", "WAVEX", "PCM_24", RATE),
    ("rf64.wav", "RF64", "RF64", "PCM_16", RATE),
    ("64.w64", "Wave64", "W64", "PCM_24", RATE),
    ("float.aiff", "AIFF-C, floating point", "AIFF", "FLOAT", RATE),
    ("alac.caf", "CAF with Apple's lossless packing", "CAF", "ALAC_16", RATE),
    ("24.flac", "FLAC of 24 bits", "FLAC", "PCM_24", RATE),
    ("a.opus", "Opus", "OGG", "OPUS", 48000),
    ("192.wav", "192 kHz", "WAV", "PCM_16", 192000),
    ("44056.wav", "the rate of early digital tape", "WAV", "PCM_16", 44056),
    ("11127.au", "the rate of early Macintoshes", "AU", "PCM_16", 11127),
)

HEADERS = (
    *(
        restored(name, about, partial(encoded, container, subtype, None, rate_hz))
        for name, about, container, subtype, rate_hz in KINDS
    ),
    restored("old.wav", "8 bits by another program", old_wav),
    restored("ima.wav", "IMA ADPCM, the last block full", lambda: adpcm("IMA_ADPCM", 5050), 5050),
    restored("ms.wav", "MS ADPCM", lambda: adpcm("MS_ADPCM", 4900), 4900),
    restored("gsm.wav", "GSM 06.10", lambda: adpcm("GSM610", 4800), 4800),
    restored(
        "ima-tail.wav",
        "IMA ADPCM that tells how much of the last block counts",
        lambda: changed(adpcm("IMA_ADPCM", 5050), b"fact", struct.pack("<I", 5000), 4),
        5000,
    ),
    restored("six.wav", "six channels", lambda: encoded("WAV", None, sound(SAMPLES, 6))),
    restored("many.wav", "64 channels", lambda: encoded("WAV", None, sound(400, 64)), 400),
    restored("1000.wav", "1000 Hz", lambda: wav(rate_hz=1000)),
    restored("768000.wav", "768 kHz", lambda: wav(rate_hz=768000)),
    refused("0.wav", "0 Hz", lambda: wav(rate_hz=0)),
    refused("8hz.wav", "8 Hz", lambda: wav(rate_hz=8), RATES),
    refused("999.wav", "999 Hz", lambda: wav(rate_hz=999), RATES),
    refused("fast.wav", "2 000 000 000 Hz", lambda: wav(rate_hz=2_000_000_000), RATES),
    refused("none.wav", "0 channels", lambda: wav(channels=0)),
    refused("crowd.wav", "65535 channels", lambda: wav(channels=65535)),
    refused("no-bits.wav", "samples of 0 bits", lambda: wav(bits=0)),
    refused("tag.wav", "a kind of samples that there is not", lambda: wav(tag=0x9999)),
    refused("two-bits.wav", "ADPCM of 16 bits", lambda: wav(tag=2)),
    refused("no-format.wav", "sound of no format", lambda: riff(chunk(b"data", bytes(96)))),
    refused("no-data.wav", "a format of no sound", lambda: riff(wav()[12:36])),
    refused("no-samples.wav", "a sound of no samples", lambda: wav(sound(0)), EMPTY),
    restored("align.wav", "samples of 0 bytes", lambda: wav(align=0)),
    restored("streamed.wav", "a length left open", lambda: wav(data_size=0xFFFFFFFF)),
    warned(
        "crashed.wav",
        "lengths never written",
        lambda: wav(data_size=0, riff_size=0),
        "its header tells of 0.00 of 0.30 seconds",
        SAMPLES,
    ),
    restored("short-riff.wav", "a whole of no length", lambda: wav(riff_size=0)),
    warned(
        "short-data.wav",
        "a sound of half its length",
        lambda: wav(data_size=SAMPLES),
        "its header tells of 0.15 of 0.30 seconds",
        SAMPLES,
    ),
    warned(
        "short.aiff",
        "a sound of half its length",
        lambda: changed(encoded("AIFF"), b"SSND", struct.pack(">I", SAMPLES + 8)),
        "its header tells of 0.15 of 0.30 seconds",
        SAMPLES,
    ),
    warned(
        "trailer.wav",
        "bytes behind the sound that are no chunk",
        lambda: wav(after=chunk(b"LIST", b"INFO") + noise(99)),
        "99 bytes follow the sound",
        SAMPLES,
    ),
    warned("long-data.wav", "a sound of a million bytes", lambda: wav(data_size=10**6)),
    restored("junk.wav", "much before the sound", lambda: wav(before=chunk(b"JUNK", bytes(70000)))),
    restored("list.wav", "tags behind the sound", lambda: wav(after=chunk(b"LIST", b"INFO"))),
    refused("long-list.wav", "tags of 2 GB", lambda: wav(before=chunk(b"LIST", bytes(9), 2**31))),
    restored("id3.wav", "an MP3 file's tag before it", lambda: id3() + wav()),
    restored("id3.flac", "an MP3 file's tag before it", lambda: id3() + encoded("FLAC")),
    restored("open.flac", "a length left open", lambda: flac_of_length(0)),
    warned("ages.flac", "a length of 50 days", lambda: flac_of_length(2**36 - 1)),
    restored(
        "md5.flac",
        "a wrong checksum of the sound",
        lambda: changed(encoded("FLAC"), 26, bytes(range(1, 17))),
    ),
    restored("open.au", "a length left open", lambda: changed(encoded("AU"), 8, b"\xff" * 4)),
    restored(
        "open.caf", "a length left open", lambda: changed(encoded("CAF"), b"data", b"\xff" * 8)
    ),
    warned(
        "ages.caf",
        "a length of a year",
        lambda: changed(encoded("CAF"), b"data", (10**12).to_bytes(8, "big")),
    ),
    restored(
        "many.aiff",
        "a length of a billion samples",
        lambda: changed(encoded("AIFF"), b"COMM", struct.pack(">I", 10**9), 6),
    ),
    restored(
        "ages.rf64",
        "lengths of 2 to the power of 62",
        lambda: changed(encoded("RF64"), b"ds64", struct.pack("<QQQ", *[2**62] * 3), 4),
    ),
)


def adpcm(subtype: str, samples: int) -> bytes:
    """A WAV file of samples that are packed by blocks."""
    return encoded("WAV", subtype, sound(samples), 8000)


def riff(body: bytes) -> bytes:
    """A WAV file of such chunks."""
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def long(container: str, subtype: str | None = None) -> bytes:
    """Three seconds, whose packing has several pages and frames."""
    return encoded(container, subtype, sound(LONG))


def cut_file(container: str, subtype: str | None = None) -> bytes:
    """Two thirds of it."""
    return cut(long(container, subtype))


def damaged(content: bytes, size: int) -> bytes:
    """Bytes by chance in the middle."""
    return changed(content, len(content) // 2, noise(size))


CUT = (  # name, of what, container, subtype, what is said
    ("cut.wav", "a WAV file", "WAV", "PCM_16", "1.00 seconds"),
    ("cut-float.wav", "a WAV file in floating point", "WAV", "FLOAT", "1.00 seconds"),
    ("cut-ima.wav", "a WAV file in IMA ADPCM", "WAV", "IMA_ADPCM", "missing"),
    ("cut-ms.wav", "a WAV file in MS ADPCM", "WAV", "MS_ADPCM", "missing"),
    ("cut.rf64", "an RF64 file", "RF64", "PCM_16", "1.00 seconds"),
    ("cut.w64", "a Wave64 file", "W64", "PCM_16", "1.00 seconds"),
    ("cut.aiff", "an AIFF file", "AIFF", "PCM_16", "1.00 seconds"),
    ("cut.au", "an AU file", "AU", "PCM_16", "1.00 seconds"),
    ("cut.caf", "a CAF file", "CAF", "PCM_16", "1.04 seconds"),
    ("cut.flac", "a FLAC file", "FLAC", "PCM_16", "1.21 seconds"),
    ("cut.ogg", "an Ogg Vorbis file", "OGG", "VORBIS", LATE),
    ("cut.opus", "an Opus file", "OGG", "OPUS", LATE),
    ("cut.mp3", "an MP3 file", "MP3", None, "1.08 seconds"),
)

DAMAGES = (
    *(
        warned(name, f"two thirds of {about}", partial(cut_file, container, subtype), says)
        for name, about, container, subtype, says in CUT
    ),
    warned("last-byte.wav", "a WAV file without its last byte", lambda: wav()[:-1]),
    refused("header.wav", "half the header of a WAV file", lambda: wav()[:22]),
    refused("bare.wav", "the header of a WAV file", lambda: wav()[:44], EMPTY),
    refused("header.flac", "half the header of a FLAC file", lambda: long("FLAC")[:30]),
    refused("bare.flac", "the header of a FLAC file", lambda: long("FLAC")[:200], EMPTY),
    refused("header.ogg", "half the header of an Ogg file", lambda: long("OGG")[:2000]),
    refused("header.mp3", "half the tag of an MP3 file", lambda: id3(10000)[:900]),
    warned("last-byte.ogg", "an Ogg file without its last byte", lambda: long("OGG")[:-1], LATE),
    warned("page.ogg", "an Ogg file without a page", lambda: ogg_without_page(long("OGG"), -2)),
    warned(
        "page.opus",
        "an Opus file without a page",
        lambda: ogg_without_page(long("OGG", "OPUS"), -2),
        "earlier",
    ),
    refused(
        "first.ogg", "an Ogg file without its first page", lambda: ogg_without_page(long("OGG"), 0)
    ),
    warned(
        "frame.flac",
        "a FLAC file with a damaged frame",
        lambda: damaged(long("FLAC"), 60),
        "0.26 seconds",
        LONG,
    ),
    warned("frame.mp3", "an MP3 file with damaged frames", lambda: damaged(mp3(), 400)),
    warned("lost.mp3", "an MP3 file with much damage within", lambda: damaged(mp3(), 4000)),
    restored(
        "junk.mp3", "an MP3 file with bytes by chance before", lambda: noise(300) + mp3(), LONG
    ),
    restored(
        "tags.mp3", "an MP3 file with tags", lambda: id3() + mp3() + b"TAG" + bytes(125), LONG
    ),
    warned(
        "plain.mp3",
        "an MP3 file that states no length",
        lambda: without_xing(mp3()),
        "576 samples are left out",
    ),
    restored("twice.mp3", "two MP3 files in one", lambda: mp3() + mp3(), 0),
    restored("twice.ogg", "two Ogg files in one", lambda: 2 * encoded("OGG"), 2 * SAMPLES),
    restored("twice.opus", "two Opus files", lambda: 2 * encoded("OGG", "OPUS"), 2 * SAMPLES),
    restored("twice.flac", "two FLAC files in one", lambda: 2 * encoded("FLAC"), 2 * SAMPLES),
    warned(
        "stereo-behind.ogg",
        "an Ogg file with one in stereo behind it",
        lambda: encoded("OGG") + encoded("OGG", None, sound(SAMPLES, 2)),
        "0.30 seconds of 2 x 16000 Hz that follow at 0.30 s cannot be joined",
        SAMPLES,
    ),
    warned(
        "faster-behind.flac",
        "a FLAC file with one of another rate behind it",
        lambda: encoded("FLAC") + encoded("FLAC", rate_hz=8000),
        "0.60 seconds of the sound are missing",
        SAMPLES,
    ),
    warned(
        "cut-behind.flac",
        "a FLAC file with the header of another behind it",
        lambda: encoded("FLAC") + long("FLAC")[:60],
        "part 2 of 2 cannot be read",
        SAMPLES,
    ),
    warned(
        "stereo-behind.mp3",
        "an MP3 file with one in stereo behind it",
        lambda: mp3() + mp3(LONG, 2),
        "seconds of the sound are missing",
        LONG,
    ),
    warned(
        "hole.mp3",
        "an MP3 file with nothing in its middle",
        lambda: changed(mp3(), len(mp3()) // 2, bytes(2000)),
    ),
    warned(
        "lost-plain.mp3",
        "an MP3 file without a length, with much damage within",
        lambda: damaged(without_xing(mp3()), 4000),
    ),
)
