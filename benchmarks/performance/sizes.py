"""How fast recordings are restored by models of the published size and by small ones."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from selfremaster.benchmarks.performance import references
from selfremaster.benchmarks.performance.comparing import Options, Section, ratio
from selfremaster.benchmarks.tables import markdown
from selfremaster.benchmarks.timing import apart, median_seconds
from selfremaster.core.bundles import fold
from selfremaster.core.experiments import Experiment
from selfremaster.core.models import Model
from selfremaster.core.precisions import Precision, choose_arithmetic, what_device_has
from selfremaster.core.promises.inputs import speech_like
from selfremaster.registry.assembling import assemble, builtin_bundles, load, resolve

CPU = torch.device("cpu")
BUILTIN = "default"
Parts = dict[str, str]
PUBLISHED: dict[str, Parts] = {
    "paper, MelSpec": {
        "features": "mel",
        "analyzer": "unet2d:preset=paper",
        "channel": "unet1d:preset=paper",
        "vocoder": "hifigan:preset=v1",
    },
    "paper, SourceFilter": {
        "features": "source-filter",
        "analyzer": "unet2d:preset=paper",
        "channel": "unet1d:preset=paper",
        "vocoder": "hifigan:preset=v1-source-filter",
    },
}
SMALL: dict[str, Parts] = {
    "small, hifigan v3": {
        "features": "mel",
        "analyzer": "unet2d:preset=small",
        "channel": "unet1d:preset=small",
        "vocoder": "hifigan:preset=v3",
    }
}
COMPARED_WITH = "paper, MelSpec"  # that small models stand beside


class Pace(NamedTuple):
    """Seconds of work for each second of sound."""

    model: str
    precision: Precision
    ours: float
    published: float


def measure(options: Options) -> Section:
    """The table of sizes and precisions."""
    paces = [
        pace
        for published in PUBLISHED
        for pace in apart(paces_of, published, published == COMPARED_WITH, options)
    ]
    rows = [
        [
            pace.model,
            pace.precision,
            f"{pace.ours:.4f}",
            f"{pace.published:.4f}",
            ratio(pace.ours, pace.published),
        ]
        for pace in paces
    ]
    heading = ["model", "computes in", "real-time factor", "published path", "times as fast"]
    about = (
        f"`Model.restore` of {options.restored:g} s, with all that it does about level and length, "
        "beside the published forward pass at the published size (the same modules with the same "
        "weights in float32: plain convolutions, weight norm that is not folded, batch "
        "normalisation by itself, channel features and the channel module, wanted or not). The "
        f"small models stand beside the one of MelSpec; `{BUILTIN}` is the one that comes with the "
        f"package. Here {what_device_has(CPU)}."
    )
    return Section("Published sizes and small ones", about, markdown(heading, rows))


def paces_of(published: str, with_small: bool, options: Options) -> list[Pace]:
    """The published path of a size, and ours in every precision that is fast here."""
    warnings.simplefilter("ignore")  # of packages that are old
    reference = drawn(PUBLISHED[published], folded=False)
    references.with_plain_convolutions(reference)
    references.with_plain_norms(reference)
    models = {published: drawn(PUBLISHED[published])}
    if with_small:
        models |= {name: drawn(given) for name, given in SMALL.items()}
        if BUILTIN in builtin_bundles():
            models[BUILTIN] = load(BUILTIN)
    wave = 0.3 * speech_like(round(options.restored * reference.sample_rate))
    fast = choose_arithmetic("auto", CPU).precision
    precisions: list[Precision] = ["fp32", "bf16"] if fast == "bf16" else ["fp32"]
    ways = [(name, precision) for name in models for precision in precisions]
    works = [work_of(models[name], precision, wave) for name, precision in ways]
    taken = median_seconds(
        [lambda: _as_published(reference, wave), *works], options.repeats, options.least_seconds
    )
    first, *others = (seconds / options.restored for seconds in taken)
    return [Pace(*way, seconds, first) for way, seconds in zip(ways, others, strict=True)]


def drawn(given: Parts, folded: bool = True) -> Model:
    """A model whose weights are drawn, as a bundle would hold it or as it is trained."""
    model = assemble(resolve(Experiment.from_mapping({"model": given})))
    if folded:
        fold(model)
    return model.eval().requires_grad_(False)


def work_of(model: Model, precision: Precision, wave: Tensor) -> Callable[[], Tensor]:
    """What restores the wave in a precision."""

    def work() -> Tensor:
        model.precision = precision
        restored: Tensor = model.restore(wave, model.sample_rate)
        return restored

    return work


def _as_published(model: Model, wave: Tensor) -> Tensor:
    with torch.no_grad():
        return references.restore(model, wave)
