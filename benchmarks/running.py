"""Run one cell of a benchmark: restore every file, look at what came out, and measure it."""

import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache, partial
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selfremaster.benchmarks.corpora import Piece
from selfremaster.benchmarks.machines import forget_peak_memory, peak_memory_bytes
from selfremaster.benchmarks.metering import measure, reason_of
from selfremaster.benchmarks.planning import Cell
from selfremaster.benchmarks.records import CellCost, Result
from selfremaster.benchmarks.sounds import (
    Damage,
    Heard,
    KeepError,
    hear,
    put_sound,
    untold,
)
from selfremaster.benchmarks.stores import (
    RESTORED,
    Finished,
    Restored,
    Restoring,
    forget_scores,
    keep_cell,
    keep_counts,
    keep_restored,
    keep_scores,
    known_counts,
    known_restored,
    known_scores,
)
from selfremaster.benchmarks.timing import WARM_UP_SECONDS
from selfremaster.core import audio
from selfremaster.core.degrading import generator_for
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.interfaces import Restorer
from selfremaster.registry.building import build, leaving_out

SILENT = 1e-5  # peak below which a sound is silence: -100 dB of full scale
LONGEST_NAME = 60


class CellError(SelfRemasterError):
    """A cell of which nothing can be had, whatever the file."""


def run_cell(cell: Cell) -> Finished:
    """Restore and measure every file of a cell, and keep that; gives what is kept.

    Whatever happens to a file, or to the restorer, is a result; nothing is raised for it.
    """
    # stdout is the result's own, whatever strangers print
    with leaving_out(*cell.without), _threads(cell.threads), redirect_stdout(sys.stderr):
        try:
            if cell.failure:
                raise CellError(cell.failure)
            restoring = known_restored(cell.folder, cell.restoring)
            if restoring is None:
                forget_scores(cell.folder, cell.restoring)  # of sounds that are no more
                restoring = _restore(cell)
                keep_restored(cell.folder, cell.restoring, restoring)
        except CellError as error:
            return keep_cell(cell, [_failed(cell, piece, str(error)) for piece in cell.pieces])
        results = _measured(cell, restoring)
        return keep_cell(cell, results, _cost(cell, restoring), whole=True)


def _failed(cell: Cell, piece: Piece, reason: str) -> Result:
    return _result(cell, piece, Restored(reason=_without_folder(cell, reason)))


def _result(cell: Cell, piece: Piece, restored: Restored, **more: Any) -> Result:
    return Result(
        cell=cell.address,
        condition=cell.place.condition,
        corpus=cell.place.corpus,
        seed=cell.place.seed,
        restorer=cell.place.restorer,
        file=piece.file,
        speaker=piece.speaker,
        seconds=piece.seconds,
        sample_rate=piece.sample_rate,
        channels=piece.channels,
        status="failed" if restored.reason else "ok",
        reason=restored.reason,
        degradation=list(restored.drawn),
        sounds=dict(restored.sounds),
        **more,
    )


def _restore(cell: Cell) -> Restoring:
    """Restore every file; raises `CellError` where the restorer or the damage cannot be had."""
    forget_peak_memory()
    try:
        part = None if cell.degradation is None else build("degradation", cell.degradation)
        restorer: Restorer = build("restorer", cell.restorer)
    except SelfRemasterError as error:
        raise CellError(reason_of(error)) from None
    name = "" if cell.degradation is None else cell.degradation.name
    damage = Damage(cell.damage, cell.place.corpus, cell.place.seed, part, name)
    work = _Work(cell, restorer, damage)
    files = tuple(work.restored(number, piece) for number, piece in enumerate(cell.pieces))
    peak = peak_memory_bytes()  # before anything else is done
    return Restoring(
        files,
        wall_seconds=work.wall_seconds,
        audio_seconds=work.audio_seconds,
        threads=cell.threads,
        peak_memory_bytes=peak,
        **_counts(cell, restorer),
    )


def _counts(cell: Cell, restorer: Restorer) -> dict[str, Any]:
    """Weights and multiply-adds, counted once for all cells of a restorer at a rate."""
    rate = cell.pieces[0].sample_rate
    part = f"{cell.part}-{rate}"
    found = known_counts(cell.folder, part)
    if found is None:
        found = _counted(restorer, rate)
        keep_counts(cell.folder, part, found)
    return found


def _counted(restorer: Restorer, sample_rate: int) -> dict[str, Any]:
    """Weights and multiply-adds, where they can be told."""
    try:
        found = import_module("selfremaster.benchmarks.costs").count(restorer, sample_rate)
    except (ImportError, SelfRemasterError):
        return {}
    return {"parameters": found.parameters, "multiply_adds": found.multiply_adds}


