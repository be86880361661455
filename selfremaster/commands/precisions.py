"""The option that says in which numbers a model computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from selfremaster.commands.terminal import note

if TYPE_CHECKING:
    from selfremaster.core.models import Model

DEFAULT_PRECISION = "fp32"

PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="auto|fp32|bf16",
        help="In which numbers the networks compute: 32 bits, or bfloat16, which is faster on "
        "processors that have it, and a little less exact; auto takes it there.",
    ),
]


def set_precision(model: Model, wanted: str, quiet: bool) -> None:
    """Let a model compute as --precision says; what was chosen and why is noted in one line.

    Nothing is noted of the usual fp32. Raises `ComponentError` for what cannot be.
    """
    from selfremaster.core.precisions import choose_arithmetic

    chosen = choose_arithmetic(wanted, model.device)
    model.precision = chosen.precision
    if wanted != DEFAULT_PRECISION and not quiet:
        note(f"precision {chosen.reason}")
