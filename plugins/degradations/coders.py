"""The codecs that sound can be passed through: what each is called, needs and allows."""

import importlib
import inspect
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Literal, NamedTuple

import soundfile

from selfremaster.core.errors import ComponentError

Kind = Literal[
    "a-law",
    "aac",
    "amr-nb",
    "amr-wb",
    "g722",
    "g723-1",
    "g726",
    "gsm",
    "ima-adpcm",
    "mp2",
    "mp3",
    "ms-adpcm",
    "mu-law",
    "opus",
    "vorbis",
    "vox-adpcm",
    "wma",
]


class Bitrates(NamedTuple):
    """The bit rates that there are from a sampling rate on: all from low to high, or steps."""

    from_hz: int
    low_kbps: float
    high_kbps: float
    steps_kbps: tuple[float, ...] = ()


def only(from_hz: int, *kbps: float) -> Bitrates:
    """Bit rates, rising, and none between them."""
    return Bitrates(from_hz, kbps[0], kbps[-1], kbps)


@dataclass(frozen=True)
class Coder:
    """One codec: where it is found, and which rates and bit rates it has."""

    container: str  # of libsndfile, or of PyAV ("" is none: packets are handed over as they are)
    codec: str  # libsndfile's subtype, or PyAV's encoder
    decoder: str = ""  # PyAV's
    rates_hz: tuple[int, ...] = ()  # any, where none are named
    usual_hz: int | None = None  # none: that of the wave
    bitrates: tuple[Bitrates, ...] = ()  # the higher rates first; none: there is but one
    usual_kbps: float = 0
    lead_samples: int = 0  # of silence before and after, of which a part gets lost
    block_samples: int = 1  # whole blocks only; the rest would be filled with what came before
    hisses: bool = False  # whether silence comes out as something

    @property
    def by_av(self) -> bool:
        """Whether PyAV has it; the others are libsndfile's."""
        return self.decoder != ""

    def bitrates_at(self, rate_hz: int) -> Bitrates:
        """The bit rates that there are at a sampling rate."""
        return next((own for own in self.bitrates if rate_hz >= own.from_hz), self.bitrates[-1])


MPEG_2_5, MPEG_2, MPEG_1 = (8000, 11025, 12000), (16000, 22050, 24000), (32000, 44100, 48000)
MPEG_2_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
LAYER_2_KBPS = (32, 48, 56, 64, 80, 96, 112, 128, 160, 192)
LAYER_3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
AAC_HZ = (*MPEG_2_5, *MPEG_2, *MPEG_1)
AMR_NB_KBPS = (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2)
AMR_WB_KBPS = (6.6, 8.85, 12.65, 14.25, 15.85, 18.25, 19.85, 23.05, 23.85)
HIGHEST_HZ = 48000
SET_BY_LEVEL = ("mp3", "opus", "vorbis")  # whose bit rate libsndfile has as a compression level

CODERS: dict[Kind, Coder] = {
    "a-law": Coder("WAV", "ALAW", usual_hz=8000, hisses=True),
    "aac": Coder(
        "",
        "aac",
        "aac",
        rates_hz=AAC_HZ,
        bitrates=(Bitrates(32000, 16, 256), Bitrates(16000, 12, 128), Bitrates(8000, 8, 64)),
        usual_kbps=32,
    ),
    "amr-nb": Coder(
        "",
        "libopencore_amrnb",
        "amrnb",
        rates_hz=(8000,),
        bitrates=(only(0, *AMR_NB_KBPS),),
        usual_kbps=12.2,
        hisses=True,
    ),
    "amr-wb": Coder(
        "",
        "libvo_amrwbenc",
        "amrwb",
        rates_hz=(16000,),
        bitrates=(only(0, *AMR_WB_KBPS),),
        usual_kbps=12.65,
        hisses=True,
    ),
    "g722": Coder("", "g722", "g722", rates_hz=(16000,), usual_kbps=64, hisses=True),
    "g723-1": Coder("", "g723_1", "g723_1", rates_hz=(8000,), usual_kbps=6.3, hisses=True),
    "g726": Coder(
        "AU", "G721_32", rates_hz=(8000,), bitrates=(only(0, 24, 32, 40),), usual_kbps=32
    ),
    "gsm": Coder("WAV", "GSM610", rates_hz=(8000,), block_samples=320, hisses=True),
    "ima-adpcm": Coder("WAV", "IMA_ADPCM"),
    "mp2": Coder(
        "",
        "mp2",
        "mp2",
        rates_hz=(*MPEG_2, *MPEG_1),
        bitrates=(only(32000, *LAYER_2_KBPS), only(16000, *MPEG_2_KBPS)),
        usual_kbps=64,
    ),
    "mp3": Coder(
        "MP3",
        "MPEG_LAYER_III",
        rates_hz=AAC_HZ,
        bitrates=(
            only(32000, *LAYER_3_KBPS),
            only(16000, *MPEG_2_KBPS),
            only(8000, *MPEG_2_KBPS[:8]),
        ),
        usual_kbps=48,
    ),
    "ms-adpcm": Coder("WAV", "MS_ADPCM"),
    "mu-law": Coder("WAV", "ULAW", usual_hz=8000),
    "opus": Coder(
        "OGG",
        "OPUS",
        rates_hz=(8000, 12000, 16000, 24000, 48000),
        bitrates=(Bitrates(8000, 6, 256),),
        usual_kbps=24,
        hisses=True,
    ),
    "vorbis": Coder(
        "OGG",
        "VORBIS",
        bitrates=(
            Bitrates(26000, 48, 240),
            Bitrates(19000, 24, 90),
            Bitrates(15000, 24, 100),
            Bitrates(9000, 20, 50),
            Bitrates(8000, 14, 42),
        ),
        usual_kbps=64,
    ),
    "vox-adpcm": Coder("RAW", "VOX_ADPCM", rates_hz=(8000,), block_samples=2, hisses=True),
    "wma": Coder(
        "asf",
        "wmav2",
        "wmav2",
        rates_hz=AAC_HZ,
        bitrates=(Bitrates(8000, 24, 192),),
        usual_kbps=32,
        lead_samples=4096,
        hisses=True,
    ),
}
"""Every codec that is known by name; which of them there are, `require` says."""


