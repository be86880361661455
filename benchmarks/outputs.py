"""The folder of a benchmark: who writes into it, and what in it no longer belongs to its grid."""

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from selfremaster.benchmarks.grids import RECORDINGS
from selfremaster.benchmarks.planning import RUNS, Plan
from selfremaster.benchmarks.records import COSTS_NAME, GRID_NAME, PROVENANCE_NAME, RESULTS_NAME
from selfremaster.benchmarks.sounds import CLEAN, DAMAGED, SOUNDS, Damage, clean_address
from selfremaster.benchmarks.stores import CELLS, COUNTS, RESTORED
from selfremaster.benchmarks.training_runs import FEATURES
from selfremaster.core.errors import ExperimentError
from selfremaster.core.locks import LOCK_NAME, locked

WRITTEN = (
    CELLS,
    COUNTS,
    FEATURES,
    RECORDINGS,
    RUNS,
    SOUNDS,
    COSTS_NAME,
    GRID_NAME,
    PROVENANCE_NAME,
    RESULTS_NAME,
    "report.md",
    "report.html",
)
"""Everything that a benchmark puts into its folder, beside the lock while it runs."""


@contextmanager
def opened(folder: Path, *, resume: bool = False, overwrite: bool = False) -> Iterator[None]:
    """Have a folder for oneself that is new, or a benchmark that is gone on with or done anew.

    Raises `ExperimentError` for one that is neither, and while another run writes into it;
    `SelfRemasterError` where nothing can be written.
    """
    if resume and overwrite:
        raise ExperimentError(
            "--resume keeps what is done, and --overwrite deletes it; give one of them"
        )
    if not (folder / LOCK_NAME).exists():  # nothing is put into what is no benchmark
        _check(folder, resume=resume, overwrite=overwrite)
    with locked(folder, ExperimentError):
        _check(folder, resume=resume, overwrite=overwrite)
        if overwrite:
            _delete(folder / name for name in WRITTEN)
        yield


def _check(folder: Path, *, resume: bool, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ExperimentError(f"{folder}: is a file; name a folder for the benchmark")
    if not folder.is_dir() or _is_new(folder):
        return
    if not (folder / GRID_NAME).is_file() or not (folder / CELLS).is_dir():
        raise ExperimentError(f"{folder}: holds other things; name an empty or new folder")
    if not (resume or overwrite):
        raise ExperimentError(
            f"{folder}: holds a benchmark already; go on with --resume, begin anew with "
            "--overwrite, or name another --output"
        )


def _is_new(folder: Path) -> bool:
    """Whether there is nothing, or what a run leaves that ended before it wrote its grid."""
    cells = folder / CELLS
    begun = cells.is_dir() and not any(cells.iterdir()) and not (folder / GRID_NAME).exists()
    return all(
        path.name == LOCK_NAME or (begun and path == cells) or _is_temporary(path)
        for path in folder.iterdir()
    )


def _is_temporary(path: Path) -> bool:
    """Whether it is what `write_atomically` leaves where a process is killed."""
    return path.name.startswith(".") and path.suffixes[-2:-1] == [".part"] and path.is_file()


class Leftovers(NamedTuple):
    """What earlier grids left in a folder, for who goes back to them."""

    paths: tuple[Path, ...]
    cells: int
    runs: int
    size_bytes: int

    def delete(self) -> None:
        """Delete all of it."""
        _delete(self.paths)


def leftovers(plan: Plan) -> Leftovers:
    """What is in a plan's folder, and does not belong to its grid."""
    cells = _others(plan.folder / CELLS, {cell.address for cell in plan.cells})
    runs = _others(plan.folder / RUNS, {run.folder.name for run in plan.runs.values()})
    paths = [*cells, *runs, *_unheard(plan)]
    parts = {f"{cell.part}-{cell.pieces[0].sample_rate}" for cell in plan.cells}
    paths += _others(plan.folder / COUNTS, parts)
    speech = {one.manifest.parent.name for one in plan.speech.values()}
    paths += _others(plan.folder / RECORDINGS, speech)
    if not plan.runs:  # which share what speech features they learn from
        paths += _others(plan.folder / FEATURES, ())
    size_bytes = sum(_size_bytes(path) for path in paths)
    whole = sum(not _is_temporary(path) for path in cells)
    return Leftovers(tuple(paths), whole, len(runs), size_bytes)


def _unheard(plan: Plan) -> list[Path]:
    """Sounds that no cell of the grid is made of."""
    clean, damaged = set(), set()
    for cell in plan.cells:
        damage = Damage(cell.damage, cell.place.corpus, cell.place.seed)
        clean |= {clean_address(piece) for piece in cell.pieces}
        damaged |= {damage.address(piece) for piece in cell.pieces}
    restored = {cell.restoring for cell in plan.cells}
    wanted = {CLEAN: clean, DAMAGED: damaged, RESTORED: restored}
    return [path for place, names in wanted.items() for path in _others(plan.folder / place, names)]


def _others(folder: Path, wanted: Collection[str]) -> list[Path]:
    """What is in a folder under other names than these, whatever their suffixes."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if _stem(path) not in wanted]


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.name.partition(".")[0]


def _size_bytes(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(_size_bytes(inner) for inner in path.iterdir())


def _delete(paths: Collection[Path] | Iterator[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
