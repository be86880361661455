"""Serving the page, to this computer alone unless told otherwise."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfremaster.core.diaries import end_work
from selfremaster.core.errors import ComponentError
from selfremaster.core.packages import require
from selfremaster.core.scratch import clear_scratch, scratch
from selfremaster.pages.guards import LOCAL_HOSTS, Guard
from selfremaster.pages.layouts import STYLE, TITLE, Layout
from selfremaster.pages.workshops import MEBIBYTE, Workshop

FIRST_PORT, TRIED_PORTS = 7860, 20
GRACE_SECONDS = 2
PREFIX = "selfremaster-page-"
SILENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ALLOW_FLAGGING": "never",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


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
    return Guard(served, local, workshop.folder, workshop.limits)


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
    """Serve until Ctrl-C, which ends what is at work, too."""
    uvicorn = require("uvicorn", "ui")

    class Server(uvicorn.Server):  # type: ignore[misc, name-defined]  # known only where it is there
        def handle_exit(self, *about: Any) -> None:
            end_work()
            super().handle_exit(*about)

    app = application(workshop, local=host in LOCAL_HOSTS)
    settings = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )
    Server(settings).run(sockets=[opened])


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for all that visitors bring and get; deleted at the end."""
    clear_scratch(PREFIX)  # what one left that was killed
    with scratch(PREFIX) as folder:
        page = folder / "page"
        page.mkdir()
        yield page
