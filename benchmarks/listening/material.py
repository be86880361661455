"""What a listening test can play: a benchmark's sounds, or a folder of files for each system."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from selfremaster.benchmarks.listening.designs import REFERENCE, Material, Sentence
from selfremaster.benchmarks.records import Result, read_outcome
from selfremaster.core import audio
from selfremaster.core.components import hint
from selfremaster.core.errors import AudioError, ExperimentError

SHOWN = 3  # of many names
LONGEST_APART = 0.1  # seconds, between versions of one sentence


def of_folders(folders: Mapping[str, Path], reference: Path | None = None) -> Material:
    """The sentences of folders that hold the same files, one folder a system.

    Suffixes may differ. A folder within stands for a speaker. Raises `ExperimentError` where a
    system lacks a file that another has.
    """
    found = {name: _files(folder) for name, folder in folders.items()}
    everything = dict.fromkeys(place for files in found.values() for place in files)
    for name, files in found.items():
        _refuse_missing(f"system {name} ({folders[name]})", everything, files)
    originals: dict[str, Path] = {}
    if reference is not None:
        originals = _files(reference)
        _refuse_missing(f"the reference ({reference})", everything, originals)
    sentences = {
        place: Sentence(
            {name: files[place] for name, files in found.items()},
            originals.get(place),
            speaker=place.rpartition("/")[0],
        )
        for place in sorted(everything)
    }
    return Material(tuple(folders), sentences)


def _files(folder: Path) -> dict[str, Path]:
    """Sound files by where they lie in their folder, without suffix."""
    files: dict[str, Path] = {}
    for path, place in audio.find_audio(folder):
        name = place.with_suffix("").as_posix()
        if name in files:
            raise ExperimentError(f"{files[name]} and {path} are both {name}; keep one of them")
        files[name] = path
    return files


def _refuse_missing(who: str, wanted: Iterable[str], there: Mapping[str, Path]) -> None:
    missing = [place for place in wanted if place not in there]
    if missing:
        raise ExperimentError(
            f"{who} lacks {_some(missing)}; every system needs the same files, by name"
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def of_benchmark(
    folder: Path, systems: Sequence[str] = (), conditions: Sequence[str] = ()
) -> Material:
    """The sounds that a benchmark kept, of these restorers and conditions, or of all.

    Sentences that some restorer lacks are left out, and named. Raises `ExperimentError`.
    """
    results = read_outcome(folder).results
    known = tuple(dict.fromkeys(result.restorer for result in results))
    places = tuple(dict.fromkeys(result.condition for result in results))
    for given, allowed, what in ((systems, known, "restorer"), (conditions, places, "condition")):
        for name in given:
            if name not in allowed:
                raise ExperimentError(f"{folder}: no {what} {name!r}{hint(name, allowed)}")
    chosen = tuple(systems) or known
    by_sentence: dict[str, dict[str, Result]] = {}
    for result in results:
        wanted = result.restorer in chosen and result.condition in (conditions or places)
        if wanted and (result.sounds or result.status == "failed"):
            by_sentence.setdefault(_sentence_name(result), {})[result.restorer] = result
    all_versions = list(by_sentence.values())
    sentences: dict[str, Sentence] = {}
    left_out = []
    for name, versions in sorted(by_sentence.items()):
        if any("restored" not in versions[s].sounds if s in versions else True for s in chosen):
            left_out.append(name)
            continue
        first = versions[chosen[0]]
        original = first.sounds.get("reference")
        sentences[name] = Sentence(
            {system: folder / versions[system].sounds["restored"] for system in chosen},
            folder / original if original else None,
            first.condition,
            first.speaker,
        )
    if not sentences:
        silent = [
            system
            for system in chosen
            if not any(system in one and "restored" in one[system].sounds for one in all_versions)
        ]
        why = f"nothing was restored by {', '.join(silent)}" if silent else "no file has them all"
        raise ExperimentError(
            f"{folder}: keeps no sounds of {', '.join(chosen)} for the same file: {why}; choose "
            f"others with --system, or see the failures in the benchmark's report"
        )
    return Material(chosen, sentences, tuple(left_out))


def _sentence_name(result: Result) -> str:
    return f"{result.condition}/{result.corpus}/{result.seed}/{result.file}"


def check_material(material: Material, *, rows: int, aligned: bool) -> None:
    """Raise unless there is something to compare, and versions of a sentence are of one stretch.

    ``rows`` is how many the tables will have; ``aligned`` whether references are of that stretch.
    """
    if REFERENCE in material.systems:
        raise ExperimentError(
            f"a system cannot be called {REFERENCE}; name the originals by --reference, or call "
            f"the system something else"
        )
    if rows < 2:
        raise ExperimentError(
            f"one system alone ({', '.join(material.systems)}); a listening test compares two or "
            f"more, give another --system"
        )
    for name, sentence in material.sentences.items():
        paths = dict(sentence.systems)
        if aligned and sentence.reference:
            paths[REFERENCE] = sentence.reference
        lengths = {system: audio.inspect(path).seconds for system, path in paths.items()}
        shortest, longest = (pick(lengths, key=lengths.__getitem__) for pick in (min, max))
        if lengths[longest] - lengths[shortest] > LONGEST_APART:
            raise AudioError(
                f"{name}: {lengths[shortest]:.2f} seconds from {shortest}, but "
                f"{lengths[longest]:.2f} from {longest}; all versions of a sentence must be of "
                f"one length, cut them to the same stretch"
            )
