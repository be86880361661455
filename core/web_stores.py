"""Single files of web servers, by the client of fsspec: fetched, never listed or put."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from selfremaster.core.errors import RemoteError
from selfremaster.core.packages import require
from selfremaster.core.remotes import Identity, Remote, is_loopback
from selfremaster.core.stores import (
    CHANGED,
    CONNECT_SECONDS,
    READ_SECONDS,
    Entry,
    ShortError,
    Store,
    Stream,
    Trouble,
)

CHUNK_BYTES = 1 << 20
MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
ONLY_INPUTS = "files of web servers are inputs alone; name s3://, gs:// or a folder for results"


class _RefusedError(Exception):
    """A server's answer that is no file."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class WebStore(Store):
    """Servers of https://, and of http:// on this machine; they redirect a few times at most."""

    def __init__(self) -> None:
        require("aiohttp", "cloud")
        fsspec = require("fsspec", "cloud")
        from aiohttp import ClientTimeout

        patience = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        self._system = fsspec.filesystem(
            "https",
            skip_instance_cache=True,
            client_kwargs={"timeout": patience, "trust_env": True, "auto_decompress": False},
        )

    def entries(self, folder: Remote) -> Iterator[Entry]:
        """Raises `RemoteError`: nobody can list a server."""
        raise RemoteError(f"{folder}: folders can be listed in s3:// and gs:// alone")

    def entry(self, remote: Remote) -> Entry | None:
        """What the server tells before it gives the file, if it has a word for its content."""

        def ask() -> Identity | None:
            with self.opened(remote, 0, None) as stream:
                if stream.tag is None or stream.size is None:
                    return None
                return Identity(stream.tag, stream.size)

        identity = self.patiently(remote, ask)
        return identity and Entry(remote.key, identity)

    @contextmanager
    def opened(self, remote: Remote, start: int, known: Identity | None) -> Iterator[Stream]:
        """Read a file from a byte on; what is no longer the one that is known is refused."""
        from fsspec.asyn import sync

        answer = sync(self._system.loop, self._asked, remote, start)
        try:
            tag, size = answer.headers.get("ETag"), answer.content_length
            if answer.status == 206 and size is not None:
                size += start
            if known and Identity(tag or "", -1 if size is None else size) != known:
                raise RemoteError(f"{remote}: {CHANGED}")
            if start and answer.status != 206:
                sync(self._system.loop, self._skip, answer, start)
            strong = tag if tag and not tag.startswith("W/") else None
            yield Stream(self._chunks(answer), strong, size)
        finally:
            with suppress(Exception):
                answer.close()

    def put(self, path: Path, remote: Remote) -> Identity:
        """Raises `RemoteError`."""
        raise RemoteError(f"{remote}: {ONLY_INPUTS}")

    def trouble(self, error: Exception, remote: Remote) -> Trouble | None:
        """What aiohttp raises, in words without its own, which may hold what stands behind ?."""
        from aiohttp import ClientConnectorError, ClientError, InvalidURL

        if isinstance(error, _RefusedError):
            return _status(error.status)
        if isinstance(error, InvalidURL):
            return Trouble("is no URL; check it")
        if isinstance(error, ClientConnectorError):
            return Trouble(
                "the server cannot be reached; check the URL and the network", passing=True
            )
        if isinstance(error, (ClientError, TimeoutError, ConnectionError, ShortError)):
            return Trouble(
                "the connection to the server broke off, again and again; try again later",
                passing=True,
            )
        return None

    async def _asked(self, remote: Remote, start: int) -> Any:
        """The answer that is a file, or the first part of one."""
        session = await self._system.set_session()
        url = f"{remote}?{remote.query}" if remote.query else str(remote)
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        for _ in range(MOST_REDIRECTS + 1):
            answer = await session.get(
                self._system.encode_url(url), headers=headers, allow_redirects=False
            )
            if answer.status in (200, 206):
                return answer
            answer.close()
            if answer.status not in REDIRECTS or "Location" not in answer.headers:
                raise _RefusedError(answer.status)
            url = urljoin(url, answer.headers["Location"])
            _check_redirect(remote, url)
        raise RemoteError(f"{remote}: redirects more than {MOST_REDIRECTS} times; check the URL")

    async def _skip(self, answer: Any, count: int) -> None:
        """Read over what is there already, from a server that cannot begin in the middle."""
        while count > 0:
            chunk = await answer.content.read(min(count, CHUNK_BYTES))
            if not chunk:
                raise ShortError(f"{count} bytes")
            count -= len(chunk)

    def _chunks(self, answer: Any) -> Iterator[bytes]:
        from fsspec.asyn import sync

        while chunk := sync(self._system.loop, answer.content.read, CHUNK_BYTES):
            yield chunk


def _check_redirect(remote: Remote, url: str) -> None:
    """Raise `RemoteError` where a server sends us to what nobody may name as an input."""
    parts = urlsplit(url)
    here = remote.scheme == parts.scheme == "http" and is_loopback(parts.hostname or "")
    if parts.scheme != "https" and not here:
        raise RemoteError(f"{remote}: the server redirects to what is not https://; check the URL")


def _status(status: int) -> Trouble:
    if status in (404, 410):
        return Trouble(f"no such file ({status}); check the URL")
    if status in (401, 403, 407):
        return Trouble(
            f"the server does not allow it ({status}); give a URL that carries its right to be "
            "read, or download it"
        )
    if status in (408, 425, 429) or status >= 500:
        return Trouble(
            f"the server is overloaded or out of order ({status}); try again later", passing=True
        )
    return Trouble(f"the server refuses it ({status}); check the URL")
