"""Listening tests without sounds or people: keys of made-up systems, and simulated listeners."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from selfremaster.benchmarks.listening.designs import (
    Clip,
    Heard,
    Key,
    Material,
    Sentence,
    check_settings,
)
from selfremaster.benchmarks.listening.pages import _heard_in, _key
from selfremaster.benchmarks.listening.plans import plan, rows_of
from selfremaster.core import audio
from tests.cli import SPEECH

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECONDS = 2.0  # of every made-up sound

Opinion = Callable[[Clip], float]
"""What a listener thinks of a sound, before it becomes a mark on the scale."""


def made_up(systems: tuple[str, ...], sentences: int, *, reference: bool = True) -> Material:
    """Material whose files are never opened."""
    return Material(
        systems,
        {
            f"s{number:02}": Sentence(
                {name: Path(f"{name}/s{number:02}.wav") for name in systems},
                Path(f"reference/s{number:02}.wav") if reference else None,
                condition=("tape", "disc")[number % 2],
            )
            for number in range(sentences)
        },
    )


def made_up_key(material: Material, **settings: Any) -> Key:
    """The key of a test of such material."""
    checked = check_settings(settings)
    playlists = plan(material, checked)
    heard = sorted({one for playlist in playlists for one in _heard_in(playlist)})
    names = {one: f"{number:04}.flac" for number, one in enumerate(heard)}
    clips = {names[one]: _clip(one) for one in heard}
    return _key(material, checked, rows_of(material, checked), names, clips, playlists)


def _clip(heard: Heard) -> Clip:
    return Clip(
        kind=heard.kind,
        label=heard.label,
        sentence=heard.sentence,
        seconds=SECONDS,
        loudness_lufs=-23,
    )


def opinion_of(truth: Mapping[str, float], random: Random, noise: float, bias: float) -> Opinion:
    """A listener who hears what is true, with a bias of their own and noise from time to time."""
    own = random.gauss(0, bias)
    return lambda clip: truth[clip.label] + own + random.gauss(0, noise)


def mark(value: float, lowest: int = 1, highest: int = 5) -> int:
    """The nearest mark on the scale."""
    return min(highest, max(lowest, math.floor(value + 0.5)))


def answers(
    key: Key, listener: str, playlist: int, opinion: Opinion, *, undecided: float = 0.3
) -> dict[str, Any]:
    """The file of a listener, as the pages write it."""
    time = START
    told = []
    for number, trial in enumerate(key.playlists[playlist - 1]):
        files = [*trial.clips, *([trial.reference] if trial.reference else [])]
        shown = time
        ready = shown + timedelta(seconds=sum(key.clips[name].seconds for name in files) + 1)
        time = ready + timedelta(seconds=2)
        thought = [opinion(key.clips[name]) for name in trial.clips]
        entry: dict[str, Any] = {
            "trial": number,
            "shown": shown.isoformat(),
            "ready": ready.isoformat(),
            "answered": time.isoformat(),
            "clips": trial.clips,
            "plays": [1] * len(trial.clips),
            "heard": [1] * len(trial.clips),
            "reference_plays": 1 if trial.reference else None,
            "ratings": None,
            "choice": None,
        }
        if key.test == "preference":
            apart = thought[0] - thought[1]
            even = abs(apart) < undecided and key.settings["ties"]
            entry["choice"] = "none" if even else "A" if apart > 0 else "B"
        elif key.test == "mushra":
            entry["ratings"] = [mark(value, 0, 100) for value in thought]
        else:
            entry["ratings"] = [mark(value) for value in thought]
        told.append(entry)
    return {
        "format": "selfremaster-listening-answers-1",
        "test_id": key.id,
        "test": key.test,
        "listener": listener,
        "playlist": playlist,
        "started": START.isoformat(),
        "finished": time.isoformat(),
        "sound_check": {"device": "headphones", "attempts": 1, "passed": True},
        "answers": told,
        "browser": {"agent": "simulated"},
    }


def write(folder: Path, key: Key, *told: dict[str, Any]) -> Path:
    """Put the key and files of answers into a folder; gives the key's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key.json").write_text(key.model_dump_json(), encoding="utf-8")
    for one in told:
        (folder / f"{one['listener']}.json").write_text(json.dumps(one), encoding="utf-8")
    return folder / "key.json"


def speech_systems(folder: Path, seconds: float = 0.5) -> tuple[Path, ...]:
    """Cuttings of real speech: as they are, clipped, and quiet; a folder each."""
    systems = {"clean": (1.0, 1.0), "clipped": (1.0, 0.05), "quiet": (0.1, 1.0)}
    for path, place in audio.find_audio(SPEECH):
        wave, rate = audio.read(path, start=8000, samples=round(seconds * 22050))
        for name, (gain, level) in systems.items():
            target = folder / name / place
            target.parent.mkdir(parents=True, exist_ok=True)
            audio.write(target, (wave * gain).clamp(-level, level), rate)
    return tuple(folder / name for name in systems)
