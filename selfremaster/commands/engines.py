"""Where the files of a batch are worked on: here, in other processes, or on a Ray cluster."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from selfremaster.commands.batches import Choice
from selfremaster.commands.terminal import note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfremaster.core.crews import Care, Crew
    from selfremaster.core.jobs import Failure
    from selfremaster.core.ledgers import Work
    from selfremaster.core.models import Model
    from selfremaster.core.remote_jobs import AnyJob
    from selfremaster.core.restoring import Restored, Wanted

LEAST_SECONDS = 1800.0  # that a file has, however short

EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="local|ray",
        help="Where files are worked on: here, or on a Ray cluster, whose machines see the same "
        "files at the same paths: the one at RAY_ADDRESS, or one of this machine.",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        metavar="N",
        min=0,
        help="How many files to restore at once, each in a process with one thread; 0: as many as "
        "there are processors. [default: 1; with ray: what the cluster has]",
        show_default=False,
    ),
]
FileMinutesOption = Annotated[
    float | None,
    typer.Option(
        "--file-minutes",
        metavar="N",
        min=0,
        help="End a file that takes longer, as a failure; 0: no limit. [default: 30, or 30 times "
        "as long as its sound; none where this process does all by parts of our own]",
        show_default=False,
    ),
]


class About(NamedTuple):
    """What is known of the work once a model is loaded; the same wherever that is."""

    model: dict[str, str]
    versions: dict[str, str]
    strangers: tuple[str, ...]  # parts of plugins
    said: str  # while the model was loaded

    def work(self, settings: dict[str, Any]) -> Work:
        """What is done to every file, as a record tells it."""
        from selfremaster.core.ledgers import Work

        return Work(self.model, settings, self.versions)


@dataclass(frozen=True)
class Restoring:
    """Restores one file after another in whatever process it is, which loads the model once."""

    choice: Choice
    wanted: Wanted
    without: tuple[str, ...]  # plugins that are left out
    quiet: bool
    hashed: bool  # whether results are told with the hashes of their files

    def begin(self) -> About:
        """Load the model, and check that it can do what is asked for."""
        from selfremaster.core.restoring import worker
        from selfremaster.registry.building import leaving_out

        with leaving_out(*self.without):
            said = io.StringIO()
            with redirect_stderr(said):
                model = _loaded(self.choice, self.quiet)
            worker(model, [], self.wanted)
            return _about(model, self.wanted, said.getvalue())

    def __call__(self, job: AnyJob) -> Restored:
        """What came of a file."""
        from selfremaster.core.errors import AudioError
        from selfremaster.core.files import sha256_of
        from selfremaster.core.remotes import here
        from selfremaster.core.restoring import worker
        from selfremaster.registry.building import leaving_out

        before = _state(job)
        with leaving_out(*self.without):
            restored = worker(_loaded(self.choice, self.quiet), [job], self.wanted)(job)
        if self.hashed and not restored.target_sha256:
            restored = replace(  # here, so that who keeps the record reads no sound
                restored,
                source_sha256=sha256_of(here(job.source)),
                target_sha256=sha256_of(here(restored.target)),
            )
        if _state(job) != before:
            raise AudioError(
                f"{job.source}: changed while it was restored, so that nobody can say of what its "
                "result was made; do it again"
            )
        return restored


def _state(job: AnyJob) -> tuple[int, int, int] | None:
    """What changes when the content of a file here does."""
    from selfremaster.core.remotes import Remote

    if isinstance(job.source, Remote):
        return None
    state = job.source.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns


@lru_cache(maxsize=1)
def _loaded(choice: Choice, quiet: bool) -> Model:
    return choice.load(quiet)


def _about(model: Model, wanted: Wanted, said: str) -> About:
    import torch

    from selfremaster import __version__
    from selfremaster.core.guards import is_ours, name_of
    from selfremaster.core.interfaces import Component
    from selfremaster.core.tensorfiles import content_hash

    speaker = model.output or model.vocoder
    described = {"speaker": type(speaker).__name__, "config": speaker.config.model_dump_json()}
    identity = {"name": model.name, "sha256": content_hash(model.state_dict(), described)}
    versions = {"selfremaster": __version__, "torch": torch.__version__}
    parts = [part for part in model.modules() if isinstance(part, Component)]
    at_work = [*parts, *wanted.metrics, *(wanted.content or ())]
    strangers = tuple(sorted({name_of(part) for part in at_work if not is_ours(part)}))
    return About(identity, versions, strangers, said)


class Place(NamedTuple):
    """Where work is done, and what it says of itself; `results` does it."""

    about: About
    results: Callable[[Sequence[AnyJob]], Iterator[Restored | Failure]]


class Wish(NamedTuple):
    """What the options say about where work is done."""

    engine: str
    jobs: int | None
    file_minutes: float | None

    @property
    def processes(self) -> int:
        """How many on this machine."""
        return _processors() if self.jobs == 0 else self.jobs or 1

    @property
    def is_apart(self) -> bool:
        """Whether a file is worked on in a process of its own, whatever works on it."""
        return self.processes > 1 or self.file_minutes not in (None, 0)


@contextmanager
def placed(
    restoring: Restoring, planned: Sequence[AnyJob], wish: Wish, tidy: Callable[[AnyJob], None]
) -> Iterator[Place]:
    """Have the model loaded where the work is to be done: here, in processes, or on a cluster.

    One process does its work here; a limit of time, and parts of others, which may hang or end it,
    take a process of its own. ``tidy`` clears away what is left of a file whose process was ended.
    """
    from selfremaster.core import jobs
    from selfremaster.core.clusters import check_engine, connected, crew_on_ray, resources, room_for
    from selfremaster.core.crews import crew_of_processes

    work = jobs.Attempt(restoring)
    care = _care(wish.file_minutes, tidy)
    if check_engine(wish.engine) == "ray":
        with connected(wish.jobs or None) as ray:
            asked = resources(ray, restoring.choice.device, 1)
            size = min(wish.jobs or room_for(ray, asked), max(1, len(planned)))
            with crew_on_ray(ray, work, size, care, asked=asked) as crew:
                yield _place_of(crew)
        return
    if not wish.is_apart:
        about = restoring.begin()
        if not about.strangers or wish.file_minutes == 0:
            _repeat(about.said)
            yield Place(about, lambda todo: jobs.run(todo, restoring))
            return
        _loaded.cache_clear()
    size, threads = min(wish.processes, max(1, len(planned))), 1 if wish.processes > 1 else None
    with crew_of_processes(work, size, care, threads=threads) as crew:
        yield _place_of(crew)


def _place_of(crew: Crew[AnyJob, Restored | Failure]) -> Place:
    about = crew.about()
    _repeat(about.said)
    return Place(about, lambda todo: (result for _, result in crew.results(todo)))


def _repeat(said: str) -> None:
    """What was said elsewhere while the model was loaded."""
    for line in said.splitlines():
        note(line)


def _care(minutes: float | None, tidy: Callable[[AnyJob], None]) -> Care:
    from selfremaster.core.crews import Care
    from selfremaster.core.jobs import given_up
    from selfremaster.core.limits import TimeLimit

    limit = TimeLimit(minutes, LEAST_SECONDS, "--file-minutes")

    def lost(job: AnyJob, loss: Any) -> Failure:
        tidy(job)
        hung = loss.why == "hung"
        return given_up(job, limit.words(loss.seconds, loss.part) if hung else loss.words())

    beginning = max(LEAST_SECONDS, limit.seconds(0.0))  # a model is loaded, however short the files
    return Care(lambda _, sound_seconds: limit.seconds(sound_seconds), lost, beginning)


def _processors() -> int:
    there = getattr(os, "sched_getaffinity", None)
    return len(there(0)) if there else os.cpu_count() or 1
