"""Prepare a listening test: sounds and pages for listeners, and the key for nobody else."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import yaml

from selfremaster.benchmarks.listening.designs import (
    INVITATIONS_NAME,
    KEY_NAME,
    SITE_FORMAT,
    SITE_NAME,
    About,
    Clip,
    Heard,
    Key,
    ListeningSettings,
    Material,
    Trial,
)
from selfremaster.benchmarks.listening.material import check_material
from selfremaster.benchmarks.listening.plans import Playlist, plan, rows_of
from selfremaster.benchmarks.listening.sounds import TONE_RATE, tones, write_sounds
from selfremaster.core import audio
from selfremaster.core.components import hint
from selfremaster.core.errors import ExperimentError
from selfremaster.core.files import write_atomically
from selfremaster.core.jobs import check_writable

TEMPLATES = Path(__file__).with_name("templates")
TEXTS = TEMPLATES / "texts.yaml"
INDEX, SOUNDS = "index.html", "sounds"
TONE_COUNTS = (2, 3, 4, 5)
TONE_ROUNDS = 3  # attempts at counting
ID_DIGITS = 12


class Prepared(NamedTuple):
    """A listening test that can be given to listeners."""

    page: Path
    key_file: Path
    invitations: Path
    key: Key
    seconds: list[float]  # of sound in each playlist


def prepare(
    material: Material,
    settings: ListeningSettings,
    output: Path,
    *,
    intro: str = "",
    contact: str = "",
    address: str = "",
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Write the sounds, the pages, the links for listeners and the key.

    Raises `ExperimentError` or `AudioError` for what cannot be asked or heard.
    """
    texts = read_texts(settings.language)
    rows = rows_of(material, settings)
    aligned = settings.test in {"mos", "mushra"}
    check_material(material, rows=len(rows), aligned=aligned)
    playlists = plan(material, settings)
    _clear(output, overwrite)
    wanted = {heard for playlist in playlists for heard in _heard_in(playlist)}
    folder = output / SITE_NAME / SOUNDS
    names: dict[Heard, str] = {}
    clips: dict[str, Clip] = {}
    written = write_sounds(folder, wanted, material, settings.loudness_lufs, settings.seed)
    for number, (heard, file, clip) in enumerate(written, 1):
        names[heard], clips[file] = file, clip
        progress(number, len(wanted))
    key = _key(material, settings, rows, names, clips, playlists)
    check = _write_sound_check(folder, key, settings)
    site = _site(key, settings, check, intro, contact)
    index = output / SITE_NAME / INDEX
    _write(index, _html(site, texts, settings))
    _write(output / KEY_NAME, key.model_dump_json(indent=1) + "\n")
    _write(output / INVITATIONS_NAME, _invitations(key, address or str(index.resolve().as_uri())))
    seconds = [sum(clips[name].seconds for name in _files(trials)) for trials in key.playlists]
    return Prepared(index, output / KEY_NAME, output / INVITATIONS_NAME, key, seconds)


