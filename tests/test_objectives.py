"""What each objective teaches, to which module, by which chance, from which rows."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from selfremaster.core.domains import current_domain
from selfremaster.core.errors import ComponentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.interfaces import (
    AnalysisOutput,
    ComponentConfig,
)
from selfremaster.core.models import Model
from selfremaster.core.promises import check
from selfremaster.core.promises.objectives import set_to_work
from selfremaster.core.promises.stubs import CHANNEL_DIM, StubAnalyzer, StubFeatures, stub_model
from selfremaster.plugins.objectives.label_predictor import LabelPredictor
from selfremaster.plugins.objectives.noise_floors import steady_noise_of
from selfremaster.plugins.objectives.pretrain import AUGMENTED, PretrainConfig
from selfremaster.plugins.objectives.ssl_dual import SslDualConfig
from selfremaster.registry.assembling import assemble
from selfremaster.registry.building import build, configure
from tests import tiny
from tests.reference import fill
from tests.teaching import ALONE, context, only, reached, speech

REFERENCE = Path(__file__).parent / "reference" / "label_predictor.npz"
VARIANTS: tuple[Any, ...] = (
    ALONE,
    "pretrain:preset=v2",
    "semi:paired_reconstruction=true,beta=0.5",
    "ssl-dual:preset=v1",
    "ssl-dual:preset=v2,backward=channel-features",
    f"ssl-dual:label_weight=0.1,label_channel_dim={CHANNEL_DIM}",
    "ssl-dual:fix_channel=true,backward=channel-features",
    "ssl-dual:perceptual=feature-l1",
    "ssl-dual:forward=channel,match_peaks=true,noise_floor=true",
    "ssl-dual:forward=channel,channel_steps=1",
    {"name": "supervised", "degradation": None},
)
"""Beside the defaults, which are tried with every other part."""


@pytest.mark.parametrize("spec", VARIANTS, ids=str)
def test_variants_keep_the_promises(spec: Any) -> None:
    check("objective", build("objective", spec))


# learning


@pytest.fixture(scope="module")
def tiny_model() -> Model:
    parts = {"vocoder": tiny.VOCODER, "analyzer": tiny.ANALYZER, "channel": tiny.CHANNEL}
    return assemble(Experiment.from_mapping({"model": parts, "seed": 3}))


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("pretrain", ("feature", "reconstruction")),
        ("supervised", ("feature",)),
        ({"name": "supervised", "degradation": None}, ("feature",)),
        ("ssl-step:channel_steps=10", ("reconstruction",)),
        ("ssl-dual:beta=0.1", ("reconstruction", "task")),
        ("ssl-dual:forward=channel", ("reconstruction", "task")),
        ("semi:beta=0.1", ("reconstruction", "paired_feature")),
        (ALONE, ("reconstruction",)),
    ],
    ids=str,
)
def test_two_seconds_of_speech_are_learned_by_heart(
    spec: Any, parts: tuple[str, ...], tiny_model: Model
) -> None:
    objective, model = build("objective", spec), copy.deepcopy(tiny_model)
    updates = set_to_work(objective, model)
    optimizers = {name: torch.optim.Adam(group, lr=5e-3) for name, group in updates.items()}
    batch = speech(2, tiny.RATE)
    curves: dict[str, list[float]] = {part: [] for part in parts}
    for step in range(20):
        for losses in objective.losses(model, batch, context(step)):
            optimizers[losses.update].zero_grad()
            losses.total.backward()
            optimizers[losses.update].step()
            for part in set(parts) & set(losses.parts):
                curves[part].append(losses.parts[part].item())
    fallen = {part: sum(curve[-3:]) / sum(curve[:3]) for part, curve in curves.items()}
    assert max(fallen.values()) < 0.8, fallen


# chance and items


@pytest.mark.parametrize(
    "spec",
    [
        ALONE,
        "pretrain:preset=v2",
        "semi:paired_reconstruction=true,beta=0.5,label_weight=0.1,label_channel_dim=3",
        "ssl-dual:backward=channel-features",
        "ssl-dual:noise_floor=true",
        "ssl-step",
        "supervised",
    ],
    ids=str,
)
def test_a_batch_learns_the_same_however_its_items_are_shared_out(spec: Any) -> None:
    objective = build("objective", spec)
    model = stub_model(*objective.trained, *objective.uses)
    set_to_work(objective, model, training=False)
    batch = speech(4)
    whole = only(objective.losses(model, batch, context(first_item=8, stride=1))).total
    shares = [
        only(
            objective.losses(
                model,
                {name: value[rank::2] for name, value in batch.items()},
                context(first_item=8 + rank, stride=2),
            )
        ).total
        for rank in range(2)
    ]
    assert torch.stack(shares).mean().item() == pytest.approx(whole.item(), rel=1e-5)


class Hearing(StubAnalyzer):
    """Keeps what it is given."""

    def __init__(self, config: ComponentConfig, features: StubFeatures) -> None:
        super().__init__(config, features)
        self.heard: list[Tensor] = []

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        """The stub's."""
        self.heard.append(log_mel)
        return super().forward(log_mel)


