"""What objectives promise, tried on a model of a few hundred numbers as a training run does it."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from selfremaster.core.interfaces import Objective, StepContext, StepLosses
from selfremaster.core.models import Model
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.core.promises.judging import (
    demand,
    demand_close,
    demand_finite,
    demand_shape,
    seeded,
    untouched,
)
from selfremaster.core.promises.stubs import stub_model

STREAMS = {"degraded", "clean", "paired_degraded", "paired_clean"}
NEEDS = {"source", "target", "label"}
MODULES = {"analyzer", "vocoder", "channel"}
PLACES = {"clean": 0, "degraded": 1, "paired_clean": 2, "paired_degraded": 2}
"""Where in a sound each stream is taken from."""

LATE = 1_000_000  # a step at which whatever joins later has joined
SAMPLES = 2048
STEP_SIZE = 1e-4

Batch = Mapping[str, Tensor]


def names_its_streams(part: Objective) -> None:
    """Asks for waves that a batch can hold, and for rows and labels of those alone."""
    unknown = set(part.streams) - STREAMS
    demand(isinstance(part.streams, tuple) and part.streams, "streams is empty or not a tuple")
    demand(not unknown, f"streams {sorted(unknown)} are none of {sorted(STREAMS)}")
    foreign = set(part.needs) - set(part.streams)
    demand(not foreign, f"needs something of {sorted(foreign)}, which are not in streams")
    words = {word for asked in part.needs.values() for word in asked}
    demand(words <= NEEDS, f"needs {sorted(words - NEEDS)}, which are none of {sorted(NEEDS)}")


def names_what_it_trains(part: Objective) -> None:
    """Trains modules that a model has, and uses others as they are."""
    unknown = (set(part.trained) | set(part.uses)) - MODULES
    demand(isinstance(part.trained, tuple) and part.trained, "trained is empty or not a tuple")
    demand(not unknown, f"trained or uses {sorted(unknown)} are none of {sorted(MODULES)}")
    both = sorted(set(part.trained) & set(part.uses))
    demand(not both, f"{both} are in trained and in uses; a module is moved, or used as it is")


def moves_what_it_trains(part: Objective) -> None:
    """Names updates of parameters of the trained modules, all of them, and of its own alone."""
    trial = _Trial.begin(part)
    own = {id(parameter) for parameter in trial.objective.parameters()}
    trained = {
        name: {id(parameter) for parameter in getattr(trial.model, name).parameters()}
        for name in part.trained
    }
    listed: set[int] = set()
    for update, parameters in trial.updates.items():
        demand(parameters, f"update {update!r} has no parameters")
        found = {id(parameter) for parameter in parameters}
        demand(
            found <= own.union(*trained.values()),
            f"update {update!r} moves parameters of modules that are not in trained",
        )
        demand(not found & listed, f"update {update!r} moves what another update moves")
        listed |= found
    still = [name for name, parameters in trained.items() if not parameters & listed]
    demand(not still, f"trained {still} are moved by no update")


def yields_every_update(part: Objective) -> None:
    """Yields losses for each update that it names, no other, and each once in a step."""
    named, seen = set(_Trial.begin(part).updates), set[str]()
    for step in (0, LATE):
        found = [losses.update for losses in _Trial.begin(part).run(_batch(part, 1), step)]
        demand(found, f"step {step} yields no losses")
        demand(set(found) <= named, f"yields {sorted(set(found) - named)}; updates: {named}")
        demand(len(found) == len(set(found)), f"yields an update twice in one step: {found}")
        seen |= set(found)
    demand(seen == named, f"updates {sorted(named - seen)} are never yielded")


def gives_finite_losses(part: Objective, batch: Batch) -> None:
    """Gives finite totals and parts for speech, silence and noise, and leaves the batch alone."""
    with untouched(*batch.values()):
        for losses in _Trial.begin(part).run(batch, LATE):
            for name, number in {"total": losses.total, **losses.parts}.items():
                what = f"{name} of update {losses.update!r}"
                demand_shape(number, (), what)
                demand_finite(number.detach(), what)


def teaches_what_it_names(part: Objective, batch: Batch) -> None:
    """Sends finite gradients to its updates' parameters, not all zero, and to no others."""
    trial = _Trial.begin(part)
    listed = {id(parameter) for group in trial.updates.values() for parameter in group}
    everything = [*trial.model.parameters(), *trial.objective.parameters()]
    asked = [parameter.requires_grad for parameter in everything]
    sounds = any(bool(batch[name].any()) for name in STREAMS & set(batch))
    for losses in trial.run(batch, LATE):
        what = f"update {losses.update!r}"
        gradients = [parameter.grad for parameter in trial.updates[losses.update]]
        found = [gradient for gradient in gradients if gradient is not None]
        demand(found, f"no gradient reaches the parameters of {what}")
        for gradient in found:
            demand_finite(gradient, f"a gradient of {what}")
        if sounds:
            demand(any(bool(one.any()) for one in found), f"all gradients of {what} are zero")
        astray = [one for one in everything if one.grad is not None and id(one) not in listed]
        demand(not astray, f"{what} sends gradients to {len(astray)} parameters of no update")
    kept = [parameter.requires_grad for parameter in everything]
    demand(kept == asked, "parameters are frozen or thawed behind the trainer's back")


