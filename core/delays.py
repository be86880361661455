"""How much later codecs make a sound, where no file tells: known of the codec, or only likely."""

from typing import NamedTuple

LAYERS = {3: 481, 2: 481, 1: 1105}
"""Samples by the two bits that tell the layer of an MPEG frame: I, II, III.

The filters of layers I and II delay by 481, whoever encodes (ISO 11172-3). For layer III encoders
differ; 1105 is LAME's (576, and 529 of every decoder).
"""

UNTOLD_LAYER_3 = 576  # LAME's part, where the decoder has taken out its own
OTHERS = {"ac3": 256, "eac3": 256, "opus": 312, "amrnb": 40}
"""Samples: half a block of AC-3 (ATSC A/52), lookahead of Opus and of AMR (3GPP TS 26.071)."""

SURE = frozenset({"mp1", "mp2", "ac3", "eac3", "amrnb"})
NONE = frozenset({"alac", "flac", "tta", "wavpack", "vorbis", "truehd", "mlp"})
WMA = frozenset({"wmav1", "wmav2"})


class Delay(NamedTuple):
    """Samples that are to be left out at the beginning, and what is to be said of that."""

    samples: int
    note: str = ""


NO_DELAY = Delay(0)


def delay_of(codec: str, packet: bytes, frame_samples: int, codec_delay: int) -> Delay:
    r"""The delay of a sound track whose container tells nothing of it.

    ``packet`` is the beginning of the first one, ``frame_samples`` what its frame holds, and
    ``codec_delay`` what FFmpeg says of the decoder.

    >>> delay_of("ac3", b"", 1536, 0).samples, delay_of("mp3float", b"\xff\xfd", 1152, 0).samples
    (256, 481)
    """
    if codec in NONE or codec.startswith("pcm_"):
        return NO_DELAY
    if codec.startswith(("mp1", "mp2", "mp3")):
        layer = packet[1] >> 1 & 3 if len(packet) > 1 else 0
        samples, sure = LAYERS.get(layer, 0), layer != 1
    elif codec.startswith("aac"):
        samples, sure = frame_samples, False  # a frame overlaps with one before the first
    elif codec in WMA:
        samples, sure = codec_delay // 2, False  # the same; FFmpeg would take out two
    else:
        samples, sure = OTHERS.get(codec, 0), codec in SURE
    return Delay(samples) if samples and sure else _untold(codec.removesuffix("float"), samples)


def delay_of_file(subtype: str, states_its_length: bool) -> Delay:
    """The delay of an MPEG file as libsndfile reads it.

    >>> delay_of_file("MPEG_LAYER_II", True).samples, delay_of_file("PCM_16", True).samples
    (481, 0)
    """
    if subtype in {"MPEG_LAYER_I", "MPEG_LAYER_II"}:
        return Delay(LAYERS[2])
    if subtype == "MPEG_LAYER_III" and not states_its_length:
        return _untold("mp3", UNTOLD_LAYER_3)
    return NO_DELAY


def _untold(codec: str, samples: int) -> Delay:
    """A delay that is only likely, or not known."""
    told = f"by how much its codec, {codec}, delays the sound is not told"
    if not samples:
        return Delay(0, f"{told}, nor known; it stays")
    return Delay(samples, f"{told}; {samples} samples are left out, as most encoders need")
