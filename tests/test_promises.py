"""Every registered part keeps the promises of its kind, and a broken promise is named."""

# ruff: noqa: D102  # the broken parts' methods are those of the interfaces

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

import selfremaster as sr
from selfremaster.core.components import KINDS, nested_parts
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
    Vocoder,
)
from selfremaster.core.promises import Context, check, common, promises_of, run
from selfremaster.core.promises import degradations as degradation_promises
from selfremaster.core.promises import losses as loss_promises
from selfremaster.core.promises.inputs import speech_like
from selfremaster.registry.building import component_class
from tests.strategies import seeds, waves

PARTS = [(info.kind, info.name) for info in sr.list_components()]


def names(kind: str) -> list[str]:
    return [name for found, name in PARTS if found == kind]


def needs_a_model(kind: str, name: str) -> bool:
    return "model" in nested_parts(component_class(kind, name).Config).values()


def build(kind: str, name: str) -> tuple[Any, Context]:
    """A part in its small preset, if it has one, and what it is to be tried with.

    A part that does not work with one sort of speech features is built for the next.
    """
    small = "small" in component_class(kind, name).Config.presets
    spec = f"{name}:preset=small" if small else name
    if kind not in {"analyzer", "vocoder"}:
        return sr.build(kind, spec), Context()
    refusals = []
    for features_name in names("features"):
        features = sr.build("features", features_name)
        try:
            return sr.build(kind, spec, features=features), Context(features=features)
        except ComponentError as error:
            refusals.append(str(error))
    raise ComponentError("; ".join(refusals))


@pytest.mark.parametrize(
    ("kind", "name"),
    [pytest.param(*part, id="-".join(part)) for part in PARTS if not needs_a_model(*part)],
)
def test_every_part_keeps_its_promises(kind: str, name: str) -> None:
    part, context = build(kind, name)
    check(kind, part, context)


@pytest.fixture(scope="module", params=names("degradation"))
def degradation(request: pytest.FixtureRequest) -> Degradation:
    part: Degradation = sr.build("degradation", request.param)
    return part


@settings(max_examples=30)
@given(
    wave=waves(),
    seed=seeds(),
    promise=st.sampled_from(
        [promise for promise in degradation_promises.PROMISES if "wave" in promise.__annotations__]
    ),
)
def test_degradations_keep_promises_on_any_wave(
    degradation: Degradation, wave: Tensor, seed: int, promise: Any
) -> None:
    promise(degradation, wave, seed)


@st.composite
def feature_maps(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 80))
    generator = Generator().manual_seed(draw(seeds()))
    shapes = [(batch, channels, draw(st.integers(1, 40))) for _ in range(2)]
    maps = [4 * torch.randn(shape, generator=generator) - 5 for shape in shapes]
    return maps[0], maps[1]


@st.composite
def wave_pairs(draw: st.DrawFn, max_samples: int) -> tuple[Tensor, Tensor]:
    first, second = draw(waves(max_samples=max_samples)), draw(waves(max_samples=max_samples))
    batch = min(len(first), len(second))
    return first[:batch], second[:batch]


@pytest.fixture(scope="module", params=names("loss"))
def loss(request: pytest.FixtureRequest) -> Loss:
    part: Loss = build("loss", request.param)[0]
    return part


@settings(max_examples=20)
@given(data=st.data())
def test_losses_keep_promises_on_any_pair(loss: Loss, data: st.DataObject) -> None:
    learned = any(True for _ in loss.parameters())
    pairs = feature_maps() if loss.takes == "features" else wave_pairs(2000 if learned else 60_000)
    estimate, target = data.draw(pairs)
    loss_promises.gives_one_number(loss, estimate, target)
    loss_promises.has_a_gradient(loss, estimate, target)
    loss_promises.is_zero_for_equals(loss, target)


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
    assert "no gradient reaches the wave" in results["has_a_gradient_if_it_says_so"].reason


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


class SignedLoss(Loss):
    """Is below zero for half of all pairs, and takes only pairs of one length."""

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        return (estimate - target).mean() + 0.01


class IdleObjective(Objective):
    """Trains what no model has, from waves that no batch holds."""

    streams = ("noisy",)
    trained = ("encoder",)


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


FEATURES = LateFeatures(ComponentConfig())


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
            "loss",
            SignedLoss(ComponentConfig()),
            {
                "gives_one_number": "below 0",
                "is_zero_for_equals": "with itself is 0.01",
                "cuts_to_the_shorter": "raises RuntimeError",
            },
        ),
        (
            "objective",
            IdleObjective(ComponentConfig()),
            {"names_its_streams": "['noisy']", "names_what_it_trains": "['encoder']"},
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


def test_every_kind_has_promises_with_a_summary() -> None:
    for kind in KINDS:
        for promise in promises_of(kind):
            assert (promise.__doc__ or "").partition("\n")[0].endswith("."), promise.__name__


def test_a_wrong_kind_is_refused_in_words() -> None:
    clip = sr.build("degradation", "clip")
    with pytest.raises(ComponentError, match="did you mean 'degradation'"):
        check("degradations", clip)
    with pytest.raises(
        ComponentError, match=r"Clip is no loss; derive it from .*interfaces\.Loss$"
    ):
        check("loss", clip)


def test_the_speech_like_sound_has_pauses_pitch_and_a_level() -> None:
    wave = speech_like(22050)[0]
    assert wave.abs().max() == pytest.approx(0.6)
    levels = wave.unfold(0, 441, 441).square().mean(-1).sqrt()
    assert levels.max() > 50 * levels.min()
    voiced = wave[2000:4048]
    likeness = torch.fft.irfft(torch.fft.rfft(voiced, 8192).abs().square())[100:300]
    assert 22050 / (100 + int(likeness.argmax())) == pytest.approx(120, abs=35)
