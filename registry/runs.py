"""Run an experiment: its model, objective and speech put together, and trained."""

import copy
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfremaster.core import manifests
from selfremaster.core.bundles import Bundle, load_weights
from selfremaster.core.checkpoints import CHECKPOINT_NAME
from selfremaster.core.components import ComponentSpec
from selfremaster.core.corpora import Entry, entries_from, number_labels, paired
from selfremaster.core.errors import (
    AudioError,
    BundleError,
    ComponentError,
    ExperimentError,
    SelfRemasterError,
)
from selfremaster.core.experiments import (
    FOLLOWS,
    MODULES,
    PAIRED,
    DataSettings,
    Experiment,
    SourceSettings,
)
from selfremaster.core.feature_caches import FeatureCache, Told, folder_beside
from selfremaster.core.files import folder_named
from selfremaster.core.interfaces import Features, Loss, Objective
from selfremaster.core.judges import Judge
from selfremaster.core.models import Model
from selfremaster.core.segments import Beside, Labels, SegmentDataset, loader, stacked
from selfremaster.core.training import Batch, Progress, Trainer, TrainingData, TrainingResult
from selfremaster.registry.assembling import assemble, find_bundle, resolve, weightless
from selfremaster.registry.building import build, configure

LABEL = "label"  # what an objective may need besides rows of features


def train(
    experiment: Experiment,
    output: str | Path | None = None,
    *,
    resume: bool = False,
    init: str | None = None,
    report: Callable[[Progress], None] | None = None,
    told: Told | None = None,
    judge: Judge | None = None,
) -> TrainingResult:
    """Run an experiment; by default in ``runs/NAME``. The bundle is in the result.

    ``report`` is told after each step, ``told`` after each file whose speech features had to be
    computed before the first. ``judge`` says which weights are the best, instead of the held-out
    loss.

    ``init`` names a bundle that all modules start from which it has (`start_everything_from`).
    With ``resume`` a run goes on from its checkpoint, or begins where there is none.
    Raises `ExperimentError`, `ComponentError`, `BundleError`, `AudioError` or `TrainingError`.
    """
    folder = Path(output) if output is not None else folder_named(Path("runs"), experiment.name)
    if (folder / CHECKPOINT_NAME).exists() and not resume:
        raise ExperimentError(
            f"{folder}: holds a run already; go on with --resume or name another folder"
        )
    resolved = resolve(start_everything_from(experiment, init) if init else experiment)
    model, objective = _model_and_objective(resolved, judged=judge is not None)
    hashes = start_from_bundles(model, resolved)
    data = _data(resolved, objective, model.features, {"start": hashes}, told)
    return Trainer(resolved, model, objective, data, folder, report, judge).run(resume=resume)


def check_parts(experiment: Experiment, later: Collection[str] = ()) -> None:
    """Raise what `train` would raise before it reads any speech.

    ``later`` holds the bundles to start from that are not there yet, and will be.
    """
    resolved = resolve(experiment)
    model, _ = _model_and_objective(resolved)
    start = {
        module: reference for module, reference in resolved.start.items() if reference not in later
    }
    start_from_bundles(model, resolved.model_copy(update={"start": start}))


