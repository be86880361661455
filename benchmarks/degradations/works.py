"""The damage that other packages do too: how each of them is asked for it."""

import atexit
import tempfile
from collections.abc import Callable
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

import soundfile
import torch
from torch import Tensor

from selfremaster.core.components import ComponentSpec
from selfremaster.core.rooms import decaying_noise

PACKAGES = ("audiomentations", "torch-audiomentations", "torchaudio")
BAND = 3100 / 1850  # width over centre of 300 to 3400 Hz
PEAK = 0.6  # of the speech
FIR = "a windowed sinc (FIR), not a Butterworth filter"
SETTLED = "begins as if the first sample had always been there, ours from rest"
GIVEN = "is given the answer of the room, ours makes it"
BUTTERWORTH = (0.5412, 1.3066)  # Q of both sections of a filter of order 4
LEAST = 0.01  # between limits that may not be the same

Call = Callable[[], Any]


class Peer(NamedTuple):
    """How another package does the work, and in what it is known to differ."""

    package: str
    call: str  # as one would write it
    prepare: Callable[[Tensor, int], Call]  # for a wave (1, samples) at a rate in Hz
    note: str = ""
    does_less: bool = False  # so much that it is shown, but counts for nothing


class Work(NamedTuple):
    """A sort of damage that others do too."""

    name: str
    ours: str  # the part, as NAME:key=value
    peers: tuple[Peer, ...]
    compared: Literal["samples", "noise", "no"] = "samples"  # noise: by the SNR that comes out

    @property
    def part(self) -> str:
        """The name of ours."""
        return ComponentSpec.parse(self.ours).name


def limits(least: float = 0.0, **settings: float) -> dict[str, Any]:
    """Settings that are drawn between limits, at a single value or next to none apart.

    >>> limits(gain_db=-6)
    {'min_gain_db': -6.0, 'max_gain_db': -6}
    """
    return {
        f"{end}_{name}": value - below
        for name, value in settings.items()
        for end, below in (("min", least), ("max", 0))
    }


def numpy_way(name: str, note: str = "", **settings: Any) -> Peer:
    """A transform of audiomentations, called as its users call it: it draws, and applies."""

    def prepare(wave: Tensor, rate_hz: int) -> Call:
        transform = getattr(import_module("audiomentations"), name)(p=1.0, **settings)
        return partial(transform, wave[0].numpy().copy(), rate_hz)

    return Peer("audiomentations", name, prepare, note)


def module_way(name: str, note: str = "", **settings: Any) -> Peer:
    """A transform of torch-audiomentations, likewise."""

    def prepare(wave: Tensor, rate_hz: int) -> Call:
        made = getattr(import_module("torch_audiomentations"), name)
        transform = made(p=1.0, output_type="tensor", **settings)
        return partial(transform, wave[None].clone(), rate_hz)

    return Peer("torch-audiomentations", name, prepare, note)


def function_way(call: str, work: Callable[[Any, Tensor, int], Any], note: str = "") -> Peer:
    """What is done with functions of torchaudio, given its module of functions, wave and rate."""

    def prepare(wave: Tensor, rate_hz: int) -> Call:
        return partial(work, import_module("torchaudio.functional"), wave.clone(), rate_hz)

    return Peer("torchaudio", call, prepare, note)


def in_turn(section: Callable[..., Any], wave: Tensor, rate_hz: int, limit_hz: float) -> Any:
    """Two second-order sections that make a Butterworth filter of order 4."""
    for q in BUTTERWORTH:
        wave = section(wave, rate_hz, limit_hz, q)
    return wave


def repeated_noise(**settings: Any) -> Peer:
    """Noise of torch-audiomentations, of which a second is made."""
    way = module_way("AddColoredNoise", "one second of noise over and over: does less", **settings)
    return way._replace(does_less=True)


def there_and_back(wave: Tensor, rate_hz: int) -> Call:
    """Resampling to 8 kHz and back by audiomentations."""
    made = import_module("audiomentations").Resample
    there, back = made(8000, 8000, p=1.0), made(rate_hz, rate_hz, p=1.0)
    samples = wave[0].numpy().copy()
    return lambda: back(there(samples, rate_hz), 8000)[: len(samples)]