def test_another_item_draws_another_damage_and_a_later_one_too() -> None:
    objective = build("objective", "pretrain")
    model = stub_model("analyzer", "channel")
    wave = speech(1)["clean"]
    batch = {"clean": wave.repeat(2, 1)}
    listening = Hearing(ComponentConfig(), StubFeatures(ComponentConfig()))
    model.analyzer = listening
    for first_item in (0, 2):
        only(objective.losses(model, batch, context(first_item=first_item, stride=1)))
    waves = torch.cat(listening.heard)
    assert all(
        not torch.equal(one, other) for number, one in enumerate(waves) for other in waves[:number]
    )


# each objective's own


def test_presets_are_the_published_settings() -> None:
    def settings(name: str) -> dict[str, Any]:
        dual = configure("objective", name)
        assert isinstance(dual, SslDualConfig)
        return {
            "beta": dual.beta,
            "reconstruction": configure("loss", dual.reconstruction).model_dump(),
            "feature": dual.feature.name,
        }

    v1, v2, own = (settings(f"ssl-dual{preset}") for preset in (":preset=v1", ":preset=v2", ""))
    assert (v1["beta"], v1["reconstruction"]["eps"], v1["feature"]) == (0.001, 1e-10, "feature-l1")
    assert v1["reconstruction"]["sizes"] == (2048, 512, 256, 128, 64)
    assert (v2["beta"], v2["reconstruction"]["eps"], v2["feature"]) == (0.001, 1e-5, "feature-l2")
    assert 1024 in v2["reconstruction"]["sizes"]
    assert own == {**v2, "feature": "feature-l1"}
    old, new = PretrainConfig(), PretrainConfig(preset="v2")
    assert (old.alpha, new.alpha) == (0.1, 0.01)
    assert old.feature == new.feature
    for config in (old, new):
        loss = configure("loss", config.reconstruction)
        assert (loss.model_dump()["linear"], loss.model_dump()["eps"]) == (False, 1e-5)


def test_half_of_the_journal_version_s_items_are_prepared_and_half_drawn() -> None:
    damage = build("degradation", dict(AUGMENTED))
    generator = torch.Generator().manual_seed(1)
    drawn = [damage.draw(generator, tiny.RATE) for _ in range(1000)]
    assert sum(one["choice"] == 0 for one in drawn) == pytest.approx(500, abs=60)
    others = [one["parameters"]["steps"] for one in drawn if one["choice"] > 0]
    used: dict[str, int] = {"ratio": 0, "high_hz": 0, "snr_db": 0}
    for steps in others:
        for name in used:
            used[name] += any(name in (step["parameters"] or {}) for step in steps)
    assert used["ratio"] == pytest.approx(len(others) / 4, abs=60)
    assert used["high_hz"] == pytest.approx(len(others) / 2, abs=60)
    assert used["snr_db"] == pytest.approx(len(others) / 2, abs=60)


