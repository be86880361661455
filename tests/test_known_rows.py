"""Rows of the speech features that a batch holds are used, not computed again."""

from typing import Any

import pytest
import torch
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Objective
from selfremaster.core.promises.stubs import StubAnalyzer, StubFeatures, stub_model
from selfremaster.plugins.objectives.vocoder import at_gain
from selfremaster.registry.building import build
from tests.teaching import ALONE, context, only, speech


class Given(StubFeatures):
    """Features of which every row was computed before; the first of them a source row."""

    cached = True
    channels, predicted_channels = 4, 3

    def source(self, wave: Tensor) -> Tensor:
        """Not to be asked for."""
        raise ComponentError("computes what is known")

    def forward(self, wave: Tensor) -> Tensor:
        """Not to be asked for."""
        raise ComponentError("computes what is known")

    def at_gain(self, target: Tensor, gain: Tensor) -> Tensor:
        """Every row is a log level."""
        return target + gain.log()[:, None, None]


@pytest.mark.parametrize(
    "spec",
    [
        ALONE,
        "pretrain",
        "semi",
        "ssl-dual",
        "ssl-step",
        "supervised",
        {"name": "supervised", "degradation": None},
    ],
    ids=str,
)
def test_rows_that_are_known_are_not_computed_again(spec: Any) -> None:
    objective: Objective = build("objective", spec)
    model = stub_model("vocoder", "channel")
    model.features = Given(ComponentConfig())
    model.analyzer = StubAnalyzer(ComponentConfig(), model.features)
    batch = speech(2)
    for stream, words in objective.needs.items():
        frames = model.features.frames(batch[stream].shape[-1])
        for word in words:
            rows = 1 if word == "source" else 3
            batch[f"{stream}/{word}"] = torch.full((2, rows, frames), -4.0)
    total = only(objective.losses(model, batch, context())).total
    held_out = objective.validation_losses(model, batch, context())["total"]
    assert torch.isfinite(total)
    assert torch.isfinite(held_out)


def test_a_gain_is_put_on_the_rows_that_are_given_or_on_the_wave() -> None:
    batch, gain = speech(2), torch.tensor([0.5, 0.1])
    model = stub_model("vocoder")
    wave, speech_of_wave = at_gain(model, batch, "clean", gain)
    torch.testing.assert_close(wave, batch["clean"] * gain[:, None])
    torch.testing.assert_close(speech_of_wave, model.features(wave))
    model.features = Given(ComponentConfig())
    rows = {"clean/source": torch.full((2, 1, 65), 7.0), "clean/target": torch.zeros(2, 3, 65)}
    _, given = at_gain(model, batch | rows, "clean", gain)
    assert bool((given[:, 0] == 7).all())
    torch.testing.assert_close(given[:, 1:, 0], gain.log()[:, None].expand(2, 3))
