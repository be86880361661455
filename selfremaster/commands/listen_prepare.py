"""`selfremaster listen prepare`: a listening test as pages that need no server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.options import Json, Overwrite, Quiet
from selfremaster.commands.terminal import Interrupted, note, progress, say, say_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfremaster.benchmarks.listening.designs import Material
    from selfremaster.benchmarks.listening.pages import Prepared

SHOWN = 3  # of many names


def prepare(
    test: Annotated[
        str, typer.Option("--test", metavar="KIND", help="mos, smos, preference or mushra.")
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="FOLDER", help="Where the test goes; a new folder.")
    ],
    benchmark: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BENCHMARK]",
            help="The output of `selfremaster benchmark`, if sounds are to come from one.",
            show_default=False,
        ),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            metavar="NAME=FOLDER",
            help="Sounds of a system; may be repeated. The files have the same names in each. "
            "With a benchmark: the NAME of a restorer.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            metavar="FOLDER",
            help="The originals, by the same names: what smos and mushra compare with, one more "
            "system of mos.",
            show_default=False,
        ),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            metavar="NAME",
            help="With a benchmark: this condition alone; may be repeated.",
            show_default=False,
        ),
    ] = None,
    listeners: Annotated[
        int, typer.Option("--listeners", metavar="N", help="Counterbalanced playlists to make.")
    ] = 12,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            metavar="N",
            help="Sentences that a listener rates; by default all, to 40 (mos), 30 (smos), 24 "
            "(preference) or 10 (mushra).",
            show_default=False,
        ),
    ] = None,
    anchor: Annotated[
        list[int] | None,
        typer.Option(
            "--anchor",
            metavar="HZ",
            help="Hidden low-pass version of the reference, for mos and mushra; may be repeated. "
            "mushra has one of 3500 Hz by default; 0 means none.",
            show_default=False,
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            "--repeats",
            metavar="N",
            help="Trials that a listener meets twice; by default 4, or none in short tests.",
            show_default=False,
        ),
    ] = None,
    checks: Annotated[
        int | None,
        typer.Option(
            "--checks",
            metavar="N",
            help="Trials whose answer is known; by default 4, or 2 in short tests.",
            show_default=False,
        ),
    ] = None,
    practice: Annotated[
        int | None,
        typer.Option(
            "--practice",
            metavar="N",
            help="Trials before those that count; by default 2, for mushra 1.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="For preference: every system against this one alone; by default all pairs.",
            show_default=False,
        ),
    ] = None,
    forced: Annotated[
        bool, typer.Option("--forced", help="For preference: one of the two must be chosen.")
    ] = False,
    aspect: Annotated[
        str,
        typer.Option(
            "--aspect",
            metavar="WHAT",
            help="For smos: similar in the voice (speaker) or in the recording's sound (channel).",
        ),
    ] = "speaker",
    loudness: Annotated[
        float, typer.Option("--loudness", metavar="LUFS", help="Loudness of all sounds.")
    ] = -23.0,
    title: Annotated[
        str, typer.Option("--title", metavar="TEXT", help="Title of the pages.")
    ] = "Listening test",
    intro: Annotated[
        Path | None,
        typer.Option(
            "--intro",
            metavar="FILE",
            help="Plain text that greets listeners; an empty line begins a paragraph.",
            show_default=False,
        ),
    ] = None,
    contact: Annotated[
        str,
        typer.Option(
            "--contact",
            metavar="TEXT",
            help="Where listeners send their answers.",
            show_default=False,
        ),
    ] = "",
    address: Annotated[
        str,
        typer.Option(
            "--address",
            metavar="URL",
            help="Where the pages will be, for the links of invitations.csv.",
            show_default=False,
        ),
    ] = "",
    language: Annotated[
        str, typer.Option("--language", metavar="CODE", help="Language of the pages.")
    ] = "en",
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is drawn.")] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make the pages of a listening test.

    FOLDER/site works from a disk or any web server. FOLDER/key.json says which sound is whose:
    keep it to yourself.
    """
    from selfremaster.benchmarks.listening.designs import check_settings
    from selfremaster.benchmarks.listening.pages import prepare as write

    settings = check_settings(
        {
            "test": test,
            "title": title,
            "language": language,
            "listeners": listeners,
            "trials": trials,
            "anchors_hz": None if anchor is None else tuple(hertz for hertz in anchor if hertz),
            "repeats": repeats,
            "checks": checks,
            "practice": practice,
            "baseline": baseline,
            "ties": not forced,
            "aspect": aspect,
            "loudness_lufs": loudness,
            "seed": seed,
        }
    )
    material = _material(benchmark, system or (), reference, condition or ())
    if material.left_out:
        more = len(material.left_out) - SHOWN
        named = ", ".join(material.left_out[:SHOWN]) + (f" and {more} more" if more > 0 else "")
        note(f"left out, not there from every system: {named}")
    with progress(quiet, "writing sounds", None) as bar:
        try:
            prepared = write(
                material,
                settings,
                output,
                intro=_text(intro),
                contact=contact,
                address=address,
                overwrite=overwrite,
                progress=lambda done, total: bar.at(done, f"of {total}"),
            )
        except KeyboardInterrupt:
            raise Interrupted(f"{output} is half made; add --overwrite, or remove it") from None
    if as_json:
        say_json(_as_json(prepared, material))
    elif not quiet:
        _tell(prepared)


