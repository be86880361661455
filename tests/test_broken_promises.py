"""A broken promise is found, and named with the part, the input and what happened."""

# ruff: noqa: D102  # the broken parts' methods are those of the interfaces

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import (
    AnalysisOutput,
    Analyzer,
    Channel,
    ComponentConfig,
    Degradation,
    Features,
    Loss,
    Metric,
    Objective,
    Parameters,
    Restorer,
    StepContext,
    StepLosses,
    Vocoder,
)
from selfremaster.core.models import Model
from selfremaster.core.promises import Context, check, common, objectives, run
from selfremaster.core.promises.stubs import StubFeatures, StubVocoder, stub_model


class Broken(Degradation):
    """Adds a generator's noise, twice over, and forgets half of the contract."""

    differentiable = True

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        return {"noise": torch.rand((), generator=generator)}

    def apply_one(self, wave: Tensor, parameters: Parameters, sample_rate: int) -> Tensor:
        wave += 0.1
        return torch.cat([wave, torch.rand(len(wave), 1)], dim=-1).detach()


def test_a_broken_degradation_hears_all_of_it() -> None:
    before = torch.random.get_rng_state()
    results = {result.promise: result for result in run("degradation", Broken(ComponentConfig()))}
    assert torch.equal(torch.random.get_rng_state(), before)
    kept = {name for name, result in results.items() if result.kept}
    assert kept == {
        "describes_itself",
        "keeps_its_settings",
        "counts_its_parameters",
        "stays_finite",
        "lags_as_it_says",
    }
    shape = results["keeps_shape_and_dtype"]
    assert (shape.input, shape.reason) == (
        "silence",
        "the damaged wave has shape (1, 3001), not (1, 3000)",
    )
    assert "not JSON serializable" in results["replays_from_json"].reason
    assert "changed in place" in results["leaves_its_input_alone"].reason
    assert "raises RuntimeError" in results["has_the_gradient_of_its_sound"].reason


class Lying(Degradation):
    """Lags, hums, is no wave's own, and lets nothing through that learns; it says otherwise."""

    differentiable = True

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        return {"phase": torch.rand(()).item()}

    def apply_one(self, wave: Tensor, parameters: Parameters, sample_rate: int) -> Tensor:
        delayed = torch.roll(wave.detach(), 100, dims=-1)
        return (delayed + 0.01 * wave.detach().mean() + 1e-3 * torch.rand(())).float()


def test_a_lying_degradation_is_found_out() -> None:
    broken = {
        result.promise: result.reason
        for result in run("degradation", Lying(ComponentConfig()))
        if not result.kept
    }
    assert broken["lags_as_it_says"] == "noise comes out 100 samples late; delay_of says 0"
    assert "silence becomes a sound of peak" in broken["keeps_silence"]
    assert "the wave of a batch differs by" in broken["damages_each_wave_alone"]
    assert "one seed draws {'phase': " in broken["repeats_itself"]
    assert broken["replays_from_json"] == "the replayed wave differs"
    assert broken["has_the_gradient_of_its_sound"] == "no gradient reaches the wave"
    assert broken["keeps_shape_and_dtype"] == (
        "the wave comes back as torch.float32, not torch.float64"
    )
    hummed = Lying(ComponentConfig())
    hummed.adds_sound = True  # type: ignore[attr-defined]  # set on the class for this test
    kept = {result.promise for result in run("degradation", hummed) if result.kept}
    assert "keeps_silence" in kept


class Quitting(Degradation):
    """Ends the process instead of drawing."""

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        raise SystemExit("out of paper")


def test_a_part_that_quits_breaks_its_promise_and_nothing_else() -> None:
    results = {result.promise: result for result in run("degradation", Quitting(ComponentConfig()))}
    assert results["describes_itself"].kept
    assert not results["stays_finite"].kept
    assert results["stays_finite"].reason == "raises SystemExit: out of paper"


def test_check_names_part_promise_and_input() -> None:
    expected = (
        r"^degradation Broken breaks \d+ of \d+ promises: .*keeps_silence on silence: "
        r"silence becomes a sound of peak \d"
    )
    with pytest.raises(ComponentError, match=expected):
        check("degradation", Broken(ComponentConfig()))


class LateFeatures(Features):
    """Frames of a wave's level that start on their sample, not centred on it."""

    sample_rate, hop_samples, channels, mel_bands, predicted_channels = 22050, 100, 1, 1, 1
    silence = 0.5

    def forward(self, wave: Tensor) -> Tensor:
        return self.log_mel(wave)

    def log_mel(self, wave: Tensor) -> Tensor:
        padded = nn.functional.pad(wave, (200, 100))
        return padded.abs().unfold(-1, 100, 100).sum(-1)[:, None, : self.frames(wave.shape[-1])]


class OneItemAnalyzer(Analyzer):
    """Lets the items of a batch hear each other."""

    channel_dim = 2

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        return AnalysisOutput(log_mel - log_mel.mean(), log_mel.new_zeros(len(log_mel), 3))


