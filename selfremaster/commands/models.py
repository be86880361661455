"""The model that a command works with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from selfremaster.core.models import Model

DEFAULT_MODEL = "default"

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="REF",
        help="A bundle, the folder of a run, a built-in name, or org/name on the Hugging Face Hub; "
        "default if left out.",
        show_default=False,
    ),
]


def load_model(reference: str | None, device: str, vocoder: str | None = None) -> Model:
    """The model of --model, or the built-in one where there is one, on the device of --device."""
    from selfremaster.core.devices import choose_device
    from selfremaster.registry.assembling import load

    chosen = choose_device(device)
    return load(model_reference(reference), output=vocoder).to(chosen)


def model_reference(reference: str | None) -> str | Path:
    """The bundle of --model, or the built-in one by its path.

    By its path, since a folder of that name in the working folder is another model.
    """
    from selfremaster.core.errors import BundleError
    from selfremaster.registry.assembling import builtin_bundles

    if reference is None:
        own = builtin_bundles().get(DEFAULT_MODEL)
        if own is None:
            raise BundleError(
                "--model is missing; give a bundle (model.safetensors) or the folder of a run"
            )
        return own
    if not reference:
        raise BundleError("--model is empty; give a bundle, the folder of a run or a built-in name")
    return reference
