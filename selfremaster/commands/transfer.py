"""`selfremaster transfer`: the sound of old recordings, put onto others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from selfremaster.commands.models import ModelOption, load_model
from selfremaster.commands.options import Device, Inputs, Json, Output, Overwrite, Quiet, Without
from selfremaster.commands.profile import (
    CHANNEL,
    SPECTRUM,
    Clean,
    FormOption,
    Method,
    Way,
    choose_way,
    find_recordings,
    take_channel,
    take_spectrum,
)
from selfremaster.commands.terminal import (
    finish,
    note_left,
    note_remarks,
    say,
    say_json,
    work_through,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfremaster.core.effects import Effect
    from selfremaster.core.jobs import Failure
    from selfremaster.core.profiles import ChannelProfile, Profile
    from selfremaster.core.transferring import Transferred


Profiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        help="What `selfremaster profile` wrote; may be repeated, to mix sounds.",
        show_default=False,
    ),
]
Recording = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="RECORDING",
        help="The sound of this file or folder, without a profile.",
        show_default=False,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="A,B,...",
        help="How much of each profile; by default the same of each.",
        show_default=False,
    ),
]
Strength = Annotated[
    float, typer.Option("--strength", help="0 changes nothing, 1 is all, up to 1.5 is more.")
]


def transfer(
    inputs: Inputs,
    output: Output,
    profiles: Profiles = None,
    recording: Recording = None,
    weights: Weights = None,
    strength: Strength = 1.0,
    model: ModelOption = None,
    method: Method = None,
    clean: Clean = None,
    form: FormOption = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Put the sound of recordings onto others.

    Audio effect transfer. A result has the rate, channels, length, level and kind of its input.
    """
    from selfremaster.core import jobs, transferring

    transferring.check_strength(strength)
    planned = jobs.plan(inputs, output, overwrite=overwrite)
    left = jobs.left_alone(inputs, output)
    if recording is not None and not profiles:
        _refuse_weights(weights)
        way = choose_way(method, model, clean, form)
        jobs.keep(planned, find_recordings([recording, *([clean] if clean else [])]))
        sound, effect = _take(way, recording, model, device, quiet)
    else:
        mixed = _mixed(profiles, recording, weights)
        jobs.keep(planned, profiles or ())
        _refuse_way(mixed, method, clean, form)
        sound, effect = _given(mixed, model, device)
    results = transferring.transfer_files(planned, effect, strength)
    done, failures = work_through(results, len(planned), quiet, "transferring", "done")
    note_remarks(done, quiet)
    note_left(left, quiet)
    if as_json:
        say_json(_as_json(sound, strength, done, failures) | {"left_alone": left})
    elif not quiet:
        for result in done:
            say(f"{result.source} -> {result.target}")
    finish(failures, len(planned))


def _take(
    way: Way, recording: Path, model: str | None, device: str, quiet: bool
) -> tuple[Profile, Effect]:
    """The sound of recordings, taken now; one that cannot be heard stops everything."""
    from selfremaster.core import equalising, transferring
    from selfremaster.core.errors import ComponentError

    if way.method == SPECTRUM:
        if way.clean is None:
            raise ComponentError(
                f"--method {SPECTRUM} compares --from with clean speech; give --clean"
            )
        gain, failures = take_spectrum([recording], way, recording.stem, quiet)
        if failures or gain is None:
            raise failures[0].error
        return gain, equalising.equaliser(gain)
    files = find_recordings([recording])
    loaded = load_model(model, device)
    heard, failures = take_channel(loaded, model, files, recording.stem, quiet)
    if failures or heard is None:
        raise failures[0].error
    transferring.check_profile(loaded, heard)
    return heard, transferring.channel_of(loaded, heard)


def _mixed(paths: Sequence[Path] | None, recording: Path | None, weights: str | None) -> Profile:
    """The profile that was given, or the mixture of several."""
    from selfremaster.core.errors import BundleError, ComponentError
    from selfremaster.core.profiles import load_profile

    if not paths or recording is not None:
        raise ComponentError("give either --profile (which may be repeated) or --from")
    loaded = [load_profile(path) for path in paths]
    for path, other in zip(paths, loaded, strict=True):
        if type(other) is not type(loaded[0]):
            raise BundleError(
                f"{path}: is a {other.described}, {paths[0]} a {loaded[0].described}; "
                "only profiles of one kind can be mixed"
            )
    return type(loaded[0]).mix(loaded, _numbers(weights)) if weights or loaded[1:] else loaded[0]


def _numbers(weights: str | None) -> list[float] | None:
    from selfremaster.core.errors import ComponentError

    if weights is None:
        return None
    try:
        return [float(word) for word in weights.split(",")]
    except ValueError:
        raise ComponentError(f"--weights {weights}: give numbers, such as 0.3,0.7") from None


def _refuse_weights(weights: str | None) -> None:
    from selfremaster.core.errors import ComponentError

    if weights is not None:
        raise ComponentError("--weights are those of profiles; leave them out with --from")


def _refuse_way(sound: Profile, method: str | None, clean: Path | None, form: str | None) -> None:
    """Raise for options of how a sound is taken, where a profile was given."""
    from selfremaster.core.errors import ComponentError

    own = SPECTRUM if sound.kind == "spectrum" else CHANNEL
    if choose_way(method or own, None, None, None).method != own:
        raise ComponentError(f"a {sound.described} is for --method {own}; leave --method out")
    for option, given in (("--clean", clean), ("--form", form)):
        if given is not None:
            raise ComponentError(f"{option} is for --from; a profile was compared when it was made")


def _given(sound: Profile, model: str | None, device: str) -> tuple[Profile, Effect]:
    """What puts a profile onto waves: the kind of profile says which method."""
    from selfremaster.core import equalising, transferring
    from selfremaster.core.profiles import SpectralProfile

    if isinstance(sound, SpectralProfile):
        choose_way(SPECTRUM, model, None, None)
        return sound, equalising.equaliser(sound)
    channel = cast("ChannelProfile", sound)
    loaded = load_model(model, device)
    transferring.check_profile(loaded, channel)
    return sound, transferring.channel_of(loaded, channel)


def _as_json(
    sound: Profile, strength: float, done: Sequence[Transferred], failures: Sequence[Failure]
) -> dict[str, Any]:
    return {
        "profile": {
            "kind": sound.kind,
            "name": sound.name,
            "sources": [source.model_dump(mode="json") for source in sound.sources],
        },
        "strength": strength,
        "transferred": [
            {
                "input": result.source,
                "output": result.target,
                "seconds": result.seconds,
                "took_seconds": round(result.took_seconds, 3),
                "notes": list(result.notes),
            }
            for result in done
        ],
        "failed": [{"input": item.source, "reason": item.reason} for item in failures],
    }