def _model_and_objective(resolved: Experiment, *, judged: bool = False) -> tuple[Model, Objective]:
    """The model with fresh weights and its objective, checked to fit each other."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(resolved.seed + 1)
        objective: Objective = build("objective", resolved.objective)
    _check_streams(resolved, objective, judged=judged)
    model = assemble(resolved)
    _check_modules(resolved, model, objective)
    _check_rates(model, objective)
    return model, objective


def start_everything_from(experiment: Experiment, reference: str) -> Experiment:
    """The experiment with every module that the bundle has, and its model too, started from it.

    Modules for which the experiment names another bundle stay as they are. Raises `BundleError`
    for a bundle that cannot be read, or has no module of the model.
    """
    bundle = find_bundle(reference).experiment.model
    both = [
        module
        for module in MODULES
        if getattr(bundle, module) is not None and getattr(experiment.model, module) is not None
    ]
    if not both:
        raise BundleError(f"bundle {reference!r} has no module that the experiment's model has")
    start: dict[Any, str] = {**dict.fromkeys(both, reference), **experiment.start}
    return experiment.model_copy(update={"start": start})


def start_from_bundles(model: Model, experiment: Experiment) -> dict[str, str]:
    """Load the modules that an experiment starts from bundles, strictly; gives their hashes.

    Raises `BundleError` where a bundle does not fit, with all that does not, of every module.
    """
    hashes: dict[str, str] = {}
    problems: list[str] = []
    for module, reference in experiment.start.items():
        part = getattr(model, module)
        if part is None:
            raise ExperimentError(f"start.{module}: the model has no {module}")
        bundle = find_bundle(reference)
        try:
            _check_same_part(module, experiment, bundle.experiment, reference)
            load_weights(part, _weights_of(module, bundle), f"{module} of {reference}")
        except BundleError as error:
            problems.append(str(error))
        hashes[module] = str(bundle.header["sha256"])
    if problems:
        raise BundleError("; ".join(problems))
    return hashes


def _weights_of(module: str, bundle: Bundle) -> dict[str, Tensor]:
    prefix = f"{module}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in bundle.tensors.items()
        if name.startswith(prefix)
    }


def _check_same_part(module: str, wanted: Experiment, found: Experiment, reference: str) -> None:
    for name in ("features", module):
        kind = name
        mine, theirs = getattr(wanted.model, name), getattr(found.model, name)
        if theirs is None:
            raise BundleError(f"start.{module}: bundle {reference!r} has no {name}")
        try:
            found_config = configure(kind, theirs)
        except ComponentError as error:
            raise BundleError(f"start.{module}: bundle {reference!r}: {error}") from None
        if mine.name != theirs.name or not configure(kind, mine).starts_from(found_config):
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
    for name in objective.passes_through:
        if not getattr(getattr(model, name), "differentiable", True):
            raise ExperimentError(
                f"objective {experiment.objective.name} learns through the {name}, and "
                f"{getattr(experiment.model, name).name} lets no gradient through; take another "
                "one, such as hifigan or ddsp"
            )
    output = experiment.model.output
    if output is not None and not weightless("vocoder", output, model.features):
        raise ExperimentError(
            f"model.output: nobody has trained the weights of {output.name}; take a vocoder "
            f"without any, or leave it out for the model's own"
        )


def _check_rates(model: Model, objective: Objective) -> None:
    """A loss hears waves at the model's rate, whatever its settings say."""
    for name, part in objective.named_modules():
        counted_on = part.sample_rate if isinstance(part, Loss) else None
        if counted_on not in (None, model.sample_rate):
            raise ExperimentError(
                f"objective.{name} counts on waves at {counted_on} Hz, and the model's are at "
                f"{model.sample_rate} Hz; set its sample_rate, or that of its features, to that"
            )


def _check_streams(experiment: Experiment, objective: Objective, *, judged: bool) -> None:
    given, held_out = experiment.data.streams(), experiment.data.held_out()
    for stream in objective.streams:
        if stream not in given:
            raise ExperimentError(
                f"objective {experiment.objective.name} learns from {stream} speech; set "
                f"data.{stream}.folder or data.{stream}.manifest"
                + (" (or data.pairs.manifest, for both)" if stream in PAIRED else "")
            )
        if held_out and stream not in held_out:
            raise ExperimentError(
                f"objective {experiment.objective.name} needs held-out {stream} speech beside "
                f"{', '.join(held_out)}; set data.held_out_{stream}, or none of them"
            )
    needing = [
        setting
        for setting, wanted in (
            ("train.keep=best", experiment.train.keep == "best"),
            ("train.patience", experiment.train.patience is not None),
        )
        if wanted and not held_out and not judged
    ]
    if needing:
        raise ExperimentError(
            f"{needing[0]} needs held-out speech to tell; set "
            + ", ".join(f"data.held_out_{stream}" for stream in objective.streams)
        )


def _data(
    experiment: Experiment,
    objective: Objective,
    features: Features,
    notes: Mapping[str, Any],
    told: Told | None,
) -> TrainingData:
    settings = experiment.data
    sources = {name: settings.streams()[name] for name in objective.streams}
    streams = _files(sources, "data.")
    dataset = _dataset(experiment, objective, features, streams, sources, told)

    def batches(first_step: int, rank: int, world_size: int) -> Iterator[Mapping[str, Any]]:
        return loader(
            dataset,
            settings.batch_size,
            first_item=first_step * settings.batch_size * world_size,
            workers=settings.workers,
            rank=rank,
            world_size=world_size,
        )

    corpora = {name: _speech_hash(sources[name], entries) for name, entries in streams.items()}
    start: Mapping[str, str] = notes.get("start", {})
    contents = {f"start.{name}": known for name, known in start.items()}
    contents |= {f"data.{name}": known for name, known in corpora.items()}
    held_out: tuple[Batch, ...] = ()
    if settings.held_out():
        sources = {name: settings.held_out()[name] for name in objective.streams}
        streams = _files(sources, "data.held_out_")
        contents |= {
            f"data.held_out_{name}": _speech_hash(sources[name], entries)
            for name, entries in streams.items()
        }
        fixed = _dataset(experiment, objective, features, streams, sources, told)
        items, size = fixed.held_out(settings.held_out_segments), settings.batch_size
        held_out = tuple(
            stacked(items[start : start + size]) for start in range(0, len(items), size)
        )
    return TrainingData(batches, held_out, {**notes, "speech": corpora}, contents)


