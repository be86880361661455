"""`selfremaster serve`: a page in the browser, on this computer alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfremaster.commands.models import DEFAULT_MODEL, model_reference
from selfremaster.commands.options import Device, Quiet, Without
from selfremaster.commands.terminal import note, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def serve(
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="ADDRESS", help="Who may come: by default this computer alone."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            help="By default 7860, or the next free one.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="[NAME=]REF",
            help="A model to choose from, as restore takes it; may be repeated. default if left "
            "out.",
            show_default=False,
        ),
    ] = None,
    profiles: Annotated[
        Path | None,
        typer.Option(
            "--profiles",
            metavar="FOLDER",
            help="Sounds to choose from for transfer: profiles, .json.",
            show_default=False,
        ),
    ] = None,
    most_files: Annotated[int, typer.Option("--max-files", min=1, help="At a time.")] = 20,
    most_mebibytes: Annotated[
        int, typer.Option("--max-mb", min=1, help="Largest file that is taken, MiB.")
    ] = 200,
    most_minutes: Annotated[
        float, typer.Option("--max-minutes", min=0.01, help="Longest recording that is taken.")
    ] = 30.0,
    device: Device = "auto",
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = False,
    without: Without = None,
    quiet: Quiet = False,
) -> None:
    """Serve a page that restores recordings in the browser.

    It also puts the sound of one recording onto another. It listens to this computer alone, asks
    nothing of the network, and deletes what it was given when its page is left (what it does not
    notice, within two hours) and when it ends (Ctrl-C). Needs the extra ui.
    """
    from selfremaster.core.devices import choose_device
    from selfremaster.pages import servers
    from selfremaster.pages.guards import LOCAL_HOSTS
    from selfremaster.pages.workshops import Limits, Workshop

    choose_device(device)
    limits = Limits(most_files, most_mebibytes, most_minutes)
    offered, kept = _models(model or ()), _profiles(profiles)
    with servers.own_folder() as folder, servers.listening(host, port) as opened:
        workshop = Workshop(folder, offered, kept, limits, device)
        workshop.model(next(iter(offered)))
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{opened.getsockname()[1]}"
        if host not in LOCAL_HOSTS:
            note(f"anyone who reaches {address} may use this computer to restore recordings")
        if not quiet:
            say(f"{address} (Ctrl-C ends it)")
        if show:
            typer.launch(address)
        servers.serve(workshop, host, opened)


def _models(given: Sequence[str]) -> Mapping[str, str | Path]:
    """The models by the names that visitors see."""
    from selfremaster.core.errors import BundleError

    offered: dict[str, str | Path] = {}
    for text in given:
        name, equals, reference = text.rpartition("=")
        place = Path(reference)
        shown = name if equals else (place.parent.name if place.suffix else place.name) or reference
        if shown in offered:
            raise BundleError(f"--model {text}: two models named {shown}; write NAME={reference}")
        offered[shown] = model_reference(reference)
    return offered or {DEFAULT_MODEL: model_reference(None)}


def _profiles(folder: Path | None) -> Mapping[str, Path]:
    """The profiles by their names; every one is read, so that a bad one is told at once."""
    from selfremaster.core.errors import AudioError
    from selfremaster.core.profiles import ChannelProfile

    if folder is None:
        return {}
    if not folder.is_dir():
        raise AudioError(f"{folder}: no such folder; name one that holds profiles")
    found = {path.stem: path for path in sorted(folder.glob("*.json"))}
    if not found:
        raise AudioError(f"{folder}: holds no profile (.json); make one by selfremaster profile")
    for path in found.values():
        ChannelProfile.load(path)
    return found
