"""Options that say how recordings are restored and how the results are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from selfremaster.core.restoring import Form

KEEP = "keep"
LOUDEST_LUFS, SOFTEST_LUFS = 0.0, -70.0

ChannelsOption = Annotated[
    str,
    typer.Option(
        "--channels",
        help="linked: change all channels alike, so that every sound stays at its place; "
        "independent: each by itself, as two microphones need it; mono: restore their mean, as "
        "loud as that is, with one of two turned over where they are in anti-phase.",
    ),
]
LevelOption = Annotated[
    str,
    typer.Option(
        "--level",
        metavar="keep|LUFS",
        help="The loudness of the result: that of the recording (of the mean of its channels with "
        "mono), or such as -23. Recordings below -70 LUFS keep their level.",
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="SUFFIX",
        help="The kind of file that results are, such as flac, in place of the recording's own.",
        show_default=False,
    ),
]
RateOption = Annotated[
    int | None,
    typer.Option(
        "--rate",
        metavar="HZ",
        help="Sampling rate in place of the recording's own.",
        show_default=False,
    ),
]
SubtypeOption = Annotated[
    str | None,
    typer.Option(
        "--subtype",
        metavar="NAME",
        help="How samples are stored, such as PCM_24, in place of the recording's own way.",
        show_default=False,
    ),
]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse recordings the end of which is missing, or whose header tells of less sound "
        "than there is; otherwise this is noted.",
    ),
]
RepairOption = Annotated[
    bool,
    typer.Option(
        "--repair-samples",
        help="Make up samples that are no finite numbers from their neighbours; otherwise such "
        "recordings are refused.",
    ),
]


def make_form(
    strength: float,
    channels: str,
    level: str,
    rate: int | None,
    subtype: str | None,
    strict: bool,
    repair: bool,
) -> Form:
    """What the options say; raises `ComponentError` or `AudioError` for what cannot be."""
    from selfremaster.core.effects import CHANNELS
    from selfremaster.core.errors import ComponentError
    from selfremaster.core.levels import HIGHEST_RATE, LOWEST_RATE
    from selfremaster.core.restoring import Form

    way = next((known for known in CHANNELS if known == channels), None)
    if way is None:
        raise ComponentError(f"--channels {channels}: give one of {', '.join(CHANNELS)}")
    if rate is not None and not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ComponentError(f"--rate {rate}: give {LOWEST_RATE} to {HIGHEST_RATE} Hz")
    return Form(strength, way, _lufs(level), rate, subtype, strict, repair)


def suffix_of(given: str | None) -> str | None:
    """The suffix of results, with its dot; raises `AudioError` for one that is not written."""
    from selfremaster.core.errors import AudioError
    from selfremaster.core.formats import FORMATS

    if given is None:
        return None
    suffix = f".{given.lower().removeprefix('.')}"
    if suffix not in FORMATS:
        known = ", ".join(name[1:] for name in FORMATS)
        raise AudioError(f"--format {given}: no sound is written so; known: {known}")
    return suffix


def _lufs(level: str) -> float | None:
    from selfremaster.core.errors import ComponentError

    if level == KEEP:
        return None
    try:
        lufs = float(level)
    except ValueError:
        lufs = LOUDEST_LUFS + 1
    if not SOFTEST_LUFS <= lufs <= LOUDEST_LUFS:
        raise ComponentError(
            f"--level {level}: give keep, or a loudness in LUFS from {SOFTEST_LUFS:g} to "
            f"{LOUDEST_LUFS:g}"
        )
    return lufs
