"""From a grid to work: its cells, the training runs that they need, and the address of each."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from selfremaster.benchmarks.addresses import (
    Origins,
    address_of,
    described,
    is_loadable,
    owners_of,
    versions_of,
)
from selfremaster.benchmarks.corpora import Corpus, Piece, read_corpus
from selfremaster.benchmarks.grids import (
    CLEAN,
    RECORDINGS,
    RUN,
    Grid,
    Place,
    Recordings,
    fill,
    placeholders,
)
from selfremaster.benchmarks.metering import Meter, meters_of
from selfremaster.benchmarks.training_runs import RunPlan, experiment_of
from selfremaster.benchmarks.training_speech import (
    SpeechPlan,
    clean_speech,
    damaged_speech,
)
from selfremaster.core.bundles import versions
from selfremaster.core.components import ComponentSpec, hint
from selfremaster.core.errors import ComponentError, ExperimentError
from selfremaster.core.files import real_path
from selfremaster.registry.building import current

RUNS = "runs"
LONGEST_SLUG = 40  # characters of a run's name in that of its folder


@dataclass(frozen=True)
class Cell:
    """One restorer on one corpus in one condition: all that it takes, to be handed to a process."""

    place: Place
    address: str  # of the result: what is restored, and what is measured
    restoring: str  # of what is restored alone
    restorer: ComponentSpec
    degradation: ComponentSpec | None
    damage: Any  # content of the degradation
    pieces: tuple[Piece, ...]
    meters: tuple[Meter, ...]
    task: str
    folder: Path
    needs: tuple[str, ...] = ()  # addresses of training runs
    speech: tuple[str, ...] = ()  # addresses of speech to learn from
    threads: int = 1
    part: str = ""  # address of the restorer alone
    without: tuple[str, ...] = ()  # plugins that are left out
    failure: str = ""  # why it cannot even begin

    def __str__(self) -> str:
        """Its place, for people."""
        condition, corpus, seed, restorer = self.place
        return f"{restorer} on {corpus}, {condition}, seed {seed}"


@dataclass
class Plan:
    """All the work of a grid. Runs stand before those that start from them."""

    grid: Grid
    folder: Path
    corpora: Mapping[str, Corpus]
    meters: tuple[Meter, ...]
    cells: list[Cell] = field(default_factory=list)
    runs: dict[str, RunPlan] = field(default_factory=dict)
    speech: dict[str, SpeechPlan] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    exclusions: list[str] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many results there will be."""
        return sum(len(cell.pieces) for cell in self.cells)


class _Values(NamedTuple):
    """What placeholders stand for, what of it is content, and what has to be made before."""

    real: dict[str, Any]
    origins: dict[str, str]
    needs: list[str]
    speech: list[str]


def plan(grid: Grid, folder: Path, threads: int = 1) -> Plan:
    """Expand a grid into cells; nothing is run or written.

    Raises `ExperimentError` and `ComponentError` for everything that cannot be meant: a part or
    setting that there is not, speech that is not there, runs that wait for each other.
    """
    return _Planner(grid, folder.absolute(), threads).plan()


