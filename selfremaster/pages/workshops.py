"""What the page does: recordings of visitors are restored, or given the sound of others."""

import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from selfremaster.core import audio, jobs, restoring, transferring
from selfremaster.core.devices import choose_device
from selfremaster.core.errors import AudioError, ComponentError, SelfRemasterError
from selfremaster.core.files import write_atomically
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.models import Model
from selfremaster.core.pictures import write_beginnings
from selfremaster.core.profiles import ChannelProfile
from selfremaster.core.remotes import here
from selfremaster.core.restoring import PICTURE_SUFFIX, Form
from selfremaster.core.streaming import Beginning, Filed, Resampled, Sound, mixed
from selfremaster.registry.assembling import FAITHFUL_VOCODER, load

MEBIBYTE = 2**20
LONGEST_NAME = 80
LONGEST_HEARD_SECONDS = 600.0
PLAYED = ".heard.wav"
INPUTS, RESULTS, HEARD = "inputs", "restored", "heard"
AS_MODEL, FAITHFUL, ANEW = "as the model does", "keep what can be trusted", "all anew"
SPEAKS = (AS_MODEL, FAITHFUL, ANEW)
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")


Result = restoring.Restored | transferring.Transferred | Failure
Results = Iterator[restoring.Restored | Failure] | Iterator[transferring.Transferred | Failure]


class Limits(NamedTuple):
    """How much a visitor may bring at a time."""

    files: int = 20
    mebibytes: int = 200  # of each file
    minutes: float = 30.0  # of each file

    def words(self) -> str:
        """As the page says it."""
        return (
            f"{self.files} files at a time, each of {self.mebibytes} MiB and "
            f"{self.minutes:g} minutes at most"
        )


@dataclass(frozen=True)
class Made:
    """What came of one recording: a result to hear and to take away, or why there is none."""

    name: str  # of what was brought
    result: Path | None = None
    before: Path | None = None  # both in a form that browsers play
    after: Path | None = None
    picture: Path | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    failure: str = ""


@dataclass
class Workshop:
    """Models, profiles and a folder that all work is done in; one piece of work at a time.

    ``models`` and ``profiles`` are by the names that visitors choose from: no path comes from them.
    """

    folder: Path
    models: Mapping[str, str | Path]
    profiles: Mapping[str, Path] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    device: str = "auto"
    _loaded: tuple[tuple[str, str], Model] | None = None
    _lock: Lock = field(default_factory=Lock)

    def model(self, name: str, speaks: str = AS_MODEL) -> Model:
        """One of the models; the last one is kept.

        Raises `ComponentError` for one that is not offered, `BundleError` as `load` does.
        """
        if name not in self.models or speaks not in SPEAKS:
            raise ComponentError(f"no such model here; choose one of {', '.join(self.models)}")
        if self._loaded is None or self._loaded[0] != (name, speaks):
            self._loaded = None
            output = FAITHFUL_VOCODER if speaks == FAITHFUL else None
            model = load(self.models[name], output=output).to(choose_device(self.device))
            if speaks == ANEW:
                model.output = None
            self._loaded = (name, speaks), model
        return self._loaded[1]

    def restore(
        self, uploads: Sequence[Path], model: str, speaks: str, form: Form, place: Path
    ) -> Iterator[Made]:
        """Restore one recording after another, as `restore_files` does, below ``place``."""

        def results(planned: Sequence[Job]) -> Results:
            return restoring.restore_files(self.model(model, speaks), planned, form=form)

        return self._one_by_one(self._made_of(uploads, place, results))

    def transfer(
        self,
        uploads: Sequence[Path],
        model: str,
        profile: ChannelProfile,
        strength: float,
        place: Path,
    ) -> Iterator[Made]:
        """Put the sound of a profile onto one recording after another, below ``place``."""

        def results(planned: Sequence[Job]) -> Results:
            loaded = self.model(model)
            transferring.check_profile(loaded, profile)
            effect = transferring.channel_of(loaded, profile)
            return transferring.transfer_files(planned, effect, strength)

        return self._one_by_one(self._made_of(uploads, place, results))

    def _made_of(
        self, uploads: Sequence[Path], place: Path, results: Callable[[Sequence[Job]], Results]
    ) -> Iterator[Made]:
        """What becomes of recordings: first of those that are not taken."""
        taken = self._taken(uploads, place)
        yield from (one for one in taken if isinstance(one, Made))
        found = [path for path in taken if isinstance(path, Path)]
        if not found:
            return
        planned = jobs.plan(found, _as_folder(place / RESULTS), overwrite=True)
        for job, result in zip(planned, results(planned), strict=True):
            yield _made(job, result, place / HEARD)

    def profile_of(self, uploads: Sequence[Path], model: str, place: Path) -> ChannelProfile:
        """The sound of recordings; raises the error of the first that cannot be heard."""
        with self._lock:
            found = self._taken(uploads, place)
            for one in found:
                if isinstance(one, Made):
                    raise AudioError(f"{one.name}: {one.failure}")
            loaded = self.model(model)
            paths = [path for path in found if isinstance(path, Path)]
            heard = [_heard(result) for result in transferring.hear_files(loaded, paths)]
            name = paths[0].stem if paths else ""
            return transferring.make_profile(heard, transferring.identify(loaded), name)

    def offered_profile(self, name: str) -> ChannelProfile:
        """One of the profiles; raises `ComponentError` for another name."""
        if name not in self.profiles:
            raise ComponentError("choose a sound, or bring one")
        return ChannelProfile.load(self.profiles[name])

    def new_place(self) -> Path:
        """A folder for one piece of work."""
        return Path(tempfile.mkdtemp(prefix="work-", dir=self.folder))

    def _one_by_one(self, results: Iterator[Made]) -> Iterator[Made]:
        """Each result while nothing else is worked on; who does not come for the next, holds none.

        A visitor who leaves meanwhile may never come.
        """
        while True:
            with self._lock:
                made = next(results, None)
            if made is None:
                return
            yield made

    def _taken(self, uploads: Sequence[Path], place: Path) -> list[Path | Made]:
        """The recordings under names that lead nowhere, or why they are not taken."""
        if not uploads:
            raise AudioError("no recording; choose a file, or record one")
        if len(uploads) > self.limits.files:
            raise AudioError(f"{len(uploads)} files; bring {self.limits.words()}")
        names: set[str] = set()
        (place / INPUTS).mkdir(parents=True, exist_ok=True)
        return [self._take(path, place / INPUTS, names) for path in uploads]

    def _take(self, path: Path, folder: Path, names: set[str]) -> Path | Made:
        name = safe_name(path.name, names)
        kept = folder / name
        try:
            if path.stat().st_size > self.limits.mebibytes * MEBIBYTE:
                raise AudioError(f"is too large for this page; bring {self.limits.words()}")
            if audio.inspect(path, strict=False).seconds > 60 * self.limits.minutes:
                raise AudioError(f"is too long for this page; bring {self.limits.words()}")
            shutil.copyfile(path, kept)
        except (SelfRemasterError, OSError) as error:
            told = error.strerror if isinstance(error, OSError) else str(error)
            return Made(name, failure=_plain(told or "cannot be read", path))
        return kept


