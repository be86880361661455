"""From an experiment or a bundle to a model, and from an experiment to a trained one."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from selfremaster.core.bundles import Bundle, fold, load_weights, read_bundle
from selfremaster.core.components import ComponentSpec, hint, nested_parts
from selfremaster.core.errors import BundleError, ComponentError, ExperimentError
from selfremaster.core.experiments import MODULES, Experiment, SourceSettings
from selfremaster.core.interfaces import Objective, Vocoder
from selfremaster.core.models import Model
from selfremaster.core.segments import Entry, SegmentDataset, entries_from, fixed_segments, loader
from selfremaster.core.training import (
    CHECKPOINT_NAME,
    Batch,
    Progress,
    Trainer,
    TrainingData,
    TrainingResult,
)
from selfremaster.registry.building import DEFAULT_CHANNEL_DIM, build, configure

WEIGHTS_PACKAGE = "selfremaster.plugins.weights"


def resolve(experiment: Experiment) -> Experiment:
    """The experiment with every setting of every part written out, presets opened.

    Raises `ComponentError` for a part or setting that does not exist.
    """
    model = experiment.model
    parts = {
        kind: _resolved(kind.replace("output", "vocoder"), getattr(model, kind))
        for kind in ("features", "analyzer", "vocoder", "channel", "output")
    }
    objective = _resolved("objective", experiment.objective)
    return experiment.model_copy(
        update={"model": model.model_copy(update=parts), "objective": objective}
    )


def _resolved(kind: str, spec: ComponentSpec | None) -> ComponentSpec | None:
    if spec is None:
        return None
    config = configure(kind, spec)
    settings = config.model_dump(mode="json")
    for name, nested_kind in nested_parts(type(config)).items():
        if nested_kind != "model":
            settings[name] = _resolved_nested(nested_kind, getattr(config, name))
    return ComponentSpec.parse({"name": spec.name, **settings})


def _resolved_nested(kind: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_resolved_nested(kind, item) for item in value]
    resolved = _resolved(kind, value)
    return resolved and resolved.model_dump(mode="json")


def assemble(experiment: Experiment) -> Model:
    """The model of an experiment with fresh weights, drawn from its seed alone."""
    settings = experiment.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        features = build("features", settings.features)
        analyzer = _optional("analyzer", settings.analyzer, features=features)
        channel_dim = analyzer.channel_dim if analyzer else DEFAULT_CHANNEL_DIM
        return Model(
            features,
            build("vocoder", settings.vocoder, features=features),
            analyzer,
            _optional("channel", settings.channel, channel_dim=channel_dim),
            _optional("vocoder", settings.output, features=features),
            settings.peak_db,
        )


def _optional(kind: str, spec: ComponentSpec | None, **context: Any) -> Any:
    return None if spec is None else build(kind, spec, **context)


def load(reference: str | Path, output: str | ComponentSpec | None = None) -> Model:
    """A trained model by its built-in name, or by the path of a bundle or of a run's folder.

    It is ready to restore: in evaluation mode, on the CPU. ``output`` names a vocoder that speaks
    instead of the model's own. Raises `BundleError`, and `ComponentError` for an output that cannot
    be had or has weights that nobody trained.
    """
    bundle = find_bundle(reference)
    model = assemble(bundle.experiment)
    fold(model)
    load_weights(model, bundle.tensors, str(reference))
    if output is not None:
        model.output = _output(ComponentSpec.parse(output), bundle.experiment, model)
    return model.eval().requires_grad_(False)


def _output(wanted: ComponentSpec, experiment: Experiment, model: Model) -> Vocoder | None:
    """The vocoder to speak with; none stands for the one that the model learned with."""
    own = experiment.model.vocoder
    settings = configure("vocoder", own).model_dump(mode="json")
    if wanted.name == own.name and wanted.settings.items() <= settings.items():
        return None
    tried: list[Vocoder] = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tried.append(build("vocoder", wanted, features=model.features))
    weights = zip(*(vocoder.parameters() for vocoder in tried), strict=True)
    if not all(torch.equal(first, second) for first, second in weights):
        raise ComponentError(
            f"vocoder {wanted} has weights that nobody trained; take one without any, or the "
            f"model's own, {own.name}"
        )
    return tried[0]


def find_bundle(reference: str | Path) -> Bundle:
    """The bundle of a built-in name or path; raises `BundleError` with what there is."""
    path = Path(reference)
    if path.exists():
        return read_bundle(path)
    named = builtin_bundles()
    if str(reference) in named:
        return read_bundle(named[str(reference)])
    raise BundleError(
        f"no bundle {str(reference)!r}: neither a file nor a built-in name"
        f"{hint(str(reference), named)}"
    )


def builtin_bundles() -> dict[str, Path]:
    """The bundles that come with the package, by name."""
    import importlib

    folders = importlib.import_module(WEIGHTS_PACKAGE).__path__
    return {
        path.stem: path for folder in folders for path in sorted(Path(folder).glob("*.safetensors"))
    }


def start_from_bundles(model: Model, experiment: Experiment) -> None:
    """Load the modules that an experiment starts from bundles; raises `BundleError`, strictly."""
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


def train(
    experiment: Experiment,
    output: str | Path | None = None,
    *,
    resume: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> TrainingResult:
    """Run an experiment; by default in ``runs/NAME``. The bundle is in the result.

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
    _check_modules(model, objective)
    start_from_bundles(model, resolved)
    return Trainer(resolved, model, objective, _data(resolved, objective), folder, report).run(
        resume=resume
    )


def _check_modules(model: Model, objective: Objective) -> None:
    for name in objective.trained:
        if name not in MODULES or getattr(model, name) is None:
            raise ExperimentError(
                f"the objective trains {name!r}, which the model does not have; set model.{name}"
            )


def _check_streams(experiment: Experiment, objective: Objective) -> None:
    given = experiment.data.streams()
    for stream in objective.streams:
        if stream not in given:
            raise ExperimentError(
                f"objective {experiment.objective.name} learns from {stream} speech; set "
                f"data.{stream}.folder or data.{stream}.manifest"
            )


def _data(experiment: Experiment, objective: Objective) -> TrainingData:
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

    return TrainingData(batches, _held_out(experiment, objective, rate, samples))


def _held_out(
    experiment: Experiment, objective: Objective, rate: int, samples: int
) -> tuple[Batch, ...]:
    """The validation batches, where every stream of the objective has held-out speech."""
    settings = experiment.data
    given = settings.held_out()
    if not all(name in given for name in objective.streams):
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
