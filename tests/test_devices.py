"""Parts and models work where they are put: on the CPU, and on any accelerator there is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.devices import DEVICES, choose_device
from selfremaster.core.equalising import equaliser
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.experiments import Experiment
from selfremaster.core.interfaces import AdversarialLoss, ComponentConfig, QualityPredictor
from selfremaster.core.profiles import SpectralProfile
from selfremaster.core.promises.inputs import RATE_HZ, noise, speech_like
from selfremaster.core.spectra import paired_gain
from selfremaster.core.transferring import put_on
from selfremaster.plugins.degradations.eras import ERAS
from selfremaster.plugins.losses.perceptual import Perceptual, PerceptualConfig
from selfremaster.registry.assembling import assemble
from selfremaster.registry.building import component_class
from selfremaster.registry.runs import train
from tests import tiny
from tests.ranges import RANGES

SAMPLES = 2048
FRAMES = 12
CHANNEL_DIM = 4


def there(device: str) -> bool:
    try:
        choose_device(device)
    except SelfRemasterError:
        return False
    return True


@pytest.fixture(
    params=[
        pytest.param(
            device, marks=pytest.mark.skipif(not there(device), reason=f"there is no {device} here")
        )
        for device in DEVICES
        if device != "auto"
    ]
)
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


def names(kind: str) -> list[str]:
    return [info.name for info in sr.list_components(kind)]


def build(kind: str, name: str, **context: Any) -> Any:
    small = "small" in component_class(kind, name).Config.presets
    return sr.build(kind, f"{name}:preset=small" if small else name, **context)


def moved_apart(device: torch.device, *results: Tensor) -> list[Tensor]:
    """Those that are on another device, or hold what is no number."""
    return [
        result
        for result in results
        if result.device.type != device.type or not bool(torch.isfinite(result).all())
    ]


@pytest.mark.parametrize("name", names("features"))
def test_features(name: str, device: torch.device) -> None:
    part = build("features", name).to(device)
    wave = speech_like(SAMPLES).to(device)
    speech = part(wave)
    completed = part.complete(part.predicted(speech), wave)
    assert moved_apart(device, speech, part.log_mel(wave), completed) == []


@pytest.mark.parametrize("name", names("analyzer"))
def test_analyzers(name: str, device: torch.device) -> None:
    features = build("features", "mel")
    part = build("analyzer", name, features=features).to(device).eval()
    log_mel = features.log_mel(noise(2, FRAMES * features.hop_samples)).to(device)
    with torch.no_grad():
        heard = part(log_mel)
        assert moved_apart(device, *heard, part.predict(log_mel)) == []


@pytest.mark.parametrize("name", names("vocoder"))
def test_vocoders(name: str, device: torch.device) -> None:
    features = build("features", component_class("vocoder", name).default_features)
    part = build("vocoder", name, features=features).to(device).eval()
    wave = speech_like(FRAMES * features.hop_samples)
    with torch.no_grad():
        filling = [noise(1, wave.shape[-1]).to(device)] if part.needs_filling else []
        spoken = part(features(wave).to(device), wave.to(device), *filling)
    assert moved_apart(device, spoken) == []


@pytest.mark.parametrize("name", names("channel"))
def test_channels(name: str, device: torch.device) -> None:
    part = build("channel", name, channel_dim=CHANNEL_DIM).to(device).eval()
    with torch.no_grad():
        damaged = part(noise(2, SAMPLES).to(device), noise(2, CHANNEL_DIM).to(device))
    assert moved_apart(device, damaged) == []


@pytest.mark.parametrize(
    "name", [name for name in names("loss") if component_class("loss", name).needs_target]
)
def test_losses(name: str, device: torch.device) -> None:
    part = build("loss", name).to(device)
    estimate, target = noise(1, SAMPLES, seed=1).to(device), noise(1, SAMPLES, seed=2).to(device)
    if part.takes == "features":
        estimate, target = estimate.reshape(1, 8, -1), target.reshape(1, 8, -1)
    estimate.requires_grad_()
    told = [part(estimate, target)]
    (gradient,) = torch.autograd.grad(told[0], estimate)
    if isinstance(part, AdversarialLoss):
        told.append(part.discriminator_loss(estimate.detach(), target))
    assert moved_apart(device, *told, gradient) == []


@pytest.mark.parametrize(
    "spec",
    [*names("degradation"), *RANGES, *(f"random-recording:era={era}" for era in ERAS)],
)
def test_degradations(spec: str, device: torch.device) -> None:
    part = sr.build("degradation", spec)
    wave = torch.cat([speech_like(RATE_HZ), noise(1, RATE_HZ)])
    moved = wave.to(device).requires_grad_(part.differentiable)
    damaged, drawn = part(moved, Generator().manual_seed(5), RATE_HZ)
    assert moved_apart(device, damaged.detach()) == []
    asking = wave.clone().requires_grad_(part.differentiable)
    wanted = part.apply(asking, drawn, RATE_HZ)
    sounds = [(damaged.detach().cpu(), wanted.detach())]
    if part.differentiable:
        weights = noise(1, RATE_HZ, seed=3)
        (gradient,) = torch.autograd.grad((damaged * weights.to(device)).sum(), moved)
        assert moved_apart(device, gradient) == []
        sounds.append((gradient.cpu(), torch.autograd.grad((wanted * weights).sum(), asking)[0]))
    for found, expected in sounds:  # the same damage as on the CPU, and the same gradient
        error = (found - expected).square().mean()
        assert error <= 1e-4 * expected.square().mean()


@pytest.mark.parametrize("output", ["input-phase", None])
def test_a_model_restores_where_it_is(output: str | None, device: torch.device) -> None:
    parts = {"vocoder": tiny.VOCODER, "analyzer": tiny.ANALYZER, "channel": None, "output": output}
    model = assemble(Experiment.from_mapping({"model": parts})).to(device)
    assert model.device.type == device.type
    wave = tiny.speech_like(0.1, 1)
    restored = model.restore(wave.to(device), 16000)
    assert moved_apart(device, restored) == []
    from_numpy = model.restore(wave.numpy(), 16000)
    assert isinstance(from_numpy, np.ndarray)
    assert np.allclose(from_numpy, restored.cpu().numpy(), atol=1e-4)


def test_the_sound_of_a_recording_is_taken_and_put_on_where_a_model_is(
    device: torch.device,
) -> None:
    parts = {"vocoder": tiny.VOCODER, "analyzer": tiny.ANALYZER, "channel": tiny.CHANNEL}
    model = assemble(Experiment.from_mapping({"model": parts})).eval()
    wave = tiny.speech_like(0.2, 1)
    known = model.profile(wave, tiny.RATE)
    expected = model.transfer(wave, tiny.RATE, known)
    model.to(device)
    profile = model.profile(wave.to(device), tiny.RATE)
    assert profile.model == known.model
    assert profile.values == pytest.approx(known.values, rel=1e-2, abs=1e-3)
    made = model.transfer(wave.to(device), tiny.RATE, profile, strength=0.5)
    whole = model.transfer(wave.to(device), tiny.RATE, profile)
    back = model.redegrade(wave.to(device), tiny.RATE, profile)
    assert moved_apart(device, made, whole, back) == []
    error = (whole.cpu() - expected).square().mean()
    assert error < 1e-3 * expected.square().mean()


def test_a_filter_is_put_onto_waves_where_they_are(device: torch.device) -> None:
    wave = tiny.speech_like(0.2, 1).to(device)
    gain = paired_gain([(0.5 * wave, wave)], tiny.RATE)
    made = put_on(equaliser(SpectralProfile.of(gain, "gain")), wave, tiny.RATE)
    assert moved_apart(device, made) == []


class Loudness(QualityPredictor):
    """A tiny predictor: loud is good."""

    best = 5.0

    def __init__(self) -> None:
        super().__init__(ComponentConfig())
        self.gain = torch.nn.Parameter(torch.ones(()))

    def score(self, wave: Tensor, sample_rate: int) -> Tensor:
        """Up to 5."""
        return 5 * torch.tanh(self.gain * wave.abs().mean(dim=-1))


def test_the_perceptual_loss_takes_its_predictor_along(device: torch.device) -> None:
    predictor = Loudness()
    loss = Perceptual(PerceptualConfig(), predictor).to(device)
    estimate = noise(1, SAMPLES).to(device).requires_grad_()
    told = loss(estimate, estimate.detach())
    (gradient,) = torch.autograd.grad(told, estimate)
    assert moved_apart(device, predictor.gain, told, gradient) == []


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_speech(tmp_path_factory.mktemp("speech"), files=1, seconds=0.3)


def objective(name: str) -> dict[str, Any]:
    """An objective by its name, with small discriminators if it has any."""
    fields = component_class("objective", name).Config.model_fields
    small = {"name": "adversarial", "preset": "small", "periods": [2], "scales": 0}
    return {"name": name, **({"adversarial": small} if "adversarial" in fields else {})}


@pytest.mark.parametrize("name", names("objective"))
def test_objectives_learn_there(
    name: str, device: torch.device, speech: Path, tmp_path: Path
) -> None:
    experiment = tiny.experiment(
        speech,
        objective=objective(name),
        data={"segment_seconds": 0.1},
        train={"steps": 2, "device": device.type},
    )
    result = train(experiment, tmp_path)
    assert result.steps == 2
    assert moved_apart(torch.device("cpu"), torch.tensor(list(result.losses.values()))) == []
    assert sr.load(tmp_path).device.type == "cpu"