def read_texts(language: str) -> dict[str, Any]:
    """What the pages say in a language; raises `ExperimentError` for one that there is not."""
    every: dict[str, dict[str, Any]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    if language not in every:
        raise ExperimentError(f"no pages in language {language!r}{hint(language, every)}")
    return every[language]


def _heard_in(playlist: Playlist) -> Iterable[Heard]:
    for trial in playlist:
        yield from trial.clips
        if trial.reference:
            yield trial.reference


def _files(trials: Sequence[Trial]) -> list[str]:
    return [
        name
        for trial in trials
        for name in (*trial.clips, *([trial.reference] if trial.reference else []))
    ]


def _clear(output: Path, overwrite: bool) -> None:
    """Make room for the test; takes away nothing but the sounds of a test that was there."""
    there = output / KEY_NAME
    check_writable(output)
    if output.exists() and not there.exists() and any(output.iterdir()):
        raise ExperimentError(f"{output}: holds other files; name a new or an empty folder")
    if not there.exists():
        return
    if not overwrite:
        raise ExperimentError(
            f"{output}: holds a listening test already, whose answers its key alone can read; name "
            f"another folder, or add --overwrite"
        )
    for name in Key.from_file(there).clips:
        (output / SITE_NAME / SOUNDS / Path(name).name).unlink(missing_ok=True)


def _key(
    material: Material,
    settings: ListeningSettings,
    rows: tuple[str, ...],
    names: dict[Heard, str],
    clips: dict[str, Clip],
    playlists: Sequence[Playlist],
) -> Key:
    trials = tuple(
        tuple(
            Trial(
                role=trial.role,
                clips=tuple(names[heard] for heard in trial.clips),
                reference=names[trial.reference] if trial.reference else None,
                repeats=trial.repeats,
            )
            for trial in playlist
        )
        for playlist in playlists
    )
    used = sorted({clip.sentence for clip in clips.values()})
    told = json.dumps(
        [
            settings.model_dump(mode="json"),
            [[trial.model_dump() for trial in playlist] for playlist in trials],
        ],
        sort_keys=True,
    )
    return Key(
        format="selfremaster-listening-key-1",
        id=hashlib.sha256(told.encode()).hexdigest()[:ID_DIGITS],
        test=settings.test,
        title=settings.title,
        settings=settings.model_dump(mode="json"),
        systems=rows,
        sentences={
            name: About(
                condition=material.sentences[name].condition,
                speaker=material.sentences[name].speaker,
            )
            for name in used
        },
        clips=dict(sorted(clips.items())),
        playlists=trials,
    )


def _write_sound_check(folder: Path, key: Key, settings: ListeningSettings) -> dict[str, Any]:
    """Beeps to count; and the speech to set the volume by, the longest that counts as good."""
    counts = Random(f"tones {settings.seed}").sample(TONE_COUNTS, TONE_ROUNDS)
    rounds = []
    for number, count in enumerate(counts, 1):
        wave = tones(count, settings.loudness_lufs)
        audio.write(folder / f"beeps-{number}.flac", wave, TONE_RATE, subtype="PCM_16")
        rounds.append({"file": f"beeps-{number}.flac", "count": count})
    best = ("shown", "copy", "reference", "system")
    speech = min(
        (name for name, clip in key.clips.items() if clip.kind in best),
        key=lambda name: (best.index(key.clips[name].kind), -key.clips[name].seconds, name),
    )
    return {"speech": speech, "tones": rounds, "choices": list(TONE_COUNTS)}


def _site(
    key: Key, settings: ListeningSettings, check: dict[str, Any], intro: str, contact: str
) -> dict[str, Any]:
    """What the pages may know: nothing that tells a system from another."""
    return {
        "format": SITE_FORMAT,
        "id": key.id,
        "test": key.test,
        "title": key.title,
        "aspect": settings.aspect,
        "ties": settings.ties,
        "intro": [" ".join(part.split()) for part in intro.split("\n\n") if part.strip()],
        "contact": contact,
        "sound_check": check,
        "seconds": {name: clip.seconds for name, clip in key.clips.items()},
        "playlists": [
            [
                {
                    "clips": trial.clips,
                    "reference": trial.reference,
                    "practice": trial.role == "practice",
                }
                for trial in playlist
            ]
            for playlist in key.playlists
        ],
    }


def _html(site: dict[str, Any], texts: dict[str, Any], settings: ListeningSettings) -> str:
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    return environment.get_template("page.html.j2").render(
        title=settings.title,
        language=settings.language,
        texts=texts,
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8").rstrip()),
        script=Markup((TEMPLATES / "page.js").read_text(encoding="utf-8").rstrip()),
        data=Markup(_script_json(site)),
        words=Markup(_script_json(texts)),
    )


def _script_json(value: Any) -> str:
    """JSON that can stand within a page's script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _invitations(key: Key, address: str) -> str:
    """A link for each playlist."""
    joint = "&" if "?" in address else "?"
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["playlist", "link"])
    for number in range(1, len(key.playlists) + 1):
        table.writerow([number, f"{address}{joint}playlist={number}"])
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
