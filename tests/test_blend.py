"""The vocoder that speaks in part: what it keeps of the recording, and what it fills in."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import selfremaster as sr
from selfremaster.core import promises
from selfremaster.core.bundles import write_bundle
from selfremaster.core.errors import ComponentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.interfaces import ComponentConfig, Vocoder
from selfremaster.core.models import Model
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.core.promises.stubs import StubFeatures, StubVocoder
from selfremaster.core.signals import stft
from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
from selfremaster.plugins.restorers.selfremaster import SelfRemaster
from selfremaster.plugins.vocoders.blend import Blend, BlendConfig
from selfremaster.plugins.vocoders.griffin_lim import GriffinLim, GriffinLimConfig
from selfremaster.registry.assembling import assemble, load, resolve
from selfremaster.registry.runs import train
from tests import tiny

MEL = MelSpectrogram(MelConfig())
SMALL = MelSpectrogram(MelConfig(size=256, hop_samples=64, bands=24))
RATE_HZ = 22050
CUTOFF_HZ = 3000


def blend(mel: MelSpectrogram = MEL, **settings: Any) -> Blend:
    return Blend(BlendConfig(**settings), mel)


def only(wave: Tensor, low_hz: float, high_hz: float) -> Tensor:
    """What lies between two frequencies, and nothing else."""
    spectrum = torch.fft.rfft(wave)
    frequency_hz = torch.linspace(0, RATE_HZ / 2, spectrum.shape[-1])
    inside = (frequency_hz >= low_hz) & (frequency_hz < high_hz)
    return torch.fft.irfft(spectrum * inside, n=wave.shape[-1])


def similarity(one: Tensor, other: Tensor) -> float:
    return float((one * other).sum() / one.norm() / other.norm())


def level_db(wave: Tensor) -> float:
    return 20 * math.log10(float(wave.square().mean().sqrt()))


# promises


@pytest.mark.parametrize("mel", [MEL, SMALL])
def test_keeps_the_promises(mel: MelSpectrogram) -> None:
    promises.check("vocoder", blend(mel), promises.Context(features=mel))


def test_a_vocoder_that_hides_its_need_is_told() -> None:
    class Quiet(StubVocoder):
        """Says that it needs a filling, and speaks without one."""

        needs_filling = True

        def forward(
            self, features: Tensor, source: Tensor | None = None, filling: Tensor | None = None
        ) -> Tensor:
            return super().forward(features, source)

    features = StubFeatures(ComponentConfig())
    told = {
        result.promise: result.reason
        for result in promises.run("vocoder", Quiet(ComponentConfig(), features))
        if not result.kept
    }
    assert told == {
        "says_that_it_needs_a_filling": (
            "says needs_filling = True, and takes no filling without a word"
        )
    }


# what it keeps


@settings(max_examples=15, deadline=None)
@given(
    samples=st.integers(1, 6000),
    seed=st.integers(0, 99),
    level=st.sampled_from([0, 1e-6, 1e-3, 0.3]),
)
def test_the_own_features_give_the_source_back(samples: int, seed: int, level: float) -> None:
    source = noise(2, samples, seed=seed, level=level)
    wave = blend()(MEL(source), source, noise(2, samples, seed=seed + 1))
    torch.testing.assert_close(wave[:, :samples], source, rtol=0, atol=1e-3)


@settings(max_examples=8, deadline=None)
@given(gain_db=st.floats(-30, 10))
def test_another_level_alone_is_no_reason_to_fill(gain_db: float) -> None:
    source, gain = speech_like(11025), 10 ** (gain_db / 20)
    vocoder, louder = blend(), MEL(source) + math.log(gain)
    with torch.no_grad():
        wave = vocoder(louder, source, noise(1, 11025))[:, :11025]
    assert similarity(wave, source) > 0.999
    assert level_db(wave) == pytest.approx(level_db(source) + gain_db, abs=0.2)


def muffled() -> tuple[Tensor, Tensor, Tensor]:
    """Noise, the same without its treble but for a hiss, and another noise as filling."""
    clean, filling = noise(1, 22050, seed=1), noise(1, 22050, seed=2)
    source = only(clean, 0, CUTOFF_HZ) + noise(1, 22050, seed=3, level=1e-4)
    return clean, source, filling


def test_lost_treble_is_filled_and_the_rest_keeps_its_phase() -> None:
    clean, source, filling = muffled()
    wave = blend()(MEL(clean), source, filling)[:, :22050]
    low, high = (0, 0.8 * CUTOFF_HZ), (1.25 * CUTOFF_HZ, 8000)
    assert similarity(only(wave, *low), only(clean, *low)) > 0.99
    assert similarity(only(wave, *high), only(filling, *high)) > 0.9
    assert abs(similarity(only(wave, *high), only(source, *high))) < 0.1


def test_the_crossover_is_neither_louder_nor_softer() -> None:
    clean, source, filling = muffled()
    wave = blend()(MEL(clean), source, filling)[:, :22050]
    for low_hz in range(1000, 7000, 500):
        edges = (low_hz, low_hz + 500)
        assert level_db(only(wave, *edges)) == pytest.approx(level_db(only(clean, *edges)), abs=1)


def test_a_dropout_is_filled_without_a_hole() -> None:
    clean, filling = noise(1, 22050, seed=1), noise(1, 22050, seed=2)
    source = clean.clone()
    source[:, 9000:13000] = 0
    wave = blend()(MEL(clean), source, filling)[:, :22050]
    assert similarity(wave[:, 10000:12000], filling[:, 10000:12000]) > 0.9
    assert similarity(wave[:, :7000], clean[:, :7000]) > 0.99
    for start in range(2000, 20000, 1000):
        piece = slice(start, start + 1000)
        assert level_db(wave[:, piece]) == pytest.approx(level_db(clean[:, piece]), abs=1.6)


def drowned() -> tuple[Tensor, Tensor, Tensor]:
    """Speech with a band of noise louder than it by far, and a filling."""
    clean = speech_like(22050)
    loud = only(noise(1, 22050, seed=4, level=0.3), 4000, 8000)
    return clean, clean + loud, noise(1, 22050, seed=2)


@pytest.mark.parametrize(("fall_db", "trusted"), [(12, False), (100, True)])
def test_settings_decide_what_noise_is_kept(fall_db: float, trusted: bool) -> None:
    clean, source, filling = drowned()
    vocoder = blend(fall_db=fall_db, filling_gain_db=80)
    share = vocoder.trust(MEL(clean), stft(source, 1024, 256))
    assert (share[:, 60:75].mean() > 0.9) == trusted
    assert (share[:, :30].mean() > 0.9).all()
    wave = vocoder(MEL(clean), source, filling)[:, :22050]
    band = (4500, 7500)
    assert level_db(only(wave, *band)) == pytest.approx(level_db(only(clean, *band)), abs=3)


@pytest.mark.parametrize(("hiss", "trusted"), [(0.0, True), (1e-3, False)])
def test_what_stands_above_its_noise_may_be_raised_further(hiss: float, trusted: bool) -> None:
    clean = noise(1, 22050) * (torch.arange(22050) % 7000 > 3000)
    weak = only(clean, 0, CUTOFF_HZ) + 0.05 * only(clean, CUTOFF_HZ, RATE_HZ)
    source = weak + hiss * 30 * noise(1, 22050, seed=5, level=0.3)
    share = blend(noise_rise_db=0).trust(MEL(clean), stft(source, 1024, 256))
    speaking = MEL(clean)[:, 70] > -3
    assert speaking.any()
    assert (share[:, 70][speaking].mean() > 0.8) == trusted


def test_noise_and_level_are_those_around_and_none_further_away() -> None:
    """What comes more than four seconds later changes nothing."""
    clean, filling = noise(1, RATE_HZ * 8, seed=1), noise(1, RATE_HZ * 8, seed=2)
    source = only(clean, 0, CUTOFF_HZ) + noise(1, RATE_HZ * 8, seed=3, level=3e-3)
    changed, still = source.clone(), slice(0, RATE_HZ * 3)
    changed[:, RATE_HZ * 7 :] *= 1e-3  # so soft that the hiss before seems to be no noise
    waves = [blend()(MEL(clean), wave, filling) for wave in (source, changed)]
    torch.testing.assert_close(waves[0][:, still], waves[1][:, still], rtol=0, atol=1e-6)
    near = blend(around_seconds=20)(MEL(clean), changed, filling)
    assert not torch.allclose(near[:, still], waves[1][:, still], atol=1e-4)


@pytest.mark.parametrize("samples", [1000, 4000, 9000])
def test_waves_of_another_length_are_fitted(samples: int) -> None:
    source = noise(1, 9000)
    wave = blend()(MEL(source[:, :4000]), source[:, :samples], source[:, :samples])
    assert wave.shape == (1, 16 * 256)
    inner = slice(100, min(samples, 4000) - 600)
    torch.testing.assert_close(wave[:, inner], source[:, inner], rtol=0, atol=1e-2)


# how it comes to the user


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    model = {
        "features": "mel:size=256,hop_samples=64,bands=24",
        "vocoder": "griffin-lim:iterations=1,mel_iterations=1",
        "analyzer": tiny.ANALYZER,
        "channel": None,
        "output": "blend:fall_db=7",
    }
    path = tmp_path_factory.mktemp("bundles") / "blend.safetensors"
    experiment = resolve(Experiment.from_mapping({"model": model}))
    write_bundle(path, assemble(experiment), experiment)
    return str(path)


def test_the_model_s_own_vocoder_speaks_the_filling(bundle: str) -> None:
    model = load(bundle)
    assert isinstance(model.output, Blend)
    assert model.output.config.fall_db == 7
    wave = tiny.speech_like(0.3, 1)
    speech = model.features.complete(model.predict(wave), wave)
    filling = model.speak(speech, wave, model.vocoder)
    assert filling.shape == wave.shape
    expected = model.output(speech, wave, filling)[:, : wave.shape[-1]]
    assert torch.equal(model.restore_segment(wave), expected)
    assert not torch.allclose(expected, filling, atol=1e-3)


def test_it_has_no_weights_and_takes_the_place_of_any_output(bundle: str) -> None:
    model = load(bundle, output="blend:fall_db=3")
    assert isinstance(model.output, Blend)
    assert model.output.config.fall_db == 3
    assert not model.output.state_dict()
    restorer = sr.build("restorer", {"name": "selfremaster", "model": bundle, "vocoder": "blend"})
    assert isinstance(restorer, SelfRemaster)
    wave = tiny.speech_like(0.3, 1)
    expected = load(bundle, output="blend").restore(wave, RATE_HZ)
    assert torch.equal(restorer.restore(wave, RATE_HZ), expected)


def test_strength_goes_from_the_recording_to_the_restored(bundle: str) -> None:
    model, wave = load(bundle, output="griffin-lim"), tiny.speech_like(0.4, 1)
    assert torch.equal(model.restore(wave, RATE_HZ, 0.0), wave)
    whole = model.restore(wave, RATE_HZ)
    assert torch.equal(model.restore(wave, RATE_HZ, 1.0), whole)
    away = [
        float((MEL(model.restore(wave, RATE_HZ, strength)) - MEL(wave)).abs().mean())
        for strength in (0.0, 0.3, 0.7, 1.0)
    ]
    assert away[0] == 0
    assert away == sorted(away)
    assert away[1] < 0.6 * away[3]
    settings = {"name": "selfremaster", "model": bundle, "strength": 0.3, "use_output": False}
    half = sr.build("restorer", settings).restore(wave, RATE_HZ)
    assert torch.equal(half, model.restore(wave, RATE_HZ, 0.3))


# errors, by their words


def test_nothing_is_learned_through_it(tmp_path: Path) -> None:
    words = "Blend speaks only in part, .*make it the output .*such as hifigan"
    for objective in ("ssl-dual", "vocoder", "supervised"):
        wanted = tiny.experiment(
            tmp_path, model={"vocoder": "blend"}, objective=objective, start={}
        )
        with pytest.raises(ComponentError, match=words):
            train(wanted, tmp_path / "run")
    with pytest.raises(ComponentError, match=words):
        Model(MEL, blend())


def test_copy_synthesis_by_it_is_refused(bundle: str) -> None:
    with pytest.raises(ComponentError, match="copy-synthesis: vocoder Blend speaks only in part"):
        sr.build("restorer", {"name": "copy-synthesis", "model": bundle, "vocoder": "blend"})


def test_what_is_missing_or_unfit_is_told() -> None:
    wave = noise(2, 1000)
    wanted, vocoder = MEL(wave), blend()
    with pytest.raises(ComponentError, match="was given no source; use it as the output"):
        vocoder(wanted)
    with pytest.raises(ComponentError, match="was given no filling; use it as the output"):
        vocoder(wanted, wave)
    with pytest.raises(ComponentError, match=r"a filling of shape \(3, 9\) for features of 2 item"):
        vocoder(wanted, wave, noise(3, 9))
    with pytest.raises(ComponentError, match=r"a source of shape \(9,\) for features of 2 items"):
        vocoder(wanted, noise(1, 9)[0], wave)
    with pytest.raises(ComponentError, match=r"shape \(1, 3, 4\); .*takes \(batch, 80, frames\)"):
        vocoder(torch.zeros(1, 3, 4), wave, wave)
    with pytest.raises(ComponentError, match=r"the features are StubFeatures, .*features: mel"):
        sr.build("vocoder", "blend", features=StubFeatures(ComponentConfig()))


@pytest.mark.parametrize("strength", [-0.1, 1.5])
def test_a_strength_outside_is_refused(strength: float, bundle: str) -> None:
    with pytest.raises(ComponentError, match=rf"strength {strength}: give 0 .* to 1 \(restored al"):
        load(bundle).restore(noise(1, 1000), RATE_HZ, strength)
    with pytest.raises(ComponentError, match=f"selfremaster: strength={strength}: Input should"):
        sr.build("restorer", {"name": "selfremaster", "model": bundle, "strength": strength})


def test_a_whole_vocoder_needs_no_filling() -> None:
    assert not Vocoder.needs_filling
    assert not GriffinLim(GriffinLimConfig(), MEL).needs_filling
