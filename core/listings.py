"""The sound files among the objects of a store, with the places that a folder would give them."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from selfremaster.core.errors import RemoteError, SelfRemasterError
from selfremaster.core.folders import is_sound
from selfremaster.core.formats import READABLE
from selfremaster.core.jobs import Failure
from selfremaster.core.remotes import Identity, Place, Remote, why_unsafe
from selfremaster.core.stores import Entry, store_of


class Found(NamedTuple):
    """A recording, and what its store said of it when it was listed."""

    source: Place
    listed: Identity | None = None


class Listing(NamedTuple):
    """What an input holds: recordings with their places, those that cannot be taken, and why."""

    found: list[tuple[Found, Path]]
    refused: list[Failure]
    empty: int  # objects of no bytes, which are passed over
    is_file: bool  # the input is a recording itself
    others: tuple[PurePosixPath, ...] = ()  # places of what is no sound


def look(given: Remote, knowing: bool) -> Listing:
    """The recordings that a URL stands for: an object, or those below it.

    ``knowing`` asks web servers, too, what they call the content of their files. Raises
    `RemoteError` where there is nothing.
    """
    if given.is_web:
        return _alone(given, _content(given) if knowing else None)
    store = store_of(given)
    meant_as_file = given.suffix.lower() in READABLE and not given.key.endswith("/")
    if meant_as_file and (entry := store.entry(given)):
        return _alone(given, entry.identity)
    listing = _below(given, store.entries(given))
    if listing.found or listing.refused:
        return listing
    if given.name and not given.key.endswith("/") and not meant_as_file:
        entry = store.entry(given)
        if entry:
            return _alone(given, entry.identity)
    empty = f" but {listing.empty} that hold no bytes" if listing.empty else ""
    raise RemoteError(
        f"{given}: no such object, and no sound files below it{empty}; searched for "
        f"{', '.join(READABLE)}"
    )


def _alone(given: Remote, identity: Identity | None) -> Listing:
    why = why_unsafe(given.name)
    if why:
        raise RemoteError(f"{given}: its name {why}; give the object another")
    return Listing([(Found(given, identity), Path(given.name))], [], 0, True)


def _content(given: Remote) -> Identity | None:
    try:
        entry = store_of(given).entry(given)
    except SelfRemasterError:
        return None  # what is wrong is told when it is fetched
    return entry and entry.identity


def _below(folder: Remote, entries: Iterable[Entry]) -> Listing:
    """Sound files by their suffix; hidden ones and what stands for folders are left out."""
    found: dict[str, Found] = {}
    refused: list[Failure] = []
    others: list[PurePosixPath] = []
    empty = 0
    for key, identity in entries:
        place = key.removeprefix(folder.prefix)
        is_hidden = any(part.startswith(".") for part in place.split("/"))
        if key.endswith("/") or not is_sound(place):
            others += [PurePosixPath(place)] * (not key.endswith("/") and not is_hidden)
            continue
        source = folder.within(place)
        why = why_unsafe(place)
        if why is None and is_hidden:
            continue
        if not identity.size:
            empty += 1
        elif why:
            refused.append(_refusal(source, why))
        else:
            found[place] = Found(source, identity)
    for place in list(found):
        above = next((str(one) for one in PurePosixPath(place).parents if str(one) in found), None)
        if above is not None:
            source = folder.within(place)
            del found[place]
            refused.append(_refusal(source, f"lies below {above}, which is an object itself"))
    pairs = [(one, Path(place)) for place, one in found.items()]
    return Listing(pairs, refused, empty, False, tuple(others))


def _refusal(source: Remote, why: str) -> Failure:
    error = RemoteError(f"{source}: its name {why}; give the object another")
    return Failure(source, str(error), error)
