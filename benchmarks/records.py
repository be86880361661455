"""What a benchmark keeps: a line of JSON for each cell and file, what cells cost, where from."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from selfremaster.core.components import YAML_ERRORS, describe
from selfremaster.core.errors import ExperimentError
from selfremaster.core.plain import load_yaml

RESULTS_NAME = "results.jsonl"
COSTS_NAME = "costs.jsonl"
PROVENANCE_NAME = "provenance.json"
GRID_NAME = "grid.yaml"
Scores = Mapping[str, float | None]
"""Numbers by name; none where there is no number (silence, say)."""
MENDED = "give the benchmark's command again with --resume, which writes it anew"


def _below(place: str) -> str:
    """A place that does not lead out of the folder that it is in."""
    path = PurePosixPath(place.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in place or "\0" in place:
        raise ValueError(f"{place!r} leads out of the benchmark's folder")
    return place


class Record(BaseModel):
    """A line that is written and read back: unknown keys refused, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Result(Record):
    """What one restorer made of one file in one condition; nothing in it changes with the clock."""

    cell: str  # content address: SHA-256 of all that the cell is made of, 16 hex digits
    condition: str
    corpus: str
    seed: int
    restorer: str
    file: str  # unique within the corpus
    speaker: str = ""
    seconds: float  # of sound, one channel
    sample_rate: int  # Hz
    channels: int = 1
    status: Literal["ok", "failed"] = "ok"
    reason: str = ""  # of the failure, one line
    degradation: list[Any] = []  # the parameters drawn, as `degrade` logs them
    scores: dict[str, float | None] = {}  # none where there is no number (silence, say)
    gaps: dict[str, str] = {}  # metric as written in the grid -> why it gave nothing, one line
    sounds: dict[
        Literal["input", "restored", "reference"], Annotated[str, AfterValidator(_below)]
    ] = {}  # files, below the output


class CellCost(Record):
    """What one cell took; it differs from run to run."""

    cell: str
    condition: str
    corpus: str
    seed: int
    restorer: str
    audio_seconds: float
    wall_seconds: float  # of restoring alone, after a warm-up
    peak_memory_bytes: int | None = None  # of the process that restored
    parameters: int | None = None  # weights
    multiply_adds: float | None = None  # for a second of sound
    threads: int = 1
    training_minutes: float | None = None  # of the runs that the restorer needs

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for each second of sound."""
        return self.wall_seconds / self.audio_seconds


class MetricNote(Record):
    """What a report says about one metric."""

    metric: str  # as written in the grid
    summary: str  # first line of its docstring
    source: str = ""
    policy: str = ""  # rate, gain and lag, in words
    directions: dict[str, Literal["higher", "lower"]] = {}
    ideal: dict[str, float] = {}
    needs_reference: bool = True
    packages: dict[str, str] = {}  # name -> version
    missing: str = ""  # why it could not be built: a gap for every file


class Provenance(Record):
    """Where the numbers are from."""

    selfremaster: str
    started: str  # ISO 8601, UTC
    python: str
    packages: dict[str, str] = {}
    plugins: dict[str, str] = {}  # strangers' plugins that took part -> version
    machine: str = ""
    command: str = ""
    grid_sha256: str
    corpora: dict[str, dict[str, Any]] = {}  # name -> files, seconds, speakers, sha256
    restorers: dict[str, dict[str, Any]] = {}  # label -> part, owner, model's SHA-256, told
    runs: dict[str, dict[str, Any]] = {}  # training runs: experiment hash, steps, minutes, bundle
    metrics: list[MetricNote] = []
    exclusions: list[str] = []  # files that were left out, and why, a line each


class Outcome(Record):
    """A finished or half-finished benchmark, as its folder holds it."""

    folder: Annotated[Path, Field(exclude=True)]
    grid: dict[str, Any]  # as `Grid` reads it
    results: list[Result]
    costs: list[CellCost]
    provenance: Provenance


def read_outcome(folder: Path) -> Outcome:
    """Everything in a benchmark's folder; raises `ExperimentError` for what is not one."""
    ways: Mapping[str, tuple[str, Callable[[str], Any]]] = {
        "grid": (GRID_NAME, load_yaml),
        "results": (RESULTS_NAME, _lines),
        "costs": (COSTS_NAME, _lines),
        "provenance": (PROVENANCE_NAME, json.loads),
    }
    found: dict[str, Any] = {"folder": folder}
    for part, (name, read) in ways.items():
        try:
            found[part] = read((folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ExperimentError(
                f"{folder}: is not the folder of a benchmark: there is no {name} in it; give the "
                "--output of `selfremaster benchmark`"
            ) from None
        except (OSError, *YAML_ERRORS) as error:
            raise ExperimentError(
                f"{folder / name}: cannot be read ({type(error).__name__}); {MENDED}"
            ) from None
    try:
        return Outcome.model_validate(found)
    except ValidationError as error:
        raise ExperimentError(f"{folder}: {describe(error, Outcome)[:300]}; {MENDED}") from None


def _lines(text: str) -> list[Any]:
    # a label may hold what only Python takes for the end of a line
    return [json.loads(line) for line in text.split("\n") if line]
