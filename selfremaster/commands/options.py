"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Any

import typer

from selfremaster.core.remotes import parse, parse_here


def _leave_out(context: typer.Context, plugins: list[str] | None) -> list[str] | None:
    """Leave the plugins out until the command is done."""
    if plugins and not context.resilient_parsing:
        from selfremaster.registry.building import leaving_out

        context.with_resource(leaving_out(*plugins))
    return plugins


Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="PLUGIN",
        help="Leave a plugin out; may be repeated.",
        callback=_leave_out,
        show_default=False,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=C",
        help="Change a setting of the YAML file; may be repeated.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show neither progress nor summary.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")]
Inputs = Annotated[
    list[Path],
    typer.Argument(metavar="INPUT", help="Sound files or folders of them.", parser=parse_here),
]
Recordings = Annotated[
    list[Any],  # paths and URLs: typer takes no unions
    typer.Argument(
        metavar="INPUT",
        help="Sound files or folders of them, or URLs: s3://, gs://, and https:// of a file.",
        parser=parse,
    ),
]
Output = Annotated[
    str,  # a path would lose the slash at its end, which says that it is a folder
    typer.Option(
        "--output", metavar="PATH", help="File or folder for the results; folders keep their tree."
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