class _Planner:
    def __init__(self, grid: Grid, folder: Path, threads: int) -> None:
        self.grid = grid
        self.folder = folder
        self.threads = threads
        self.version = versions()["selfremaster"]
        corpora = {name: read_corpus(name, chosen) for name, chosen in grid.corpora.items()}
        self.found = Plan(grid, folder, corpora, meters_of(grid.metrics))
        self.damage = {
            name: self._described("degradation", chosen.degradation, f"conditions.{name}")
            for name, chosen in grid.conditions.items()
        }
        self.recordings = (
            read_corpus(RECORDINGS, grid.recordings, all_splits=True) if grid.recordings else None
        )
        self._manifests: dict[str, SpeechPlan] = {}
        self._runs: dict[str, RunPlan] = {}
        self._check()

    def plan(self) -> Plan:
        """Every cell, in the grid's order."""
        found = self.found
        for place in self.grid.cells():
            if found.corpora[place.corpus].pieces:
                found.cells.append(self._cell(place))
        for meter in found.meters:
            found.owners |= owners_of(meter.content)
        read = [*found.corpora.values(), *([self.recordings] if self.recordings else [])]
        found.exclusions = [line for corpus in read for line in corpus.exclusions]
        if not found.cells:
            raise ExperimentError("; ".join(found.exclusions) or "the grid has no cells")
        return found

    def _check(self) -> None:
        """What is asked for must make sense, before any of it is done."""
        for name, chosen in self.grid.conditions.items():
            for corpus in chosen.corpora or self.grid.corpora:
                has_clean = self.found.corpora[corpus].has_clean
                if has_clean and chosen.degradation is not None:
                    raise ExperimentError(
                        f"conditions.{name}: {corpus} holds recordings with clean originals, which "
                        "are left as they are; name other corpora for this condition"
                    )
                if self.grid.task == "transfer" and not has_clean and chosen.degradation is None:
                    raise ExperimentError(
                        f"conditions.{name}: nothing is done to {corpus}, and there is no sound to "
                        "transfer; give a degradation, or recordings with clean originals"
                    )
        for name, settings in self.grid.corpora.items():
            place = settings.folder
            if place and real_path(self.folder).is_relative_to(real_path(place)):
                raise ExperimentError(
                    f"corpus {name}: the benchmark's own sounds in {self.folder} would become "
                    f"speech of {place}; name an --output outside of it"
                )
        if self.recordings is not None and not self.recordings.pieces:
            raise ExperimentError("; ".join(self.recordings.exclusions))

    def _described(
        self, kind: str, spec: ComponentSpec | None, where: str, origins: Origins | None = None
    ) -> Any:
        """The content of a part; of one that cannot be imported, what is said of it."""
        if spec is None:
            return None
        try:
            if not is_loadable(kind, spec):
                owner = current().table.find(kind, spec.name).owner
                return {"part": spec.name, "owner": [*owner], "settings": dict(spec.settings)}
            found = described(kind, spec, origins)
            if kind == "restorer" and (packages := versions_of(kind, spec.name)):
                found["packages"] = packages
        except ComponentError as error:
            raise ComponentError(f"{where}: {error}") from None
        self.found.owners |= owners_of(found)
        return found

    def _cell(self, place: Place) -> Cell:
        asked = self.grid.restorers[place.restorer]
        values = self._values(placeholders(dict(asked.settings)), place, ())
        spec = ComponentSpec.parse({"name": asked.name, **fill(dict(asked.settings), values.real)})
        condition = self.grid.conditions[place.condition]
        pieces = self.found.corpora[place.corpus].pieces
        where = f"restorers.{place.restorer}"
        restorer = self._described("restorer", spec, where, values.origins)
        restoring = address_of(
            {
                "restorer": restorer,
                "damage": self.damage[place.condition],
                "corpus": place.corpus,
                "seed": place.seed,
                "files": [piece.content() for piece in pieces],
                "task": self.grid.task,
                "version": self.version,
            }
        )
        measured = [[meter.text, meter.content, meter.names] for meter in self.found.meters]
        return Cell(
            place,
            address_of([restoring, measured]),
            restoring,
            spec,
            condition.degradation,
            [self.damage[place.condition], self.version],
            pieces,
            self.found.meters,
            self.grid.task,
            self.folder,
            tuple(dict.fromkeys(values.needs)),
            tuple(dict.fromkeys(values.speech)),
            self.threads,
            address_of([restorer, self.version]),
            tuple(current().blocked),
        )

    def _values(self, names: Iterable[str], place: Place, trail: tuple[str, ...]) -> _Values:
        """What the placeholders of some settings stand for at a place of the grid."""
        values = _Values({}, {}, [], [])
        for name in dict.fromkeys(names):
            if name in ("condition", "corpus", "seed"):
                values.real[name] = getattr(place, name)
            elif name.startswith(RUN):
                run = self._run(name.removeprefix(RUN), place, trail)
                values.real[name] = str(run.folder)
                values.origins[str(run.folder)] = f"run {run.address}"
                values.needs.append(run.address)
            else:
                speech = self._speech(name, place)
                values.real[name] = str(speech.manifest)
                values.origins[str(speech.manifest)] = f"speech {speech.address}"
                values.speech.append(speech.address)
        return values

    def _speech(self, name: str, place: Place) -> SpeechPlan:
        """The manifest that ``${clean}`` or ``${recordings}`` stands for."""
        own = [place.corpus, place.condition, place.seed]
        key = address_of([name, *(own[:1] if name.startswith(CLEAN) else own)])
        if key not in self._manifests:
            if name.startswith(CLEAN):
                corpus = name.removeprefix(CLEAN).removeprefix(":") or place.corpus
                made = clean_speech(corpus, self.grid.corpora[corpus], self.folder)
            else:
                if self.recordings is None:
                    raise ExperimentError(f"${{{name}}} stands for nothing; give recordings")
                asked = Recordings.parse(name)
                condition = asked.condition or place.condition
                made = damaged_speech(
                    self.recordings.pieces,
                    self.grid.conditions[condition].degradation,
                    [self.damage[condition], self.version],
                    place.seed,
                    self.folder,
                    asked.minutes,
                )
            self._manifests[key] = made
        made = self._manifests[key]
        self.found.speech[made.address] = made
        return made

    def _run_folder(self, name: str, address: str) -> Path:
        """Where a run is kept: as it was named first, since the address alone tells what it is."""
        if address in self.found.runs:
            return self.found.runs[address].folder
        earlier = sorted((self.folder / RUNS).glob(f"*-{address}"))
        slug = re.sub(r"\W+", "-", name)[:LONGEST_SLUG].strip("-") or "run"
        return earlier[0] if earlier else self.folder / RUNS / f"{slug}-{address}"

    def _run(self, name: str, place: Place, trail: tuple[str, ...]) -> RunPlan:
        """The training run of a name, planned with all that it starts from."""
        if name in trail:
            raise ExperimentError(f"runs wait for each other: {' -> '.join([*trail, name])}")
        if name not in self.grid.runs:
            raise ExperimentError(f"no run {name!r}{hint(name, self.grid.runs)}")
        given = self.grid.runs[name]
        values = self._values(placeholders(given), place, (*trail, name))
        key = address_of([name, values.real])
        if key not in self._runs:
            filled = fill(given, values.real)
            experiment, content = experiment_of(name, filled, values.origins, self.folder)
            address = address_of([content, self.version])
            self._runs[key] = RunPlan(
                name,
                address,
                experiment,
                self._run_folder(name, address),
                tuple(dict.fromkeys(values.needs)),
                tuple(dict.fromkeys(values.speech)),
                tuple(current().blocked),
            )
        run = self._runs[key]
        self.found.runs.setdefault(run.address, run)
        return run
