"""`selfremaster profile`: the sound of recordings as a small file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from selfremaster.commands.models import ModelOption, load_model
from selfremaster.commands.options import Device, Json, Overwrite, Quiet, Without
from selfremaster.commands.terminal import finish, note_remarks, say, say_json, work_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfremaster.core.jobs import Failure
    from selfremaster.core.models import Model
    from selfremaster.core.profiles import ChannelProfile, Form, Profile, SpectralProfile

CHANNEL, SPECTRUM = "selfremaster", "mean-spectrum"
ROBUST: Final = "robust"
PUBLISHED: Final = "published"

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
FormOption = Annotated[
    str | None,
    typer.Option(
        "--form",
        metavar="NAME",
        help=f"With --method {SPECTRUM}: {ROBUST} (the default: any clean speech will do), or "
        f"{PUBLISHED}, the paper's; its --clean holds the originals of the same recordings.",
        show_default=False,
    ),
]


class Way(NamedTuple):
    """How the sound of recordings is taken."""

    method: str
    form: Form = ROBUST
    clean: Path | None = None


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
    form: FormOption = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Keep the sound of recordings as a profile.

    It is their mean; `selfremaster transfer` puts it onto other files.
    """
    from selfremaster.core.files import check_place
    from selfremaster.core.profile_files import EXAMPLE, check_suffix

    way = choose_way(method, model, clean, form)
    files = find_recordings(recordings)
    check_suffix(output)
    check_place(output, overwrite, EXAMPLE, files)
    named = name or output.stem
    made: Profile | None
    if way.method == CHANNEL:
        made, failures = take_channel(load_model(model, device), model, files, named, quiet)
    else:
        made, failures = take_spectrum(recordings, way, named, quiet)
    if made is not None:
        made.save(output)
    if as_json:
        say_json(_as_json(made, output, failures))
    elif made is not None and not quiet:
        say(f"{describe(made)} -> {output}")
    finish(failures, len(files))


def choose_way(method: str | None, model: str | None, clean: Path | None, form: str | None) -> Way:
    """The method, by default that of the paper; raises for options of another one."""
    from selfremaster.core.components import hint
    from selfremaster.core.errors import ComponentError

    chosen = method or CHANNEL
    if chosen not in (CHANNEL, SPECTRUM):
        raise ComponentError(f"no method named {chosen!r}{hint(chosen, (CHANNEL, SPECTRUM))}")
    for option, given in (("--clean", clean), ("--form", form)):
        if chosen == CHANNEL and given is not None:
            raise ComponentError(f"{option} is for --method {SPECTRUM}; leave it out")
    if chosen == SPECTRUM and model is not None:
        raise ComponentError(f"--method {SPECTRUM} uses no model; leave --model out")
    if form == PUBLISHED:
        if clean is None:
            raise ComponentError(
                f"--form {PUBLISHED} compares recordings with their originals; give --clean"
            )
        return Way(chosen, PUBLISHED, clean)
    if form not in (None, ROBUST):
        raise ComponentError(f"no form named {form!r}{hint(form, (ROBUST, PUBLISHED))}")
    return Way(chosen, ROBUST, clean)


def find_recordings(given: Sequence[Path]) -> list[Path]:
    """The sound files of files and folders, each once."""
    return list(_places(given))


def _places(given: Sequence[Path]) -> dict[Path, Path]:
    """The sound files of files and folders, each once, and where they lie in their folder."""
    from selfremaster.core.folders import find_audio

    found = [pair for path in given for pair in find_audio(path)]
    return dict({os.path.realpath(file): (file, place) for file, place in found}.values())


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
    note_remarks(heard, quiet)
    if not heard:
        return None, failures
    identity = transferring.identify(model)
    return transferring.make_profile(heard, identity, name), failures


def take_spectrum(
    recordings: Sequence[Path], way: Way, name: str, quiet: bool
) -> tuple[SpectralProfile | None, list[Failure]]:
    """The mean spectrum of the recordings, against clean speech where there is some."""
    from selfremaster.core import equalising

    if way.form == PUBLISHED and way.clean is not None:
        return _take_published(recordings, way.clean, name, quiet)
    files = find_recordings(recordings)
    reference = None if way.clean is None else find_recordings([way.clean])
    sample_rate = equalising.lowest_rate(reference or files)
    results = equalising.measure_files(files, sample_rate)
    measured, failures = work_through(results, len(files), quiet, "listening", "heard")
    note_remarks(measured, quiet)
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


def _take_published(
    recordings: Sequence[Path], clean: Path, name: str, quiet: bool
) -> tuple[SpectralProfile | None, list[Failure]]:
    """The mean spectral difference between recordings and their originals."""
    from selfremaster.core import equalising, restoring
    from selfremaster.core.jobs import Job

    found = [Job(file, place, file, file) for file, place in _places(recordings).items()]
    originals = restoring.find_references(found, clean, "--clean")
    sample_rate = equalising.lowest_rate(list(originals.values()))
    results = equalising.compare_files(originals, sample_rate)
    compared, failures = work_through(results, len(originals), quiet, "listening", "heard")
    if not compared:
        return None, failures
    return equalising.make_published_gain(compared, sample_rate, name), failures


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
