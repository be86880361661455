"""Encoding and decoding of one channel in memory, brought back to where it was in time."""

import io
import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from selfremaster.plugins.degradations.coders import CODERS, Coder, Kind, load_av

Sound = NDArray[np.float32]
"""One channel (samples,), full scale = 1."""

G726_SUBTYPES = {24: "G723_24", 32: "G721_32", 40: "G723_40"}
# nominal bit rates of one channel and the qualities they belong to, as libvorbis has them
VORBIS_QUALITIES = {
    26000: ((48, 96, 160, 240), (0, 0.5, 0.9, 1)),
    19000: ((24, 28, 50, 90), (0, 0.05, 0.5, 1)),
    15000: ((24, 28, 64, 100), (0, 0.05, 0.5, 1)),
    9000: ((20, 50), (0, 1)),
    8000: ((14, 42), (0, 1)),
}
LEAST_QUALITY = 0.001  # libsndfile refuses the lowest of all for MP3
PROBE_SECONDS = 0.4
LONGEST_LAG_SECONDS = 0.5
SAME_LAG_SECONDS = 0.001  # what a coarse codec does to the shape of a wave is no lag
BLOCK_SAMPLES = 2**16


def code(wave: Sound, kind: Kind, rate_hz: int, kbps: float | None, passes: int = 1) -> Sound:
    """What a codec leaves of a sound at its own rate, a number of times over, without lag.

    Full scale is where it clips. Shape: (samples,) -> (samples,).
    """
    lag = lag_samples(kind, rate_hz, kbps)
    for _ in range(passes):
        # what is late must not be cut off
        heard = round_trip(np.clip(wave, -1, 1), kind, rate_hz, kbps, tail=max(lag, 0))
        wave = _cut(heard, CODERS[kind].lead_samples + lag, len(wave))
    return wave


@lru_cache(maxsize=1024)
def lag_samples(kind: Kind, rate_hz: int, kbps: float | None) -> int:
    """By how many samples a codec is late, as its library is installed here: measured once."""
    probe = voice_like(round(PROBE_SECONDS * rate_hz), rate_hz)
    coder = CODERS[kind]
    longest = coder.lead_samples + round(LONGEST_LAG_SECONDS * rate_hz)
    heard = round_trip(probe, kind, rate_hz, kbps, tail=longest)
    lag = lag_between(heard, probe, longest) - coder.lead_samples
    best = kbps and coder.bitrates_at(rate_hz).high_kbps
    if best == kbps:
        return lag
    exact = lag_samples(kind, rate_hz, best)
    return exact if abs(exact - lag) <= SAME_LAG_SECONDS * rate_hz else lag


def lag_between(late: Sound, wave: Sound, longest: int) -> int:
    """By how many samples the first sound is later than the second, by cross-correlation."""
    size = 2 ** math.ceil(math.log2(len(late) + len(wave) + longest))
    likeness = np.fft.irfft(np.fft.rfft(late, size) * np.fft.rfft(wave, size).conj(), size)
    lags = np.arange(-longest, longest + 1)
    return int(lags[likeness[lags].argmax()])


def voice_like(samples: int, rate_hz: int) -> Sound:
    """Pulses at a pitch that rises from 100 to 200 Hz, through two formants, (samples,)."""
    time = np.arange(samples) / rate_hz
    turns = np.floor(100 * time + 50 * time**2 * rate_hz / samples)
    pulses = np.diff(turns, prepend=0.0)
    fade = np.exp(-200 * time)
    voice = sum(np.sin(2 * np.pi * hz * time) * fade for hz in (500, 1500))
    size = 2 * samples
    wave = np.fft.irfft(np.fft.rfft(pulses, size) * np.fft.rfft(voice, size), size)[:samples]
    found: Sound = (0.5 * wave / max(np.abs(wave).max(), 1e-9)).astype(np.float32)
    return found


def round_trip(wave: Sound, kind: Kind, rate_hz: int, kbps: float | None, tail: int = 0) -> Sound:
    """What comes out of a codec, some samples late or early; silence lies before and after it."""
    coder = CODERS[kind]
    whole = -(len(wave) + tail) % coder.block_samples
    padded = np.pad(wave, (coder.lead_samples, tail + whole + coder.lead_samples))
    if coder.by_av:
        return _by_av(padded, coder, rate_hz, kbps)
    return _by_soundfile(padded, kind, rate_hz, kbps)