@lru_cache(maxsize=4)
def response(rate_hz: int) -> Tensor:
    """The answer of a room that dies away by 60 dB in half a second, (1, taps)."""
    return torch.from_numpy(decaying_noise(0.5, rate_hz, seed=1)).float()[None]


@lru_cache(maxsize=4)
def response_file(rate_hz: int) -> str:
    """The same as a sound file, which is there until the process ends."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "response.wav"
    soundfile.write(path, response(rate_hz)[0].numpy(), rate_hz, subtype="FLOAT")
    return str(path)


def by_response_file(wave: Tensor, rate_hz: int) -> Call:
    """A room by audiomentations, which keeps the file that it has read."""
    way = numpy_way("ApplyImpulseResponse", ir_path=response_file(rate_hz))
    return way.prepare(wave, rate_hz)


def by_response_files(wave: Tensor, rate_hz: int) -> Call:
    """A room by torch-audiomentations, which reads the file each time."""
    way = module_way("ApplyImpulseResponse", ir_paths=response_file(rate_hz))
    return way.prepare(wave, rate_hz)


WORKS: tuple[Work, ...] = (
    Work(
        "low-pass, 12 dB an octave",
        "band-limit:cutoff_hz=1000,q=0.7071",
        (
            numpy_way("LowPassFilter", SETTLED, **limits(cutoff_freq=1000, rolloff=12)),
            function_way(
                "lowpass_biquad", lambda f, wave, rate: f.lowpass_biquad(wave, rate, 1000, 0.7071)
            ),
        ),
    ),
    Work(
        "low-pass, 24 dB an octave",
        "filter:high_hz=4000",
        (
            numpy_way("LowPassFilter", SETTLED, **limits(cutoff_freq=4000, rolloff=24)),
            module_way("LowPassFilter", FIR, **limits(cutoff_freq=4000)),
            function_way(
                "lowpass_biquad, twice",
                lambda f, wave, rate: in_turn(f.lowpass_biquad, wave, rate, 4000),
            ),
        ),
    ),
    Work(
        "high-pass, 24 dB an octave",
        "filter:low_hz=300,high_hz=null",
        (
            numpy_way("HighPassFilter", SETTLED, **limits(cutoff_freq=300, rolloff=24)),
            module_way("HighPassFilter", FIR, **limits(cutoff_freq=300)),
            function_way(
                "highpass_biquad, twice",
                lambda f, wave, rate: in_turn(f.highpass_biquad, wave, rate, 300),
            ),
        ),
    ),
    Work(
        "band-pass, 24 dB an octave",
        "filter:low_hz=300,high_hz=3400",
        (
            numpy_way(
                "BandPassFilter",
                SETTLED,
                **limits(center_freq=1850, bandwidth_fraction=BAND, rolloff=24),
            ),
            module_way(
                "BandPassFilter",
                FIR,
                **limits(LEAST, center_frequency=1850, bandwidth_fraction=BAND),
            ),
            function_way(
                "lowpass_biquad and highpass_biquad, twice each",
                lambda f, wave, rate: in_turn(
                    f.highpass_biquad, in_turn(f.lowpass_biquad, wave, rate, 3400), rate, 300
                ),
                "low-pass and high-pass one after the other",
            ),
        ),
    ),
    Work(
        "gain",
        "gain:gain_db=-6",
        (
            numpy_way("Gain", **limits(gain_db=-6)),
            module_way("Gain", **limits(1e-6, gain_in_db=-6)),
            function_way("gain", lambda f, wave, rate: f.gain(wave, -6)),
        ),
    ),
    Work(
        "polarity inversion",
        "polarity",
        (numpy_way("PolarityInversion"), module_way("PolarityInversion")),
    ),
    Work(
        "DC offset",
        "dc-offset:offset=0.02",
        (function_way("dcshift", lambda f, wave, rate: f.dcshift(wave, 0.02)),),
    ),
    Work(
        "clipping",
        "clip:ratio=0.25",
        (
            numpy_way(
                "Clip", "is told the level, ours finds it", a_min=-0.25 * PEAK, a_max=0.25 * PEAK
            ),
        ),
    ),
    Work(
        "overdrive",
        "overdrive",
        (function_way("overdrive", lambda f, wave, rate: f.overdrive(wave, 40, 20)),),
    ),
    Work(
        "white noise at 20 dB",
        "noise:snr_db=20",
        (
            numpy_way("AddGaussianSNR", **limits(snr_db=20)),
            repeated_noise(**limits(LEAST, snr_in_db=20, f_decay=0)),
            function_way(
                "add_noise",
                lambda f, wave, rate: f.add_noise(
                    wave, torch.randn_like(wave), torch.tensor([20.0])
                ),
            ),
        ),
        compared="noise",
    ),
    Work(
        "pink noise at 20 dB",
        "noise:snr_db=20,kind=pink",
        (
            numpy_way(
                "AddColorNoise",
                "a filter of 128 taps: white below some hundred Hz",
                **limits(snr_db=20, f_decay=-3.01),
            ),
            repeated_noise(**limits(LEAST, snr_in_db=20, f_decay=1)),
        ),
        compared="noise",
    ),
    Work(
        "mu-law, 256 codes",
        "quantize-resample:mode=codec,levels=256,rate_hz=192000",
        (
            function_way(
                "mu_law_encoding and mu_law_decoding",
                lambda f, wave, rate: f.mu_law_decoding(f.mu_law_encoding(wave, 256), 256),
                "does not bring the wave to a peak of 1; float32, ours float64",
            ),
        ),
    ),
    Work(
        "8 bits a sample",
        "bit-depth:bits=8",
        (numpy_way("BitCrush", "one step in 129, not in 128", **limits(bit_depth=8)),),
    ),
    Work(
        "resampling to 8 kHz and back",
        "resample:rate_hz=8000",
        (
            Peer("audiomentations", "Resample, twice", there_and_back, "by soxr"),
            function_way(
                "resample, twice",
                lambda f, wave, rate: f.resample(f.resample(wave, rate, 8000), 8000, rate),
                "a shorter filter, 6 zero crossings",
            ),
        ),
    ),
    Work(
        "sampling at 8 kHz without a filter",
        "resample:rate_hz=8000,aliasing=true,rebuilt=linear",
        (
            numpy_way(
                "Aliasing",
                "reads between samples along lines, ours exactly; stretches time by a sample",
                **limits(sample_rate=8000),
            ),
        ),
    ),
    Work(
        "MP3 at 32 kbit/s",
        "codec:kind=mp3,bitrate_kbps=32",
        (
            numpy_way(
                "Mp3Compression",
                "by fast-mp3-augment: LAME at its default quality, as ours, and minimp3",
                quality=3,
                **limits(bitrate=32),
            ),
        ),
        compared="no",
    ),
    Work(
        "reverberation, 0.5 s",
        "reverb:rt60_seconds=0.5",
        (
            Peer("audiomentations", "ApplyImpulseResponse", by_response_file, GIVEN),
            Peer("torch-audiomentations", "ApplyImpulseResponse", by_response_files, GIVEN),
            function_way(
                "fftconvolve",
                lambda f, wave, rate: f.fftconvolve(wave, response(rate))[:, : wave.shape[-1]],
                GIVEN,
            ),
        ),
        compared="no",
    ),
    Work(
        "a room of 60 m3, 0.5 s",
        "reverb:kind=room,rt60_seconds=0.5",
        (
            numpy_way(
                "RoomSimulator",
                "by pyroomacoustics: images of order 1, then ray tracing, its defaults",
                calculation_mode="rt60",
                leave_length_unchanged=True,
                **limits(target_rt60=0.5, size_x=5, size_y=4.5, size_z=2.7),
            ),
        ),
        compared="no",
    ),
    Work(
        "packets lost, silence instead",
        "packet-loss:concealment=silence",
        (numpy_way("TimeMask", "one gap of 5 percent, with fades", **limits(band_part=0.05)),),
        compared="no",
    ),
)
"""What is compared; settings are single values, so that the work is the same each time."""
