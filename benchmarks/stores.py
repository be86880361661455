"""What a benchmark keeps in its folder, so that nothing is done twice, whenever it is cut off."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from selfremaster.benchmarks.records import (
    COSTS_NAME,
    GRID_NAME,
    PROVENANCE_NAME,
    RESULTS_NAME,
    CellCost,
    Provenance,
    Result,
    Scores,
)
from selfremaster.core.files import write_atomically

if TYPE_CHECKING:
    from selfremaster.benchmarks.grids import Grid, Place
    from selfremaster.benchmarks.planning import Cell

CELLS = "cells"
COUNTS = "counts"
RESTORED = "sounds/restored"
RESTORED_NAME = "restored.json"
SCORES_NAME = "scores.json"


class Restored(NamedTuple):
    """What became of one file: its sounds, or why there is no restored one."""

    reason: str = ""
    drawn: Sequence[Any] = ()
    sounds: Mapping[Any, str] = {}
    no_reference: str = ""


class Restoring(NamedTuple):
    """What became of all files of a cell, and what that took."""

    files: tuple[Restored, ...]
    wall_seconds: float = 0.0
    audio_seconds: float = 0.0
    threads: int = 1
    peak_memory_bytes: int | None = None
    parameters: int | None = None
    multiply_adds: float | None = None


class Finished(NamedTuple):
    """A cell that is done: its results, without the names that a grid gives to their place."""

    address: str
    results: tuple[Result, ...]
    cost: CellCost | None = None
    whole: bool = False  # whether its restorer could be had

    @property
    def failures(self) -> int:
        """How many files have no number."""
        return sum(result.status == "failed" for result in self.results)

    def placed(self, place: "Place", training_minutes: float | None = None) -> "Finished":
        """The same as it stands in a grid, which may name it otherwise than the one before."""
        names = place._asdict()
        cost = self.cost and self.cost.model_copy(
            update={**names, "training_minutes": training_minutes}
        )
        results = (result.model_copy(update=names) for result in self.results)
        return self._replace(results=tuple(results), cost=cost)


def keep_grid(folder: Path, grid: "Grid") -> str:
    """Write the grid as it is run, settings of the command included; gives its text."""
    text = yaml.safe_dump(grid.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (folder / CELLS).mkdir(parents=True, exist_ok=True)
    _write(folder / GRID_NAME, text)
    return text


def keep_cell(
    cell: "Cell", results: Sequence[Result], cost: CellCost | None = None, *, whole: bool = False
) -> Finished:
    """Write what came of a cell in one step: a heading, and a line for each file."""
    finished = Finished(cell.address, tuple(results), cost, whole)
    heading = {
        "cell": cell.address,
        "files": len(results),
        "whole": whole,
        "cost": cost and cost.model_dump(mode="json"),
    }
    lines = [_line(heading), *(_line(result) for result in results)]
    _write(_cell_path(cell.folder, cell.address), "".join(lines))
    return finished


def known_cell(cell: "Cell") -> Finished | None:
    """What is known of a cell that was done before; one without a restorer is to be tried again."""
    try:
        text = _cell_path(cell.folder, cell.address).read_text(encoding="utf-8")
        heading, *lines = [json.loads(line) for line in text.split("\n") if line]
        results = tuple(Result.model_validate(line) for line in lines)
        cost = heading["cost"] and CellCost.model_validate(heading["cost"])
        files = [piece.file for piece in cell.pieces]
        there = heading["cell"] == cell.address and [result.file for result in results] == files
        pairs = zip(results, cell.pieces, strict=False)
        named = tuple(one.model_copy(update={"speaker": piece.speaker}) for one, piece in pairs)
        known = Finished(cell.address, named, cost, heading["whole"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
    sounds = {name for result in results for name in result.sounds.values()}
    there = there and all((cell.folder / name).is_file() for name in sounds)
    return known if there and known.whole else None


def keep_restored(folder: Path, restoring: str, found: Restoring) -> None:
    """Write what is known of the restored files of a cell, before anything is measured."""
    files = [one._asdict() for one in found.files]
    _write(_restored_path(folder, restoring), _line({**found._asdict(), "files": files}))


def known_restored(folder: Path, restoring: str) -> Restoring | None:
    """The files that were restored before, if all of them are there."""
    try:
        given = json.loads(_restored_path(folder, restoring).read_text(encoding="utf-8"))
        files = tuple(Restored(**one) for one in given.pop("files"))
        found = Restoring(files, **given)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    sounds = {name for one in files for name in one.sounds.values()}
    return found if all((folder / name).is_file() for name in sounds) else None


def keep_scores(folder: Path, restoring: str, scores: Sequence[Mapping[str, Scores]]) -> None:
    """Write what every metric says of the restored files of a cell, those of earlier grids too.

    For each file the numbers by the address of a metric and its own names.
    """
    _write(_scores_path(folder, restoring), _line({"files": scores}))


def known_scores(folder: Path, restoring: str, files: int) -> list[dict[str, Scores]]:
    """What was measured before of the restored files of a cell: for each file, maybe nothing."""
    try:
        given = json.loads(_scores_path(folder, restoring).read_text(encoding="utf-8"))["files"]
        known = TypeAdapter(list[dict[str, Scores]]).validate_python(given)
    except (OSError, ValueError, KeyError, TypeError):
        known = []
    return known if len(known) == files else [{} for _ in range(files)]


def forget_scores(folder: Path, restoring: str) -> None:
    """Remove what was measured of files that are restored anew."""
    _scores_path(folder, restoring).unlink(missing_ok=True)


def keep_counts(folder: Path, part: str, counts: Mapping[str, Any]) -> None:
    """Write what a restorer is made of, which is the same in every cell."""
    _write(folder / COUNTS / f"{part}.json", _line(counts))


def known_counts(folder: Path, part: str) -> dict[str, Any] | None:
    """What was counted before, if it was."""
    try:
        found: dict[str, Any] = json.loads((folder / COUNTS / f"{part}.json").read_text("utf-8"))
        return {name: found[name] for name in ("parameters", "multiply_adds")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_results(folder: Path, finished: Iterable[Finished]) -> None:
    """Write the results of all cells that are done, and what they cost."""
    done = list(finished)
    _write(folder / RESULTS_NAME, "".join(_line(one) for cell in done for one in cell.results))
    _write(folder / COSTS_NAME, "".join(_line(cell.cost) for cell in done if cell.cost))


def keep_provenance(folder: Path, provenance: Provenance) -> None:
    """Write where the numbers are from."""
    text = json.dumps(provenance.model_dump(mode="json"), indent=2, ensure_ascii=False)
    _write(folder / PROVENANCE_NAME, text + "\n")


def _cell_path(folder: Path, address: str) -> Path:
    return folder / CELLS / f"{address}.jsonl"


def _restored_path(folder: Path, restoring: str) -> Path:
    return folder / RESTORED / restoring / RESTORED_NAME


def _scores_path(folder: Path, restoring: str) -> Path:
    return _restored_path(folder, restoring).with_name(SCORES_NAME)


def _line(value: BaseModel | Mapping[str, Any]) -> str:
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else dict(value)
    return json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
