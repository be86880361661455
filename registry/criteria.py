"""By what adaptation chooses the moment to keep: quality, within what was said."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from selfremaster.core import guards
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Metric
from selfremaster.core.judges import TOTAL, Judge
from selfremaster.core.levels import rms_db
from selfremaster.core.models import Model
from selfremaster.registry.building import build

QUALITY = (("distillmos", "distillmos"), ("dnsmos", "dnsmos-p808"))
"""Metrics that need no reference, each with its number from 1 to 5; the mean of them is taken."""
PACKAGES = "selfremaster[distillmos,metrics]"

LOSSES = ("reconstruction", "task")

LEAST_GAIN = 0.05  # points of opinion, below which nothing is worth a change
CONTENT_SLACK, CONTENT_WEIGHT = 0.03, 10.0  # agreement may fall by so much; what is beyond counts
LEVEL_SLACK_DB, LEVEL_WEIGHT = 6.0, 0.1  # likewise how loud the restored speech is, in dB

DYNAMICS = 5.0  # nepers below the loudest that envelopes are followed: 43 dB
SMOOTHED_FRAMES = 5


class Criterion(Judge):
    """Judge a model on recordings without their clean originals: by what is heard.

    ``total`` is 1 for the model as it comes, less the points of opinion that restored recordings
    gain by metrics that need no reference. What must not happen counts on top, so much that no gain
    makes up for it: that the restored speech agrees less with what the recording says than at the
    start by more than 0.03, that its level moves by more than 6 dB, and samples or any of these
    measures that are no numbers (infinite). A gain of less than 0.05 points is none.

    Windows of which a metric has no number at the start, such as silence, do not count for it; one
    that had a number and has none later is a failure (infinite). Where the start itself has none,
    nothing can be told to be better, and all is infinite.

    The losses do not count, since they do not tell: a channel module that learns makes the task of
    the analysis module another one, and what explains the recordings best is to leave them as they
    are. Without a metric they are all that there is (the mean of both, each relative to its start,
    within the same guard rails).
    """

    def __init__(
        self,
        waves: Sequence[Tensor],
        quality: Sequence[tuple[Metric, str]] = (),
    ) -> None:
        self.waves = tuple(waves)  # (samples,), at the model's rate and level
        self.quality = tuple(quality)
        self.start: dict[str, float] | None = None  # empty where it could not be judged
        self.counted: list[bool] | None = None  # which scores, by metric and wave, were numbers

    def __call__(self, model: Model, losses: Mapping[str, float]) -> Mapping[str, float]:
        """The numbers of the model, and what they come to beside those of the start."""
        numbers = {name: losses[name] for name in LOSSES if name in losses}
        waves = [restored(model, wave) for wave in self.waves]
        sound = all(bool(torch.isfinite(wave).all()) for wave in waves)
        if sound:
            numbers |= self._heard(model, waves)
        if self.start is None:
            self.start = dict(numbers) if sound else {}
        return {**numbers, TOTAL: total(numbers, self.start) if sound and self.start else math.inf}

    def _heard(self, model: Model, waves: Sequence[Tensor]) -> dict[str, float]:
        pairs = list(zip(self.waves, waves, strict=True))
        numbers = {
            "content": _mean([envelope_agreement(model, *pair) for pair in pairs]),
            "level_db": _mean([float(rms_db(wave)) for wave in waves]),
        }
        scores = [
            guards.measured(metric, wave, model.sample_rate).get(name, math.nan)
            for metric, name in self.quality
            for wave in waves
        ]
        if self.counted is None:
            self.counted = [math.isfinite(score) for score in scores]
        if scores:
            counting = zip(scores, self.counted, strict=True)
            numbers["quality"] = _mean([score for score, counted in counting if counted])
        return numbers

    def state(self) -> Mapping[str, Any]:
        """The numbers of the start, and which scores count."""
        return {"start": self.start, "counted": self.counted}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.start, self.counted = state["start"], state["counted"]


def total(numbers: Mapping[str, float], start: Mapping[str, float]) -> float:
    """What the numbers of a model come to, 1 for those of the start; the lower the better.

    Infinite where one that counts is no number, before or after: what is far too loud has no
    agreement, and no guard rail would hold it.

    >>> start = {"reconstruction": 2.0, "task": 1.0, "content": 0.9, "quality": 3.0}
    >>> total(start, start)
    1.0
    >>> total({"reconstruction": 1.0, "task": 0.5, "content": 0.9, "quality": 3.5}, start)
    0.5
    """
    counting = ("quality",) if "quality" in start else LOSSES
    for name in {*counting, "content", "level_db"} & start.keys():
        if not math.isfinite(start[name]) or not math.isfinite(numbers.get(name, math.nan)):
            return math.inf
    if "quality" in start:
        gained = numbers["quality"] - start["quality"]
        result = 1.0 - gained if gained >= LEAST_GAIN else 1.0 + max(-gained, 0.0)
    else:
        result = _relative_losses(numbers, start)
    lost = start.get("content", 0.0) - numbers.get("content", 0.0) - CONTENT_SLACK
    moved = abs(numbers.get("level_db", 0.0) - start.get("level_db", 0.0)) - LEVEL_SLACK_DB
    broken = CONTENT_WEIGHT * max(lost, 0.0) + LEVEL_WEIGHT * max(moved, 0.0)
    return max(result, 1.0) + broken if broken > 0 else result


def _relative_losses(numbers: Mapping[str, float], start: Mapping[str, float]) -> float:
    parts = [numbers[name] / max(start[name], 1e-9) for name in LOSSES if name in start]
    return _mean(parts) if parts else 1.0


def find_quality() -> list[tuple[Metric, str]]:
    """The metrics of quality that are installed, each with its number."""
    found = []
    for spec, name in QUALITY:
        with suppress(ComponentError):
            found.append((build("metric", spec), name))
    return found


def envelope_agreement(model: Model, recording: Tensor, restored: Tensor) -> float:
    """How far the bands of two waves come and go together, from -1 to 1.

    The correlation over time of each band's smoothed log-mel, 43 dB downwards from its loudest,
    weighted by how much the recording's moves: what is steady (equaliser, hum, hiss) plays no part,
    and bands of which the recording has nothing hardly any.

    Shape: waves (samples,) at the rate of the model, whose log-mel is taken.
    """
    first, second = (_envelopes(model, wave) for wave in (recording, restored))
    spread = first.square().mean(-1)
    moving = (first.square().sum(-1) * second.square().sum(-1)).sqrt().clamp(min=1e-9)
    correlation = (first * second).sum(-1) / moving
    return float((correlation * spread).sum() / spread.sum().clamp(min=1e-9))


def _envelopes(model: Model, wave: Tensor) -> Tensor:
    """The log-mel (bands, frames) without the mean of each band."""
    log_mel = model.features.log_mel(wave[None].to(model.device))[0].float().cpu()
    log_mel = log_mel.clamp(min=float(log_mel.max()) - DYNAMICS)
    frames = min(SMOOTHED_FRAMES, log_mel.shape[-1])
    smooth = torch.nn.functional.avg_pool1d(log_mel, frames, 1)
    return smooth - smooth.mean(-1, keepdim=True)


def restored(model: Model, wave: Tensor) -> Tensor:
    """A wave (samples,) at the rate and the level of the model, restored, on the CPU."""
    with torch.no_grad():
        return model.restore_segment(wave[None].to(model.device))[0].float().cpu()


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else math.nan