class _Work:
    """The restoring of one cell: a restorer that is warm, and a clock."""

    def __init__(self, cell: Cell, restorer: Restorer, damage: Damage) -> None:
        self.cell = cell
        self.restorer = restorer
        self.damage = damage
        self.wall_seconds = 0.0
        self.audio_seconds = 0.0
        self._warm = False

    def restored(self, number: int, piece: Piece) -> Restored:
        """One file; whatever goes wrong is told."""
        try:
            heard = hear(self.cell.folder, piece, self.damage, self.cell.task)
        except KeepError:
            raise
        except (Exception, SystemExit) as error:
            return Restored(reason=_without_folder(self.cell, reason_of(error)))
        told = Restored(
            drawn=heard.drawn, sounds=dict(heard.sounds), no_reference=heard.no_reference
        )
        if self.restorer.needs_reference and heard.reference is None:
            return told._replace(reason=untold(heard.no_reference))
        try:
            given = self._run(piece, heard)
        except (Exception, SystemExit) as error:
            return told._replace(reason=_without_folder(self.cell, reason_of(error)))
        if wrong := fault(given, heard.wave):
            return told._replace(reason=wrong)
        stem = f"{RESTORED}/{self.cell.restoring}/{number:04d}-{_plain(piece.file)}"
        name = put_sound(self.cell.folder, stem, given.detach().cpu(), heard.sample_rate)
        return told._replace(sounds={**told.sounds, "restored": name})

    def _run(self, piece: Piece, heard: Heard) -> Tensor:
        place = f"{self.cell.place.corpus}/{piece.file}"
        reference = heard.reference if self.restorer.needs_reference else None
        if not self._warm:
            with _chance(0, "warm-up"):
                self._warm_up(heard, reference)
        with _chance(self.cell.place.seed, place), torch.no_grad():
            wave = heard.wave.clone()
            told = None if reference is None else reference.clone()
            start = time.perf_counter()
            given = self.restorer.restore(wave, heard.sample_rate, told)
            wall_seconds = time.perf_counter() - start
        self.wall_seconds += wall_seconds
        self.audio_seconds += heard.wave.numel() / heard.sample_rate
        return given

    def _warm_up(self, heard: Heard, reference: Tensor | None) -> None:
        """What the first call alone has to do, on a second of sound."""
        self._warm = True
        samples = WARM_UP_SECONDS * heard.sample_rate
        wave = heard.wave[:, :samples].clone()
        told = None if reference is None else reference[:, :samples].clone()
        try:
            with torch.no_grad():
                self.restorer.restore(wave, heard.sample_rate, told)
        except (Exception, SystemExit):
            return  # told when it is counted


def fault(given: Any, wave: Tensor) -> str:
    """What is wrong with what a restorer made of a wave (channels, samples), if anything.

    >>> fault(torch.ones(1, 3), torch.ones(1, 4))
    'mismatched lengths: 3 samples for 4'
    """
    if not isinstance(given, Tensor):
        return f"no tensor: the restorer gave {type(given).__name__}"
    if given.ndim != 2 or len(given) != len(wave):
        shapes = f"{tuple(given.shape)} for {tuple(wave.shape)}"
        return f"wrong shape: {shapes} (channels, samples)"
    if given.shape[1] != wave.shape[1]:
        return f"mismatched lengths: {given.shape[1]} samples for {wave.shape[1]}"
    if given.dtype != torch.float32:
        return f"wrong type: {given.dtype} for torch.float32"
    finite = torch.isfinite(given)
    if not bool(finite.all()):
        channel, sample = (int(number) for number in (~finite).nonzero()[0])
        what = "NaN" if bool(given[channel, sample].isnan()) else "infinite"
        return f"{what} output: sample {sample} of channel {channel}"
    if float(given.abs().max()) < SILENT <= float(wave.abs().max()):
        return "silent output, and the input was not"
    return ""


def _measured(cell: Cell, restoring: Restoring) -> list[Result]:
    """The numbers of the restored files, as they are kept; what is known is not measured again."""
    known = known_scores(cell.folder, cell.restoring, len(cell.pieces))
    results = []
    for piece, restored, own in zip(cell.pieces, restoring.files, known, strict=True):
        if restored.reason:
            results.append(_result(cell, piece, restored))
            continue
        sounds = partial(_sounds, cell.folder, restored)
        found = measure(cell.meters, cache(sounds), restored.no_reference, own)
        own.update(found.own)
        gaps = {name: _without_folder(cell, gap) for name, gap in found.gaps.items()}
        results.append(_result(cell, piece, restored, scores=found.scores, gaps=gaps))
    keep_scores(cell.folder, cell.restoring, known)
    return results


def _sounds(folder: Path, restored: Restored) -> tuple[Tensor, int, Tensor | None]:
    """A restored file as it is kept, its rate, and what it is compared with."""
    wave, rate = audio.read(folder / restored.sounds["restored"])
    kept = restored.sounds.get("reference")
    return wave, rate, audio.read(folder / kept)[0] if kept else None


def _cost(cell: Cell, restoring: Restoring) -> CellCost | None:
    if not restoring.audio_seconds:
        return None
    condition, corpus, seed, restorer = cell.place
    return CellCost(
        cell=cell.address,
        condition=condition,
        corpus=corpus,
        seed=seed,
        restorer=restorer,
        audio_seconds=restoring.audio_seconds,
        wall_seconds=restoring.wall_seconds,
        peak_memory_bytes=restoring.peak_memory_bytes,
        parameters=restoring.parameters,
        multiply_adds=restoring.multiply_adds,
        threads=restoring.threads,
    )


def _without_folder(cell: Cell, text: str) -> str:
    """The same words wherever the benchmark is kept."""
    return text.replace(f"{cell.folder}/", "")


def _plain(file: str) -> str:
    """A file's name, such as stands in an address of the web unchanged."""
    stem = PurePosixPath(file).with_suffix("").as_posix()
    return re.sub(r"[^A-Za-z0-9_.]+", "-", stem)[-LONGEST_NAME:].strip("-.") or "sound"


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _chance(seed: int, place: str) -> Iterator[None]:
    """Let every common source of chance follow from the seed and the file, and then be as before.

    Restorers have no generator of their own in their contract.
    """
    own = generator_for(seed, place).initial_seed()
    python, numbers = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(own)
        random.seed(own)
        np.random.seed(own % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)
