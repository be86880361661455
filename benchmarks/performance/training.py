"""How long a step of training takes."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from selfremaster.benchmarks.performance import references
from selfremaster.benchmarks.performance.comparing import (
    Comparison,
    Options,
    Section,
    Timed,
    in_turns,
    table,
)
from selfremaster.benchmarks.timing import apart
from selfremaster.core.experiments import Experiment
from selfremaster.core.interfaces import Objective, StepContext
from selfremaster.core.models import Model
from selfremaster.core.promises.inputs import noise
from selfremaster.registry.assembling import assemble, resolve
from selfremaster.registry.building import build

BATCH, SAMPLES = 4, 33075  # 1.5 s
LOSS = "multiscale-spectral:linear=false"
OBJECTIVES: Mapping[str, Mapping[str, Any]] = {
    "supervised": {"name": "supervised"},
    "pretrain": {"name": "pretrain", "reconstruction": LOSS},
    "ssl-dual": {"name": "ssl-dual", "beta": 0.1, "reconstruction": LOSS},
}
MODEL = {"features": "mel", "analyzer": "unet2d", "channel": "unet1d"}
VOCODER = "hifigan:preset=v3"


def measure(options: Options) -> Section:
    """The table of objectives."""
    seconds = SAMPLES / references.RATE_HZ
    about = (
        f"Milliseconds of a step (losses, gradients, Adam) on {BATCH} segments of {seconds:g} s, "
        f"small presets and `{VOCODER}`. The reference has the same modules with the same weights "
        "in float32: plain convolutions, weight norm that is not folded, features and losses as "
        "published."
    )
    return Section("Training step", about, table(apart(times, options), "ms", 1000))


def times(options: Options, vocoder: str | Mapping[str, Any] = VOCODER) -> list[Timed]:
    """Seconds of a step of each objective, in single precision and in bfloat16."""
    experiment = resolve(Experiment.from_mapping({"model": {**MODEL, "vocoder": vocoder}}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = assemble(experiment)
    comparisons = []
    for name, given in OBJECTIVES.items():
        reference = step_of(published(model), published_objective(given), bfloat16=False)
        for precision in ("float32", "bfloat16"):
            ours = step_of(
                copy.deepcopy(model), build("objective", given), bfloat16=precision == "bfloat16"
            )
            comparisons.append(Comparison(f"{name}, {precision}", ours, reference))
    return in_turns(comparisons, options)


def published(model: Model) -> Model:
    """The same weights in plain convolutions, with features that keep nothing."""
    made = copy.deepcopy(model)
    references.with_plain_convolutions(made)
    made.features.log_mel = references.log_mel  # type: ignore[method-assign]  # that is the point
    return made


def published_objective(given: Mapping[str, Any]) -> Objective:
    """An objective with the reconstruction loss as published."""
    objective: Objective = build("objective", given)
    if hasattr(objective, "reconstruction"):
        loss: nn.Module = references.MultiscaleSpectral(linear=False)
        objective.reconstruction = loss
    return objective


def step_of(model: Model, objective: Objective, *, bfloat16: bool) -> Callable[[], None]:
    """What does one step, as the trainer does."""
    batch: dict[str, Tensor] = {
        stream: noise(BATCH, SAMPLES, seed=number)
        for number, stream in enumerate(objective.streams)
    }
    model.requires_grad_(False).eval()
    optimizers = {}
    for update, parameters in objective.updates(model).items():
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimizers[update] = torch.optim.AdamW(parameters, lr=1e-4)
    for module in objective.trained:
        getattr(model, module).train()

    def step() -> None:
        context = StepContext(0, Generator().manual_seed(0))
        updates = objective.losses(model, batch, context)
        while True:
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                losses = next(updates, None)
            if losses is None:
                return
            optimizers[losses.update].zero_grad(set_to_none=True)
            torch.autograd.backward(losses.total)
            optimizers[losses.update].step()

    return step
