"""Serving the page, to this computer alone unless told otherwise."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selfremaster.core.errors import ComponentError
from selfremaster.core.packages import require
from selfremaster.core.scratch import clear_scratch, scratch
from selfremaster.pages.layouts import STYLE, TITLE, Layout
from selfremaster.pages.workshops import MEBIBYTE, Workshop

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
FIRST_PORT, TRIED_PORTS = 7860, 20
GRACE_SECONDS = 2
PREFIX = "selfremaster-page-"
SILENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ALLOW_FLAGGING": "never",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
REFUSED = 403

Scope = dict[str, Any]


class Guard:
    """Answers nobody but those who came for this page.

    Where it serves this computer alone, a name that leads here from elsewhere (DNS rebinding) is
    refused, and so is anything that another page asks of it. Browsers are told to load nothing from
    elsewhere.
    """

    def __init__(self, app: Callable[..., Any], local: bool) -> None:
        self.app, self.local = app, local

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
        host = headers.get("host", b"").decode("latin-1")
        origin = headers.get("origin", b"").decode("latin-1")
        strange = self.local and hostname(f"//{host}") not in LOCAL_HOSTS
        if strange or (origin and not _is_from(origin, host)):
            start = {"type": "http.response.start", "status": REFUSED, "headers": []}
            await send(start)
            await send({"type": "http.response.body", "body": b"not from here"})
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


def application(workshop: Workshop, local: bool = True) -> Any:
    """The page as an ASGI application.

    Raises `ComponentError` without gradio.
    """
    for name, value in {**SILENT, "GRADIO_TEMP_DIR": str(workshop.folder)}.items():
        os.environ[name] = value
    gradio, fastapi = require("gradio", "ui"), require("fastapi", "ui")
    layout = Layout(workshop)
    layout.page.queue(max_size=16, default_concurrency_limit=1)
    letters = ["system-ui", "sans-serif"]
    figures = ["ui-monospace", "monospace"]
    served = gradio.mount_gradio_app(
        fastapi.FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None),
        layout.page,
        path="/",
        theme=gradio.themes.Soft(font=letters, font_mono=figures),
        css=STYLE,
        footer_links=[],
        show_error=True,
        max_file_size=workshop.limits.mebibytes * MEBIBYTE,
        allowed_paths=[],
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
    )
    return Guard(served, local)


@contextmanager
def listening(host: str, port: int | None) -> Iterator[socket.socket]:
    """A socket on a port, or on the first that is free where none is named.

    Raises `ComponentError` where none is to be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = [port] if port is not None else range(FIRST_PORT, FIRST_PORT + TRIED_PORTS)
    reason = ""
    for number in wanted:
        with socket.socket(family, socket.SOCK_STREAM) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                opened.bind((host, number))
            except (OSError, OverflowError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                continue
            yield opened
            return
    raise ComponentError(
        f"cannot listen on {host}, port {wanted[0]}: {reason.lower()}; "
        "give another --host or --port"
    )


def serve(workshop: Workshop, host: str, opened: socket.socket) -> None:
    """Serve until Ctrl-C."""
    uvicorn = require("uvicorn", "ui")
    app = application(workshop, local=host in LOCAL_HOSTS)
    settings = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )
    uvicorn.Server(settings).run(sockets=[opened])


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for all that visitors bring and get; deleted at the end."""
    clear_scratch(PREFIX)  # what one left that was killed
    with scratch(PREFIX) as folder:
        page = folder / "page"
        page.mkdir()
        yield page
