"""From files, folders and URLs to results: what `jobs.plan` says, where stores are among them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from selfremaster.core import jobs
from selfremaster.core.errors import AudioError, RemoteError
from selfremaster.core.folders import is_wanted, tally
from selfremaster.core.formats import FORMATS
from selfremaster.core.jobs import Failure, Job
from selfremaster.core.listings import Found, Listing, look
from selfremaster.core.remote_jobs import AnyJob, RemoteJob
from selfremaster.core.remotes import Identity, Place, Remote, has_control_signs, parse, why_unsafe
from selfremaster.core.result_names import renamed, stems_of
from selfremaster.core.stores import store_of

LONGEST_KEY_BYTES = 1024
LONGEST_ADDED = ".restored/done/" + "." + "0" * 32 + ".json"  # to a place, by its record


class Plan(NamedTuple):
    """What is to be done, and where it goes."""

    jobs: list[AnyJob]
    refused: list[Failure]  # names that no folder or store can hold, and folders without a list
    folder: Place | None  # of the results, or None where one file goes to one file
    there: Mapping[str, Identity]  # what lies in a folder of a store, where that was looked at
    notes: list[str]
    left: Mapping[str, int]  # files that are no sound, by suffix


def plan(
    inputs: Sequence[Place],
    output: str,
    *,
    overwrite: bool = False,
    resume: bool = False,
    beside: Sequence[str] = (),
    suffix: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Plan:
    """Find the recordings of files, folders and URLs, and say where each result goes.

    Results have the places that `jobs.plan` would give them if all lay in folders. A store is asked
    once for a thousand objects, of the inputs and of the output, and once for each URL that is a
    file by itself. Raises `SelfRemasterError` as `jobs.plan` does, and where a store is silent.
    """
    where = _output(output)
    refused: list[Failure] = []
    listings = [_listing(path, resume, exclude, refused) for path in inputs]
    refused += [failure for listing in listings for failure in listing.refused]
    is_result = _results(inputs, where)
    everything = _merged(listings, is_result)
    found = jobs.chosen(everything, include, exclude) if everything else []
    refused = [one for one in refused if not is_result(one.source)]
    if not found and not refused:
        raise AudioError(f"{output}: holds all the sound files there are; name another output")
    alone = len(inputs) == 1 and listings[0].is_file
    targets = _targets(found, output, where, suffix, alone)
    stems = stems_of(targets)
    planned = [
        _job(one, place, target, stem)
        for (one, place), target, stem in zip(found, targets, stems, strict=True)
    ]
    planned, nameless = _with_keys(planned)
    refused += nameless
    folder = None if alone and _names(targets[0], output) else where or Path(output)
    _keep_originals(planned, beside)
    there = _look_there(planned, folder, beside, overwrite and not resume)
    if not (overwrite or resume):
        written = list(_written(planned, beside))
        jobs.refuse([path for path in written if _is_there(path, folder, there)])
    for parent in {job.target.parent for job in planned if isinstance(job.target, Path)}:
        jobs.check_writable(parent)
    empty = sum(listing.empty for listing in listings)
    notes = [f"{empty} sound files that hold no bytes are passed over"] if empty else []
    places = [
        place
        for path, listing in zip(inputs, listings, strict=True)
        for place in listing.others
        if not (isinstance(path, Remote) and is_result(path.within(place.as_posix())))
        and is_wanted(place, include, exclude)
    ]
    here = [path for path in inputs if isinstance(path, Path)]
    left = Counter(tally(places)) + Counter(jobs.left_alone(here, output, include, exclude))
    return Plan(planned, refused, folder, there, notes, dict(left.most_common()))


def _output(output: str) -> Remote | None:
    """The output, if it is in a store; raises `RemoteError` where nothing can be put there."""
    found = parse(output)
    if not isinstance(found, Remote):
        return None
    if found.is_web:
        raise RemoteError(
            f"{found}: files of web servers are inputs alone; name s3://, gs:// or a folder here"
        )
    why = why_unsafe(found.key.rstrip("/")) if found.key else None
    if why or found.key.endswith("//"):
        raise RemoteError(f"{found}: {why or 'ends in two slashes'}; name another output")
    return found


def _listing(
    given: Place, knowing: bool, exclude: Sequence[str], refused: list[Failure]
) -> Listing:
    if isinstance(given, Remote):
        return look(given, knowing)
    found = [
        (Found(source), place) for source, place in jobs.found_audio([given], exclude, refused)
    ]
    return Listing(found, [], 0, not given.is_dir())


def _merged(
    listings: Sequence[Listing], is_result: Callable[[Place], bool]
) -> list[tuple[Found, Path]]:
    """All that was found, but for what lies in an output inside an input, sorted by place."""
    found: dict[Path, Found] = {}
    for listing in listings:
        for one, place in listing.found:
            if is_result(one.source):
                continue
            other = found.setdefault(place, one)
            if other.source != one.source:
                raise AudioError(
                    f"{other.source} and {one.source} would both be {place} in the output; "
                    "give the folder above them, or one after the other"
                )
    return sorted(((one, place) for place, one in found.items()), key=lambda pair: pair[1].parts)


def _results(inputs: Sequence[Place], where: Remote | None) -> Callable[[Place], bool]:
    """What tells whether an object comes from the output, which lies inside one of the inputs."""
    named = {one for one in inputs if isinstance(one, Remote)}
    if where is None or any(one.within("") == where.within("") for one in named):
        return lambda source: False
    return lambda source: (
        isinstance(source, Remote) and source not in named and source.place_in(where) is not None
    )


def _targets(
    found: Sequence[tuple[Found, Path]],
    output: str,
    where: Remote | None,
    suffix: str | None,
    alone: bool,
) -> list[Place]:
    places = renamed([place for _, place in found], suffix)
    if where is None:
        if alone:
            return [jobs.single_target(Path(found[0][1]), output, suffix)]
        folder = jobs.folder_for_results(output)
        return [folder / place for place in places]
    if alone and where.key and not where.key.endswith("/"):
        jobs.check_single(where, suffix)
        return [where]
    if not where.key.endswith("/") and where.suffix.lower() in FORMATS:
        raise AudioError(f"{where}: several results need a folder; name one without {where.suffix}")
    return [where.within(place.as_posix()) for place in places]


def _job(found: Found, place: Path, target: Place, stem: Place) -> AnyJob:
    source = found.source
    if isinstance(source, Path) and isinstance(target, Path) and isinstance(stem, Path):
        return Job(source, place, target, stem)
    return RemoteJob(source, place, target, stem, found.listed)


def _with_keys(planned: Sequence[AnyJob]) -> tuple[list[AnyJob], list[Failure]]:
    """The jobs whose results a store can name, and the others."""
    fitting: list[AnyJob] = []
    refused = []
    for job in planned:
        why = _why_no_key(job.target)
        if why is None:
            fitting.append(job)
            continue
        error = RemoteError(f"{job.source}: the key of its result would {why}")
        refused.append(Failure(job.source, str(error), error))
    return fitting, refused


def _why_no_key(target: Place) -> str | None:
    """Why a store does not take a result of this name, and what to do; None where it does."""
    if not isinstance(target, Remote):
        return None
    if has_control_signs(target.key):
        return "hold control signs, or bytes that are no UTF-8; rename the recording"
    if len((target.key + LONGEST_ADDED).encode()) > LONGEST_KEY_BYTES:
        return (
            f"be longer than the {LONGEST_KEY_BYTES} bytes that stores take; choose a shorter "
            "--output"
        )
    return None


def _names(target: Place, output: str) -> bool:
    """Whether an output is the target itself, and no folder that it lies in."""
    return target == parse(output)


def _written(planned: Sequence[AnyJob], beside: Sequence[str]) -> Iterator[Place]:
    for job in planned:
        yield from (job.target, *map(job.beside, beside))


def _keep_originals(planned: Sequence[AnyJob], beside: Sequence[str]) -> None:
    """Raise `AudioError` if a result would take the place of an input."""
    sources = {job.source for job in planned}
    written = list(_written(planned, beside))
    for path in written:
        if isinstance(path, Remote) and path in sources:
            raise AudioError(
                f"{path}: would take the place of the recording; originals are never overwritten, "
                "name another output"
            )
    here = [source for source in sources if isinstance(source, Path)]
    jobs.keep_originals([path for path in written if isinstance(path, Path)], here)


def _look_there(
    planned: Sequence[AnyJob], folder: Place | None, beside: Sequence[str], blindly: bool
) -> dict[str, Identity]:
    """What a store has where results go: one listing of a folder, or a request each of a file."""
    if blindly:
        return {}
    if isinstance(folder, Remote):
        entries = store_of(folder).entries(folder)
        return {entry.key.removeprefix(folder.prefix): entry.identity for entry in entries}
    written = [path for path in _written(planned, beside) if isinstance(path, Remote)]
    there = {}
    for path in written:
        entry = store_of(path).entry(path)
        if entry:
            there[str(path)] = entry.identity
    return there


def _is_there(path: Place, folder: Place | None, there: Mapping[str, Identity]) -> bool:
    if isinstance(path, Path):
        return path.exists()
    return (path.place_in(folder) if isinstance(folder, Remote) else str(path)) in there