def safe_name(given: str, names: set[str]) -> str:
    """The name of an upload, without what means anything to systems or pages; no name twice.

    >>> safe_name("../<b>tape 1</b>.wav", set())
    'b-tape 1-b.wav'
    """
    suffix = Path(given).suffix
    suffix = suffix if SUFFIX.fullmatch(suffix) else ""
    bare = given.removesuffix(suffix) if suffix else given
    stem = re.sub(r"[^\w .-]+", "-", bare).strip(".- ")[:LONGEST_NAME].strip() or "recording"
    name, number = f"{stem}{suffix}", 1
    while name.casefold() in names:
        number += 1
        name = f"{stem}-{number}{suffix}"
    names.add(name.casefold())
    return name


def pack(made: Sequence[Made], place: Path) -> Path | None:
    """All results in one ZIP file, or none where there are none."""
    results = [one.result for one in made if one.result is not None]
    if not results:
        return None
    target = place / "restored.zip"
    with write_atomically(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for result in results:
            archive.write(result, result.name)
    return target


def _heard(result: transferring.Heard | Failure) -> transferring.Heard:
    if isinstance(result, Failure):
        raise AudioError(_plain(result.reason, here(result.source)))
    return result


def _made(job: Job, result: Result, heard: Path) -> Made:
    if isinstance(result, Failure):
        return Made(job.source.name, failure=_plain(result.reason, job.source))
    target = here(result.target)
    picture = heard / f"{target.name}{PICTURE_SUFFIX}"
    try:
        heard.mkdir(exist_ok=True)
        before = _playable(job.source, heard / f"before-{target.name}{PLAYED}")
        after = _playable(target, heard / f"after-{target.name}{PLAYED}")
        sounds = {"before": _sound(job.source), "after": _sound(target)}
        write_beginnings(picture, sounds)
    except (SelfRemasterError, OSError) as error:  # the others are made all the same
        told = error.strerror if isinstance(error, OSError) else str(error)
        return Made(job.source.name, failure=_plain(told or "cannot be played", job.source))
    return Made(
        job.source.name,
        target,
        before,
        after,
        picture,
        result.seconds,
        getattr(result, "notes", ()),
    )


def _sound(path: Path) -> Sound:
    return Filed(path, audio.inspect(path, strict=False), strict=False)


def _playable(source: Path, target: Path) -> Path:
    """The beginning of a sound as every browser plays it: 16 bits, two channels at most."""
    sound = _sound(source)
    sound = Beginning(sound, round(LONGEST_HEARD_SECONDS * sound.sample_rate))
    if sound.channels > 2:
        sound = mixed(sound)
    if not 8000 <= sound.sample_rate <= 48000:
        sound = Resampled(sound, 48000)
    blocks = (block.clamp(-1, 1) for block in sound.blocks())
    audio.write_blocks(
        target, blocks, sound.sample_rate, sound.channels, sound.samples, subtype="PCM_16"
    )
    return target


def _as_folder(path: Path) -> str:
    return f"{path}/"


def _plain(reason: str, path: Path) -> str:
    """A reason without the place of the file on this machine."""
    return reason.replace(f"{path}: ", "").replace(str(path), path.name)