def _by_soundfile(wave: Sound, kind: Kind, rate_hz: int, kbps: float | None) -> Sound:
    coder = CODERS[kind]
    subtype = G726_SUBTYPES[int(kbps)] if kind == "g726" and kbps else coder.codec
    file = io.BytesIO()
    told: dict[str, Any] = {"samplerate": rate_hz, "channels": 1}
    level = {} if kbps is None else compression(kind, rate_hz, kbps)
    kept = {"format": coder.container, "subtype": subtype}
    with soundfile.SoundFile(file, "w", **told, **kept, **level) as target:
        # libvorbis does not survive minutes at once
        for start in range(0, len(wave), BLOCK_SAMPLES):
            target.write(wave[start : start + BLOCK_SAMPLES])
    file.seek(0)
    told = told | kept if coder.container == "RAW" else {}
    with soundfile.SoundFile(file, **told) as encoded:
        heard: Sound = encoded.read(max(encoded.frames, len(wave)), dtype="float32")
    return heard


def compression(kind: Kind, rate_hz: int, kbps: float) -> dict[str, Any]:
    """What libsndfile is told so that a codec has a bit rate.

    >>> compression("opus", 48000, 131)
    {'compression_level': 0.5}
    """
    if kind == "mp3":
        there = CODERS[kind].bitrates_at(rate_hz)
        level = (there.high_kbps - kbps - 0.5) / (there.high_kbps - there.low_kbps)
        return {
            "compression_level": min(max(level, 0), 1 - LEAST_QUALITY),
            "bitrate_mode": "CONSTANT",
        }
    if kind == "opus":
        return {"compression_level": (256 - kbps) / 250}
    if kind == "vorbis":
        nominal, qualities = VORBIS_QUALITIES[CODERS[kind].bitrates_at(rate_hz).from_hz]
        return {"compression_level": 1 - float(np.interp(kbps, nominal, qualities))}
    return {}


def _by_av(wave: Sound, coder: Coder, rate_hz: int, kbps: float | None) -> Sound:
    av = load_av()
    to_float = av.AudioResampler("flt", "mono", rate_hz)
    decoded = (
        _through_file(wave, coder, rate_hz, kbps)
        if coder.container
        else _through_packets(wave, coder, rate_hz, kbps)
    )
    frames = chain(decoded, [None])  # the last asks for what is left
    pieces = [piece.to_ndarray()[0] for frame in frames for piece in to_float.resample(frame)]
    return np.concatenate([np.zeros(0, np.float32), *pieces])


def _frames(wave: Sound, rate_hz: int) -> Iterator[Any]:
    """A wave as PyAV takes it, block by block, and none at its end."""
    av = load_av()
    for start in range(0, len(wave), BLOCK_SAMPLES):
        block = np.ascontiguousarray(wave[None, start : start + BLOCK_SAMPLES])
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, start
        yield frame
    yield None


def _through_packets(wave: Sound, coder: Coder, rate_hz: int, kbps: float | None) -> Iterator[Any]:
    """What a decoder makes of the packets of an encoder, frame by frame."""
    av = load_av()
    encoder = av.CodecContext.create(coder.codec, "w")
    encoder.format = encoder.codec.audio_formats[0].name
    decoder = av.CodecContext.create(coder.decoder, "r")
    for context in (encoder, decoder):
        context.sample_rate, context.layout = rate_hz, "mono"
    if kbps is not None:
        encoder.bit_rate = round(1000 * kbps)
    for frame in _frames(wave, rate_hz):
        packets = encoder.encode(frame)
        if encoder.extradata and not decoder.is_open:
            decoder.extradata = encoder.extradata
        for packet in packets:
            yield from decoder.decode(packet)
    yield from decoder.decode(None)


def _through_file(wave: Sound, coder: Coder, rate_hz: int, kbps: float | None) -> Iterator[Any]:
    """The same by a file in memory, for decoders that learn from it what they need to know."""
    av = load_av()
    file = io.BytesIO()
    with av.open(file, "w", format=coder.container) as target:
        stream = target.add_stream(coder.codec, rate=rate_hz, layout="mono")
        if kbps is not None:
            stream.bit_rate = round(1000 * kbps)
        for frame in _frames(wave, rate_hz):
            for packet in stream.encode(frame):
                target.mux(packet)
    file.seek(0)
    with av.open(file, format=coder.container) as source:
        yield from source.decode(audio=0)


def _cut(heard: Sound, start: int, samples: int) -> Sound:
    """So many samples from one on; what is not there is silence."""
    cut = np.zeros(samples, np.float32)
    found = heard[max(start, 0) :][: samples - max(-start, 0)]
    cut[max(-start, 0) :][: len(found)] = found
    return cut
