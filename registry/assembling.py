"""From an experiment or a bundle to a model."""

import importlib
from pathlib import Path
from typing import Any

import torch

from selfremaster.core.allowances import building_at_most
from selfremaster.core.bundles import Bundle, fold, load_weights, read_bundle
from selfremaster.core.components import ComponentSpec, hint, nested_parts
from selfremaster.core.errors import BundleError, ComponentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.interfaces import Features, Vocoder
from selfremaster.core.models import Model
from selfremaster.registry import hub
from selfremaster.registry.building import DEFAULT_CHANNEL_DIM, build, configure
from selfremaster.registry.compatibility import fill_experiment, fill_part, version_within

MOST_TIMES = 8
"""What a model may take while it is built, of what its bundle holds: halves and norms are more."""

SPARE_BYTES = 256 << 20
WEIGHTS_PACKAGE = "selfremaster.plugins.weights"


def resolve(experiment: Experiment) -> Experiment:
    """The experiment with every setting of every part written out, presets opened.

    What it leaves to a published version (``compat``) is filled in. Raises `ComponentError` for a
    part or setting that does not exist.
    """
    experiment = fill_experiment(experiment)
    model = experiment.model
    parts = {
        kind: _resolved(kind.replace("output", "vocoder"), getattr(model, kind), experiment)
        for kind in ("features", "analyzer", "vocoder", "channel", "output")
    }
    objective = _resolved("objective", experiment.objective, experiment)
    return experiment.model_copy(
        update={"model": model.model_copy(update=parts), "objective": objective}
    )


def _resolved(
    kind: str, spec: ComponentSpec | None, experiment: Experiment
) -> ComponentSpec | None:
    if spec is None:
        return None
    config = configure(kind, fill_part(experiment, kind, spec))
    settings = config.model_dump(mode="json")
    within = experiment.model_copy(update={"compat": version_within(experiment.compat, kind, spec)})
    for name, nested_kind in nested_parts(type(config)).items():
        if nested_kind != "model":
            settings[name] = _resolved_nested(nested_kind, getattr(config, name), within)
    return ComponentSpec.parse({"name": spec.name, **settings})


def _resolved_nested(kind: str, value: Any, experiment: Experiment) -> Any:
    if isinstance(value, (list, tuple)):
        return [_resolved_nested(kind, item, experiment) for item in value]
    resolved = _resolved(kind, value, experiment)
    return resolved and resolved.model_dump(mode="json")


FAITHFUL_VOCODER = "blend"
"""Speaks with what of the recording can be trusted, whatever the model's own is."""


def assemble(experiment: Experiment) -> Model:
    """The model of an experiment with fresh weights, drawn from its seed alone."""
    settings = experiment.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        features = build("features", settings.features)
        analyzer = _optional("analyzer", settings.analyzer, features=features)
        channel_dim = analyzer.channel_dim if analyzer else DEFAULT_CHANNEL_DIM
        vocoder = build("vocoder", settings.vocoder, features=features)
        channel = _optional("channel", settings.channel, channel_dim=channel_dim)
        output = _optional("vocoder", settings.output, features=features)
    hears, puts_on = settings.analyzer, settings.channel
    if hears and puts_on and analyzer.over_time and not channel.over_time:
        raise ComponentError(
            f"analyzer {hears.name} gives channel features over time, and channel {puts_on.name} "
            "takes one vector a recording; take a channel that is over_time, such as unet1d, or "
            "set the analyzer's channel_seconds to null"
        )
    return Model(features, vocoder, analyzer, channel, output, settings.peak_db, experiment.name)


def _optional(kind: str, spec: ComponentSpec | None, **context: Any) -> Any:
    return None if spec is None else build(kind, spec, **context)


def load(reference: str | Path, output: str | ComponentSpec | None = None) -> Model:
    """A trained model: the path of a bundle or of a run's folder, a built-in name, or a Hub id.

    An id is ``org/name`` (the file model.safetensors there), ``org/name@REVISION``, or
    ``org/name/FILE.safetensors``; a path that exists and a built-in name come first, and ``hf://``
    before the id leaves no doubt. The first download pins it, and ``#sha256=HEX`` at the end holds
    it to a hash: see `registry.hub.fetch`. It needs the extra ``hub``.

    It is ready to restore: in evaluation mode, on the CPU. ``output`` names a vocoder that speaks
    instead of the model's own. Raises `BundleError`, and `ComponentError` for an output that cannot
    be had or has weights that nobody trained.
    """
    bundle = find_bundle(reference)
    held = sum(tensor.nbytes for tensor in bundle.tensors.values())
    try:
        with building_at_most(MOST_TIMES * held + SPARE_BYTES):
            model = assemble(bundle.experiment)
    except (BundleError, ComponentError) as error:
        raise type(error)(f"{reference}: {error}") from error.__cause__
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
    if not weightless("vocoder", wanted, model.features):
        raise ComponentError(
            f"vocoder {wanted} has weights that nobody trained; take one without any, or the "
            f"model's own, {own.name}"
        )
    vocoder: Vocoder = build("vocoder", wanted, features=model.features)
    return vocoder


def weightless(kind: str, spec: ComponentSpec, features: Features) -> bool:
    """Whether a part needs no training: it has no weights, or always the same ones."""
    tried: list[torch.nn.Module] = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tried.append(build(kind, spec, features=features))
    weights = zip(*(part.parameters() for part in tried), strict=True)
    return all(torch.equal(first, second) for first, second in weights)


def find_bundle(reference: str | Path) -> Bundle:
    """The bundle of a path, a built-in name or an id of the Hub; raises `BundleError`."""
    path = Path(reference)
    if path.exists():
        return read_bundle(path)
    named = builtin_bundles()
    if str(reference) in named:
        return read_bundle(named[str(reference)])
    if isinstance(reference, str) and hub.is_reference(reference):
        return read_bundle(hub.fetch(reference))
    raise BundleError(
        f"no bundle {str(reference)!r}: neither a file nor a built-in name"
        f"{hint(str(reference), named)}{hub.advice(str(reference))}"
    )


def builtin_bundles() -> dict[str, Path]:
    """The bundles that come with the package, by name."""
    folders = importlib.import_module(WEIGHTS_PACKAGE).__path__
    return {
        path.stem: path for folder in folders for path in sorted(Path(folder).glob("*.safetensors"))
    }
