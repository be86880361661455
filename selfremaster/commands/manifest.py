"""`selfremaster manifest`: which files a corpus holds, and which split each belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.options import Json, Overwrite, Quiet
from selfremaster.commands.terminal import finish, progress, say, say_json, say_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfremaster.core.jobs import Failure
    from selfremaster.core.manifests import Manifest

PART = 0.05  # of the files, for validation and for testing


def manifest(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of the corpus.")],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The manifest, CSV.")],
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="A corpus as its archive unpacks, with its speakers and splits: jsut, jvs, vctk, "
            "vctk-mic2, ljspeech or libritts.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="Of the corpus: single, multi-seen or multi-unseen speakers. [default: single]",
            show_default=False,
        ),
    ] = None,
    val: Annotated[
        float | None,
        typer.Option(
            "--val", min=0, max=1, help="Part for validation. [default: 0.05]", show_default=False
        ),
    ] = None,
    test: Annotated[
        float | None,
        typer.Option(
            "--test", min=0, max=1, help="Part for testing. [default: 0.05]", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the splits.")] = 0,
    speaker_depth: Annotated[
        int | None,
        typer.Option(
            "--speaker-depth",
            min=1,
            help="Which folder below FOLDER is the speaker. [default: 1]",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List a corpus with its splits.

    A row a file, with speaker, split, length and hash: the same list whenever it is made. Files
    that cannot be read to their end are named and left out.
    """
    from selfremaster.core import manifests
    from selfremaster.core.errors import ExperimentError
    from selfremaster.core.splits import check_settings

    own = {"--kind": kind, "--val": val, "--test": test, "--speaker-depth": speaker_depth}
    given = [option for option, value in own.items() if value is not None]
    if layout is not None and given:
        raise ExperimentError(
            f"--layout {layout} brings speakers and splits; leave out {' and '.join(given)}"
        )
    of_val, of_test = (PART if part is None else part for part in (val, test))
    if of_val + of_test >= 1:
        raise ExperimentError(f"--val {of_val} and --test {of_test} leave nothing to train on")
    fractions = (1 - of_val - of_test, of_val, of_test)
    check_settings(kind or "single", fractions)
    if output.is_dir():
        raise ExperimentError(
            f"{output}: is a folder; name a file, such as {output / 'manifest.csv'}"
        )
    if output.exists() and not overwrite:
        raise ExperimentError(f"{output}: exists already; add --overwrite, or name another file")
    with progress(quiet, "reading", None):
        made, failures = manifests.list_corpus(
            folder,
            kind or "single",  # type: ignore[arg-type]  # checked above
            fractions,
            seed,
            speaker_depth or 1,
            layout,
        )
    if made.items:
        manifests.write(made, output)
    if as_json:
        say_json(_as_json(made, output, failures))
    elif made.items and not quiet:
        say(f"{len(made.items)} files -> {output}")
        rows = [
            [name, str(split["files"]), str(split["speakers"]), f"{split['minutes']:.2f}"]
            for name, split in _splits(made).items()
        ]
        say_table(["split", "#files", "#speakers", "#minutes"], rows)
    finish(failures, len(failures) + len(made.items))


def _as_json(made: Manifest, output: Path, failures: Sequence[Failure]) -> dict[str, Any]:
    from selfremaster.core import manifests

    return {
        "manifest": output if made.items else None,
        "hash": manifests.content_hash(made) if made.items else None,
        "splits": _splits(made),
        "failed": [{"input": item.source, "reason": item.reason} for item in failures],
    }


def _splits(made: Manifest) -> dict[str, dict[str, Any]]:
    """Files, speakers and minutes of every split."""
    told = {}
    for name in made.splits():
        items = [item for item in made.items if item.split == name]
        told[name] = {
            "files": len(items),
            "speakers": len({item.speaker for item in items}),
            "minutes": sum(item.seconds or 0.0 for item in items) / 60,
        }
    return told
