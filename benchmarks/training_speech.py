"""Speech that a benchmark's training runs learn from: damaged in a condition, or clean."""

import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from selfremaster.benchmarks.addresses import address_of, speech_address
from selfremaster.benchmarks.corpora import Piece, speaks
from selfremaster.benchmarks.grids import RECORDINGS, CorpusSettings
from selfremaster.benchmarks.sounds import Damage, damaged, put_sound
from selfremaster.core import layouts, manifests
from selfremaster.core.components import ComponentSpec
from selfremaster.core.errors import ExperimentError
from selfremaster.core.experiments import CLEAN
from selfremaster.core.files import sha256_of
from selfremaster.core.manifests import HASH_SUFFIX, Item, Manifest
from selfremaster.registry.building import build

MANIFEST_NAME = "manifest.csv"
TRAIN = "train"


@dataclass(frozen=True)
class SpeechPlan:
    """A manifest that is made before a run learns from it, or is there already."""

    address: str
    manifest: Path
    pieces: tuple[Piece, ...] = ()
    degradation: ComponentSpec | None = None
    damage: Any = None  # content of the degradation
    seed: int = 0
    minutes: float | None = None  # of the training split; none: all
    listed: Manifest | None = None  # clean speech without a manifest of its own

    @property
    def made(self) -> bool:
        """Whether the manifest is the benchmark's own."""
        return bool(self.pieces) or self.listed is not None


def damaged_speech(
    pieces: tuple[Piece, ...],
    degradation: ComponentSpec | None,
    damage: Any,
    seed: int,
    folder: Path,
    minutes: float | None,
) -> SpeechPlan:
    """Recordings as a condition makes them, with their splits."""
    rows = [[*piece.content(), piece.speaker, piece.split] for piece in pieces]
    address = address_of([damage, seed, rows])
    name = MANIFEST_NAME if minutes is None else f"first-{minutes:g}-minutes.csv"
    return SpeechPlan(
        address if minutes is None else f"{address}, {minutes:g} minutes",
        folder / RECORDINGS / address / name,
        pieces,
        degradation,
        damage,
        seed,
        minutes,
    )


def clean_speech(name: str, settings: CorpusSettings, folder: Path) -> SpeechPlan:
    """The speech of a corpus with every split: its own manifest, or one that is made.

    One is made of a folder, and of a manifest of which some speakers are asked for.
    """
    place = settings.folder or Path()
    if settings.manifest is not None:
        manifest = manifests.read(settings.manifest)
        if settings.speakers is None:
            return SpeechPlan(speech_address(manifest), settings.manifest.absolute())
    elif settings.layout == "files":
        manifest = manifests.build(place)
    else:
        rows = layouts.read(settings.layout, place)
        items = tuple(Item(row.path, row.split, row.speaker) for row in rows)
        manifest = Manifest(place, items)
    if settings.speakers is not None:
        kept = [item for item in manifest.items if speaks(item.speaker, settings.speakers)]
        manifest = Manifest(manifest.folder, tuple(kept))
    address = speech_address(manifest)
    short = address_of([name, address])
    target = folder / RECORDINGS / short / MANIFEST_NAME
    return SpeechPlan(address, target, listed=_with_originals(manifest, settings, target))


def _with_originals(manifest: Manifest, settings: CorpusSettings, target: Path) -> Manifest:
    """The manifest with its column of clean originals as that is written elsewhere."""
    column = settings.clean
    if column is None:
        return manifest
    items = []
    for item in manifest.items:
        place = item.others.get(column)
        if place:
            moved = os.path.relpath(manifest.folder.absolute() / place, target.parent)
            item = replace(item, others={**item.others, column: moved})
        items.append(item)
    return Manifest(manifest.folder, tuple(items))


def make_speech(plan: SpeechPlan) -> Path:
    """Write what is not there yet; gives the manifest.

    Raises `AudioError` and `ComponentError` for what cannot be damaged.
    """
    if plan.manifest.is_file() and (not plan.made or _is_there(manifests.read(plan.manifest))):
        return plan.manifest
    if plan.listed is not None:
        manifests.write(plan.listed, plan.manifest)
        return plan.manifest
    folder = plan.manifest.parent
    whole = folder / MANIFEST_NAME
    if not whole.is_file() or not _is_there(manifests.read(whole)):
        manifests.write(_damaged(plan, folder), whole)
    if plan.minutes is not None:
        manifests.write(first_minutes(manifests.read(whole), plan.minutes), plan.manifest)
    return plan.manifest


def _is_there(manifest: Manifest) -> bool:
    """Whether every file is where a manifest says, which it is not when folders were moved."""
    places = [place for item in manifest.items for place in (item.path, item.others.get(CLEAN))]
    return all((manifest.folder / place).is_file() for place in places if place)


def _within(file: str) -> str:
    """A place below a folder for a file that may lie beside that of its manifest."""
    parts = PurePosixPath(file).parts
    if ".." not in parts:
        return file
    return f"{address_of(file)}/{parts[-1]}"


def _damaged(plan: SpeechPlan, folder: Path) -> Manifest:
    part = None if plan.degradation is None else build("degradation", plan.degradation)
    name = "" if plan.degradation is None else plan.degradation.name
    damage = Damage(plan.damage, RECORDINGS, plan.seed, part, name)
    items = []
    for piece in plan.pieces:
        if not piece.split:
            raise ExperimentError(
                f"recordings: {piece.file} is of no split, and runs learn from train and val; "
                "give recordings.manifest, as `selfremaster manifest` writes it"
            )
        place = _within(piece.file)
        place = place if place.endswith(".flac") else f"{place}.flac"
        if not (folder / place).is_file():
            wave, _ = damaged(piece, damage)
            place = put_sound(folder, place.removesuffix(".flac"), wave, piece.sample_rate)
        items.append(
            Item(
                place,
                piece.split,
                piece.speaker,
                piece.seconds,
                piece.sample_rate,
                piece.channels,
                sha256_of(folder / place),
                _original(piece, folder),
            )
        )
    return Manifest(folder, tuple(sorted(items, key=lambda item: item.path)))


def _original(piece: Piece, folder: Path) -> dict[str, str]:
    """The clean original in columns of its own, for runs that learn from pairs."""
    path = piece.clean or piece.path
    digest = piece.clean_sha256 or piece.sha256
    return {CLEAN: os.path.relpath(path, folder), CLEAN + HASH_SUFFIX: digest}


def first_minutes(manifest: Manifest, minutes: float) -> Manifest:
    """The first files of the training split that make so many minutes; the other splits whole."""
    kept, seconds = [], 0.0
    for item in manifest.items:
        if item.split == TRAIN:
            if seconds >= minutes * 60:
                continue
            seconds += item.seconds or 0.0
        kept.append(item)
    return Manifest(manifest.folder, tuple(kept))
