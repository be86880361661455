"""`selfremaster export`: a model in, ONNX files out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.options import Json, Overwrite, Quiet, Without
from selfremaster.commands.terminal import note, say, say_json, say_table

if TYPE_CHECKING:
    from selfremaster.core.bundles import Bundle
    from selfremaster.core.exporting import Export
    from selfremaster.core.models import Model


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A bundle, the folder of a run, a built-in name such as default, or org/name on "
            "the Hugging Face Hub.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            metavar="PATH",
            help="FILE.onnx for the model as one graph, or a folder for one file a module.",
        ),
    ],
    overwrite: Overwrite = False,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a model as ONNX, for programs without torch.

    From the log-mel to clean speech features, channel features and the wave; the spectrogram itself
    is left to the program, which finds its settings in the file. ONNX Runtime must give the same
    numbers as torch, or nothing is written.
    """
    from selfremaster.commands.models import model_reference
    from selfremaster.core import exporting
    from selfremaster.core.files import check_place
    from selfremaster.registry.assembling import find_bundle, load

    reference = model_reference(model)
    originals = [path] if (path := Path(reference)).exists() else []
    for place in exporting.names_of(output):
        check_place(place, overwrite, "model.onnx", originals)
    loaded = load(reference)
    notes = _notes(find_bundle(reference), loaded)
    made = exporting.export(loaded, output, notes)
    for told in () if quiet else made.left_out:
        note(f"left out: {told}")
    if as_json:
        say_json(_as_json(made, notes))
    elif not quiet:
        _show(made)


def _notes(bundle: Bundle, model: Model) -> dict[str, str]:
    """What the files say of themselves: how their input is made, and what model they are."""
    from selfremaster.core.bundles import versions

    features = bundle.experiment.model.features.model_dump(mode="json")
    return {
        "model": bundle.experiment.name,
        "model_sha256": str(bundle.header["sha256"]),
        "sample_rate": str(model.sample_rate),
        "hop_samples": str(model.features.hop_samples),
        "features": json.dumps(features),
        "peak_db": str(model.peak_db),
        "versions": json.dumps(versions()),
    }


def _show(made: Export) -> None:
    for found in made.files:
        say(f"{found.part} -> {found.path}")
    rows = [
        [
            found.part,
            ", ".join(found.inputs),
            ", ".join(found.outputs),
            str(found.least_frames),
            f"{found.difference:.1e}",
            f"{found.largest:.3g}",
        ]
        for found in made.files
    ]
    say_table(
        ["part", "takes", "gives", "#fewest frames", "#largest difference", "#of numbers up to"],
        rows,
    )


def _as_json(made: Export, notes: dict[str, str]) -> dict[str, Any]:
    return {
        "files": [found._asdict() for found in made.files],
        "left_out": made.left_out,
        "notes": notes,
    }
