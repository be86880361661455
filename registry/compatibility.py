"""What an experiment that is compatible with a published version leaves to that version."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from selfremaster.core.components import ComponentSpec
from selfremaster.core.experiments import Experiment, Settings
from selfremaster.registry.building import component_class

Version = Literal["official-v1", "official-v2"]
Section = TypeVar("Section", bound=Settings)

PARTS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("features", "source-filter"): {"preset": "published"},
    ("analyzer", "unet2d"): {"preset": "paper"},
    ("analyzer", "unet2d-gst"): {"preset": "paper"},
    ("channel", "unet1d"): {"preset": "paper"},
    # the sound is late by half a hop, and the modules learn with that
    ("vocoder", "hifigan"): {"preset": "v1", "lag_samples": 0},
    ("degradation", "clip"): {"reference": "signed"},
    ("degradation", "quantize-resample"): {"mode": "companded"},
    ("degradation", "noise"): {"level": "magnitude"},
}
"""Settings of parts, by kind and name, in both versions."""

NEWER = frozenset({("degradation", "random-recording")})
"""Parts that no published version has: what is in them stays as it is."""

VERSIONS: Mapping[Version, Mapping[tuple[str, str], Mapping[str, Any]]] = {
    "official-v1": {
        ("loss", "multiscale-spectral"): {"preset": "v1"},
        ("objective", "pretrain"): {"preset": "v1", "alpha": 0.1, "feature": "feature-l1"},
        ("objective", "ssl-dual"): {"preset": "v1", "beta": 0.001, "feature": "feature-l1"},
        ("objective", "semi"): {"preset": "v1", "beta": 0.001, "feature": "feature-l1"},
    },
    "official-v2": {
        ("loss", "multiscale-spectral"): {"preset": "v2"},
        ("objective", "pretrain"): {"preset": "v2", "alpha": 0.01, "feature": "feature-l1"},
        ("objective", "ssl-dual"): {"preset": "v2", "beta": 0.001, "feature": "feature-l2"},
        ("objective", "semi"): {"preset": "v2", "beta": 0.001, "feature": "feature-l2"},
    },
}
"""Settings of parts in which the versions differ."""

PEAK_DB: Mapping[Version, float] = {"official-v1": -3.0, "official-v2": 0.0}
SCHEDULE: Mapping[str, Any] = {"name": "plateau", "factor": 0.5, "patience": 10, "minimum": 1e-5}
TRAIN: Mapping[str, Any] = {
    "learning_rate": 1e-3,
    "betas": (0.9, 0.999),
    "weight_decay": 0.0,
    "clip_gradient": 1.0,
}
DATA: Mapping[str, Any] = {"segment_seconds": 2.0, "batch_size": 4}
SUPERVISED = ("pretrain", "supervised")
PRETRAIN_TRAIN: Mapping[str, Any] = {**TRAIN, "learning_rate": 5e-3}
PRETRAIN_DATA: Mapping[str, Any] = {**DATA, "batch_size": 8}


def fill_experiment(experiment: Experiment) -> Experiment:
    """The experiment with the published level, batches and optimiser, where it says nothing.

    Its parts are filled by `fill_part`. An experiment without ``compat`` stays as it is.
    """
    version = experiment.compat
    if version is None:
        return experiment
    pretrains = experiment.objective.name in SUPERVISED
    train = _filled(experiment.train, PRETRAIN_TRAIN if pretrains else TRAIN)
    train = train.model_copy(update={"schedule": _filled(train.schedule, SCHEDULE)})
    data = _filled(experiment.data, PRETRAIN_DATA if pretrains else DATA)
    model = _filled(experiment.model, {"peak_db": PEAK_DB[version]})
    return experiment.model_copy(update={"model": model, "data": data, "train": train})


def fill_part(experiment: Experiment, kind: str, spec: ComponentSpec) -> ComponentSpec:
    """A part with the published settings where it has none of its own; nested parts stay.

    A part that names its preset gets nothing that this preset sets, nor what goes with another one.
    """
    if experiment.compat is None:
        return spec
    name = (kind, spec.name)
    version = version_within(experiment.compat, kind, spec)
    published = {**PARTS.get(name, {}), **(VERSIONS[version].get(name, {}) if version else {})}
    if name == ("vocoder", "hifigan") and experiment.model.features.name == "source-filter":
        published["preset"] = "v1-source-filter"
    if name == ("objective", "pretrain") and version == "official-v1":
        # the published pretraining of the source-filter variant has the linear term, too
        linear = experiment.model.features.name == "source-filter"
        published["reconstruction"] = {"name": "multiscale-spectral", "linear": linear}
    set_by_preset = _set_by_preset(kind, spec)
    left = {key: value for key, value in published.items() if key not in set_by_preset}
    return ComponentSpec.parse({"name": spec.name, **left, **spec.settings})


def version_within(version: Version | None, kind: str, spec: ComponentSpec) -> Version | None:
    """The version that a part and the parts in it are of: that of the preset which it names.

    None for a preset of no version, such as ``mended``, and for a part newer than both.
    """
    if (kind, spec.name) in NEWER:
        return None
    presets = {
        parts[kind, spec.name]["preset"]: known
        for known, parts in VERSIONS.items()
        if (kind, spec.name) in parts
    }
    if version is None or not presets or "preset" not in spec.settings:
        return version
    return presets.get(str(spec.settings["preset"]))


def _set_by_preset(kind: str, spec: ComponentSpec) -> Mapping[str, Any]:
    """What the preset that a part names sets; nothing where it names none."""
    if "preset" not in spec.settings:
        return {}
    presets = component_class(kind, spec.name).Config.presets
    return presets.get(str(spec.settings["preset"]), {})


def _filled(section: Section, published: Mapping[str, Any]) -> Section:
    """A section with settings that it does not have of its own."""
    own = section.model_fields_set
    update = {name: value for name, value in published.items() if name not in own}
    return section.model_copy(update=update)