def test_steps_teach_the_channel_module_first_and_the_analysis_module_then(
    tiny_model: Model,
) -> None:
    objective = build("objective", "ssl-step:channel_steps=5")
    model = copy.deepcopy(tiny_model)
    updates = set_to_work(objective, model)
    assert model.analyzer is not None
    assert model.channel is not None
    branch = {id(parameter) for parameter in model.analyzer.channel_parameters()}
    assert branch
    assert {id(one) for one in updates["channel"]} == branch | {
        id(parameter) for parameter in model.channel.parameters()
    }
    assert {id(one) for one in updates["analysis"]} == {
        id(parameter) for parameter in model.analyzer.parameters() if id(parameter) not in branch
    }
    for step, update in ((0, "channel"), (4, "channel"), (5, "analysis"), (500, "analysis")):
        model.zero_grad()
        losses = only(objective.losses(model, speech(1), context(step)))
        losses.total.backward()
        assert losses.update == update
        speaks = model.analyzer.get_submodule("encoder.after_linear")
        assert reached(speaks) == (update == "analysis")


@pytest.mark.parametrize(
    ("backward", "channel", "features"),
    [("analysis", False, False), ("channel", True, False), ("channel-features", True, True)],
)
def test_the_backward_task_teaches_as_far_as_it_is_told(
    backward: str, channel: bool, features: bool
) -> None:
    objective = build("objective", f"ssl-dual:backward={backward}")
    model = stub_model("analyzer", "vocoder", "channel")
    set_to_work(objective, model)
    step = only(objective.losses(model, speech(2), context()))
    step.parts["task"].backward()
    assert isinstance(model.analyzer, StubAnalyzer)
    assert model.analyzer.mix.grad is not None
    assert (reached(model.channel), model.analyzer.summary.grad is not None) == (channel, features)


def test_ways_of_learning_that_are_apart_teach_what_is_theirs() -> None:
    objective = build("objective", "ssl-dual:forward=channel,channel_steps=1")
    model = stub_model("analyzer", "vocoder", "channel")
    updates = set_to_work(objective, model)
    assert isinstance(model.analyzer, StubAnalyzer)
    for step, turns in ((0, ["channel"]), (1, ["channel", "analysis"])):
        model.zero_grad()
        found = []
        for losses in objective.losses(model, speech(2), context(step)):
            model.zero_grad()
            losses.total.backward()
            speaks = model.analyzer.mix.grad is not None
            found.append(losses.update)
            assert (reached(model.channel), speaks) == (
                losses.update == "channel",
                losses.update == "analysis",
            )
        assert found == turns
    held_out = objective.validation_losses(model, speech(2), context(0))
    assert set(held_out) == {"reconstruction", "task", "total"}
    everything = [id(parameter) for group in updates.values() for parameter in group]
    assert len(set(everything)) == len(everything)


class Loud(StubAnalyzer):
    """Writes down how loud what it hears is."""

    def __init__(self, config: ComponentConfig, features: StubFeatures) -> None:
        super().__init__(config, features)
        self.levels: list[float] = []

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        """The stub's."""
        self.levels.append(float(log_mel.amax()))
        return super().forward(log_mel)


@pytest.mark.parametrize("matched", [True, False])
def test_what_went_through_the_channel_is_as_loud_as_the_recordings(matched: bool) -> None:
    objective = build("objective", f"ssl-dual:match_peaks={str(matched).lower()}")
    model = stub_model("analyzer", "vocoder", "channel")
    batch = speech(2)
    levels = {}
    for gain in (1.0, 0.01):
        model.analyzer = listening = Loud(ComponentConfig(), StubFeatures(ComponentConfig()))
        changed = {**batch, "clean": gain * batch["clean"]}
        list(objective.losses(model, changed, context()))
        levels[gain] = listening.levels[-1]
    assert (abs(levels[1.0] - levels[0.01]) < 0.01) == matched


def test_ways_of_learning_that_are_apart_count_alike_for_what_is_held_out() -> None:
    objective = build("objective", "ssl-dual:forward=channel")
    model = stub_model("analyzer", "vocoder", "channel")
    with torch.no_grad():
        found = objective.validation_losses(model, speech(2), context())
    assert found["total"] == found["reconstruction"] + found["task"]
    assert min(found["reconstruction"], found["task"]) > 0


