"""Mean spectra: a known filter is found again, put on without delay, and judged in dB."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal
from torch import Tensor

import selfremaster as sr
from selfremaster.core import audio, equalising, spectra
from selfremaster.core.errors import AudioError, BundleError, ComponentError
from selfremaster.core.jobs import Failure
from selfremaster.core.loudness import integrated_loudness
from selfremaster.core.profiles import SpectralProfile
from selfremaster.core.promises import check
from selfremaster.core.spectra import Spectrum
from selfremaster.core.transferring import put_on
from tests.cli import SPEECH, write_tone
from tests.strategies import seeds, waves

RATE = 22050
SIZE = 1024
BASS, TREBLE = signal.butter(1, 1500, fs=RATE), signal.butter(1, 1500, "high", fs=RATE)
TAPE = tuple(0.9 * low + 0.2 * high for low, high in zip(BASS[0], TREBLE[0], strict=True))
"""A filter that lets the treble through by 13 dB less than the bass."""


def noise(seconds: float, seed: int, rate_hz: int = RATE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, round(seconds * rate_hz), generator=generator) * 0.1


def filtered(wave: Tensor) -> Tensor:
    return torch.from_numpy(signal.lfilter(TAPE, BASS[1], wave.numpy())).float()


def response_db() -> Tensor:
    _, response = signal.freqz(TAPE, BASS[1], spectra.frequencies(RATE, SIZE).numpy(), fs=RATE)
    return 20 * torch.from_numpy(abs(response)).log10()


def band(low_hz: float, high_hz: float) -> Tensor:
    bins = spectra.frequencies(RATE, SIZE)
    return (bins >= low_hz) & (bins <= high_hz)


def off_by(gain: Spectrum, truth: Tensor, where: Tensor) -> float:
    """The largest difference in dB, whatever the gain as a whole."""
    error = (gain.values_db - truth)[where]
    return float((error - error.median()).abs().max())


def read(folder: str) -> list[spectra.Sound]:
    return [audio.read(path) for path in sorted((SPEECH / folder).glob("*.flac"))]


def test_a_filter_is_found_again_without_pairs() -> None:
    speech = read("heart")
    clean = spectra.mean_levels(speech, RATE, SIZE)
    degraded = spectra.mean_levels([(0.2 * filtered(wave), RATE) for wave, _ in speech], RATE, SIZE)
    gain = spectra.gain_between(degraded, clean)
    assert off_by(gain, response_db(), band(60, 10500)) < 1


def test_a_filter_is_found_again_from_other_sounds_of_the_same_sort() -> None:
    clean = spectra.mean_levels([(noise(8, 1), RATE)], RATE, SIZE)
    degraded = spectra.mean_levels([(filtered(noise(8, 2)), RATE)], RATE, SIZE)
    gain = spectra.gain_between(degraded, clean)
    assert off_by(gain, response_db(), band(100, 10500)) < 1


def test_a_filter_is_found_again_from_pairs() -> None:
    pairs = [(filtered(noise(3, seed)), noise(3, seed)) for seed in (1, 2)]
    gain = spectra.paired_gain(pairs, RATE)
    assert float((10 ** (gain.values_db / 20)).sum()) == pytest.approx(1)
    error = (gain.values_db - response_db())[band(100, 10500)]
    error = (error - error.median()).abs()  # a clean frame near 0 upsets a bin now and then
    assert float(error.quantile(0.95)) < 1
    assert spectra.paired_gain([(wave * 0.3, clean) for wave, clean in pairs], RATE).values_db[
        50
    ] == pytest.approx(float(gain.values_db[50]))


def test_the_published_formula_by_hand() -> None:
    clean = noise(0.2, 1)
    gain = spectra.paired_gain([(0.5 * clean, clean), (0.25 * clean, clean)], RATE, 64)
    assert gain.values_db.tolist() == pytest.approx([20 * math.log10(1 / 33)] * 33, abs=1e-5)


def test_pairs_that_are_none_are_refused() -> None:
    with pytest.raises(
        AudioError, match=r"a pair of \(1, 10\) and \(1, 11\); give the same speech"
    ):
        spectra.paired_gain([(torch.zeros(1, 10), torch.zeros(1, 11))], RATE)
    with pytest.raises(AudioError, match="no pairs"):
        spectra.paired_gain([], RATE)


def test_gains_are_limited_and_nothing_is_above_half_the_rate_of_a_recording() -> None:
    speech = read("heart")
    dull = [(audio.resample(wave, rate, 8000), 8000) for wave, rate in speech]
    clean = spectra.mean_levels(speech, RATE, SIZE)
    for degraded in (
        spectra.mean_levels(dull, RATE, SIZE),
        spectra.mean_levels(dull, 8000, 512),
    ):
        gain = spectra.gain_between(degraded, clean)
        assert float(gain.values_db[band(4500, RATE)].max()) == pytest.approx(-40, abs=1)
        assert float(gain.values_db[band(200, 3300)].abs().max()) < 1.5
    assert float(spectra.gain_between(clean, degraded).values_db.abs().max()) <= 40


@settings(max_examples=15, deadline=None)
@given(gain=st.floats(1e-4, 1.0), seed=seeds())
def test_levels_hang_neither_on_gain_nor_on_pauses(gain: float, seed: int) -> None:
    wave = noise(0.5, seed)
    levels = spectra.mean_levels([(wave, RATE)], RATE, 256).values_db
    other = spectra.mean_levels([(gain * wave, RATE)], RATE, 256).values_db
    assert torch.allclose(levels, other, atol=1e-3)
    paused = torch.cat([wave[:, :8192], torch.zeros(1, 8192)], dim=-1)
    whole = spectra.mean_levels([(wave[:, :8192], RATE)], RATE, 256).values_db
    assert torch.allclose(spectra.mean_levels([(paused, RATE)], RATE, 256).values_db, whole, atol=1)


def test_levels_of_several_recordings_are_their_mean() -> None:
    sounds = [(noise(0.5, seed), RATE) for seed in (1, 2)]
    each = [spectra.mean_levels([sound], RATE, 256).values_db for sound in sounds]
    both = spectra.mean_levels(sounds, RATE, 256).values_db
    assert torch.allclose(both, (each[0] + each[1]) / 2, atol=1e-6)
    with pytest.raises(AudioError, match="nothing but silence; a mean spectrum needs sound"):
        spectra.mean_levels([(torch.zeros(1, 5000), RATE)], RATE, 256)


@settings(max_examples=20, deadline=None)
@given(wave=waves(max_samples=30_000, max_batch=2), rate_hz=st.sampled_from([8000, 22050, 44100]))
def test_a_flat_gain_gives_the_wave_itself(wave: Tensor, rate_hz: int) -> None:
    flat = Spectrum(torch.zeros(129, dtype=torch.float64), 22050)
    made = spectra.apply_gain(wave, rate_hz, flat)
    assert made.shape == wave.shape
    assert torch.allclose(made, wave, atol=float(wave.abs().max()) * 1e-4)


def test_a_gain_delays_nothing_and_long_waves_have_no_seams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wave = noise(2, 1)
    gain = Spectrum(response_db(), RATE)
    whole = spectra.apply_gain(wave, RATE, gain)
    size = 2 * wave.shape[-1]
    lagged = torch.fft.irfft(torch.fft.rfft(whole, size) * torch.fft.rfft(wave, size).conj())
    assert int(lagged.argmax()) == 0
    monkeypatch.setattr(spectra, "CHUNK_SECONDS", 0.3)
    assert torch.allclose(spectra.apply_gain(wave, RATE, gain), whole, atol=1e-5)


@pytest.mark.parametrize("rate_hz", [16000, 22050, 48000])
def test_a_gain_is_put_onto_a_wave_of_any_rate(rate_hz: int) -> None:
    wave = noise(4, 1, rate_hz)
    made = spectra.apply_gain(wave, rate_hz, Spectrum(response_db(), RATE))
    before, after = (
        spectra.smooth(spectra.mean_levels([(sound, rate_hz)], rate_hz, SIZE)).values_db
        for sound in (wave, made)
    )
    bins = spectra.frequencies(rate_hz, SIZE)
    _, response = signal.freqz(TAPE, BASS[1], bins.clamp(max=RATE / 2).numpy(), fs=RATE)
    change = (after - before - 20 * torch.from_numpy(abs(response)).log10())[bins > 100]
    assert float((change - change.median()).abs().max()) < 1


@settings(max_examples=20, deadline=None)
@given(octaves=st.floats(0.01, 2), bins=st.integers(3, 200), seed=seeds())
def test_smoothing_keeps_a_level_and_its_limits(octaves: float, bins: int, seed: int) -> None:
    values = torch.randn(bins, generator=torch.Generator().manual_seed(seed)).double()
    smoothed = spectra.smooth(Spectrum(values, RATE), octaves).values_db
    assert float(smoothed.max()) <= float(values.max()) + 1e-9
    assert float(smoothed.min()) >= float(values.min()) - 1e-9
    level = spectra.smooth(Spectrum(torch.full((bins,), 3.0).double(), RATE), octaves).values_db
    assert torch.allclose(level, torch.full((bins,), 3.0).double())


def test_the_distance_is_that_of_a_known_filter() -> None:
    clean = [(noise(6, seed), RATE) for seed in (1, 2)]
    degraded = [(filtered(wave), RATE) for wave, _ in clean]
    power = 10 ** (response_db() / 10)
    expected = 10 * (power / power.mean()).log10()[band(50, RATE)]
    told = spectra.ltas_distance(degraded, clean)
    assert told == pytest.approx(float(expected.square().mean().sqrt()), abs=0.1)
    assert spectra.ltas_distance(clean, degraded) == pytest.approx(told)


@settings(max_examples=10, deadline=None)
@given(gain=st.floats(1e-3, 1.0), seed=seeds())
def test_the_distance_does_not_hang_on_gain(gain: float, seed: int) -> None:
    first, second = noise(0.5, seed), filtered(noise(0.5, seed + 1))
    told = spectra.ltas_distance([(first, RATE)], [(second, RATE)])
    assert spectra.ltas_distance([(gain * first, RATE)], [(second, RATE)]) == pytest.approx(
        told, abs=1e-3
    )
    assert spectra.ltas_distance([(first, RATE)], [(gain * first, RATE)]) < 1e-3


def test_the_distance_is_taken_where_both_have_sound_and_wants_two_sides() -> None:
    wave = noise(4, 1)
    lower = audio.resample(wave, RATE, 11025)
    assert spectra.ltas_distance([(wave, RATE)], [(lower, 11025)]) < 0.5
    with pytest.raises(AudioError, match="no recordings on one side"):
        spectra.ltas_distance([], [(wave, RATE)])


def test_transfer_by_filter_brings_speech_near_the_recordings() -> None:
    clean, other = read("heart"), read("alder")
    tapes = [(filtered(wave), rate) for wave, rate in other]
    level, spoken = (
        SpectralProfile.of(spectra.mean_levels(sounds, RATE, SIZE), "level")
        for sounds in (tapes, other)
    )
    effect = equalising.equaliser(level.against(spoken))
    made = [(put_on(effect, wave, rate), rate) for wave, rate in clean]
    truth = [(filtered(wave), rate) for wave, rate in clean]
    assert spectra.ltas_distance(clean, truth) > 5
    assert spectra.ltas_distance(made, truth) < 1


def test_a_level_is_no_effect() -> None:
    level = SpectralProfile.of(Spectrum(torch.zeros(9, dtype=torch.float64), RATE), "level", "tape")
    with pytest.raises(ComponentError, match="spectral profile 'tape' is the level of recordings"):
        equalising.equaliser(level)


def test_files_are_measured_one_by_one(tmp_path: Path) -> None:
    good = write_tone(tmp_path / "good.wav", rate_hz=16000)
    audio.write(tmp_path / "silent.wav", torch.zeros(1, 4000), 8000)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    files = [good, tmp_path / "silent.wav", tmp_path / "bad.wav"]
    assert equalising.lowest_rate(files) == 8000
    done, silent, bad = equalising.measure_files(files, 8000)
    assert isinstance(done, equalising.Measured)
    assert done.taken_from.file == "good.wav"
    assert isinstance(silent, Failure)
    assert "silent.wav: nothing but silence" in silent.reason
    assert isinstance(bad, Failure)
    assert "bad.wav: not audio" in bad.reason
    with pytest.raises(AudioError, match=r"bad.wav: no recording can be read"):
        equalising.lowest_rate(files[2:])
    with pytest.raises(AudioError, match="no recordings; a mean spectrum needs one"):
        equalising.make_level([], 8000)


def test_files_are_compared_with_their_originals(tmp_path: Path) -> None:
    clean = noise(1, 1)
    sounds = {
        "same": (filtered(clean), clean),
        "longer": (torch.cat([filtered(clean), noise(0.04, 2)], dim=-1), clean),
        "stereo": (filtered(clean).expand(2, -1), clean),
        "mono": (filtered(clean), torch.cat([1.5 * clean, 0.5 * clean])),
        "cut": (filtered(clean)[:, : -round(0.06 * RATE)], clean),
    }
    originals = {}
    for name, pair in sounds.items():
        paths = [tmp_path / f"{name}-{side}.wav" for side in ("old", "clean")]
        for path, wave in zip(paths, pair, strict=True):
            audio.write(path, wave, RATE, subtype="FLOAT")
        originals[paths[0]] = paths[1]
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    originals[tmp_path / "bad.wav"] = originals[tmp_path / "same-old.wav"]
    *pairs, cut, bad = equalising.compare_files(originals, RATE)
    assert isinstance(cut, Failure)
    assert "cut-old.wav: 0.94 seconds, its clean original " in cut.reason
    assert "cut-clean.wav 1.00; give the same speech twice, aligned" in cut.reason
    assert isinstance(bad, Failure)
    assert "bad.wav: not audio" in bad.reason
    compared = [pair for pair in pairs if isinstance(pair, equalising.Compared)]
    assert [pair.taken_from.file for pair in compared] == [
        f"{name}-old.wav" for name in ("same", "longer", "stereo", "mono")
    ]
    assert compared[3].original.file == "mono-clean.wav"
    assert all(torch.allclose(pair.ratio, compared[0].ratio) for pair in compared)
    gain = equalising.make_published_gain(compared[:1], RATE)
    expected = spectra.paired_gain([sounds["same"]], RATE).values_db
    assert (gain.quantity, gain.form, gain.name) == ("gain", "published", "same-old.wav")
    assert torch.allclose(gain.spectrum.values_db, expected, atol=1e-3)


def test_pairs_of_other_rates_are_brought_to_one(tmp_path: Path) -> None:
    clean = noise(2, 1)
    tape = filtered(clean)
    for name, wave in (("old", tape), ("clean", clean)):
        higher = audio.resample(wave, RATE, 2 * RATE)
        audio.write(tmp_path / f"{name}.wav", higher, 2 * RATE, subtype="FLOAT")
    audio.write(tmp_path / "22.wav", clean, RATE, subtype="FLOAT")
    (made,) = equalising.compare_files({tmp_path / "old.wav": tmp_path / "22.wav"}, RATE)
    assert isinstance(made, equalising.Compared)
    gain = equalising.make_published_gain([made], RATE).spectrum
    error = (gain.values_db - response_db())[band(100, 10000)]
    assert float((error - error.median()).abs().quantile(0.95)) < 1.5


def test_a_tiny_gain_mutes_no_soft_wave() -> None:
    flat = Spectrum(torch.full((513,), -200.0, dtype=torch.float64), RATE)
    wave = 1e-4 * noise(0.2, 1)
    made = put_on(equalising.equaliser(SpectralProfile.of(flat, "gain")), wave, RATE)
    assert torch.allclose(made, wave, atol=1e-7)


def test_average_speech_has_the_levels_of_its_source() -> None:
    density = spectra.average_speech(44100, 65536)
    bins = spectra.frequencies(44100, 65536)
    power = 10 ** (density.values_db / 10) * float(bins[1])

    def level(low_hz: float, high_hz: float) -> float:
        return 10 * math.log10(float(power[(bins >= low_hz) & (bins < high_hz)].sum()))

    assert level(56, 18000) == pytest.approx(70, abs=0.5)
    assert level(891, 1122) == pytest.approx(53.7, abs=1)
    assert level(3548, 4467) == pytest.approx(45.6, abs=1)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    for number, (wave, rate) in enumerate(read("heart")[1:]):
        audio.write(folder / f"{number}.wav", wave, rate)
    return folder


def test_the_restorer_undoes_a_filter(clean: Path, tmp_path: Path) -> None:
    (old, rate), *_ = read("heart")
    own = tmp_path / "own.wav"
    audio.write(own, old, rate)
    tape = filtered(old)
    for reference, most in ((own, 0.7), (clean, 4.0)):
        restorer = sr.build("restorer", {"name": "mean-spectrum", "clean": str(reference)})
        restored = restorer.restore(tape, rate)
        assert spectra.ltas_distance([(tape, rate)], [(old, rate)]) > 5
        assert spectra.ltas_distance([(restored, rate)], [(old, rate)]) < most
        own_lufs, wanted_lufs = (integrated_loudness(wave, rate) for wave in (restored, tape))
        assert own_lufs == pytest.approx(wanted_lufs, abs=0.01)
    default = sr.build("restorer", "mean-spectrum").restore(tape, rate)
    assert spectra.ltas_distance([(default, rate)], [(old, rate)]) < 5


def test_the_restorer_keeps_its_promises_with_clean_speech(clean: Path) -> None:
    check("restorer", sr.build("restorer", {"name": "mean-spectrum", "clean": str(clean)}))


def test_a_saved_level_is_as_good_as_the_files_themselves(clean: Path, tmp_path: Path) -> None:
    files = sorted(clean.iterdir())
    measured = [item for item in equalising.measure_files(files, RATE) if item.taken_from]
    level = equalising.make_level(measured, RATE, "alder")
    level.save(tmp_path / "alder.json")
    wave = filtered(noise(0.5, 1))
    by_file, by_profile = (
        sr.build("restorer", {"name": "mean-spectrum", "clean": str(path)}).restore(wave, RATE)
        for path in (clean, tmp_path / "alder.json")
    )
    assert torch.allclose(by_file, by_profile, atol=1e-4)
    level.against(level).save(tmp_path / "gain.json")
    with pytest.raises(ComponentError, match=r"gain.json: is a gain; give the level of clean"):
        sr.build("restorer", {"name": "mean-spectrum", "clean": str(tmp_path / "gain.json")})


def test_clean_speech_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    def build(path: Path) -> None:
        sr.build("restorer", {"name": "mean-spectrum", "clean": str(path)})

    with pytest.raises(AudioError, match="nowhere: no such file or folder"):
        build(tmp_path / "nowhere")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(BundleError, match=r"a.json: not a profile"):
        build(tmp_path / "a.json")
    write_tone(tmp_path / "good.wav")
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"bad.wav: not audio, or damaged"):
        build(tmp_path)


def test_no_gain_goes_beyond_its_limit() -> None:
    (wave, rate), *_ = read("heart")
    tape = filtered(filtered(filtered(wave)))
    distances = [
        spectra.ltas_distance(
            [(sr.build("restorer", f"mean-spectrum:limit_db={limit}").restore(tape, rate), rate)],
            [(tape, rate)],
        )
        for limit in (3, 20)
    ]
    assert distances[0] < 6 < distances[1]