def _material(
    benchmark: Path | None,
    given: Sequence[str],
    reference: Path | None,
    conditions: Sequence[str],
) -> Material:
    from selfremaster.benchmarks.listening.material import of_benchmark, of_folders
    from selfremaster.core.errors import ExperimentError

    if benchmark is not None:
        if reference is not None or any("=" in text for text in given):
            raise ExperimentError(
                "give either a benchmark, with --system NAME, or folders, with --system NAME=FOLDER"
            )
        return of_benchmark(benchmark, given, conditions)
    if conditions:
        raise ExperimentError("--condition is one of a benchmark; give its folder, or leave it out")
    folders: dict[str, Path] = {}
    for text in given:
        name, found, folder = text.partition("=")
        if not (found and name.strip() and folder):
            raise ExperimentError(f"--system {text}: give NAME=FOLDER")
        if name.strip() in folders:
            raise ExperimentError(f"--system {name.strip()} is given twice; name them differently")
        folders[name.strip()] = Path(folder)
    if not folders:
        raise ExperimentError(
            "nothing to hear; give the folder of a benchmark, or two or more --system NAME=FOLDER"
        )
    return of_folders(folders, reference)


def _text(path: Path | None) -> str:
    from selfremaster.core.errors import ExperimentError

    try:
        return path.read_text(encoding="utf-8") if path else ""
    except UnicodeDecodeError:
        raise ExperimentError(f"--intro {path}: is not text in UTF-8") from None


def _tell(prepared: Prepared) -> None:
    key = prepared.key
    trials = len(key.playlists[0])
    minutes = sum(prepared.seconds) / len(prepared.seconds) / 60
    say(
        f"{key.test} of {len(key.systems)} systems, {len(key.sentences)} sentences: "
        f"{len(key.playlists)} playlists of {trials} trials, {minutes:.1f} minutes of sound each"
    )
    say(f"pages       -> {prepared.page}")
    say(f"invitations -> {prepared.invitations}")
    say(f"key         -> {prepared.key_file} (not for listeners)")


def _as_json(prepared: Prepared, material: Material) -> dict[str, Any]:
    key = prepared.key
    return {
        "id": key.id,
        "test": key.test,
        "systems": key.systems,
        "sentences": len(key.sentences),
        "playlists": len(key.playlists),
        "trials": len(key.playlists[0]),
        "seconds": prepared.seconds,
        "pages": prepared.page,
        "invitations": prepared.invitations,
        "key": prepared.key_file,
        "left_out": material.left_out,
    }
