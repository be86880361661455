"""Published corpora as their archives unpack: where the files lie, who speaks, which splits."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from selfremaster.core.components import hint
from selfremaster.core.errors import ExperimentError
from selfremaster.core.splits import Kind, check_settings, draw_splits

PUBLISHED_SPLITS = {"dev": "val"}  # as their archives name them, where that is not our name
ABOVE = r"(?:[^/]+/){0,2}"  # the folder that was unpacked into, and the corpus's own


class Layout(NamedTuple):
    """How one corpus lies: a pattern of the paths, of which groups name speaker and split."""

    example: str
    pattern: str
    speaker: str = ""  # of a corpus of one; others have a group of that name
    kind: Kind = "single"
    fractions: tuple[float, float, float] = (0.9, 0.05, 0.05)  # unless the archive has splits


class Row(NamedTuple):
    """One file of a corpus."""

    path: str  # relative to the folder, with slashes
    speaker: str
    split: str


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "jsut": Layout(
            "basic5000/wav/BASIC5000_0001.wav",
            r"(?:[a-z]+\d+/)?wav/[^/]+\.wav",
            speaker="jsut",
            fractions=(0.99, 0.005, 0.005),  # 4950, 25 and 25 of the paper's 5000
        ),
        # whispered and falsetto speech is left out
        "jvs": Layout(
            "jvs001/parallel100/wav24kHz16bit/VOICEACTRESS100_001.wav",
            r"(?P<speaker>jvs\d+)/(?:parallel100|nonpara30)/wav24kHz16bit/[^/]+\.wav",
            kind="multi-unseen",
        ),
        "vctk": Layout(
            "wav48_silence_trimmed/p225/p225_001_mic1.flac",
            r"wav48_silence_trimmed/(?P<speaker>[ps]\d+)/[^/]+_mic1\.flac",
            kind="multi-unseen",
        ),
        "vctk-mic2": Layout(
            "wav48_silence_trimmed/p225/p225_001_mic2.flac",
            r"wav48_silence_trimmed/(?P<speaker>[ps]\d+)/[^/]+_mic2\.flac",
            kind="multi-unseen",
        ),
        "ljspeech": Layout("wavs/LJ001-0001.wav", r"wavs/[^/]+\.wav", speaker="ljspeech"),
        "libritts": Layout(
            "train-clean-100/103/1241/103_1241_000000_000001.wav",
            r"(?P<split>train|dev|test)-(?:clean|other)(?:-\d+)?/(?P<speaker>\d+)/\d+/[^/]+\.wav",
        ),
    }
)
"""JSUT 1.1, JVS, VCTK 0.92 by either microphone, LJSpeech 1.1, and LibriTTS or LibriTTS-R."""


def read(
    layout: str,
    folder: str | os.PathLike[str],
    fractions: Sequence[float] | None = None,
    seed: int = 0,
) -> list[Row]:
    """The files of a corpus, sorted by path; no file is opened.

    The folder is the corpus's own, one above it, or a part of it, such as JSUT's ``basic5000``.
    Splits are those of the archive (LibriTTS), or drawn as `manifests.build` says: of each file by
    itself where one speaks alone, else of whole speakers.
    Raises `ExperimentError` for a name that there is not, and a folder that lies in another way.
    """
    if layout not in LAYOUTS:
        raise ExperimentError(f"no layout {layout!r}{hint(layout, LAYOUTS)}")
    form = LAYOUTS[layout]
    root = Path(folder)
    if not root.is_dir():
        raise ExperimentError(f"{root}: no such folder; name the one that {layout} unpacks to")
    pattern = re.compile(ABOVE + form.pattern)
    own = root.resolve().name
    found = {}
    for place in _files(root, PurePosixPath(form.example).suffix):
        matched = pattern.fullmatch(f"{own}/{place}")
        if matched:
            found[place] = matched.groupdict()
    if not found:
        raise ExperimentError(
            f"{root}: is not {layout} as it unpacks; expected files such as {form.example} in it"
        )
    speakers = {place: groups.get("speaker", form.speaker) for place, groups in found.items()}
    splits = {place: groups.get("split", "") for place, groups in found.items()}
    if not all(splits.values()):
        chosen = fractions or form.fractions
        check_settings(form.kind, chosen)
        splits = draw_splits(speakers, form.kind, chosen, seed)
    return [
        Row(place, speakers[place], PUBLISHED_SPLITS.get(splits[place], splits[place]))
        for place in sorted(found)
    ]


def _files(root: Path, suffix: str) -> list[str]:
    """Every file of a suffix below the folder that is not hidden."""
    found = []
    for parent, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        places = (Path(parent, name) for name in files if not name.startswith("."))
        found += [
            place.relative_to(root).as_posix() for place in places if place.suffix.lower() == suffix
        ]
    return found
