"""Sounds of a report: files that are heard side by side, equally loud, with their spectrograms."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from selfremaster.benchmarks.records import Result
from selfremaster.benchmarks.reporting.audio import (
    flac,
    liveliest,
    matching_gains,
    over,
    spectrograms,
)
from selfremaster.benchmarks.reporting.numbers import Findings, Loss
from selfremaster.benchmarks.reporting.tables import Column, Key
from selfremaster.benchmarks.reporting.words import cut, drawn, number
from selfremaster.core import audio
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.levels import resample
from selfremaster.core.signals import fit_length

LONGEST_SECONDS = 6.0
PLAYER_BYTES, TRACK_BYTES = 5000, 1200  # of a page, besides sounds and pictures
ORIGINAL, INPUT = "original", "input"


class Track(NamedTuple):
    """One sound of a player."""

    label: str
    role: str  # "reference", or the system's
    sound: str  # its place in the store
    gain: float  # that makes it as loud as the others
    picture: str  # spectrogram, a data URI
    score: str  # its headline number, in words


class Player(NamedTuple):
    """Sounds that are the same stretch of one file, heard in turn."""

    name: str  # unique in the report
    title: str
    condition: str
    details: tuple[tuple[str, str], ...]
    seconds: float
    top_khz: float
    tracks: tuple[Track, ...]


@dataclass
class Store:
    """Encoded sounds, each once, as many as a budget of bytes allows."""

    budget: int
    sounds: dict[str, str] = field(default_factory=dict)
    spent: int = 0
    left_out: list[str] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)

    def add(self, found: Mapping[str, str], besides: int) -> dict[str, str] | None:
        """Keep sounds, by label; gives their names, or none where the budget does not last.

        ``besides`` is how many bytes come with them.
        """
        new = [text for text in dict.fromkeys(found.values()) if text not in self._names]
        cost = besides + sum(map(len, new))
        if self.spent + cost > self.budget:
            return None
        self.spent += cost
        for text in new:
            name = f"s{len(self._names)}"
            self._names[text], self.sounds[name] = name, text
        return {label: self._names[text] for label, text in found.items()}


class Stretch(NamedTuple):
    """Files that are to be heard together, in what order and under what names."""

    paths: Mapping[str, Path]  # by label
    roles: Mapping[str, str]
    scores: Mapping[str, str]


def examples(findings: Findings, store: Store) -> list[Player]:
    """A player for a few files of each condition, first ones first, as far as the budget lasts."""
    chosen = {
        condition: _chosen(findings, condition)[: findings.grid.examples]
        for condition in findings.grid.conditions
    }
    players: list[Player] = []
    for turn in range(max(map(len, chosen.values()), default=0)):
        for condition, keys in chosen.items():
            if turn < len(keys):
                found = _player(findings, "", condition, keys[turn], None, store)
                players += [found] if found else []
    order = list(findings.grid.conditions)
    players.sort(key=lambda player: order.index(player.condition))
    return [one._replace(name=f"player-{place}") for place, one in enumerate(players, start=1)]


def worst_player(findings: Findings, loss: Loss, name: str, store: Store) -> Player | None:
    """A player for one of the worst files: the original, the input and what was made of it."""
    result = loss.result
    key = (result.corpus, result.seed, result.file)
    return _player(findings, name, result.condition, key, result.restorer, store)


def _chosen(findings: Findings, condition: str) -> list[Key]:
    """Files that sounds were kept of: those of most systems first, speakers in turn."""
    kept: dict[Key, int] = defaultdict(int)
    speakers: dict[Key, tuple[str, str]] = {}
    for system in findings.systems:
        for key, result in findings.scores.get((condition, system.label), {}).items():
            if result.sounds:
                kept[key] += "restored" in result.sounds
                speakers[key] = (result.corpus, result.speaker)
    turns: dict[tuple[str, str], int] = defaultdict(int)
    ranked: list[tuple[int, int, int, Key]] = []
    for key in sorted(kept, key=lambda one: -kept[one]):
        ranked.append((-kept[key], turns[speakers[key]], len(ranked), key))
        turns[speakers[key]] += 1
    return [key for *_, key in sorted(ranked)]


def _player(
    findings: Findings,
    name: str,
    condition: str,
    key: Key,
    restorer: str | None,
    store: Store,
) -> Player | None:
    corpus, seed, file = key
    stretch, result = _stretch(findings, condition, key, restorer)
    if result is None or not stretch.paths:
        return None
    called = f"{corpus}/{file}, {condition}"
    try:
        waves, rate, start = _read(stretch.paths)
    except SelfRemasterError as error:
        store.left_out.append(f"{called}: {error}".replace(f"{findings.outcome.folder}/", ""))
        return None
    tracks = tracks_of(waves, rate, stretch.roles, stretch.scores, store)
    if tracks is None:
        store.left_out.append(f"{called}: no room left in the page")
        return None
    seconds = next(iter(waves.values())).shape[-1] / rate
    details = (
        ("condition", condition if restorer else ""),
        ("corpus", corpus),
        ("speaker", result.speaker),
        ("seed", str(seed) if len(findings.grid.seeds) > 1 else ""),
        ("damage", drawn(result.degradation)),
        (
            "from",
            f"{start / rate:.1f} s" if result.seconds > seconds else "",
        ),
    )
    told = tuple((what, text) for what, text in details if text)
    return Player(name, cut(file, 80), condition, told, seconds, rate / 2000, tracks)


def tracks_of(
    waves: Mapping[str, Tensor],
    sample_rate: int,
    roles: Mapping[str, str],
    scores: Mapping[str, str],
    store: Store,
) -> tuple[Track, ...] | None:
    """Waves (samples,) of one length that are heard in turn; none where the store has no room."""
    gains = matching_gains(waves, sample_rate)
    heard = {label: wave / over(wave) * gains[label] for label, wave in waves.items()}
    pictures = spectrograms(heard, sample_rate)
    encoded = {label: flac(wave, sample_rate) for label, wave in waves.items()}
    markup = PLAYER_BYTES + TRACK_BYTES * len(waves)
    sounds = store.add(encoded, markup + sum(map(len, pictures.values())))
    if sounds is None:
        return None
    return tuple(
        Track(
            label,
            roles.get(label, ""),
            sounds[label],
            round(gains[label], 4),
            pictures[label],
            scores.get(label, ""),
        )
        for label in waves
    )


def _stretch(
    findings: Findings, condition: str, key: Key, restorer: str | None
) -> tuple[Stretch, Result | None]:
    """The sounds there are of a file: the original, the input, then every system's, or one's."""
    paths: dict[str, Path] = {}
    roles: dict[str, str] = {}
    scores: dict[str, str] = {}
    chosen: Result | None = None
    for system in findings.systems:
        result = findings.scores.get((condition, system.label), {}).get(key)
        if result is None:
            continue
        chosen = chosen or result
        for label, kind, role in (
            (ORIGINAL, "reference", "reference"),
            (INPUT, "input", "floor"),
            (system.label, "restored", system.role),
        ):
            path = findings.outcome.folder / result.sounds.get(kind, "")  # type: ignore[call-overload]  # one of its words
            wanted = restorer in (None, system.label) and system.role != "floor"
            if path.is_file() and (kind != "restored" or wanted):
                paths.setdefault(label, path)
                roles.setdefault(label, role)
        label = INPUT if system.role == "floor" else system.label
        scores[label] = _scored(result, findings.headlines[:1])
    order = [one for one in (ORIGINAL, INPUT) if one in paths]
    order += [one for one in paths if one not in order]
    return Stretch({one: paths[one] for one in order}, roles, scores), chosen


def _scored(result: Result, columns: Sequence[Column]) -> str:
    return ", ".join(
        f"{column.name} {number(value, column.decimals)}"
        for column in columns
        if (value := result.scores.get(column.name)) is not None
    )


def _read(paths: Mapping[str, Path]) -> tuple[dict[str, Tensor], int, int]:
    """The same stretch of all files, first channels, at one rate; that, and where it begins."""
    rate = audio.inspect(next(iter(paths.values()))).sample_rate
    whole: dict[str, Tensor] = {}
    for label, path in paths.items():
        wave, own_rate = audio.read(path)
        whole[label] = resample(wave[0], own_rate, rate)
    samples = max(len(wave) for wave in whole.values())
    whole = {label: fit_length(wave, samples) for label, wave in whole.items()}
    length = min(samples, round(LONGEST_SECONDS * rate))
    start = liveliest(next(iter(whole.values())), rate, length)
    waves = {label: wave[start : start + length] for label, wave in whole.items()}
    return waves, rate, start
