"""Train a model: steps, validation, logs and checkpoints, on any device.

The loop is ours, on Lightning Fabric: a step is a pure function of the seed, its number and the
weights, which makes a resumed run equal to an uninterrupted one.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from selfremaster.core.averaging import RunningMean, copied
from selfremaster.core.bundles import BUNDLE_NAME, load_weights, write_bundle
from selfremaster.core.checkpoints import CHECKPOINT_NAME, read_checkpoint, write_checkpoint
from selfremaster.core.devices import choose_device
from selfremaster.core.errors import BundleError, TrainingError
from selfremaster.core.experiments import Experiment
from selfremaster.core.files import write_atomically
from selfremaster.core.interfaces import Objective, StepContext
from selfremaster.core.judges import TOTAL, Judge
from selfremaster.core.models import Model
from selfremaster.core.processes import Processes
from selfremaster.core.runlogs import RunLog
from selfremaster.core.schedules import Schedule

Batch = Mapping[str, Tensor]
EXPERIMENT_NAME = "experiment.yaml"
_SEED_STRIDE = 2**31


@dataclass(frozen=True)
class TrainingData:
    """The speech of a run: endless batches from any step on, and the held-out ones."""

    batches: Callable[[int, int, int], Iterator[Batch]]  # (first step, rank, world size)
    held_out: tuple[Batch, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)  # where it came from, for the bundle
    contents: Mapping[str, str] = field(default_factory=dict)  # hashes, by setting


@dataclass(frozen=True)
class Progress:
    """What a progress display is told after each step."""

    step: int
    steps: int
    losses: Mapping[str, float]
    judged: Mapping[str, float] = field(default_factory=dict)  # at the last validation


Stopped = Literal["steps", "minutes", "patience", "diverged"]
"""Why a run came to its end; one with a judge keeps its best where it leaves the numbers."""


@dataclass(frozen=True)
class TrainingResult:
    """What came out of a run."""

    folder: Path
    bundle: Path
    steps: int
    seconds: float
    losses: Mapping[str, float]
    held_out: Mapping[str, float]
    stopped: Stopped
    rank: int  # of this process, where there are several
    best_step: int | None = None  # whose weights the bundle has, with train.keep=best


@dataclass
class _State:
    step: int = 0
    seconds: float = 0.0
    best: float = math.inf
    held_out: dict[str, float] = field(default_factory=dict)
    validated: int = -1  # the step of the last validation
    best_step: int | None = None
    without_improvement: int = 0  # validations
    judged: dict[str, float] = field(default_factory=dict)


class Trainer:
    """One run of an experiment in a folder of its own."""

    def __init__(
        self,
        experiment: Experiment,
        model: Model,
        objective: Objective,
        data: TrainingData,
        folder: Path,
        report: Callable[[Progress], None] | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.experiment = experiment
        self.settings = experiment.train
        self.model = model
        self.objective = objective
        self.data = data
        self.folder = folder
        self.report = report or (lambda _: None)
        self.judge = judge
        device = choose_device(self.settings.device)
        self.fabric = Fabric(
            accelerator=device.type,
            devices=self.settings.devices if device.index is None else [device.index],
            strategy=self.settings.strategy,
            precision=self.settings.precision,
        )
        self.processes = Processes(self.fabric)
        self.schedule = Schedule(self.settings)
        self.state = _State()
        self.best_weights: dict[str, dict[str, Tensor]] | None = None
        self.mean: RunningMean | None = None
        self._stepping = False
        self._elapsed = 0.0
        self._last_batch: Batch = {}
        self._losses: dict[str, float] = {}
        self._last_total = math.inf  # what the schedule goes by where nothing is held out
        self._optimizers: dict[str, Optimizer] = {}
        self._parameters: dict[str, list[nn.Parameter]] = {}

    def run(self, *, resume: bool = False) -> TrainingResult:
        """Train to the end and write the bundle; with ``resume`` go on from the last checkpoint.

        Raises `TrainingError` when a loss is no longer a number; what was saved before stays. With
        a judge that is the end of the run, and the best so far is kept.
        An interrupt (Ctrl-C) between two steps saves a checkpoint on its way out.
        """
        self.fabric.launch()
        with torch.random.fork_rng(self._cuda_devices()):
            return self._run(resume=resume)

    def _run(self, *, resume: bool) -> TrainingResult:
        self._prepare()
        if resume and (self.folder / CHECKPOINT_NAME).is_file():
            self._load_checkpoint()
        if self.fabric.is_global_zero:
            with write_atomically(self.folder / EXPERIMENT_NAME) as temporary:
                temporary.write_text(self.experiment.to_yaml(), encoding="utf-8")
        begun = self.state.step > 0 or self.state.validated >= 0
        self.log = RunLog(
            self.folder, self.state.step if begun else None, active=self.fabric.is_global_zero
        )
        try:
            stopped = self._steps()
        except KeyboardInterrupt:
            if not self._stepping:  # half a step is of no use to anybody
                self._save_checkpoint()
            raise
        finally:
            self.log.close()
        if stopped != "diverged":  # in the midst of a step: some updates are done, some are not
            self._save_checkpoint()
        return self._finish(stopped)

    def _cuda_devices(self) -> list[int]:
        device = self.fabric.device
        return [device.index or 0] if device.type == "cuda" else []

    def _prepare(self) -> None:
        self.model.to(self.fabric.device)
        self.objective.to(self.fabric.device)
        self.model.requires_grad_(False)
        if self.settings.average is not None:
            self.mean = RunningMean(self._trained_modules(), self.settings.average)
        self._parameters = self.objective.updates(self.model)
        for name, parameters in self._parameters.items():
            if not parameters:
                raise TrainingError(f"update {name!r} of the objective has no parameters to train")
            for parameter in parameters:
                parameter.requires_grad_(True)
            optimizer = AdamW(
                parameters,
                lr=self.settings.learning_rate,
                betas=self.settings.betas,
                weight_decay=self.settings.weight_decay,
            )
            self._optimizers[name] = cast("Optimizer", self.fabric.setup_optimizers(optimizer))

    def _steps(self) -> Stopped:
        batches = self.data.batches(
            self.state.step, self.fabric.global_rank, self.fabric.world_size
        )
        if self.judge is not None and self.state.validated < 0:
            self._judge_the_start()
        while self.state.step < self.settings.steps:
            if self._is_out_of_patience():
                return "patience"
            self._elapsed = self._part_of_the_minutes()
            if self._elapsed >= 1:
                if self.state.step % self.settings.log_every:
                    self.log.numbers(self.state.step, "train", self._losses)
                if self.state.validated != self.state.step:
                    self._validate(self._last_batch)
                return "minutes"
            started = time.monotonic()
            self._stepping = True
            self._last_batch = next(batches)
            try:
                self._step(self._last_batch)
            except TrainingError:
                if self.judge is None or self.best_weights is None:
                    raise
                self._stepping = False
                return "diverged"
            self.state.step += 1
            self._after_step()
            self.state.seconds += time.monotonic() - started
        return "steps"

    def _judge_the_start(self) -> None:
        """The model as it comes is one of those to be kept."""
        started = time.monotonic()
        if not self.data.held_out:  # the log is to show something
            batches = self.data.batches(0, self.fabric.global_rank, self.fabric.world_size)
            self._last_batch = next(batches)
        self._validate(self._last_batch)
        self.state.seconds += time.monotonic() - started

    def _is_out_of_patience(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.state.without_improvement >= patience

    def _part_of_the_minutes(self) -> float:
        """How much of the minutes the first of several processes has used up, from 0."""
        if self.settings.minutes is None:
            return 0.0
        seconds: float = self.fabric.broadcast(self.state.seconds)
        return seconds / (self.settings.minutes * 60)

    def _step(self, batch: Batch) -> None:
        """One batch: every update of the objective, one after another."""
        step = self.state.step
        self._set_modes(training=True)
        rate = self.schedule.apply(self._optimizers, step, self._elapsed)
        world, rank = self.fabric.world_size, self.fabric.global_rank
        run = self.experiment.seed * _SEED_STRIDE
        seed = run + step * world
        context = StepContext(
            step,
            _generator(seed + rank),
            seed=run,
            first_item=step * world * self.experiment.data.batch_size + rank,
            stride=world,
        )
        torch.manual_seed(seed)  # dropout and the like, inside layers, know no other source
        self._losses = {"learning_rate": rate}
        updates = self.objective.losses(self.model, self._moved(batch), context)
        while True:
            with self.fabric.autocast():
                losses = next(updates, None)
            if losses is None:
                modules = self._trained_modules().values()
                self.processes.share_statistics([*modules, self.objective])
                return
            self._check_finite(losses.total, "loss")
            self._update(losses.update, losses.total)
            self._last_total = self._number(losses.total)
            self._losses[f"total/{losses.update}"] = self._last_total
            self._losses |= {name: self._number(value) for name, value in losses.parts.items()}

    def _update(self, name: str, total: Tensor) -> None:
        optimizer, parameters = self._optimizers[name], self._parameters[name]
        optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        self.processes.share_gradients(parameters)
        limit = math.inf if self.settings.clip_gradient is None else self.settings.clip_gradient
        norm = nn.utils.clip_grad_norm_(parameters, limit)
        self._check_finite(norm, "gradient")
        self._losses[f"gradient/{name}"] = float(norm)
        optimizer.step()

    def _number(self, value: Tensor) -> float:
        """A loss as it is logged: the mean over all processes."""
        return float(self.processes.mean(value.detach()))

    def _check_finite(self, value: Tensor, what: str) -> None:
        """Stop before a weight is spoiled, in all processes at once."""
        value = self.processes.mean(value.detach())
        if bool(torch.isfinite(value).all()):
            return
        saved = self.folder / CHECKPOINT_NAME
        go_on = f", or go on from {saved} with --resume" if saved.is_file() else ""
        raise TrainingError(
            f"the {what} at step {self.state.step} is {float(value)}; lower train.learning_rate or "
            f"train.clip_gradient and start again{go_on}"
        )

    def _after_step(self) -> None:
        step, settings = self.state.step, self.settings
        if self.mean is not None:
            self.mean.update(step)
        last = step == settings.steps
        if step % settings.log_every == 0 or last:
            self.log.numbers(step, "train", self._losses)
        if step % settings.validate_every == 0 or last:
            self._validate(self._last_batch)
        self._stepping = False
        self.report(Progress(step, settings.steps, self._losses, self.state.judged))
        if step % settings.save_every == 0:
            self._save_checkpoint()

    def _validate(self, last_batch: Batch) -> None:
        """Measure the held-out loss, log samples, and let the schedule and `best` know."""
        self._set_modes(training=False)
        sums: dict[str, float] = {}
        with torch.no_grad(), self._mean_in_use(), self.fabric.autocast():
            shown = self._moved(self.data.held_out[0] if self.data.held_out else last_batch)
            for number, batch in enumerate(self.data.held_out):
                first = number * self.experiment.data.batch_size
                context = StepContext(self.state.step, _generator(number), first_item=first)
                losses = self.objective.validation_losses(self.model, self._moved(batch), context)
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + float(value) / len(self.data.held_out)
            if self.fabric.is_global_zero:
                self.log.sounds(self.state.step, _first_sounds(self.model, shown), self.model)
        self.state.held_out = sums
        self.log.numbers(self.state.step, "held_out", sums)
        total = sums.get(TOTAL, self._last_total)
        if self.judge is not None:
            total = self._judged(sums)
        total = float(self.processes.mean(torch.tensor(total, device=self.fabric.device)))
        start = self.state.validated < 0 and self.state.step == 0
        self.state.validated = self.state.step
        if not start:
            self.schedule.observe(total)
        if sums or self.judge is not None:
            self._compare(total)

    def _judged(self, losses: Mapping[str, float]) -> float:
        """What the judge says, in full precision: the restored sound is what it hears."""
        if self.judge is None:
            return math.inf
        with torch.no_grad(), self._mean_in_use():
            judged = dict(self.judge(self.model, losses))
        self.state.judged = judged
        self.log.numbers(self.state.step, "judged", judged)
        total = judged[TOTAL]
        return math.inf if math.isnan(total) else total

    def _compare(self, total: float) -> None:
        """Keep the weights if they are the best so far, and count how long there were no better.

        The first are kept whatever is said of them: what comes later has to be better.
        """
        first = self.state.best_step is None and math.isinf(self.state.best)
        if first or total < self.state.best:
            self.state.best = math.inf if math.isnan(total) else total
            self.state.best_step = self.state.step
            self.state.without_improvement = 0
            if self.settings.keep == "best":
                own = self._trained_weights() if self.mean is None else self.mean.weights
                self.best_weights = copied(own)
        else:
            self.state.without_improvement += 1

    def _moved(self, batch: Batch) -> dict[str, Tensor]:
        return {name: wave.to(self.fabric.device) for name, wave in batch.items()}

    def _trained_weights(self) -> dict[str, dict[str, Tensor]]:
        """The weights that the run changes; the others are those that it started from."""
        return {name: module.state_dict() for name, module in self._trained_modules().items()}

    def _trained_modules(self) -> dict[str, nn.Module]:
        return {name: getattr(self.model, name) for name in self.objective.trained}

    def _mean_in_use(self) -> AbstractContextManager[None]:
        """The mean weights, where there are such, for the time of a block."""
        return nullcontext() if self.mean is None else self.mean.in_use()

    def _load_trained_weights(self, weights: Mapping[str, Any], origin: str) -> None:
        for name in self.objective.trained:
            load_weights(getattr(self.model, name), weights.get(name, {}), f"{origin}, {name}")

    def _set_modes(self, *, training: bool) -> None:
        """Frozen modules stay in evaluation mode, always."""
        self.objective.train(training)
        self.model.eval()
        for name in self.objective.trained:
            getattr(self.model, name).train(training)

    def _save_checkpoint(self) -> None:
        """Keep all that the rest of the run depends on; the step tells segments and chance."""
        if not self.fabric.is_global_zero:
            return
        state = {
            "trained": self._trained_weights(),
            "objective": self.objective.state_dict(),
            "optimizers": {name: value.state_dict() for name, value in self._optimizers.items()},
            "schedule": self.schedule.state(),
            "best_weights": self.best_weights,
            "mean": None if self.mean is None else self.mean.weights,
            "step": self.state.step,
            "seconds": self.state.seconds,
            "best": None if math.isinf(self.state.best) else self.state.best,
            "held_out": self.state.held_out,
            "validated": self.state.validated,
            "best_step": self.state.best_step,
            "without_improvement": self.state.without_improvement,
            "judged": self.state.judged,
            "judge": None if self.judge is None else dict(self.judge.state()),
            "start": self.data.notes.get("start"),
        }
        write_checkpoint(self.folder, state, self.experiment, self.data.contents)

    def _load_checkpoint(self) -> None:
        path = self.folder / CHECKPOINT_NAME
        state = read_checkpoint(self.folder, self.experiment, self.data.contents)
        if state["start"] != self.data.notes.get("start"):
            raise BundleError(f"{path}: the bundles that the run started from have changed since")
        if self.mean is not None:
            self._load_trained_weights(state["mean"], f"{path}, mean")
            self.mean.start()
        self._load_trained_weights(state["trained"], str(path))
        load_weights(self.objective, state["objective"], f"{path}, objective")
        for name, optimizer in self._optimizers.items():
            if name not in state["optimizers"]:
                raise BundleError(f"{path}: has no optimizer {name!r}; it is of another objective")
            optimizer.load_state_dict(state["optimizers"][name])
        self.schedule.load(state["schedule"])
        self.best_weights = state["best_weights"]
        best = math.inf if state["best"] is None else state["best"]
        self.state = _State(
            state["step"],
            state["seconds"],
            best,
            state["held_out"],
            state["validated"],
            state.get("best_step"),  # earlier versions counted no patience
            state.get("without_improvement", 0),
            state.get("judged", {}),
        )
        if self.judge is not None and state.get("judge") is not None:
            self.judge.load(state["judge"])

    def _finish(self, stopped: Stopped) -> TrainingResult:
        bundle = self.folder / BUNDLE_NAME
        if self.fabric.is_global_zero:
            if self.best_weights is not None:
                self._load_trained_weights(self.best_weights, "the best weights")
            elif self.mean is not None:
                self._load_trained_weights(self.mean.weights, "the mean weights")
            self.model.eval()
            write_bundle(
                bundle,
                self.model,
                self.experiment,
                half=self.settings.half,
                training={"steps": self.state.step, **self.data.notes},
            )
        return TrainingResult(
            self.folder,
            bundle,
            self.state.step,
            self.state.seconds,
            self._losses,
            self.state.held_out,
            stopped,
            self.fabric.global_rank,
            self.state.best_step if self.best_weights is not None else None,
        )


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed % 2**63)


def _first_sounds(model: Model, batch: Batch) -> dict[str, Tensor]:
    """The first held-out wave of each stream, and what the model makes of it."""
    first = {name: values[:1] for name, values in batch.items()}
    sounds: dict[str, Any] = {name: wave for name, wave in first.items() if "/" not in name}
    if "clean" in batch:
        sounds["copy-synthesis"] = model.speak(model.speech(first, "clean"), first["clean"])
    if "degraded" in batch and model.analyzer is not None:
        sounds["restored"] = model.restore_segment(first["degraded"])
    return {name: wave[0].float().cpu() for name, wave in sounds.items()}
