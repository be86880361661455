"""Codecs: the libraries' own numbers, in time, at every bit rate, and words where one lacks."""

import io
import math
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.levels import resample
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.plugins.degradations import coders
from selfremaster.plugins.degradations.coders import CODERS, Kind, settle_rates
from selfremaster.plugins.degradations.coding import lag_between

RATE_HZ = 22050
KINDS = get_args(Kind)
WITH_BITRATES = [kind for kind in KINDS if CODERS[kind].bitrates]


def part(**settings: Any) -> Degradation:
    """A codec, or a test that is left out where the libraries do not have it."""
    built: Degradation
    try:
        built = sr.build("degradation", {"name": "codec", **settings})
    except ComponentError as error:
        if "there are:" in str(error):
            pytest.skip(str(error))
        raise
    return built


def own_rate(kind: Kind, wave_hz: int = RATE_HZ) -> int:
    return settle_rates(kind, CODERS[kind].usual_hz or wave_hz, None)[0]


def ratio_db(heard: Tensor, wave: Tensor) -> float:
    """How far a wave stands above what was done to it, dB."""
    error = (heard - wave).square().mean()
    return 10 * math.log10(float(wave.square().mean() / error))


@pytest.fixture(autouse=True)
def libraries_anew() -> Iterator[None]:
    """What is not there in one test is there in the next."""
    coders._wanting.cache_clear()
    yield
    coders._wanting.cache_clear()


def test_every_kind_is_described() -> None:
    assert set(KINDS) == set(CODERS)
    assert list(CODERS) == sorted(CODERS)


# the libraries' own numbers


def by_soundfile(wave: NDArray[np.float32], rate_hz: int, **how: Any) -> NDArray[np.float32]:
    file = io.BytesIO()
    soundfile.write(file, wave, rate_hz, **how)
    file.seek(0)
    raw = {"samplerate": rate_hz, "channels": 1, "format": "RAW", "subtype": how["subtype"]}
    with soundfile.SoundFile(file, **(raw if how["format"] == "RAW" else {})) as encoded:
        heard: NDArray[np.float32] = encoded.read(len(wave), dtype="float32")
    return heard


@pytest.mark.parametrize(
    ("kind", "kbps", "rate_hz", "how"),
    [
        ("a-law", None, 8000, {"format": "WAV", "subtype": "ALAW"}),
        ("mu-law", None, 8000, {"format": "WAV", "subtype": "ULAW"}),
        ("g726", 24, 8000, {"format": "AU", "subtype": "G723_24"}),
        ("g726", None, 8000, {"format": "AU", "subtype": "G721_32"}),
        ("g726", 40, 8000, {"format": "AU", "subtype": "G723_40"}),
        ("gsm", None, 8000, {"format": "WAV", "subtype": "GSM610"}),
        ("ima-adpcm", None, 11025, {"format": "WAV", "subtype": "IMA_ADPCM"}),
        ("ms-adpcm", None, 22050, {"format": "WAV", "subtype": "MS_ADPCM"}),
        ("vox-adpcm", None, 8000, {"format": "RAW", "subtype": "VOX_ADPCM"}),
        ("opus", 131, 16000, {"format": "OGG", "subtype": "OPUS", "compression_level": 0.5}),
        ("vorbis", 96, 44100, {"format": "OGG", "subtype": "VORBIS", "compression_level": 0.5}),
        (
            "mp3",
            160,
            22050,
            {
                "format": "MP3",
                "subtype": "MPEG_LAYER_III",
                "compression_level": 0,
                "bitrate_mode": "CONSTANT",
            },
        ),
    ],
)
def test_libsndfile_itself_gives_the_same(
    kind: Kind, kbps: float | None, rate_hz: int, how: dict[str, Any]
) -> None:
    wave = speech_like(320 * 40, sample_rate=rate_hz)
    heard = part(kind=kind, **({} if kbps is None else {"bitrate_kbps": kbps})).apply(
        wave, {}, rate_hz
    )
    np.testing.assert_array_equal(heard[0].numpy(), by_soundfile(wave[0].numpy(), rate_hz, **how))


