"""Bundles from the Hugging Face Hub, pinned to the revision and the hash that came first."""

import json
import logging
import os
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple, Self

from filelock import FileLock

from selfremaster.core.bundles import BUNDLE_NAME, read_bundle
from selfremaster.core.errors import BundleError, ComponentError, SelfRemasterError, one_line
from selfremaster.core.files import sha256_of, write_atomically
from selfremaster.core.packages import require
from selfremaster.core.plain import MOST_JSON_BYTES, load_json, read_text

PACKAGE = "huggingface_hub"
EXTRA = "hub"
PREFIX = "hf://"
"""Before an id that could be a path: what follows is an id."""

PINS_VARIABLE = "SELFREMASTER_HUB_PINS"
"""Names the file of pins, where it is not to be the user's own."""

PINS_NAME = "hub-pins.json"
FORM = "ORG/NAME[/FILE.safetensors][@REVISION][#sha256=64 HEXADECIMAL DIGITS]"

_WORD = r"\w[\w.-]*"
_REFERENCE = re.compile(
    rf"(?P<repository>{_WORD}/{_WORD}(?<!\.safetensors))"
    rf"(?:/(?P<file>(?:{_WORD}/)*{_WORD}\.safetensors))?"
    r"(?:@(?P<revision>(?!.*\.\.)\w[\w./+-]*))?"
    r"(?:#sha256=(?P<sha256>[0-9a-fA-F]{64}))?",
    re.ASCII,
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LONGEST_REASON = 200  # characters

_allowed: ContextVar[bool] = ContextVar("downloads", default=True)


class NotDownloadedError(BundleError):
    """A bundle of the Hub that is not here yet, while nothing may be downloaded."""


class HubReference(NamedTuple):
    """A bundle on the Hub: a file of a repository, and which of its versions."""

    repository: str
    file: str = BUNDLE_NAME
    revision: str = ""
    sha256: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read an id, with or without ``hf://``; none for what has another form.

        >>> HubReference.parse("some-org/tapes@v2")[:3]
        ('some-org/tapes', 'model.safetensors', 'v2')
        >>> HubReference.parse("../tapes") is HubReference.parse("tapes") is None
        True
        """
        found = _REFERENCE.fullmatch(text.removeprefix(PREFIX))
        if found is None:
            return None
        given = {name: value for name, value in found.groupdict().items() if value}
        return cls(**given)._replace(sha256=given.get("sha256", "").lower())

    def __str__(self) -> str:
        """Text that `parse` reads back."""
        return (
            self.repository
            + (f"/{self.file}" if self.file != BUNDLE_NAME else "")
            + (f"@{self.revision}" if self.revision else "")
            + (f"#sha256={self.sha256}" if self.sha256 else "")
        )


def is_reference(text: str) -> bool:
    """Whether a text, which is no path that exists, is meant for the Hub.

    A plain id is not, where its first word is a folder here: then it is a path that is wrong, and
    nothing is asked of the network.
    """
    if text.startswith(PREFIX) or "#sha256=" in text:
        return True
    return HubReference.parse(text) is not None and not _begins_here(text)


def advice(text: str) -> str:
    """The end of a message on a path that is not there, where it could be an id as well."""
    if HubReference.parse(text) is None or not _begins_here(text):
        return ""
    folder = text.partition("/")[0]
    return f"; as {folder} is a folder here, a bundle of the Hugging Face Hub is {PREFIX}{text}"


def _begins_here(text: str) -> bool:
    return Path(text.partition("/")[0]).is_dir()


@contextmanager
def downloads(*, allowed: bool) -> Iterator[None]:
    """Let bundles be downloaded until the end of the block, or only those be used that are here."""
    before = _allowed.set(allowed)
    try:
        yield
    finally:
        _allowed.reset(before)


def fetch(text: str) -> Path:
    """The file of a bundle on the Hub, downloaded where it is not in huggingface_hub's cache.

    The first download of an id pins it: the commit and the SHA-256 of the file are written into
    `pins_path`, and from then on the id stands for that very file, whatever is published later.
    Another revision has a pin of its own. An id with a hash, ``org/name@REVISION#sha256=HEX``, is
    held to that hash, and needs no pin. Only what reads as a bundle is pinned.

    Raises `BundleError` for what is no id, cannot be had, or differs from its pin or hash, and
    `NotDownloadedError` within `downloads` that are not allowed.
    """
    asked = HubReference.parse(text)
    if asked is None:
        raise BundleError(
            f"{text!r} is not an id of a bundle on the Hugging Face Hub; write {FORM}"
        )
    pin = None if asked.sha256 else _pin_of(asked)
    wanted = pin or asked
    path = _download(text, wanted, pinned=pin is not None)
    came = wanted._replace(revision=_commit_of(path) or wanted.revision, sha256=_hash_of(path))
    if wanted.sha256:
        _check(text, wanted, came, path, pinned=pin is not None)
        return path
    read_bundle(path)
    _check(text, _keep_pin(asked, came), came, path, pinned=True)
    return path


def content_of(text: str) -> str | None:
    """The SHA-256 of a bundle on the Hub, from its pin if it has one; none where it cannot be had.

    It is downloaded only where nothing is known of it.
    """
    asked = HubReference.parse(text)
    try:
        known = asked and (asked.sha256 or (_pin_of(asked) or asked).sha256)
        return known or sha256_of(fetch(text))
    except BundleError:
        return None


def pins_path() -> Path:
    """The file of pins: what ``SELFREMASTER_HUB_PINS`` names, or one in the user's settings.

    It is JSON: each id with the full one that it stands for, which may be written in its place.
    """
    if given := os.environ.get(PINS_VARIABLE):
        return Path(given)
    import typer  # knows where settings are kept on each system

    return Path(typer.get_app_dir("selfremaster")) / PINS_NAME


def _read_pins() -> dict[str, str]:
    path = pins_path()
    try:
        pins = load_json(read_text(path, MOST_JSON_BYTES))
        if isinstance(pins, dict) and all(isinstance(pin, str) for pin in pins.values()):
            return pins
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        pass
    raise BundleError(f"{path}: the pins of bundles from the Hub cannot be read; mend or remove it")


def _pin_of(asked: HubReference) -> HubReference | None:
    text = _read_pins().get(str(asked))
    if text is None:
        return None
    pin = HubReference.parse(text)
    if pin is None or not pin.sha256 or pin[:2] != asked[:2]:
        raise BundleError(f"{pins_path()}: {text!r} is no pin of {asked}; remove its line")
    return pin


def _keep_pin(asked: HubReference, came: HubReference) -> HubReference:
    """Pin what came, and give the pin: that of another process, if it was first."""
    path = pins_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if (other := _pin_of(asked)) is not None:
                return other
            pins = {**_read_pins(), str(asked): str(came)}
            with write_atomically(path) as temporary:
                temporary.write_text(json.dumps(pins, indent=1, sort_keys=True) + "\n", "utf-8")
    except BundleError:
        raise
    except (OSError, SelfRemasterError) as error:
        raise BundleError(
            f"{asked}: cannot be pinned in {path} ({one_line(error)}); name a file in "
            f"{PINS_VARIABLE} that can be written, or give {came}"
        ) from None
    return came


def _check(
    text: str, wanted: HubReference, came: HubReference, path: Path, *, pinned: bool
) -> None:
    if came.sha256 == wanted.sha256:
        return
    another = HubReference(wanted.repository, wanted.file, "REVISION")
    if pinned:
        raise BundleError(
            f"{text}: is pinned to {wanted}, and what came has the sha256 {came.sha256} ({path}); "
            f"find out why it changed, then name a revision ({another}), or remove its line from "
            f"{pins_path()}"
        )
    raise BundleError(
        f"{text}: what came has the sha256 {came.sha256} ({path}); name the revision that you mean "
        f"({another}#sha256=...), or correct the hash"
    )


def _download(text: str, wanted: HubReference, *, pinned: bool) -> Path:
    try:
        package = require(PACKAGE, EXTRA)
    except ComponentError as error:
        raise BundleError(f"{_no_bundle(text)}the Hugging Face Hub {error}") from error.__cause__
    allowed = _allowed.get()
    try:
        download = package.hf_hub_download  # imports, and with that sets how loud it logs
        with _hushed():
            found = download(
                repo_id=wanted.repository,
                filename=wanted.file,
                revision=wanted.revision or None,
                local_files_only=not allowed,
            )
    except Exception as error:  # of several HTTP packages, by the version of this one
        if not allowed and "LocalEntryNotFoundError" in _names(error):
            raise NotDownloadedError(f"{text}: is not downloaded yet") from None
        raise BundleError(_failure(text, wanted, error, pinned=pinned)) from None
    return Path(found)


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep the package from logging each try of its own: what comes of them is said once."""
    logger = logging.getLogger(PACKAGE)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _failure(text: str, wanted: HubReference, error: Exception, *, pinned: bool) -> str:
    """What is said of a download that failed, and what to do."""
    page = f"https://huggingface.co/{wanted.repository}"
    revision = wanted.revision or "main"
    why = textwrap.shorten(one_line(error.__cause__ or error), _LONGEST_REASON, placeholder=" ...")
    gone = (
        f"{text}: is pinned to {wanted}, and the Hub no longer has that revision; find out why, "
        f"then name another, or remove its line from {pins_path()}"
    )
    reasons = {
        "LocalEntryNotFoundError": f"{_no_bundle(text)}the Hugging Face Hub cannot be reached for "
        f"{wanted.file}, of which no copy is here ({why}); connect to the network, and unset "
        "HF_HUB_OFFLINE where it is set",
        "GatedRepoError": f"{text}: is gated; agree to its terms at {page} and log in by "
        "`hf auth login`",
        "DisabledRepoError": f"{text}: is disabled by the Hugging Face Hub; see {page}",
        "RepositoryNotFoundError": f"{_no_bundle(text)}the Hugging Face Hub has no repository "
        f"{wanted.repository}, or a private one; check the name, or log in by `hf auth login`",
        "RevisionNotFoundError": gone
        if pinned
        else f"{text}: {wanted.repository} has no revision {revision!r}; see {page}/commits/main",
        "EntryNotFoundError": f"{text}: {wanted.repository} has no {wanted.file} in revision "
        f"{revision!r}; name a bundle that {page}/tree/{revision} lists: "
        f"{wanted.repository}/FILE.safetensors",
        "HFValidationError": f"{text}: is not an id that the Hub takes ({why}); write {FORM}",
    }
    known = (reasons[name] for name in _names(error) if name in reasons)
    other = f"{text}: cannot be downloaded ({why}); try again, or see {page}"
    return next(known, other)


def _no_bundle(text: str) -> str:
    """The beginning of a message, where a plain id may have been meant for something else."""
    if text.startswith(PREFIX):
        return f"no bundle {text!r}: "
    return f"no bundle {text!r}: neither a file nor a built-in name, and "


def _names(error: Exception) -> list[str]:
    """The class of an error and what it derives from, by name: versions keep them elsewhere."""
    return [kind.__name__ for kind in type(error).__mro__]


def _commit_of(path: Path) -> str:
    """The commit that a file of huggingface_hub's cache is of; empty for a file elsewhere."""
    places = [part for part in path.parts if _COMMIT.fullmatch(part)]
    return places[-1] if places else ""


def _hash_of(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BundleError(f"{path}: cannot be read: {reason}; remove it, and try again") from None
