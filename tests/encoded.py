"""Sounds in containers that libsndfile does not write, made by PyAV."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Recipe(NamedTuple):
    """Which encoder puts a sound into which container."""

    codec: str
    container: str
    rate_hz: int = 16000
    bit_rate: int = 64000
    options: Mapping[str, str] = {}


RECIPES: Mapping[str, Recipe] = {
    "m4a": Recipe("aac", "ipod", options={"movflags": "+faststart"}),
    "mp4": Recipe("aac", "mp4"),
    "alac.m4a": Recipe("alac", "ipod", options={"movflags": "+faststart"}),
    "mov": Recipe("pcm_s16be", "mov", options={"movflags": "+faststart"}),
    "aac": Recipe("aac", "adts"),
    "3gp": Recipe("libopencore_amrnb", "3gp", 8000, 12200),
    "amr": Recipe("libopencore_amrnb", "amr", 8000, 12200),
    "wma": Recipe("wmav2", "asf", 22050, 32000),
    "mka": Recipe("aac", "matroska"),
    "float.mkv": Recipe("pcm_f32le", "matroska"),
    "webm": Recipe("libopus", "webm", 48000),
    "avi": Recipe("pcm_s16le", "avi"),
    "flv": Recipe("aac", "flv", 22050),
    "mpg": Recipe("mp2", "mpeg"),
    "ac3": Recipe("ac3", "ac3", 32000),
    "wv": Recipe("wavpack", "wv"),
    "tta": Recipe("tta", "tta"),
    "mp3.avi": Recipe("libmp3lame", "avi"),
    "mp3.mka": Recipe("libmp3lame", "matroska"),
    "aac.ts": Recipe("aac", "mpegts"),
    "eac3": Recipe("eac3", "eac3", 48000),
    "mp2": Recipe("mp2", "mp2"),
    "wma1.wma": Recipe("wmav1", "asf", 44100, 128000),
    "f4v": Recipe("aac", "f4v", 44100),
    "3g2": Recipe("aac", "3g2"),
    "ra": Recipe("ac3", "rm", 44100),
    "mp3.mp4": Recipe("libmp3lame", "mp4", 44100),
}
"""By what the names of files end with; the first part tells kinds of one suffix apart."""


def encode(
    path: Path,
    wave: NDArray[np.float32],
    kind: str,
    tracks: int = 1,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Put a sound of the rate of its recipe into a file, as often as there are tracks.

    Shape: wave (channels, samples), full scale = 1.
    """
    import av  # an extra

    recipe = RECIPES[kind]
    layout = {1: "mono", 2: "stereo"}[len(wave)]
    with (
        path.open("wb") as opened,
        av.open(opened, "w", format=recipe.container, options=dict(recipe.options)) as container,
    ):
        container.metadata.update(texts or {})
        streams: list[Any] = []
        for _ in range(tracks):
            stream = container.add_stream(recipe.codec, rate=recipe.rate_hz, layout=layout)
            stream.bit_rate = recipe.bit_rate
            streams.append(stream)
        for number, stream in enumerate(streams):
            for frame in _frames(av, wave if number == 0 else -0.5 * wave, stream, layout):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def _frames(av: Any, wave: NDArray[np.float32], stream: Any, layout: str) -> list[Any]:
    """Frames of the length and sort of samples that an encoder takes."""
    rate_hz = stream.codec_context.sample_rate
    stream.codec_context.open(strict=False)
    resampler = av.AudioResampler(
        stream.codec_context.format.name,
        layout,
        rate_hz,
        frame_size=stream.codec_context.frame_size or 1024,
    )
    given = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), "fltp", layout)
    given.sample_rate = rate_hz
    given.pts = 0
    return [*resampler.resample(given), *resampler.resample(None)]


class Film(NamedTuple):
    """Which encoders put pictures and sound into which container."""

    pictures: str
    sound: str
    container: str
    rate_hz: int = 48000
    channels: int = 1
    size: tuple[int, int] = (64, 64)
    frames_a_second: int = 25


def encode_late_film(
    path: Path, film: Film, wave: NDArray[np.float32], late: Mapping[str, float]
) -> None:
    """A film of black pictures, whose ``video`` or ``audio`` begins so many seconds late.

    Shape: wave (channels, samples), full scale = 1, at the rate of the film.
    """
    import av  # an extra

    seconds = wave.shape[1] / film.rate_hz + max(late.values(), default=0.0)
    layout = {1: "mono", 2: "stereo"}[film.channels]
    with path.open("wb") as opened, av.open(opened, "w", format=film.container) as container:
        shown: Any = container.add_stream(film.pictures, rate=film.frames_a_second)
        shown.width, shown.height = film.size
        shown.pix_fmt = "yuv420p"
        heard: Any = container.add_stream(film.sound, rate=film.rate_hz, layout=layout)
        packets: list[Any] = []
        for number in range(round(seconds * film.frames_a_second)):
            frame = av.VideoFrame(*film.size, "yuv420p")
            frame.pts = number
            packets += shown.encode(frame)
        packets += shown.encode(None)
        for part in _frames(av, wave, heard, layout):
            packets += heard.encode(part)
        packets += heard.encode(None)
        for packet in packets:
            more = round(late.get(packet.stream.type, 0.0) / packet.time_base)
            packet.pts += more
            packet.dts += more
        for packet in sorted(packets, key=lambda one: float(one.dts * one.time_base)):
            container.mux(packet)


def encode_film(path: Path) -> None:
    """A film without a sound track."""
    import av  # an extra

    with path.open("wb") as opened, av.open(opened, "w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