@pytest.mark.parametrize(
    ("kind", "encoder", "decoder", "kbps", "rate_hz", "late"),
    [
        ("amr-nb", "libopencore_amrnb", "amrnb", 7.4, 8000, 40),
        ("g722", "g722", "g722", None, 16000, 22),
    ],
)
def test_ffmpeg_itself_gives_the_same(
    kind: Kind, encoder: str, decoder: str, kbps: float | None, rate_hz: int, late: int
) -> None:
    coded = part(kind=kind, **({} if kbps is None else {"bitrate_kbps": kbps}))
    av = pytest.importorskip("av")
    wave = speech_like(8000, sample_rate=rate_hz)
    contexts = [av.CodecContext.create(encoder, "w"), av.CodecContext.create(decoder, "r")]
    for context in contexts:
        context.sample_rate, context.layout, context.format = rate_hz, "mono", "s16"
    contexts[0].bit_rate = int(1000 * (kbps or 64))
    whole = torch.nn.functional.pad(wave, (0, late))
    # PyAV makes 16 bits of what it is given, rounding as C does
    given = av.AudioFrame.from_ndarray(whole.numpy(), format="flt", layout="mono")
    given.sample_rate = rate_hz
    packets = contexts[0].encode(given) + contexts[0].encode(None)
    frames = [frame for packet in packets for frame in contexts[1].decode(packet)]
    sound = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    if sound.dtype == np.int16:
        sound = sound / np.float32(32768)
    heard = coded.apply(wave, {}, rate_hz)[0].numpy()
    np.testing.assert_allclose(heard, sound[late : late + 8000], rtol=0, atol=1e-6)


def test_mu_law_is_that_of_telephones() -> None:
    """Values that G.711 has stay as they are; the loudest is a little below full scale."""
    kept = torch.tensor([[0.0, 2, -6, 30, 33, 3999, -8031]]) / 8192
    assert torch.equal(part(kind="mu-law").apply(kept, {}, 8000), kept)
    loudest = part(kind="mu-law").apply(torch.tensor([[1.0, -1.0, 9.0]]), {}, 8000)
    assert (loudest * 8192).tolist() == [[8031, -8031, 8031]]


# time


@pytest.mark.parametrize(
    ("kind", "kbps"),
    [(kind, None) for kind in KINDS]
    + [(kind, kbps) for kind in WITH_BITRATES for kbps in (1, 512)],
)
def test_no_codec_lags(kind: Kind, kbps: float | None) -> None:
    coded = part(kind=kind, **({} if kbps is None else {"bitrate_kbps": kbps}))
    rate_hz = own_rate(kind)
    wave = speech_like(rate_hz, sample_rate=rate_hz)
    heard = coded.apply(wave, {}, rate_hz)
    lag = lag_between(heard[0].numpy(), wave[0].numpy(), rate_hz // 4)
    assert abs(lag) <= rate_hz / 8000  # a sample of the lowest rate: coarse codecs bend waves
    if kbps == 512:
        assert lag == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [1, 333])
def test_the_shortest_sounds_are_coded_and_the_end_is_there(kind: Kind, samples: int) -> None:
    coded = part(kind=kind)
    rate_hz = own_rate(kind)
    heard = coded.apply(torch.full((1, samples), 0.5), {}, rate_hz)
    assert heard.shape == (1, samples)
    assert heard.isfinite().all()
    wave = speech_like(rate_hz // 2 + 77, sample_rate=rate_hz)
    end = coded.apply(wave, {}, rate_hz)[:, -200:]
    assert ratio_db(end, wave[:, -200:]) > 0


def test_minutes_are_coded_at_once() -> None:
    """Libvorbis ends the process where it is given millions of samples in one piece."""
    wave = speech_like(16_000, sample_rate=8000).repeat(1, 150)
    heard = part(kind="vorbis").apply(wave, {}, 8000)
    assert ratio_db(heard[:, -8000:], wave[:, -8000:]) > 10


@pytest.mark.parametrize("kind", ["gsm", "mp3"])
@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 96000])
def test_a_wave_of_any_rate_comes_back_in_time(kind: Kind, rate_hz: int) -> None:
    wave = speech_like(rate_hz, sample_rate=rate_hz)
    heard = part(kind=kind).apply(wave, {}, rate_hz)
    assert heard.shape == wave.shape
    low, coded = (resample(sound, rate_hz, 8000)[0].numpy() for sound in (wave, heard))
    assert lag_between(coded, low, 2000) == 0


