"""`selfremaster convert`: a published checkpoint in, a bundle out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.options import Json, Overwrite, Quiet, Without
from selfremaster.commands.terminal import say, say_json, say_table

if TYPE_CHECKING:
    from selfremaster.registry.converting import Converted


def convert(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="Of SelfRemaster v1 or v2 (Lightning), or HiFi-GAN's generator.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="BUNDLE", help="Where the bundle is written.")
    ],
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="PART",
            help="mel or source-filter, with settings if need be (source-filter:preset=published,"
            "f0=harvest). [default: by the shapes of the weights]",
            show_default=False,
        ),
    ] = None,
    keep_lag: Annotated[
        bool,
        typer.Option(
            "--keep-lag",
            help="Leave HiFi-GAN's sound 128 samples late, as published training heard it.",
        ),
    ] = False,
    overwrite: Overwrite = False,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make a bundle of a published checkpoint.

    Nothing that the file holds is executed; every tensor must fit the published model.
    """
    from selfremaster.core.files import check_place
    from selfremaster.registry import converting

    originals = [checkpoint] if checkpoint.exists() else []
    check_place(output, overwrite, "v1.safetensors", originals)
    made = converting.convert(checkpoint, output, features=features, keep_lag=keep_lag)
    if as_json:
        say_json(_as_json(made))
    elif not quiet:
        _show(made)


def _show(made: Converted) -> None:
    say(f"{made.what} -> {made.bundle}")
    rows = [
        ["converted", module, str(count), str(made.weights[module])]
        for module, count in made.tensors.items()
    ]
    rows += [["ignored", what, str(count), ""] for what, count in made.ignored.items()]
    rows += [["ignored", name, "", ""] for name in made.other]
    say_table(["", "what", "#tensors", "#numbers"], rows)


def _as_json(made: Converted) -> dict[str, Any]:
    model = made.experiment.model.model_dump(mode="json")
    return {
        "bundle": made.bundle,
        "what": made.what,
        "model": model,
        "tensors": made.tensors,
        "numbers": made.weights,
        "ignored": made.ignored,
        "other": made.other,
    }
