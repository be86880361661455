"""`selfremaster profile`: the sound of recordings as a small file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.models import ModelOption, load_model
from selfremaster.commands.options import Device, Json, Overwrite, Quiet, Without
from selfremaster.commands.terminal import finish, say, say_json, work_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfremaster.core.jobs import Failure
    from selfremaster.core.models import Model
    from selfremaster.core.profiles import ChannelProfile, Profile, SpectralProfile

CHANNEL, SPECTRUM = "selfremaster", "mean-spectrum"

Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help=f"{CHANNEL} (the default: a model's channel features), or {SPECTRUM}, a filter.",
        show_default=False,
    ),
]
Clean = Annotated[
    Path | None,
    typer.Option(
        "--clean",
        metavar="PATH",
        help=f"With --method {SPECTRUM}: clean speech to compare with, a file or folder.",
        show_default=False,
    ),
]


def profile(
    recordings: Annotated[
        list[Path], typer.Argument(metavar="RECORDING", help="Sound files or folders of them.")
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="NAME.json, or NAME.safetensors.")
    ],
    model: ModelOption = None,
    name: Annotated[
        str, typer.Option("--name", help="By default that of the output.", show_default=False)
    ] = "",
    method: Method = None,
    clean: Clean = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Keep the sound of recordings as a profile.

    It is their mean; `selfremaster transfer` puts it onto other files.
    """
    from selfremaster.core.profiles import check_place

    chosen = check_method(method, model, clean)
    files = find_recordings(recordings)
    check_place(output, overwrite, files)
    named = name or output.stem
    made: Profile | None
    if chosen == CHANNEL:
        made, failures = take_channel(load_model(model, device), model, files, named, quiet)
    else:
        made, failures = take_spectrum(files, clean, named, quiet)
    if made is not None:
        made.save(output)
    if as_json:
        say_json(_as_json(made, output, failures))
    elif made is not None and not quiet:
        say(f"{describe(made)} -> {output}")
    finish(failures, len(files))


def check_method(method: str | None, model: str | None, clean: Path | None) -> str:
    """The method, by default that of the paper; raises for options of another one."""
    from selfremaster.core.components import hint
    from selfremaster.core.errors import ComponentError

    chosen = method or CHANNEL
    if chosen not in (CHANNEL, SPECTRUM):
        raise ComponentError(f"no method named {chosen!r}{hint(chosen, (CHANNEL, SPECTRUM))}")
    if chosen == CHANNEL and clean is not None:
        raise ComponentError(f"--clean is for --method {SPECTRUM}; leave it out")
    if chosen == SPECTRUM and model is not None:
        raise ComponentError(f"--method {SPECTRUM} uses no model; leave --model out")
    return chosen


def find_recordings(given: Sequence[Path]) -> list[Path]:
    """The sound files of files and folders, each once."""
    from selfremaster.core.folders import find_audio

    found = [file for path in given for file, _ in find_audio(path)]
    return list({file.resolve(): file for file in found}.values())


def take_channel(
    model: Model, reference: str | None, files: Sequence[Path], name: str, quiet: bool
) -> tuple[ChannelProfile | None, list[Failure]]:
    """The profile of the recordings that can be heard, and the others."""
    from selfremaster.core import transferring
    from selfremaster.core.errors import BundleError

    if model.analyzer is None:
        raise BundleError("this model is a vocoder alone: it has no analysis module to hear with")
    results = transferring.hear_files(model, files)
    heard, failures = work_through(results, len(files), quiet, "listening", "heard")
    if not heard:
        return None, failures
    identity = transferring.identify(model)
    return transferring.make_profile(heard, identity, name), failures


def take_spectrum(
    files: Sequence[Path], clean: Path | None, name: str, quiet: bool
) -> tuple[SpectralProfile | None, list[Failure]]:
    """The mean spectrum of the recordings, against clean speech where there is some."""
    from selfremaster.core import equalising

    reference = None if clean is None else find_recordings([clean])
    sample_rate = equalising.lowest_rate(reference or files)
    results = equalising.measure_files(files, sample_rate)
    measured, failures = work_through(results, len(files), quiet, "listening", "heard")
    if not measured:
        return None, failures
    level = equalising.make_level(measured, sample_rate, name)
    if reference is None:
        return level, failures
    results = equalising.measure_files(reference, sample_rate)
    spoken, wrong = work_through(results, len(reference), quiet, "listening", "heard")
    if wrong:
        raise wrong[0].error
    return level.against(equalising.make_level(spoken, sample_rate)), failures


def describe(made: Profile) -> str:
    """What a profile was taken from, in words."""
    count = len(made.sources)
    return f"{count} recording{'s' * (count != 1)}, {made.seconds:.1f} seconds"


def _as_json(made: Profile | None, output: Path, failures: Sequence[Failure]) -> dict[str, Any]:
    described = None
    if made is not None:
        fields = made.model_dump(mode="json", exclude={"values", "spread", "format"})
        described = {"output": output, **fields, "seconds": made.seconds}
    return {
        "profile": described,
        "failed": [{"input": item.source, "reason": item.reason} for item in failures],
    }