# what is lost


def test_gsm_loses_what_is_above_4_khz() -> None:
    wave = noise(1, RATE_HZ)
    heard = part(kind="gsm").apply(wave, {}, RATE_HZ)
    before, after = (torch.fft.rfft(sound[0]).abs().square() for sound in (wave, heard))
    assert after[4100:].sum() < 1e-4 * before[4100:].sum()
    assert after[300:3400].sum() > 0.1 * before[300:3400].sum()


@pytest.mark.parametrize("kind", WITH_BITRATES)
def test_a_lower_bit_rate_is_worse(kind: Kind) -> None:
    wave = speech_like(RATE_HZ)
    coded = part(kind=kind)
    far = [
        ratio_db(coded.apply(wave, {"bitrate_kbps": kbps}, RATE_HZ), wave) for kbps in (512, 30, 1)
    ]
    assert far == sorted(far, reverse=True)
    assert far[0] > far[2] + 1


@pytest.mark.parametrize("kind", ["mu-law", "gsm", "mp3"])
def test_passes_are_generations_of_copies(kind: Kind) -> None:
    rate_hz = own_rate(kind)
    wave = speech_like(rate_hz, sample_rate=rate_hz)
    once = part(kind=kind).apply(wave, {}, rate_hz)
    thrice = part(kind=kind).apply(wave, {"passes": 3}, rate_hz)
    copies = part(kind=kind).apply(part(kind=kind).apply(once, {}, rate_hz), {}, rate_hz)
    assert torch.equal(thrice, copies)
    if kind == "mu-law":
        assert torch.equal(thrice, once)  # what is on a step stays there
    else:
        assert ratio_db(thrice, wave) < ratio_db(once, wave)


def test_full_scale_is_where_a_codec_clips() -> None:
    wave = 4 * speech_like(8000, sample_rate=8000)
    coded = part(kind="mu-law")
    heard = coded.apply(wave, {}, 8000)
    assert torch.equal(heard, coded.apply(wave.clamp(-1, 1), {}, 8000))
    assert 0.97 < heard.abs().max() < 1


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_says_whether_it_hisses_in_silence(kind: Kind) -> None:
    coded = part(kind=kind)
    rates = {own_rate(kind, rate_hz) for rate_hz in (8000, 11025, 16000, 22050, 44100)}
    heard = [coded.apply(torch.zeros(1, 9000), {}, rate_hz).any() for rate_hz in sorted(rates)]
    assert any(heard) == coded.adds_sound


def test_a_rate_can_be_asked_for() -> None:
    wave = speech_like(RATE_HZ)
    low = part(kind="ima-adpcm", rate_hz=8000).apply(wave, {}, RATE_HZ)
    spectrum = torch.fft.rfft(low[0]).abs().square()
    assert spectrum[4100:].sum() < 1e-4 * spectrum.sum()
    assert torch.equal(
        part(kind="ima-adpcm").apply(wave, {}, RATE_HZ),
        part(kind="ima-adpcm", rate_hz=RATE_HZ).apply(wave, {}, RATE_HZ),
    )


@given(
    kind=st.sampled_from(KINDS),
    rate_hz=st.integers(1000, 192_000),
    kbps=st.none() | st.floats(1, 512),
)
def test_rates_are_settled_to_what_there_is(kind: Kind, rate_hz: int, kbps: float | None) -> None:
    coder = CODERS[kind]
    chosen, settled = settle_rates(kind, rate_hz, kbps)
    assert chosen in coder.rates_hz or (not coder.rates_hz and 8000 <= chosen <= 48000)
    if not coder.bitrates:
        assert settled is None
        return
    assert settled is not None
    there = coder.bitrates_at(chosen)
    assert there.low_kbps <= settled <= there.high_kbps
    assert not there.steps_kbps or settled in there.steps_kbps
    # what has been settled is settled
    assert settle_rates(kind, chosen, settled) == (chosen, settled)