def _dataset(
    experiment: Experiment,
    objective: Objective,
    features: Features,
    streams: Mapping[str, Sequence[Entry]],
    sources: Mapping[str, SourceSettings],
    told: Told | None,
) -> SegmentDataset:
    """The streams with what the objective needs beside them; slow features are computed now."""
    beside: dict[str, Beside] = {}
    for stream, needed in objective.needs.items():
        if LABEL in needed:
            beside[f"{stream}/{LABEL}"] = Labels(_label_numbers(experiment.data, stream))
        words = [word for word in needed if word != LABEL]
        if features.cached and words:
            folder = experiment.data.features_folder or _folder_beside(sources[stream])
            # of its own: the model's moves to the device
            cache = FeatureCache(copy.deepcopy(features).cpu(), folder)
            _fill(cache, streams[stream], words, told)
            beside |= {f"{stream}/{word}": cache.rows(word) for word in words}
    return SegmentDataset(
        streams,
        features.sample_rate,
        round(experiment.data.segment_seconds * features.sample_rate),
        seed=experiment.seed,
        peak_db=experiment.model.peak_db,
        beside=beside,
        grid_samples=features.hop_samples if features.cached else 1,
        follows={name: leader for name, leader in FOLLOWS.items() if name in streams},
    )


def _fill(
    cache: FeatureCache, entries: Sequence[Entry], words: Sequence[str], told: Told | None
) -> None:
    try:
        cache.fill(entries, words, told=told)
    except AudioError:
        raise
    except SelfRemasterError as error:
        raise ExperimentError(
            f"speech features are kept beside the speech, and {error}, as data.features_folder"
        ) from None


def _label_numbers(data: DataSettings, stream: str) -> dict[str, int]:
    """The labels of a stream, those of its held-out speech included."""
    sources = [given[stream] for given in (data.streams(), data.held_out()) if stream in given]
    columns = [
        (source.manifest, source.label)
        for source in sources
        if source.manifest is not None and source.label is not None
    ]
    if len(columns) < len(sources):
        raise ExperimentError(
            f"the objective learns labels of the {stream} speech; set label to the column of the "
            f"manifest that has them, for data.{stream} and for data.held_out_{stream}"
        )
    return number_labels(columns)


def _folder_beside(source: SourceSettings) -> Path:
    return folder_beside(source.manifest or source.folder or Path())


def _files(sources: Mapping[str, SourceSettings], where: str) -> dict[str, list[Entry]]:
    """The files of each stream; those of pairs in the same order."""
    found = {name: _entries(source, where + name) for name, source in sources.items()}
    for name, leader in FOLLOWS.items():
        if name in found:
            found[name], found[leader] = paired(
                found[name], found[leader], where + name, by_row=_same_rows(sources, name, leader)
            )
    return found


def _same_rows(sources: Mapping[str, SourceSettings], name: str, leader: str) -> bool:
    """Whether two streams are two columns of the same rows of one manifest."""
    rows = [(one.manifest, one.split, one.speakers) for one in (sources[name], sources[leader])]
    return rows[0][0] is not None and rows[0] == rows[1]


def _entries(source: SourceSettings, where: str) -> list[Entry]:
    try:
        return entries_from(
            source.folder,
            source.manifest,
            source.split,
            source.speakers,
            source.label,
            source.column,
        )
    except ExperimentError as error:
        raise ExperimentError(f"{where}: {error}") from None


def _speech_hash(source: SourceSettings, entries: Sequence[Entry]) -> str:
    """The hash of the manifest, or one over names and lengths of files that it has no hash of."""
    if source.manifest is not None:
        return manifests.content_hash(manifests.read(source.manifest), source.column)
    lines = sorted(f"{entry.path.name} {entry.seconds:.3f}" for entry in entries)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
