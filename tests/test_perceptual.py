"""A network that judges the sound teaches, and is not taught."""

import copy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from selfremaster.core.bundles import read_bundle
from selfremaster.core.checkpoints import checkpoint_step
from selfremaster.core.errors import ComponentError, ExperimentError
from selfremaster.core.hooks import Add, hookimpl
from selfremaster.core.interfaces import ComponentConfig, QualityPredictor
from selfremaster.core.promises import check
from selfremaster.core.promises.objectives import set_to_work
from selfremaster.core.promises.stubs import StubAnalyzer, stub_model
from selfremaster.plugins.losses.perceptual import Perceptual, PerceptualConfig
from selfremaster.plugins.objectives.ssl_dual import SslDual, SslDualConfig
from selfremaster.registry import loading
from selfremaster.registry.building import build
from selfremaster.registry.runs import train
from tests import tiny
from tests.teaching import context, only, reached, speech


class Loudness(QualityPredictor):
    """A stranger's predictor: loud is good; dropout would make it moody."""

    best = 5.0

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        self.gain = nn.Parameter(torch.ones(()))
        self.moods = nn.Dropout(0.5)

    def score(self, wave: Tensor, sample_rate: int) -> Tensor:
        """Up to 5."""
        return 5 * torch.tanh(self.gain * self.moods(wave).abs().mean(dim=-1))


def perceptual() -> Perceptual:
    return Perceptual(PerceptualConfig(), Loudness(ComponentConfig()))


def test_the_stranger_s_predictor_is_a_metric_and_the_loss_keeps_the_promises() -> None:
    check("metric", Loudness(ComponentConfig()))
    check("loss", perceptual())
    assert Loudness(ComponentConfig()).compute(torch.zeros(8), 22050) == {"quality": 0.0}
    with pytest.raises(ComponentError, match=r"estimate of shape \(1, 8\); give finite numbers"):
        Loudness(ComponentConfig()).compute(torch.zeros(1, 8), 22050)