def repeats_its_losses(part: Objective) -> None:
    """Gives the same losses for the same step and seed; uses no chance but the context's."""
    state = torch.random.get_rng_state()
    first, second = (
        [losses.total.detach() for losses in trial.run(_batch(part, 1), LATE)]
        for trial in (_Trial.begin(part, training=False) for _ in range(2))
    )
    demand(
        torch.equal(torch.random.get_rng_state(), state),
        "draws from the global generator; use context.generator",
    )
    demand(len(first) == len(second), f"yields {len(first)} losses, then {len(second)}")
    for one, other in zip(first, second, strict=True):
        demand_close(other, one, "the total of the same step", 1e-6)


def validates_by_a_total(part: Objective, batch: Batch) -> None:
    """Gives held-out speech a finite ``total``, the same twice, and moves nothing by it."""
    totals = []
    for _ in range(2):
        trial = _Trial.begin(part, training=False)
        state = {**trial.model.state_dict(prefix="model."), **trial.objective.state_dict()}
        context = StepContext(LATE, seeded(0))
        with torch.no_grad(), untouched(*batch.values(), *state.values()):
            numbers = trial.objective.validation_losses(trial.model, batch, context)
        demand("total" in numbers, f"validation_losses has no 'total', only {sorted(numbers)}")
        for name, number in numbers.items():
            demand_shape(number, (), f"held-out {name}")
            demand_finite(number, f"held-out {name}")
        totals.append(numbers["total"])
    demand_close(totals[1], totals[0], "the held-out total", 1e-6)


def set_to_work(
    objective: Objective, model: Model, *, training: bool = True
) -> dict[str, list[nn.Parameter]]:
    """Freeze and set the modes of a model as a training run does; the parameters of each update."""
    model.requires_grad_(False)
    updates = objective.updates(model)
    for parameters in updates.values():
        for parameter in parameters:
            parameter.requires_grad_(True)
    objective.train(training)
    model.eval()
    for name in objective.trained:
        getattr(model, name).train(training)
    return updates


class _Trial(NamedTuple):
    """A copy of an objective with a model, frozen and set to work as a training run does it."""

    objective: Objective
    model: Model
    updates: dict[str, list[nn.Parameter]]

    @classmethod
    def begin(cls, part: Objective, *, training: bool = True) -> "_Trial":
        objective, model = copy.deepcopy(part), stub_model(*part.trained, *part.uses)
        updates = set_to_work(objective, model, training=training)
        return cls(objective, model, updates)

    def run(self, batch: Batch, step: int, seed: int = 0) -> Iterator[StepLosses]:
        """One step: gradients are there when losses are given, parameters move afterwards."""
        with torch.enable_grad():
            for losses in self.objective.losses(self.model, batch, StepContext(step, seeded(seed))):
                demand(losses.update in self.updates, f"no update is named {losses.update!r}")
                self.model.zero_grad()
                self.objective.zero_grad()
                demand(losses.total.requires_grad, f"nothing learns from {losses.update!r}")
                torch.autograd.backward(losses.total)
                yield losses
                self._move(losses.update)

    @torch.no_grad()
    def _move(self, update: str) -> None:
        for parameter in self.updates[update]:
            if parameter.grad is not None:
                parameter.sub_(STEP_SIZE * parameter.grad.sign())


def _batch(part: Objective, items: int, seed: int = 3) -> dict[str, Tensor]:
    """Speech-like waves for the streams that the objective asks for, labels too, and no others.

    The paired streams are the same speech, once as it is and once clipped and muffled.
    """
    batch = {}
    for stream in sorted(STREAMS & set(part.streams)):
        start = PLACES[stream]
        batch[stream] = torch.cat(
            [
                speech_like(4 * SAMPLES, seed=seed + item)[:, (start + item) * SAMPLES :][
                    :, :SAMPLES
                ]
                for item in range(items)
            ]
        )
    if "paired_degraded" in batch:
        clipped = batch["paired_degraded"].clamp(-0.2, 0.2)
        batch["paired_degraded"] = nn.functional.avg_pool1d(clipped[:, None], 9, 1, 4)[:, 0]
    return batch | _labels(part, items)


def _labels(part: Objective, items: int) -> dict[str, Tensor]:
    """A number for each item of the streams whose labels the objective needs."""
    asked = [stream for stream, words in part.needs.items() if "label" in words]
    return {f"{stream}/label": torch.arange(items) for stream in asked}


def cases(part: Objective, context: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Batches of the streams that it asks for: speech, silence, noise."""
    del context
    speech = _batch(part, 2)
    yield "something like speech", {"batch": speech}
    silence = {name: torch.zeros_like(speech[name]) for name in STREAMS & set(speech)}
    yield "silence", {"batch": silence | _labels(part, 2)}
    noises = {
        name: noise(3, SAMPLES - 1, seed=number)
        for number, name in enumerate(sorted(STREAMS & set(speech)))
    }
    yield "noise of an odd length", {"batch": noises | _labels(part, 3)}


PROMISES = (
    names_its_streams,
    names_what_it_trains,
    moves_what_it_trains,
    yields_every_update,
    gives_finite_losses,
    teaches_what_it_names,
    repeats_its_losses,
    validates_by_a_total,
)