@pytest.mark.parametrize("kind", WITH_BITRATES)
def test_every_rate_takes_every_bit_rate_that_is_told(kind: Kind) -> None:
    coded = part(kind=kind)
    for rate_hz in CODERS[kind].rates_hz or (8000, 11025, 16000, 32000, 44100):
        there = CODERS[kind].bitrates_at(rate_hz)
        for kbps in there.steps_kbps or (there.low_kbps, there.low_kbps + 1, there.high_kbps):
            assert settle_rates(kind, rate_hz, kbps) == (rate_hz, kbps)
            heard = coded.apply(torch.ones(1, 9), {"bitrate_kbps": kbps}, rate_hz)
            assert heard.isfinite().all()


def test_kinds_bit_rates_and_passes_are_drawn() -> None:
    coded = part(kind=["gsm", "mp3", "mu-law"], bitrate_kbps=[8, 64], passes=[1, 3])
    generator = Generator().manual_seed(3)
    drawn = [coded.draw(generator, RATE_HZ) for _ in range(60)]
    assert {own["kind"] for own in drawn} == {"gsm", "mp3", "mu-law"}
    assert {own["passes"] for own in drawn} == {1, 2, 3}
    assert all(8 <= own["bitrate_kbps"] <= 64 for own in drawn)
    wave = torch.cat([speech_like(3000)] * 3)
    heard = coded.apply(wave, drawn[:3], RATE_HZ)
    for row, own in zip(heard, drawn, strict=False):
        assert torch.equal(coded.apply(wave[:1], own, RATE_HZ)[0], row)


# words


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "gsn"}, "kind=gsn: .*'gsm'"),
        ({"kind": "gsm", "bitrate_kbps": 13}, "kind=gsm has one bit rate only"),
        (
            {"kind": ["gsm", "mu-law"], "bitrate_kbps": 13},
            "kind=gsm or mu-law has one bit rate only; leave bitrate_kbps out",
        ),
        ({"kind": "gsm", "rate_hz": 8000}, "kind=gsm has one sampling rate only"),
        ({"kind": "mp3", "bitrate_kbps": [64, 32]}, "falls; write .low, high."),
        ({"kind": "mp3", "bitrate_kbps": 0}, "bitrate_kbps=0: .*greater than or equal to 1"),
        ({"passes": 0}, "passes=0: .*greater than or equal to 1"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        sr.build("degradation", {"name": "codec", **settings})


def test_what_to_install_is_said_when_a_codec_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise ModuleNotFoundError("No module named 'av'", name="av")

    monkeypatch.setattr(coders, "load_av", none)
    words = r"kind=amr-nb needs PyAV; pip install 'selfremaster\[codecs\]'; there are: a-law, g726,"
    with pytest.raises(ComponentError, match=words):
        sr.build("degradation", "codec:kind=[gsm, amr-nb]")
    gsm = sr.build("degradation", "codec:kind=gsm")
    with pytest.raises(ComponentError, match="kind=aac needs PyAV"):
        gsm.apply(torch.zeros(1, 100), {"kind": "aac"}, RATE_HZ)


def test_an_encoder_that_the_build_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Av:
        __version__ = "1.2"

        @staticmethod
        def Codec(name: str, mode: str) -> None:  # noqa: N802  # named by PyAV
            if mode == "w":
                raise ValueError(name)

    monkeypatch.setattr(coders, "load_av", lambda: Av)
    words = "kind=g722 needs g722, which this build of PyAV 1.2 lacks; there are: .*gsm"
    with pytest.raises(ComponentError, match=words):
        sr.build("degradation", "codec:kind=g722")


def test_old_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    formats = soundfile.available_formats()
    del formats["MP3"]
    monkeypatch.setattr(soundfile, "available_formats", lambda: formats)
    with pytest.raises(ComponentError, match=r"kind=mp3 is not in libsndfile .*soundfile>=0\.13"):
        sr.build("degradation", "codec:kind=mp3")
    monkeypatch.setattr(coders, "sets_bitrates", lambda: False)
    coders._wanting.cache_clear()
    with pytest.raises(ComponentError, match=r"kind=opus has bit rates, which soundfile .*cannot"):
        sr.build("degradation", "codec:kind=opus")
    assert sr.build("degradation", "codec:kind=g726").adds_sound is False
