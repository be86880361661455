"""The option that says what the networks of a model are run by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from selfremaster.commands.terminal import note

if TYPE_CHECKING:
    from selfremaster.core.models import Model

DEFAULT_RUNTIME = "torch"

RuntimeOption = Annotated[
    str,
    typer.Option(
        "--runtime",
        metavar="torch|compile|onnx",
        help="What runs the analysis module and the vocoder: torch; torch compiled, which takes "
        "minutes before the first file; or ONNX Runtime in fp32 (extra onnx), whose graphs are "
        "made once, compared with torch and kept.",
    ),
]


def set_runtime(model: Model, wanted: str, quiet: bool) -> None:
    """Let the networks of a model be run as --runtime says; what was done is noted in one line.

    Nothing is noted of the usual torch. Raises `ComponentError` for what cannot be.
    """
    told = model.run_by(wanted)
    if wanted != DEFAULT_RUNTIME and not quiet:
        note(told)