def test_what_judges_never_trains_and_is_not_saved() -> None:
    loss = perceptual().train()
    first, second = (loss(torch.ones(1, 100), torch.ones(1, 100)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.item() == pytest.approx(5 - 5 * np.tanh(1))
    assert loss.state_dict() == {}
    assert list(loss.parameters()) == []
    moved = loss.double()
    assert moved._judges[0].gain.dtype == torch.float64
    assert copy.deepcopy(loss)._judges[0] is not loss._judges[0]


def test_the_gradient_of_the_perceptual_loss_is_the_published_one() -> None:
    wave = speech(2)["degraded"].requires_grad_()
    published = -0.1 * perceptual()._judges[0].score(wave, 22050).mean()
    (wanted,) = torch.autograd.grad(published, wave)
    (found,) = torch.autograd.grad(0.1 * perceptual()(wave, wave.detach()), wave)
    assert wanted.abs().sum() > 0
    torch.testing.assert_close(found, wanted)


def test_the_restored_wave_is_taught_to_sound_good() -> None:
    config = SslDualConfig.model_validate({"perceptual": "perceptual"})
    objective = SslDual(
        config,
        build("loss", config.reconstruction),
        build("loss", config.feature),
        perceptual(),
    )
    check("objective", objective)
    model = stub_model("analyzer", "vocoder", "channel")
    set_to_work(objective, model)
    step = only(objective.losses(model, speech(2), context()))
    plain = 0.001 * step.parts["reconstruction"] + 0.999 * step.parts["task"]
    torch.testing.assert_close(step.total, plain + 0.1 * step.parts["perceptual"])
    step.parts["perceptual"].backward()
    assert isinstance(model.analyzer, StubAnalyzer)
    assert model.analyzer.mix.grad is not None
    assert not reached(model.channel)
    assert not any(name.startswith("perceptual") for name in objective.state_dict())


def test_a_metric_without_gradient_is_no_judge() -> None:
    with pytest.raises(ComponentError, match=r"lets no gradient through; take a metric that is a"):
        build("loss", "perceptual:predictor=lsd")


def test_distillmos_has_a_finite_gradient_where_its_padding_is_silent() -> None:
    pytest.importorskip("xls_r_sqa", reason="distillmos is not installed whole")
    metric = build("metric", "distillmos")
    noisy = speech(1, 8192)["clean"] + 0.3 * torch.randn(
        1, 8192, generator=torch.Generator().manual_seed(1)
    )
    wave = noisy.requires_grad_()
    score = metric.score(wave, tiny.RATE)
    score.sum().backward()
    assert 1 <= score.item() <= 5
    assert wave.grad is not None
    assert torch.isfinite(wave.grad).all()
    assert wave.grad.any()
    (number,) = metric.compute(wave.detach()[0], tiny.RATE).values()
    assert number == pytest.approx(score.item(), abs=1e-4)
    assert np.isnan(metric.compute(torch.zeros(100), tiny.RATE)["distillmos"])


# in a training run


class Judges:
    """A plugin with the stranger's predictor."""

    @hookimpl
    def register_components(self, add: Add) -> None:
        """Declare the metric of this module."""
        add("metric", "level", f"{__name__}:Loudness")


@pytest.fixture
def loudness(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The loss that judges by the stranger's predictor, as if that were installed."""
    point = SimpleNamespace(
        name="judges",
        value="judges",
        dist=SimpleNamespace(name="judges-0.1", version="0.1"),
        load=Judges,
    )
    monkeypatch.setattr(loading, "_entry_points", lambda: [point])
    loading.loaded_plugins.cache_clear()
    yield "perceptual:predictor=level"
    loading.loaded_plugins.cache_clear()


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_speech(tmp_path_factory.mktemp("speech"))


def test_a_judged_run_goes_on_to_the_same_bits(loudness: str, spoken: Path, tmp_path: Path) -> None:
    def interrupt(progress: Any) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    def run(folder: str, perceptual: str | None, **options: Any) -> dict[str, Tensor]:
        objective = {"name": "ssl-dual", "beta": 0.1, "perceptual": perceptual}
        train(tiny.experiment(spoken, objective=objective), tmp_path / folder, **options)
        return read_bundle(tmp_path / folder).tensors

    with pytest.raises(KeyboardInterrupt):
        run("broken", loudness, report=interrupt)
    assert checkpoint_step(tmp_path / "broken") == 3
    broken, whole = run("broken", loudness, resume=True), run("whole", loudness)
    assert [name for name in whole if not torch.equal(broken[name], whole[name])] == []
    unjudged = run("unjudged", None)
    assert any(not torch.equal(unjudged[name], whole[name]) for name in whole)
    assert whole.keys() == unjudged.keys()


def test_a_loss_that_counts_on_another_rate_is_told_before_the_run(
    loudness: str, spoken: Path, tmp_path: Path
) -> None:
    slow = {"features": "mel:sample_rate=16000,fmax_hz=8000"}
    judged: dict[str, Any] = {"name": "ssl-dual", "perceptual": loudness}
    words = (
        r"objective\.perceptual counts on waves at 22050 Hz, and the model's are at 16000 Hz; set"
    )
    alone = {**slow, "vocoder": tiny.VOCODER, "analyzer": None, "channel": None}
    voice = tiny.experiment(
        spoken,
        model=alone,
        start={},
        objective={"name": "vocoder", "adversarial": None},
        train={"steps": 1},
    )
    with pytest.raises(ExperimentError, match=words.replace("perceptual", "reconstruction")):
        train(voice, tmp_path / "voice")
    same = {"name": "mel-l1", **slow}
    heard = voice.model_copy(
        update={
            "objective": voice.objective.parse(
                {"name": "vocoder", "adversarial": None, "reconstruction": same}
            )
        }
    )
    train(heard, tmp_path / "voice")
    begun = {"start": {"vocoder": str(tmp_path / "voice")}, "train": {"steps": 1}}
    with pytest.raises(ExperimentError, match=words):
        train(tiny.experiment(spoken, objective=judged, model=slow, **begun), tmp_path / "refused")
    judged["perceptual"] = f"{loudness},sample_rate=16000"
    train(tiny.experiment(spoken, objective=judged, model=slow, **begun), tmp_path / "judged")
