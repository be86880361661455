"""Training runs of a benchmark: planned by content, trained once, gone on with when cut off."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from selfremaster.benchmarks.addresses import Origins, content, model_content, speech_address
from selfremaster.benchmarks.metering import reason_of
from selfremaster.core import manifests
from selfremaster.core.bundles import BUNDLE_NAME, describe_bundle
from selfremaster.core.checkpoints import CHECKPOINT_NAME, spent_seconds
from selfremaster.core.errors import BundleError, ExperimentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.tensorfiles import read_header
from selfremaster.registry.assembling import resolve
from selfremaster.registry.building import leaving_out

if TYPE_CHECKING:
    from selfremaster.core.training import Progress

FEATURES = "features"
NOT_CONTENT = {
    "": ("name",),
    "data": ("workers", "features_folder"),
    "train": ("log_every", "save_every"),
}
"""Settings that change nothing of what is learned, by section."""


@dataclass(frozen=True)
class RunPlan:
    """One training run, and what has to be made before it."""

    name: str
    address: str
    experiment: Experiment
    folder: Path
    needs: tuple[str, ...] = ()  # addresses of runs that it starts from
    speech: tuple[str, ...] = ()  # addresses of speech that it learns from
    without: tuple[str, ...] = ()  # plugins that are left out


class Trained(NamedTuple):
    """What came of a training run."""

    address: str
    failure: str = ""  # in one line; none: it is trained
    steps: int = 0
    minutes: float = 0.0
    sha256: str = ""  # of the bundle


def experiment_of(
    name: str, given: Mapping[str, Any], origins: Origins, folder: Path
) -> tuple[Experiment, Any]:
    """The experiment of a run, and its content, for the address.

    Raises `ExperimentError` and `ComponentError` for settings that cannot be.
    """
    experiment = Experiment.from_mapping({"name": name, **given}, f"runs.{name}")
    if experiment.data.features_folder is None:
        data = experiment.data.model_copy(update={"features_folder": folder / FEATURES})
        experiment = experiment.model_copy(update={"data": data})
    plain = resolve(experiment).model_dump(mode="json")
    for section, names in NOT_CONTENT.items():
        for setting in names:
            (plain[section] if section else plain).pop(setting)
    start = {
        module: model_content(reference, origins)
        for module, reference in plain.pop("start").items()
    }
    for source in plain["data"].values():
        if isinstance(source, dict) and source.get("manifest") not in (None, *origins):
            source["manifest"] = _listed(Path(source["manifest"]))
    return experiment, {"start": start, "settings": content(plain, origins)}


def _listed(path: Path) -> str:
    """The content of a manifest with all that it lists; its path where it cannot be read."""
    try:
        return f"speech {speech_address(manifests.read(path))}"
    except ExperimentError:  # which the run will tell
        return str(path)


def train_run(plan: RunPlan, report: "Callable[[Progress], None] | None" = None) -> Trained:
    """Train, or go on; what is trained stays as it is. A failure is told, not raised."""
    from selfremaster.registry.runs import train  # slow to import, and seldom needed

    if (known := trained_before(plan)) is not None:
        return known
    try:
        with leaving_out(*plan.without):
            _forget_other_places(plan)
            train(plan.experiment, plan.folder, resume=True, report=report)
    except (Exception, SystemExit) as error:
        return Trained(plan.address, reason_of(error))
    return trained_before(plan) or Trained(plan.address, "left no bundle behind")


def training_failed(run: RunPlan, why: str) -> str:
    """What is said of all that starts from a run that has failed."""
    return f"training run {run.name} failed: {why}"


def _forget_other_places(plan: RunPlan) -> None:
    """Begin anew where a half-trained run learned the same from elsewhere: folders were moved.

    Checkpoints go on with the very same paths alone.
    """
    path = plan.folder / CHECKPOINT_NAME
    if not path.is_file():
        return
    before = read_header(path).get("experiment", {})
    now = resolve(plan.experiment).model_dump(mode="json")
    for given in (before, now):
        given.get("data", {}).pop("workers", None)
    if any(before.get(section) != now[section] for section in ("data", "start")):
        path.unlink()


def trained_before(plan: RunPlan) -> Trained | None:
    """What is known of a run that has ended well."""
    if not (plan.folder / BUNDLE_NAME).is_file():
        return None
    try:
        header = describe_bundle(plan.folder)
    except BundleError:
        return None
    notes = header.get("training", {})
    return Trained(
        plan.address,
        "",
        int(notes.get("steps", 0)),
        round(spent_seconds(plan.folder) / 60, 2),
        str(header["sha256"]),
    )