class MuteVocoder(Vocoder):
    """Is one sample short, wants a source that it does not ask for, and lets nothing learn."""

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        if source is None:
            raise ComponentError("no source")
        return features.new_zeros(len(features), features.shape[-1] * self.hop_samples - 1)


class StubbornChannel(Channel):
    """Drops samples beyond an even number, and hears its features without learning them."""

    def forward(self, wave: Tensor, channel_features: Tensor) -> Tensor:
        return wave[:, : wave.shape[-1] // 2 * 2] * channel_features.detach().mean(-1, keepdim=True)


class LateVocoder(StubVocoder):
    """Speaks every frame one hop and a half too late."""

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        return torch.roll(super().forward(features), 3 * self.hop_samples // 2, dims=-1)


class LateChannel(Channel):
    """Sounds three milliseconds later."""

    def forward(self, wave: Tensor, channel_features: Tensor) -> Tensor:
        return nn.functional.pad(wave, (66, 0))[:, : wave.shape[-1]]


class SignedLoss(Loss):
    """Is below zero for half of all pairs, and takes only pairs of one length."""

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        return (estimate - target).mean() + 0.01


class MoodyLoss(Loss):
    """Changes its mind, adds items up instead of averaging them, and counts in halves."""

    asked = 0

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        self.asked += 1
        samples = min(estimate.shape[-1], target.shape[-1])
        distance = (estimate[..., :samples] - target[..., :samples]).abs().mean(dim=-1).sum()
        return (distance * (1 + self.asked % 2)).bfloat16()


class IdleObjective(Objective):
    """Trains what no model has, from waves that no batch holds."""

    streams = ("noisy",)
    trained = ("encoder",)


class GreedyObjective(Objective):
    """Draws global chance, changes its batch, calls what it does not name, and moves too much."""

    streams = ("clean",)
    trained = ("channel",)

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        self.forgotten = nn.Parameter(torch.ones(()))

    def updates(self, model: Model) -> dict[str, list[nn.Parameter]]:
        return {**super().updates(model), "never": list(model.vocoder.parameters())}

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        clean = batch["clean"].mul_(1 + torch.rand(()))
        damaged = model.degrade(clean, clean.new_ones(len(clean), 3))
        yield StepLosses((damaged - self.forgotten).square().mean().sqrt())


class CarelessObjective(Objective):
    """Speaks with a vocoder that it does not name."""

    trained = ("analyzer",)

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        yield StepLosses(model.restore_segment(batch["clean"]).square().mean())


class HastyObjective(Objective):
    """Counts its second loss from what was used up in learning the first."""

    trained = ("analyzer", "channel")

    def updates(self, model: Model) -> dict[str, list[nn.Parameter]]:
        return {name: list(getattr(model, name).parameters()) for name in self.trained}

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        found = model.analyse(batch["clean"])
        loss = model.degrade(batch["clean"], found.channel_features).square().mean()
        yield StepLosses(loss, {}, "channel")
        yield StepLosses(loss + found.features.square().mean(), {}, "analyzer")


class SquareRootObjective(Objective):
    """Has no slope, and no logarithm, where there is silence; has no total of held-out speech."""

    trained = ("channel",)

    def losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        clean = batch["clean"]
        loss = model.degrade(clean, clean.new_ones(len(clean), 3)).square().mean().sqrt()
        yield StepLosses(loss, {"log": loss.log()})

    def validation_losses(
        self, model: Model, batch: Mapping[str, Tensor], context: StepContext
    ) -> Mapping[str, Tensor]:
        return {"sum": batch["clean"].sum()}


class UpsideDown(Metric):
    """Says that more error is better."""

    directions = {"error": "higher"}  # noqa: RUF012  # as a stranger would write it

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        return {"error": 0.0 if reference is None else float((estimate - reference).abs().sum())}


class Shortener(Restorer):
    """Loses the last sample."""

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        return wave[:, :-1].double()


class Gambler(Restorer):
    """Adds noise that it draws from the generator of the whole process."""

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        return wave + torch.rand_like(wave)


class Whispered(Restorer):
    """Is told the original by itself, and says so only once it is built."""

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        self.needs_reference = True  # type: ignore[misc]  # what is broken

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        if reference is None:
            raise ComponentError("give reference")
        return reference.clone()


FEATURES = LateFeatures(ComponentConfig())
OBJECTIVE_PROMISES = [promise.__name__ for promise in objectives.PROMISES]


@pytest.mark.parametrize(
    ("kind", "part", "broken"),
    [
        (
            "features",
            FEATURES,
            {"centres_its_frames": "loudest in frame 6", "knows_silence": "differs by 0.5"},
        ),
        (
            "analyzer",
            OneItemAnalyzer(ComponentConfig(), FEATURES),
            {
                "analyses_any_length": "channel_features has shape (1, 3), not (1, 2)",
                "analyses_each_item_alone": "features of a batch differs",
            },
        ),
        (
            "vocoder",
            MuteVocoder(ComponentConfig(), FEATURES),
            {
                "speaks_every_frame": "(1, 399), not (1, 400)",
                "lets_features_learn": "no gradient reaches the features",
                "speaks_each_frame_where_it_lies": "nothing sounds otherwise when frame 12",
                "says_that_it_needs_a_source": "say needs_source = True",
            },
        ),
        (
            "channel",
            StubbornChannel(ComponentConfig(), 4),
            {
                "keeps_the_length": "(1, 0), not (1, 1)",
                "lets_both_modules_learn": "no gradient reaches the channel features",
            },
        ),
        (
            "vocoder",
            LateVocoder(ComponentConfig(), StubFeatures(ComponentConfig())),
            {"speaks_each_frame_where_it_lies": "frame 12 of 24 is heard at 13."},
        ),
        (
            "channel",
            LateChannel(ComponentConfig(), 4),
            {"delays_nothing": "a click comes out 66 samples late"},
        ),
        (
            "loss",
            SignedLoss(ComponentConfig()),
            {
                "gives_one_number": "below 0",
                "is_zero_for_equals": "with itself is 0.01",
                "cuts_to_the_shorter": "raises RuntimeError",
            },
        ),
        (
            "loss",
            MoodyLoss(ComponentConfig()),
            {
                "keeps_the_precision": "the loss of float32 is torch.bfloat16",
                "repeats_itself": "the loss is 0.",
                "is_the_mean_of_its_items": "the loss of a batch differs",
                "cuts_to_the_shorter": "the loss with a longer target differs",
            },
        ),
        (
            "objective",
            IdleObjective(ComponentConfig()),
            {
                "names_its_streams": "['noisy']",
                "names_what_it_trains": "['encoder']",
                **dict.fromkeys(OBJECTIVE_PROMISES[2:], "raises AttributeError"),
            },
        ),
        (
            "objective",
            GreedyObjective(ComponentConfig()),
            {
                "moves_what_it_trains": "update 'never' has no parameters",
                "yields_every_update": "updates ['never'] are never yielded",
                "gives_finite_losses": "changed in place",
                "teaches_what_it_names": "gradients to 1 parameters of no update",
                "repeats_its_losses": "draws from the global generator",
                "validates_by_a_total": "changed in place",
            },
        ),
        (
            "objective",
            CarelessObjective(ComponentConfig()),
            dict.fromkeys(OBJECTIVE_PROMISES[3:], "name it in trained or in uses"),
        ),
        (
            "objective",
            HastyObjective(ComponentConfig()),
            dict.fromkeys(OBJECTIVE_PROMISES[3:-1], "backward through the graph a second time"),
        ),
        (
            "objective",
            SquareRootObjective(ComponentConfig()),
            {
                "gives_finite_losses": "log of update 'model' holds 1 numbers",
                "teaches_what_it_names": "a gradient of update 'model' holds",
                "validates_by_a_total": "has no 'total', only ['sum']",
            },
        ),
        (
            "metric",
            UpsideDown(ComponentConfig()),
            {
                "prefers_the_better": "error (higher is better) is 0 for the clean wave",
                "cuts_to_the_shorter": "raises RuntimeError",
                "asks_for_its_reference": "takes none without a word",
            },
        ),
        (
            "restorer",
            Shortener(ComponentConfig()),
            {"keeps_shape_and_stays_finite": "(1, 5999), not (1, 6000)"},
        ),
        (
            "restorer",
            Gambler(ComponentConfig()),
            {
                "restores_the_same_twice": "the second restored wave",
                "leaves_chance_alone": "draws from the generator of torch; make one of its own",
            },
        ),
        (
            "restorer",
            Whispered(ComponentConfig()),
            {"asks_for_its_original": "one thing for the class, another for the part"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_parts_of_every_kind_are_caught(
    kind: str, part: Any, broken: dict[str, str]
) -> None:
    results = {result.promise: result for result in run(kind, part) if not result.kept}
    assert results.keys() == broken.keys()
    for promise, words in broken.items():
        assert words in results[promise].reason


@pytest.mark.parametrize("kind", ["features", "analyzer", "vocoder", "channel"])
def test_the_model_that_objectives_are_tried_on_keeps_the_promises(kind: str) -> None:
    model = stub_model("analyzer", "vocoder", "channel")
    check(kind, getattr(model, kind), Context(features=model.features))
    assert all(
        torch.equal(*pair)
        for pair in zip(
            model.parameters(),
            stub_model("analyzer", "vocoder", "channel").parameters(),
            strict=True,
        )
    )


def test_settings_must_be_described_and_kept() -> None:
    class Mumbling(ComponentConfig):
        depth: float = 1.0

    class Silent(Degradation):
        Config = Mumbling

        def __init__(self, config: ComponentConfig) -> None:
            self.settings = config

    part = Silent(Mumbling())
    with pytest.raises(ComponentError, match="Silent has no docstring"):
        common.describes_itself(part)
    Silent.__doc__ = "Change nothing."
    with pytest.raises(ComponentError, match=r"without Field\(description=...\): depth"):
        common.describes_itself(part)
    with pytest.raises(ComponentError, match=r"not a Mumbling; call super\(\).__init__\(config\)"):
        common.keeps_its_settings(part)