def settle_rates(kind: Kind, rate_hz: int, bitrate_kbps: float | None) -> tuple[int, float | None]:
    """The rate (Hz) and bit rate (kbit/s) that a codec has, nearest to those that are wished for.

    The rate is the next that loses nothing, unless the bit rate is too low for it.

    >>> settle_rates("mp3", 44100, 128), settle_rates("mp3", 44100, 16), settle_rates("gsm", 1, 9)
    ((44100, 128), (24000, 16), (8000, None))
    """
    coder = CODERS[kind]
    rates = coder.rates_hz or (min(max(rate_hz, 8000), HIGHEST_HZ),)
    chosen = next((rate for rate in rates if rate >= rate_hz), rates[-1])
    if not coder.bitrates:
        return chosen, None
    kbps = coder.usual_kbps if bitrate_kbps is None else bitrate_kbps
    slow = [rate for rate in rates if rate <= chosen and coder.bitrates_at(rate).low_kbps <= kbps]
    chosen = slow[-1] if slow else rates[0]
    there = coder.bitrates_at(chosen)
    if there.steps_kbps:
        return chosen, min(there.steps_kbps, key=lambda step: abs(step - kbps))
    return chosen, round(min(max(kbps, there.low_kbps), there.high_kbps))


def require(kind: Kind) -> None:
    """Raise `ComponentError` where a codec is not there, with what to do and what is there."""
    wanting = _wanting(kind)
    if wanting is not None:
        there = ", ".join(name for name in CODERS if _wanting(name) is None)
        raise ComponentError(f"kind={kind} {wanting}; there are: {there}")


@lru_cache(maxsize=64)
def _wanting(kind: Kind) -> str | None:
    """What a codec lacks; none where it is there."""
    coder = CODERS[kind]
    if coder.by_av:
        return _wanting_of_av(coder)
    if coder.codec not in subtypes(coder.container):
        version = soundfile.__libsndfile_version__
        return f"is not in libsndfile {version}; install soundfile>=0.13"
    if kind in SET_BY_LEVEL and not sets_bitrates():
        return f"has bit rates, which soundfile {soundfile.__version__} cannot set; install >=0.13"
    return None


def _wanting_of_av(coder: Coder) -> str | None:
    try:
        av = load_av()
    except ImportError:
        return "needs PyAV; pip install 'selfremaster[codecs]'"
    for name, mode in ((coder.codec, "w"), (coder.decoder, "r")):
        try:
            av.Codec(name, mode)
        except ValueError:  # PyAV's own UnknownCodecError is one
            return f"needs {name}, which this build of PyAV {av.__version__} lacks"
    return None


def load_av() -> ModuleType:
    """PyAV, which is imported when first needed; raises ImportError."""
    return importlib.import_module("av")


def subtypes(container: str) -> Collection[str]:
    """What libsndfile, as it was built, writes in a container."""
    if container not in soundfile.available_formats():
        return ()
    found: Collection[str] = soundfile.available_subtypes(container)
    return found


def sets_bitrates() -> bool:
    """Whether the soundfile that is installed can set a compression level."""
    return "compression_level" in inspect.signature(soundfile.SoundFile.__init__).parameters
