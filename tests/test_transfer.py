"""Audio effect transfer: what is heard in recordings, and what is put onto others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import selfremaster as sr
from selfremaster.core import transferring
from selfremaster.core.effects import Effect, Frame
from selfremaster.core.errors import AudioError, BundleError, ComponentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.interfaces import AnalysisOutput, Analyzer, Channel, ComponentConfig
from selfremaster.core.levels import rms_db
from selfremaster.core.loudness import integrated_loudness
from selfremaster.core.metering import match_level
from selfremaster.core.models import Model
from selfremaster.core.profiles import ChannelProfile
from selfremaster.core.promises.inputs import noise
from selfremaster.registry.assembling import assemble
from tests.strategies import waves
from tests.tiny import ANALYZER, CHANNEL, RATE, experiment, speech_like

CHUNK = 2 * RATE


class LevelListener(Analyzer):
    """Its channel features are the mean log-mel of the lower and of the upper bands."""

    channel_dim = 2

    def __init__(self, features: Any, over_time: bool) -> None:
        super().__init__(ComponentConfig(), features)
        self.over_time = over_time

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        """The log-mel itself, and its means."""
        halves = torch.stack([half.mean(1) for half in log_mel.chunk(2, dim=1)], dim=1)
        return AnalysisOutput(log_mel, halves if self.over_time else halves.mean(-1))


class Echo(Channel):
    """Adds an echo a hundred samples later, and remembers how long its waves were."""

    def __init__(self) -> None:
        super().__init__(ComponentConfig(), 2)
        self.lengths: list[int] = []

    def forward(self, wave: Tensor, channel_features: Tensor) -> Tensor:
        """The wave and its echo."""
        assert channel_features.shape == (len(wave), 2)
        self.lengths.append(wave.shape[-1])
        late = torch.nn.functional.pad(wave, (100, 0))[..., : wave.shape[-1]]
        return wave + 0.5 * late


def stirred(**changes: Any) -> Model:
    """A tiny model whose channel features have a say, as after training."""
    built = assemble(experiment(Path("nowhere"), **changes)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in (built.channel or built).parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return built


@pytest.fixture(scope="module")
def model() -> Model:
    return stirred()


def with_channel(channel: Channel | str, over_time: bool = False) -> Model:
    built = assemble(
        Experiment.from_mapping(
            {
                "model": {
                    "analyzer": ANALYZER,
                    "channel": channel if isinstance(channel, str) else "identity",
                    "vocoder": "griffin-lim:iterations=1,mel_iterations=1",
                }
            }
        )
    )
    if isinstance(channel, Channel):
        built.channel = channel
        built.analyzer = LevelListener(built.features, over_time)
    return built.eval()


def shaped(model: Model, wave: Tensor, **heard: Any) -> ChannelProfile:
    listened = transferring.hear(model, wave, RATE, **heard)
    return transferring.make_profile([listened], transferring.identify(model))


@settings(max_examples=8, deadline=None)
@given(
    wave=waves(max_samples=9000),
    kind=st.sampled_from(["numpy", "float64", "flat", "torch", "half"]),
)
def test_shape_type_and_level_are_kept(model: Model, wave: Tensor, kind: str) -> None:
    profile = model.profile(wave, RATE)
    given: Any = {
        "numpy": wave.numpy(),
        "float64": wave.double().numpy(),
        "flat": wave[0],
        "torch": wave,
        "half": wave.clamp(-1, 1).half(),
    }[kind]
    made = model.transfer(given, 16000, profile, strength=0.8)
    assert type(made) is type(given)
    assert (made.shape, made.dtype) == (given.shape, given.dtype)
    result = torch.as_tensor(made).float()
    assert torch.isfinite(result).all()
    assert float(result.abs().max()) <= max(1.0, float(wave.abs().max()) * 1.001)


@settings(max_examples=8, deadline=None)
@given(wave=waves(max_samples=5000))
def test_strength_0_is_the_wave_itself_to_the_last_bit(model: Model, wave: Tensor) -> None:
    profile = model.profile(wave, RATE)
    untouched = model.transfer(wave, RATE, profile, strength=0)
    assert torch.equal(untouched, wave)
    assert untouched.data_ptr() != wave.data_ptr()
    array = wave.numpy()
    assert model.transfer(array, RATE, profile, 0).tobytes() == array.tobytes()


def loss_db(wave: Tensor, made: Tensor) -> float:
    """How much softer the treble is than before, beside the bass, dB."""
    levels = [
        torch.fft.rfft(one.double()).abs().square().reshape(-1)[: len(one[0]) // 2 // 10 * 10]
        for one in (wave, made)
    ]
    bands = [level.reshape(10, -1).sum(dim=1) for level in levels]
    change = 10 * (bands[1] / bands[0]).log10()
    return float(change[1] - change[6:].mean())


@pytest.mark.parametrize("polarity", [1, -1])
def test_the_more_strength_the_more_of_the_effect_whatever_its_polarity(polarity: int) -> None:
    wave = noise(1, 3 * RATE, seed=4)

    def muffle(rows: Tensor) -> Tensor:
        return polarity * (0.5 * rows + 0.25 * (rows.roll(1, -1) + rows.roll(-1, -1)))

    effect = Effect(lambda rate: (muffle, Frame(rate, 1, -3.0, wave.device)))
    lost = [
        loss_db(wave, transferring.put_on(effect, wave, RATE, strength))
        for strength in (0.25, 0.5, 0.75, 1.0, 1.5)
    ]
    assert lost == sorted(lost)
    assert lost[1] == pytest.approx(lost[3] / 2, rel=0.1)
    for strength in (0.5, 1.0, 1.5):
        made = transferring.put_on(effect, wave, RATE, strength)
        assert float((made * wave).sum()) > 0


def test_a_strength_near_1_is_near_the_effect(model: Model) -> None:
    wave = 0.3 * speech_like(0.3, 5)
    profile = model.profile(wave, RATE)
    whole = model.transfer(wave, RATE, profile)
    assert not torch.allclose(whole, wave, atol=0.01)
    nearly = model.transfer(wave, RATE, profile, 0.999)
    assert float((nearly - whole).square().mean()) < 0.12**2 * float(whole.square().mean())


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100])
def test_a_channel_that_does_nothing_moves_nothing(rate_hz: int) -> None:
    model = with_channel("identity")
    wave = speech_like(0.4, 3)[..., :: max(RATE // rate_hz, 1)]
    made = model.transfer(wave, rate_hz, model.profile(wave, rate_hz))
    spectrum = (
        torch.fft.rfft(made, 2 * wave.shape[-1]) * torch.fft.rfft(wave, 2 * wave.shape[-1]).conj()
    )
    assert int(torch.fft.irfft(spectrum).argmax()) == 0
    if rate_hz <= RATE:
        inner = slice(200, -200)
        assert torch.allclose(made[..., inner], wave[..., inner], atol=0.02)
    assert torch.allclose(rms_db(made), rms_db(wave), atol=0.1)


def test_an_effect_is_put_on_at_the_wave_s_own_level() -> None:
    model = with_channel(Echo())
    wave = torch.cat([speech_like(0.3, 1), 0.1 * speech_like(0.3, 2)]) * 0.3
    made = model.transfer(wave, RATE, model.profile(wave, RATE))
    echoed = wave + 0.5 * torch.nn.functional.pad(wave, (100, 0))[..., : wave.shape[-1]]
    assert torch.allclose(made, match_level(echoed, wave, RATE), atol=1e-5)
    for one, other in zip(made, wave, strict=True):
        wanted = integrated_loudness(other, RATE)
        assert integrated_loudness(one, RATE) == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize("over_time", [False, True])
def test_the_profile_of_a_concatenation_is_the_weighted_mean(over_time: bool) -> None:
    model = with_channel(Echo(), over_time)
    first, second = speech_like(2, 1), speech_like(4, 2)
    first, second = (wave / wave.abs().max() for wave in (first, second))
    both = shaped(model, torch.cat([first, second], dim=-1))
    one, two = shaped(model, first), shaped(model, second)
    assert both.values == pytest.approx(
        [(a + 2 * b) / 3 for a, b in zip(one.values, two.values, strict=True)], abs=1e-5
    )
    heard = [transferring.hear(model, wave, RATE) for wave in (first, second)]
    joined = transferring.make_profile(heard, transferring.identify(model))
    assert joined.values == pytest.approx(both.values, abs=1e-5)
    assert (joined.chunks, joined.seconds) == (3, 6.0)
    assert both.spread[0] > 0
    assert one.spread == (0.0, 0.0)


@settings(max_examples=6, deadline=None)
@given(gain=st.floats(0.01, 1.0), channels=st.integers(1, 3), seed=st.integers(0, 9))
def test_neither_gain_nor_equal_channels_change_a_profile(
    gain: float, channels: int, seed: int
) -> None:
    model = with_channel(Echo())
    wave = speech_like(0.5, seed)
    changed = gain * wave.expand(channels, -1)
    assert shaped(model, changed).values == pytest.approx(shaped(model, wave).values, abs=1e-3)


def test_channels_are_averaged() -> None:
    model = with_channel(Echo())
    first, second = (wave / wave.abs().max() for wave in (speech_like(1, 1), speech_like(1, 2)))
    alone = [shaped(model, wave).values for wave in (first, second)]
    both = shaped(model, torch.cat([first, second]))
    mean = [(a + b) / 2 for a, b in zip(*alone, strict=True)]
    assert both.values == pytest.approx(mean, abs=1e-5)


def test_silent_chunks_are_not_heard_unless_all_are() -> None:
    model = with_channel(Echo())
    spoken, silence = speech_like(2, 1), torch.zeros(1, CHUNK)
    spoken = spoken / spoken.abs().max()
    alone = shaped(model, spoken)
    for quiet in (silence, 1e-4 * spoken):
        around = shaped(model, torch.cat([quiet, spoken, quiet], dim=-1))
        assert around.values == pytest.approx(alone.values, abs=1e-6)
        assert around.chunks == 1
        assert around.seconds == 6.0
    nothing = shaped(model, torch.cat([silence, silence], dim=-1))
    assert nothing.chunks == 2
    assert nothing.values[0] == pytest.approx(model.features.silence, abs=1e-3)
    louder = shaped(model, torch.cat([0.01 * spoken, spoken], dim=-1))
    assert louder.chunks == 2


def test_chunks_weigh_as_much_as_they_last() -> None:
    model = with_channel(Echo())
    wave = speech_like(2.5, 4)
    wave[..., 100] = 1.0
    heard = transferring.hear(model, wave, RATE)
    assert heard.seconds.tolist() == pytest.approx([2.0, 0.5])
    expected = 0.8 * heard.features[0] + 0.2 * heard.features[1]
    profile = transferring.make_profile([heard], transferring.identify(model))
    assert profile.values == pytest.approx(expected.tolist(), rel=1e-6)
    assert shaped(model, wave, chunk_seconds=0.5).chunks == 5


def test_a_profile_does_not_hang_on_the_batch_and_leaves_the_model_training(model: Model) -> None:
    wave = speech_like(1, 1)
    model.train()
    try:
        short = shaped(model, wave, chunk_seconds=0.1)
        assert all(part.training for part in model.modules())
    finally:
        model.eval()
    starts = range(0, wave.shape[-1], 2205)
    wave = wave / wave.abs().max() * 10 ** (model.peak_db / 20)
    with torch.no_grad():
        alone = torch.cat(
            [model.analyse(wave[:, at : at + 2205]).channel_features for at in starts]
        )
    levels = torch.stack([wave[:, at : at + 2205].square().mean().sqrt() for at in starts])
    kept = alone[levels > wave.abs().max() * 1e-3]
    assert short.values == pytest.approx(kept.mean(0).tolist(), abs=1e-5)


def test_redegrading_says_what_the_model_takes_a_recording_for(model: Model) -> None:
    wave = speech_like(0.5, 1)
    profile = model.profile(wave, RATE)
    heard = wave / wave.abs().max() * 10 ** (model.peak_db / 20)
    with torch.no_grad():
        clean = model.speak(model.features.complete(model.predict(heard), heard), heard)
        back = model.degrade(clean, profile.features[None])
    expected = match_level(back, wave, RATE)
    assert torch.allclose(model.redegrade(wave, RATE), expected, atol=1e-4)
    assert torch.allclose(model.redegrade(wave, RATE, profile), expected, atol=1e-4)
    other = profile.model_copy(update={"values": tuple(value + 3 for value in profile.values)})
    assert not torch.allclose(model.redegrade(wave, RATE, other), expected, atol=1e-3)
    assert model.redegrade(wave.numpy()[0], 16000).shape == (wave.shape[-1],)


def test_a_profile_belongs_to_its_model(model: Model, tmp_path: Path) -> None:
    wave = speech_like(0.3, 1)
    model.profile(wave, RATE, name="tape").save(tmp_path / "tape.json")
    profile = sr.ChannelProfile.load(tmp_path / "tape.json")
    assert profile.name == "tape"
    again = stirred()
    assert torch.equal(again.transfer(wave, RATE, profile), model.transfer(wave, RATE, profile))
    other = stirred(seed=5)
    for use in (other.transfer, lambda *given: other.redegrade(*given)):
        with pytest.raises(
            BundleError, match=r"profile 'tape' was made by model tiny \([0-9a-f]{8}\)"
        ):
            use(wave, RATE, profile)
    named = profile.model_copy(
        update={"model": profile.model.model_copy(update={"name": "tapes", "sha256": "1" * 64})}
    )
    own = transferring.identify(model).sha256[:8]
    with pytest.raises(
        BundleError, match=rf"model tapes \(11111111\), and this is another one \({own}\)"
    ):
        model.transfer(wave, RATE, named)
    cut = profile.model_copy(update={"values": profile.values[:-1]})
    with pytest.raises(BundleError, match="has 3 values, the model takes 4; it is damaged"):
        model.transfer(wave, RATE, cut)


def test_what_else_is_in_a_model_does_not_change_whose_profile_it_is(model: Model) -> None:
    other = Model(model.features, model.vocoder, model.analyzer, model.channel)
    assert transferring.identify(other).sha256 == transferring.identify(model).sha256
    other = stirred(model={"channel": {**CHANNEL, "kernel": 3}})
    assert transferring.identify(other).sha256 != transferring.identify(model).sha256


@pytest.mark.parametrize("strength", [-0.1, 1.51, float("nan"), float("inf")])
def test_other_strengths_are_refused(model: Model, strength: float) -> None:
    wave = speech_like(0.1, 1)
    with pytest.raises(ComponentError, match=r"strength .*: give 0 \(the sound as it is\) to 1"):
        model.transfer(wave, RATE, model.profile(wave, RATE), strength)


def test_bad_waves_and_models_are_refused(model: Model) -> None:
    wave = speech_like(0.1, 1)
    profile = model.profile(wave, RATE)
    calls: list[Callable[[Any], Any]] = [
        lambda given: model.profile(given, RATE),
        lambda given: model.transfer(given, RATE, profile),
        lambda given: model.transfer(given, RATE, profile, 0),
        lambda given: model.redegrade(given, RATE),
    ]
    for call in calls:
        with pytest.raises(AudioError, match="0 samples of audio"):
            call(torch.zeros(0))
        with pytest.raises(AudioError, match="sample 3 is not a finite number"):
            call(torch.tensor([0.0, 0.0, 0.0, float("nan")]))
    alone = Model(model.features, model.vocoder)
    with pytest.raises(BundleError, match="a vocoder alone: it has no analysis module"):
        alone.profile(wave, RATE)
    with pytest.raises(BundleError, match="no channel module to put the sound"):
        alone.transfer(wave, RATE, profile)
    deaf = Model(model.features, model.vocoder, model.analyzer)
    assert deaf.profile(wave, RATE).values == profile.values
    with pytest.raises(BundleError, match="no channel module to put the sound"):
        deaf.redegrade(wave, RATE)
    with pytest.raises(ComponentError, match="chunks of 0 seconds; give a length above 0"):
        transferring.hear(model, wave, RATE, chunk_seconds=0)
    with pytest.raises(AudioError, match="no recordings; a profile needs one at least"):
        transferring.make_profile([], transferring.identify(model))
