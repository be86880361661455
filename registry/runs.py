"""Run an experiment: its model, objective and speech put together, and trained."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from selfremaster.core import manifests
from selfremaster.core.bundles import load_weights
from selfremaster.core.checkpoints import CHECKPOINT_NAME
from selfremaster.core.components import ComponentSpec
from selfremaster.core.errors import BundleError, ExperimentError
from selfremaster.core.experiments import MODULES, Experiment, SourceSettings
from selfremaster.core.interfaces import Objective
from selfremaster.core.models import Model
from selfremaster.core.segments import Entry, SegmentDataset, entries_from, fixed_segments, loader
from selfremaster.core.training import Batch, Progress, Trainer, TrainingData, TrainingResult
from selfremaster.registry.assembling import assemble, find_bundle, resolve, weightless
from selfremaster.registry.building import build, configure


def train(
    experiment: Experiment,
    output: str | Path | None = None,
    *,
    resume: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> TrainingResult:
    """Run an experiment; by default in ``runs/NAME``. The bundle is in the result.

    With ``resume`` a run goes on from its checkpoint, or begins where there is none.
    Raises `ExperimentError`, `ComponentError`, `BundleError`, `AudioError` or `TrainingError`.
    """
    folder = Path(output) if output is not None else Path("runs") / experiment.name
    if (folder / CHECKPOINT_NAME).exists() and not resume:
        raise ExperimentError(
            f"{folder}: holds a run already; go on with --resume or name another folder"
        )
    resolved = resolve(experiment)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(resolved.seed + 1)
        objective: Objective = build("objective", resolved.objective)
    _check_streams(resolved, objective)
    model = assemble(resolved)
    _check_modules(resolved, model, objective)
    hashes = start_from_bundles(model, resolved)
    data = _data(resolved, objective, {"start": hashes})
    return Trainer(resolved, model, objective, data, folder, report).run(resume=resume)


def start_from_bundles(model: Model, experiment: Experiment) -> dict[str, str]:
    """Load the modules that an experiment starts from bundles, strictly; gives their hashes.

    Raises `BundleError` where a bundle does not fit.
    """
    hashes: dict[str, str] = {}
    for module, reference in experiment.start.items():
        part = getattr(model, module)
        if part is None:
            raise ExperimentError(f"start.{module}: the model has no {module}")
        bundle = find_bundle(reference)
        _check_same_part(module, experiment, bundle.experiment, reference)
        prefix = f"{module}."
        tensors = {
            name.removeprefix(prefix): tensor
            for name, tensor in bundle.tensors.items()
            if name.startswith(prefix)
        }
        load_weights(part, tensors, f"{module} of {reference}")
        hashes[module] = str(bundle.header["sha256"])
    return hashes


def _check_same_part(module: str, wanted: Experiment, found: Experiment, reference: str) -> None:
    for name in ("features", module):
        kind = name
        mine, theirs = getattr(wanted.model, name), getattr(found.model, name)
        if theirs is None:
            raise BundleError(f"start.{module}: bundle {reference!r} has no {name}")
        if mine.name != theirs.name or configure(kind, mine) != configure(kind, theirs):
            raise BundleError(
                f"start.{module}: {name} of bundle {reference!r} is {_brief(kind, theirs)}, the "
                f"experiment asks for {_brief(kind, mine)}; set model.{name} to the same"
            )


def _brief(kind: str, spec: ComponentSpec) -> str:
    """A part with its preset, or with the settings that differ from its defaults."""
    config = configure(kind, spec)
    preset = getattr(config, "preset", None)
    defaults = configure(kind, f"{spec.name}:preset={preset}" if preset else spec.name)
    changed = {
        name: value
        for name, value in config.model_dump(mode="json").items()
        if value != getattr(defaults, name, None) and name != "preset"
    }
    return str(
        ComponentSpec.parse(
            {"name": spec.name, **({"preset": preset} if preset else {}), **changed}
        )
    )


def _check_modules(experiment: Experiment, model: Model, objective: Objective) -> None:
    """What is trained must be there, and what is used as it is must have been trained before."""
    for name in objective.trained:
        if name not in MODULES or getattr(model, name) is None:
            raise ExperimentError(
                f"the objective trains {name!r}, which the model does not have; set model.{name}"
            )
    for name in objective.uses:
        spec: ComponentSpec = getattr(experiment.model, name)
        if name not in experiment.start and not weightless(name, spec, model.features):
            raise ExperimentError(
                f"{name} {spec.name} is used as it is, and nobody has trained its weights; set "
                f"start.{name} to a bundle"
            )
    output = experiment.model.output
    if output is not None and not weightless("vocoder", output, model.features):
        raise ExperimentError(
            f"model.output: nobody has trained the weights of {output.name}; take a vocoder "
            f"without any, or leave it out for the model's own"
        )


def _check_streams(experiment: Experiment, objective: Objective) -> None:
    given, held_out = experiment.data.streams(), experiment.data.held_out()
    for stream in objective.streams:
        if stream not in given:
            raise ExperimentError(
                f"objective {experiment.objective.name} learns from {stream} speech; set "
                f"data.{stream}.folder or data.{stream}.manifest"
            )
        if held_out and stream not in held_out:
            raise ExperimentError(
                f"objective {experiment.objective.name} needs held-out {stream} speech beside "
                f"{', '.join(held_out)}; set data.held_out_{stream}, or none of them"
            )
    if experiment.train.keep == "best" and not held_out:
        raise ExperimentError(
            "train.keep=best needs held-out speech to tell; set "
            + ", ".join(f"data.held_out_{stream}" for stream in objective.streams)
        )


def _data(experiment: Experiment, objective: Objective, notes: Mapping[str, Any]) -> TrainingData:
    settings = experiment.data
    rate = int(build("features", experiment.model.features).sample_rate)
    samples = round(settings.segment_seconds * rate)
    streams = {
        name: _entries(settings.streams()[name], f"data.{name}") for name in objective.streams
    }
    dataset = SegmentDataset(
        streams, rate, samples, seed=experiment.seed, peak_db=experiment.model.peak_db
    )

    def batches(first_step: int, rank: int, world_size: int) -> Iterator[Mapping[str, Any]]:
        return loader(
            dataset,
            settings.batch_size,
            first_item=first_step * settings.batch_size * world_size,
            workers=settings.workers,
            rank=rank,
            world_size=world_size,
        )

    corpora = {
        name: _speech_hash(settings.streams()[name], entries) for name, entries in streams.items()
    }
    held_out = _held_out(experiment, objective, rate, samples)
    return TrainingData(batches, held_out, {**notes, "speech": corpora})


def _speech_hash(source: SourceSettings, entries: Sequence[Entry]) -> str:
    """The hash of the manifest, or one over names and lengths of the files of a folder."""
    if source.manifest is not None:
        return manifests.content_hash(manifests.read(source.manifest))
    lines = sorted(f"{entry.path.name} {entry.seconds:.3f}" for entry in entries)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _held_out(
    experiment: Experiment, objective: Objective, rate: int, samples: int
) -> tuple[Batch, ...]:
    """The validation batches, where every stream of the objective has held-out speech."""
    settings = experiment.data
    given = settings.held_out()
    if not given:
        return ()
    waves = {
        name: fixed_segments(
            _entries(given[name], f"data.held_out_{name}"),
            rate,
            samples,
            settings.held_out_segments,
            peak_db=experiment.model.peak_db,
        )
        for name in objective.streams
    }
    count = min(len(wave) for wave in waves.values())
    size = settings.batch_size
    return tuple(
        {name: wave[start : start + size] for name, wave in waves.items()}
        for start in range(0, count, size)
    )


def _entries(source: SourceSettings, where: str) -> list[Entry]:
    try:
        return entries_from(source.folder, source.manifest, source.split, source.speakers)
    except ExperimentError as error:
        raise ExperimentError(f"{where}: {error}") from None
