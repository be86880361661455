"""Google Cloud Storage, by gcsfs."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfremaster.core.packages import require
from selfremaster.core.remotes import Identity, Remote
from selfremaster.core.stores import (
    CHANGED,
    READ_SECONDS,
    Entry,
    ShortError,
    Store,
    Stream,
    Trouble,
)

CHUNK_BYTES = 32 << 20  # each by a request of its own


class _ChangedError(Exception):
    """Another object has come under the same name."""


class GoogleStore(Store):
    """Buckets of Google; gcsfs finds out who by the usual files and variables, and tries again."""

    tries_again = False

    def __init__(self) -> None:
        gcsfs = require("gcsfs", "cloud")
        self._system = gcsfs.GCSFileSystem(
            requests_timeout=READ_SECONDS, use_listings_cache=False, skip_instance_cache=True
        )

    def entries(self, folder: Remote) -> Iterator[Entry]:
        """A request for every thousand objects."""
        where = f"{folder.bucket}/{folder.prefix}"
        found = self.patiently(folder, lambda: self._system.find(where, detail=True))
        for told in found.values():
            key = told["name"].removeprefix(f"{folder.bucket}/")
            if key.startswith(folder.prefix):
                yield Entry(key, _identity(told))

    def entry(self, remote: Remote) -> Entry | None:
        """What is told of one object, or None; one request."""
        told = self.patiently(remote, lambda: self._told(remote))
        return None if told is None else Entry(remote.key, _identity(told))

    @contextmanager
    def opened(self, remote: Remote, start: int, known: Identity | None) -> Iterator[Stream]:
        """Read an object from a byte on; that it is the one known is seen at its end."""
        told = self._told(remote) if known is None else None
        if known is None and told is None:
            raise FileNotFoundError(str(remote))
        identity = known or _identity(told or {})
        yield Stream(self._chunks(remote, start, identity), identity.tag, identity.size)

    def put(self, path: Path, remote: Remote) -> Identity:
        """An upload, and a request for what it is called there."""
        self.patiently(remote, lambda: self._system.put_file(str(path), _name(remote)))
        told = self.patiently(remote, lambda: self._told(remote)) or {}
        return _identity(told)

    def trouble(self, error: Exception, remote: Remote) -> Trouble | None:
        """What gcsfs, google.auth and aiohttp raise, in words."""
        from aiohttp import ClientError as WebError
        from google.auth.exceptions import GoogleAuthError

        code = getattr(error, "code", None)
        if isinstance(error, _ChangedError):
            return Trouble(CHANGED)
        if isinstance(error, FileNotFoundError):
            return Trouble("no such bucket or object; check the URL")
        refused = isinstance(error, OSError) and str(error).startswith("Forbidden")
        if refused or isinstance(error, GoogleAuthError) or str(code) in ("401", "403"):
            return Trouble(
                "the store does not allow it, or has no credentials; check the rights of your "
                "account, and GOOGLE_APPLICATION_CREDENTIALS"
            )
        if isinstance(error, (WebError, ShortError, TimeoutError, ConnectionError)):
            return Trouble("the store cannot be reached, or broke off; go on later with --resume")
        if isinstance(error, OSError) and error.filename:
            return None  # of a file of this machine
        what = code or type(error).__name__
        return Trouble(f"the store refuses it, or is out of order ({what}); check the URL")

    def _told(self, remote: Remote) -> dict[str, Any] | None:
        try:
            told: dict[str, Any] = self._system.info(_name(remote))
        except FileNotFoundError:
            return None
        return told if told.get("type") == "file" else None

    def _chunks(self, remote: Remote, start: int, identity: Identity) -> Iterator[bytes]:
        name, whole = _name(remote), hashlib.md5(usedforsecurity=False)
        for place in range(start, identity.size, CHUNK_BYTES):
            end = min(place + CHUNK_BYTES, identity.size)
            data = self._system.cat_file(name, start=place, end=end)
            whole.update(data)
            yield data
        now = self._told(remote)
        if now is None or _identity(now) != identity:
            raise _ChangedError
        if not start and now.get("md5Hash") not in (None, _base64(whole.digest())):
            raise ShortError("its bytes are not those that the store has")


def _name(remote: Remote) -> str:
    return f"{remote.bucket}/{remote.key}"


def _identity(told: dict[str, Any]) -> Identity:
    return Identity(str(told.get("generation", told.get("etag", ""))), int(told.get("size", 0)))


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
