"""DistillMOS, listeners' opinion of speech as a small network predicts it."""

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from selfremaster.core.interfaces import ComponentConfig, Policy, QualityPredictor
from selfremaster.core.signals import resample_hann
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, require

RATE_HZ = 16000


class DistillMos(QualityPredictor):
    """Predict how listeners would rate the speech by itself, from 1 (bad) to 5 (excellent).

    Rate: waves are brought to 16000 Hz by a Hann-windowed sinc, so nothing above 8000 Hz counts.
    Gain: taken out by the network. Lag: has nearly no influence. Waves are judged in pieces of 7.68
    seconds whose scores are averaged; shorter ones are followed by silence. A silent wave gives no
    number.

    Shape: waves (samples,) -> {"distillmos": higher is better}; `score`: (batch, samples) ->
    (batch,), with gradient.
    Source: Stahl and Gamper, "Distillation and pruning for scalable self-supervised
    representation-based speech quality assessment" (ICASSP 2025), by the package distillmos.
    Raises `ComponentError` without the package.
    """

    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"distillmos": "higher"}
    packages: ClassVar[tuple[str, ...]] = ("distillmos",)
    policy = Policy(rate_hz=RATE_HZ, gain="removed", lag="removed")
    best: ClassVar[float] = 5.0

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        with _torchaudio_or_nothing():
            package = require("distillmos", "distillmos")
        # its constructor draws weights, to overwrite them, and prints where it found those
        with redirect_stdout(io.StringIO()), torch.random.fork_rng(devices=[]):
            self.network: nn.Module = package.ConvTransformerSQAModel()
        self.network.cnn.register_forward_pre_hook(_with_finite_gradient)
        self.eval().requires_grad_(False)

    def score(self, wave: Tensor, sample_rate: int) -> Tensor:
        """The predicted opinion of each wave."""
        heard = resample_hann(wave.float(), sample_rate, RATE_HZ)
        found: Tensor = self.network(heard)[:, 0]
        return found

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The predicted opinion of one wave."""
        found = super().compute(estimate, sample_rate, reference)
        return found if estimate.any() else dict.fromkeys(found, NOT_A_NUMBER)


def _with_finite_gradient(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Say that silence, where the network's root of a power has no slope, is not to be changed."""
    del module
    (wave,) = inputs
    if not wave.requires_grad:
        return inputs
    heard = wave.view_as(wave)
    register: Callable[..., Any] = heard.register_hook  # typed in some versions of torch only
    register(_finite)
    return (heard,)


def _finite(gradient: Tensor) -> Tensor:
    return gradient.nan_to_num(0.0, 0.0, 0.0)


@contextmanager
def _torchaudio_or_nothing() -> Iterator[None]:
    """Stand in for torchaudio where it does not load: only the package's file reader needs it."""
    name = "torchaudio"
    try:
        __import__(name)
    except (ImportError, OSError):
        sys.modules[name] = ModuleType(name)
        try:
            yield
        finally:
            del sys.modules[name]
    else:
        yield
