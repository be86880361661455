"""Manifests of pairs: damaged recordings, and the clean originals that they were made of."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from selfremaster.core import audio, manifests
from selfremaster.core.degrading import Applied, Degraded, Recipe
from selfremaster.core.errors import ComponentError, ExperimentError, SelfRemasterError
from selfremaster.core.experiments import CLEAN
from selfremaster.core.files import check_place, real_path, sha256_of
from selfremaster.core.jobs import Job, check_writable
from selfremaster.core.manifests import Item, Manifest

DEGRADATION = "degradation"
EXAMPLE = "pairs.csv"
SUFFIX = ".csv"
ERA = "era"  # a parameter that says more of a recording than a name

Rows = dict[str, tuple[str, str]]
"""Split and speaker of each recording, by its place."""


def check_aligned(recipes: Iterable[Recipe]) -> None:
    """Raise `ComponentError` for damage after which recordings lie elsewhere than the originals."""
    for recipe in recipes:
        for step in recipe.steps:
            if not step.part.keeps_pairs:
                raise ComponentError(
                    f"{step.name} moves the sound in time; its results are no pairs to learn from, "
                    "leave --manifest or this degradation out"
                )
        if recipe.advance_samples != recipe.delay_samples:
            raise ComponentError(
                f"{' + '.join(step.name for step in recipe.steps)} lags by {recipe.delay_samples} "
                f"samples, and the log moves it forward by {recipe.advance_samples}; its results "
                "are no pairs, damage anew with --manifest"
            )


def plan_pairs(
    planned: Sequence[Job],
    path: Path,
    kind: str = "single",
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> Rows:
    """Draw the splits that `write_pairs` writes, and check before any work that it can.

    They are those that `selfremaster manifest` draws for the folder that is damaged, of the same
    kind, with its other defaults, whatever the seed of the damage: so all damaged versions of a
    file are in one split. With ``resume`` a manifest of pairs that is there gives way.

    Raises `SelfRemasterError` for a file that cannot be written or exists already, and
    `ExperimentError` for names that are no text, and speakers that are not of the kind of corpus.
    """
    if resume and path.is_file() and all(CLEAN in row.others for row in manifests.read(path).items):
        overwrite = True
    if path.suffix.lower() != SUFFIX and not path.is_dir():
        raise SelfRemasterError(f"{path}: a manifest is CSV; name it {path.with_suffix(SUFFIX)}")
    check_place(path, overwrite, EXAMPLE, [job.source for job in planned])
    check_writable(path.parent)
    if any(path in (job.target, job.source) for job in planned):
        raise SelfRemasterError(f"{path}: is a recording itself; name another file")
    for job in planned:
        for listed in (job.source, job.target):
            _relative(listed, real_path(path.parent))
    return manifests.draw_rows([(_root(job), job.place) for job in planned], kind)


def write_pairs(done: Iterable[Degraded], rows: Rows, path: Path) -> Manifest:
    """Write a manifest of what was damaged, with its originals; whole or not at all.

    Besides the columns of every manifest it has ``clean``, relative to its own folder like the
    paths themselves, its hash ``clean_sha256``, and ``degradation``, what was done in short.
    """
    start = real_path(path.parent)
    items = []
    for result in done:
        info = audio.inspect(result.target)
        place = _relative(result.target, start)
        others = {
            CLEAN: _relative(result.source, start),
            CLEAN + manifests.HASH_SUFFIX: sha256_of(result.source),
            DEGRADATION: in_short(result.log.degradations),
        }
        items.append(
            Item(
                place,
                *rows[result.log.source],
                info.seconds,
                info.sample_rate,
                info.channels,
                sha256_of(result.target),
                others,
            )
        )
    if not items:
        raise ExperimentError(f"{path}: nothing was damaged, so that there are no pairs to list")
    made = Manifest(path.parent, tuple(sorted(items, key=lambda item: item.path)))
    manifests.write(made, path)
    return made


def in_short(applied: Iterable[Applied]) -> str:
    """What was done to a recording: names, and the era where one was drawn.

    >>> clip = Applied(degradation="clip", settings={}, parameters={"ratio": 0.5})
    >>> tape = Applied(degradation="tape", settings={}, parameters={"era": "1950s"})
    >>> in_short([clip, tape])
    'clip + tape (1950s)'
    """
    words = []
    for one in applied:
        first = one.parameters if isinstance(one.parameters, dict) else one.parameters[0]
        era = first.get(ERA)
        words.append(f"{one.degradation} ({era})" if isinstance(era, str) else one.degradation)
    return " + ".join(words)


def _root(job: Job) -> Path:
    """The folder of the corpus that a file lies in: what was named, or the folder around it."""
    return job.source.parents[len(job.place.parts) - 1]


def _relative(path: Path, start: Path) -> str:
    try:
        found = os.path.relpath(real_path(path.parent) / path.name, start).replace(os.sep, "/")
    except ValueError:
        raise ExperimentError(
            f"{path}: lies on another drive than the manifest, which names files relative to "
            "itself; put it on the same"
        ) from None
    if not found.isprintable():
        raise ExperimentError(f"{found!r}: its name is not plain UTF-8 text; rename it")
    return found