def test_the_noise_of_a_recording_has_its_spectrum_and_not_its_speech() -> None:
    generator = torch.Generator().manual_seed(1)
    hiss = 0.01 * torch.randn(1, 3 * tiny.RATE, generator=generator).diff(dim=-1)
    voice = torch.zeros_like(hiss)
    voice[:, tiny.RATE : 2 * tiny.RATE] = tiny.speech_like(1, 1)[:, : tiny.RATE]
    made = steady_noise_of(hiss + voice, hiss.shape[-1], [torch.Generator().manual_seed(2)])
    known, found = (
        torch.stft(wave, 512, window=torch.hann_window(512), return_complex=True)
        .abs()
        .square()
        .mean(dim=-1)
        for wave in (hiss, made)
    )
    bands = [10 * part.reshape(16, -1).mean(dim=1).log10() for part in (known[:, 1:], found[:, 1:])]
    assert (bands[0] - bands[1]).abs().max() < 3
    assert bands[1].max() - bands[1].min() > 12  # differences of white noise rise with frequency
    silence = steady_noise_of(torch.zeros(2, 100), 50, [generator, generator])
    assert silence.shape == (2, 50)
    assert not silence.any()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("ssl-dual:channel_steps=3", "channel_steps=3 needs forward=channel"),
        ("ssl-dual:forward=channel,fix_channel=true", "fix_channel=True does not go with forward"),
        ("ssl-dual:forward=channel,backward=channel", "backward=channel does not go with forward"),
        ("ssl-dual:forward=channel,label_weight=1", "label_weight=1.0 does not go with forward"),
        ("ssl-dual:forward=channel,beta=0.5", "beta=0.5 does not go with forward"),
    ],
)
def test_settings_that_contradict_each_other_are_named(spec: str, words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        build("objective", spec)


def test_a_frozen_channel_module_is_used_and_not_trained() -> None:
    objective = build("objective", "ssl-dual:fix_channel=true")
    assert (objective.trained, objective.uses) == (("analyzer",), ("vocoder", "channel"))
    words = r"backward=channel teaches the channel module, which fix_channel=true keeps as it is"
    with pytest.raises(ComponentError, match=words):
        build("objective", "ssl-dual:fix_channel=true,backward=channel")
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        SslDualConfig(beta=2)


class Listening(StubAnalyzer):
    """Notes the domain in which it is called, and gives channel features over time."""

    over_time = True

    def __init__(self, config: ComponentConfig, features: StubFeatures) -> None:
        super().__init__(config, features)
        self.domains: list[str] = []

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        """The stub's, three times over."""
        self.domains.append(current_domain())
        found = super().forward(log_mel)
        return found._replace(channel_features=found.channel_features[..., None].repeat(1, 1, 3))


class OverTime(nn.Module):
    """The stub's channel module, for the mean over time."""

    def __init__(self, channel: nn.Module) -> None:
        super().__init__()
        self.channel, self.shapes = channel, list[tuple[int, ...]]()

    def forward(self, wave: Tensor, channel_features: Tensor) -> Tensor:
        """The coloured wave."""
        self.shapes.append(tuple(channel_features.shape))
        coloured: Tensor = self.channel(wave, channel_features.mean(dim=-1))
        return coloured


def test_backward_is_of_another_domain_and_channel_features_may_go_over_time() -> None:
    objective = build(
        "objective",
        f"semi:paired_reconstruction=true,label_weight=0.1,label_channel_dim={CHANNEL_DIM}",
    )
    model = stub_model("analyzer", "vocoder", "channel")
    listening = Listening(ComponentConfig(), StubFeatures(ComponentConfig()))
    model.analyzer, channel = listening, OverTime(model.channel or nn.Identity())
    model.channel = channel  # type: ignore[assignment]  # a module that does what one does
    set_to_work(objective, model)
    step = only(objective.losses(model, speech(2), context()))
    step.total.backward()
    assert listening.domains == ["recordings", "simulated", "simulated"]
    assert channel.shapes == [(2, CHANNEL_DIM, 3)] * 3
    assert reached(listening)


def test_semi_adds_the_loss_of_pairs() -> None:
    batch = speech(2)
    model = stub_model("analyzer", "vocoder", "channel")
    dual = only(build("objective", "ssl-dual:beta=0.2").losses(model, batch, context()))
    plain, rebuilt = (
        only(
            build("objective", f"semi:beta=0.2,paired_weight=3{more}").losses(
                model, batch, context()
            )
        )
        for more in ("", ",paired_reconstruction=true")
    )
    paired = plain.parts["paired_feature"]
    heard = model.predict(batch["paired_degraded"])
    wanted = (heard - model.features(batch["paired_clean"])).abs().mean()
    torch.testing.assert_close(paired, wanted)
    torch.testing.assert_close(plain.total, dual.total + 3 * paired)
    both = 0.2 * rebuilt.parts["paired_reconstruction"] + 0.8 * rebuilt.parts["paired_feature"]
    torch.testing.assert_close(rebuilt.total, dual.total + 3 * both)


def test_semi_learns_with_style_tokens() -> None:
    analyzer = {"name": "unet2d-gst", "widths": [4, 8], "channel_dim": 8}
    parts = {"vocoder": tiny.VOCODER, "analyzer": analyzer, "channel": tiny.CHANNEL}
    model = assemble(Experiment.from_mapping({"model": parts}))
    objective = build("objective", "semi:label_weight=0.1,label_channel_dim=8")
    set_to_work(objective, model)
    step = only(objective.losses(model, speech(2), context()))
    step.total.backward()
    assert torch.isfinite(step.total)
    assert reached(model.analyzer)
    assert reached(model.channel)


# labels


def test_the_label_predictor_is_the_published_one() -> None:
    predictor = LabelPredictor(128).eval()
    state = predictor.state_dict()
    filled = {name: fill.fill(f"chpredictor.{name}", value.shape) for name, value in state.items()}
    predictor.load_state_dict({name: torch.as_tensor(value) for name, value in filled.items()})
    assert sum(parameter.numel() for parameter in predictor.parameters()) == 33537
    vectors = torch.from_numpy(fill.vec_input("vector", (2, 128)))
    with np.load(REFERENCE) as stored:
        np.testing.assert_allclose(predictor(vectors).detach(), stored["score"], atol=1e-6)
    over_time = vectors[..., None].repeat(1, 1, 5)
    torch.testing.assert_close(predictor(over_time), predictor(vectors))


def test_a_batch_of_one_has_no_statistics_of_its_own() -> None:
    predictor = LabelPredictor(3).train()
    one = predictor(torch.tensor([[1.0, 2.0, 3.0]]))
    torch.testing.assert_close(predictor.eval()(torch.tensor([[1.0, 2.0, 3.0]])), one)
    assert predictor.batch_norm.num_batches_tracked == 0


def test_labels_are_learned_with_the_rest_and_their_predictor_too() -> None:
    objective = build("objective", f"ssl-dual:label_weight=2,label_channel_dim={CHANNEL_DIM}")
    assert objective.needs["degraded"] == ("source", "label")
    model = stub_model("analyzer", "vocoder", "channel")
    updates = set_to_work(objective, model)
    own = {id(parameter) for parameter in objective.label_predictor.parameters()}
    assert own <= {id(parameter) for parameter in updates["model"]}
    step = only(objective.losses(model, speech(2), context()))
    parts = step.parts
    plain = 0.001 * parts["reconstruction"] + 0.999 * parts["task"]
    torch.testing.assert_close(step.total, plain + 2 * parts["label"])
    parts["label"].backward()
    assert reached(objective.label_predictor)
    assert isinstance(model.analyzer, StubAnalyzer)
    assert model.analyzer.summary.grad is not None
    words = r"label_channel_dim=128, while the analysis module gives 3 channel features; set "
    with pytest.raises(ComponentError, match=words):
        build("objective", "ssl-dual:label_weight=0.1").updates(model)
