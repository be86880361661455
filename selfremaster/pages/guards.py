"""Who may ask the page for what: nothing is done for others, and nothing beyond what it offers."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selfremaster.pages.workshops import MEBIBYTE, Limits

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
READING = frozenset({"GET", "HEAD", "OPTIONS"})
REFUSED, WITHOUT_LENGTH, TOO_LARGE, NO_ROOM = 403, 411, 413, 507
MOST_ASKED_BYTES = MEBIBYTE  # of a request that brings no file
SPARED_BYTES = 512 * MEBIBYTE  # of the disk

Scope = dict[str, Any]
Receive = Callable[[], Any]


class Guard:
    """Answers nobody but those who came for this page, and nothing that it does not offer.

    Where it serves this computer alone, a name that leads here from elsewhere (DNS rebinding) is
    refused, and so is anything that another page asks of it. Browsers are told to load nothing from
    elsewhere. Files in requests are those below ``folder``: no address is fetched that somebody
    gives in place of one. What is brought at a time is limited, and the disk is not filled up.
    """

    def __init__(self, app: Callable[..., Any], local: bool, folder: Path, limits: Limits) -> None:
        self.app, self.local, self.folder = app, local, folder
        self.most_bytes = (limits.files * limits.mebibytes + 1) * MEBIBYTE

    async def __call__(self, scope: Scope, receive: Receive, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        refused = self._stranger(headers)
        if not refused and scope["type"] == "http" and scope["method"] not in READING:
            if headers.get("content-type", "").lower().startswith("multipart/"):
                refused = self._too_much(headers)
            else:
                body = await _body(receive)
                refused = self._not_offered(body)
                receive = _again(body or b"", receive)
        if refused:
            status, words = refused
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": words.encode()})
            return

        async def with_policy(message: Scope) -> None:
            if message["type"] == "http.response.start":
                own = [
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        await self.app(scope, receive, with_policy)

    def _stranger(self, headers: dict[str, str]) -> tuple[int, str] | None:
        host, origin = headers.get("host", ""), headers.get("origin", "")
        strange = self.local and hostname(f"//{host}") not in LOCAL_HOSTS
        if strange or (origin and not _is_from(origin, host)):
            return REFUSED, "not from here"
        return None

    def _too_much(self, headers: dict[str, str]) -> tuple[int, str] | None:
        length = headers.get("content-length", "")
        if not length.isascii() or not length.isdigit():
            return WITHOUT_LENGTH, "say how long it is"
        if int(length) > self.most_bytes:
            return TOO_LARGE, "more than may be brought at a time"
        if shutil.disk_usage(self.folder).free - int(length) < SPARED_BYTES:
            return NO_ROOM, "no room for it on the disk here"
        return None

    def _not_offered(self, body: bytes | None) -> tuple[int, str] | None:
        if body is None:
            return TOO_LARGE, "more than this page asks"
        try:
            asked = json.loads(body) if body else None
            paths = [*_paths_in(asked)]
        except (ValueError, RecursionError):
            return REFUSED, "nothing that this page asks"
        if not all(self._is_below(path) for path in paths):
            return REFUSED, "bring the file itself"
        return None

    def _is_below(self, path: object) -> bool:
        try:
            return Path(str(path)).resolve().is_relative_to(self.folder.resolve())
        except (OSError, ValueError):
            return False


def hostname(address: str) -> str | None:
    """The host of an address, or none where it has none.

    >>> hostname("//[::1]:7860")
    '::1'
    """
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _is_from(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


async def _body(receive: Receive) -> bytes | None:
    """What a request brings; nothing where that is too much, or where who asked has gone."""
    body = b""
    while len(body) <= MOST_ASKED_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body if len(body) <= MOST_ASKED_BYTES else None
    return None


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, and after it what follows."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Any:
        return waiting.pop() if waiting else await receive()

    return received


def _paths_in(asked: Any) -> Iterator[object]:
    """Every path that is named anywhere in a request, of files as gradio describes them."""
    if isinstance(asked, dict):
        if asked.get("path") is not None:
            yield asked["path"]
        for value in asked.values():
            yield from _paths_in(value)
    elif isinstance(asked, list):
        for value in asked:
            yield from _paths_in(value)
