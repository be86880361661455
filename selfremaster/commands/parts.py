"""`selfremaster list` and `selfremaster show`: what parts there are, and what they can be told."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfremaster.commands.options import Json, Overwrite, Without
from selfremaster.commands.pictures import KIND as PICTURED
from selfremaster.commands.pictures import show_picture, show_pictures
from selfremaster.commands.terminal import note, say, say_json, say_markdown, say_table

if TYPE_CHECKING:
    from collections.abc import Mapping

BUNDLE = "bundle"
EXPERIMENT = "experiment"
GRID = "grid"
LONGEST_CELL = 60


def list_parts(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="Only parts of this kind.", show_default=False),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a table in Markdown.")
    ] = False,
    without: Without = None,
    as_json: Json = False,
) -> None:
    """List the parts that there are.

    The toolkit's own, and those of plugins.
    """
    from selfremaster.core.errors import SelfRemasterError
    from selfremaster.registry.building import current, list_components

    if markdown and as_json:
        raise SelfRemasterError("--markdown and --json are two formats; give one of them")
    parts = list_components(kind)
    declared = Counter((part.kind, part.name) for part in parts)
    if as_json:
        say_json(
            [{**part._asdict(), "duplicate": declared[part.kind, part.name] > 1} for part in parts]
        )
    else:
        rows = []
        for part in parts:
            twice = " (declared twice)" if declared[part.kind, part.name] > 1 else ""
            owner = f"{part.owner} {part.version}".strip()
            rows.append([part.kind, part.name + twice, part.summary, owner])
        if markdown:
            shown = [
                [row[0], f"`{part.name}`", *row[2:3]] for row, part in zip(rows, parts, strict=True)
            ]
            say_markdown(["kind", "name", "what it does"], shown)
        else:
            say_table(["kind", "name", "what it does", "from"], rows)
    broken = len({problem.plugin for problem in current().problems})
    if broken:
        are = "plugin has a problem" if broken == 1 else "plugins have problems"
        note(f"{broken} {are}; see selfremaster doctor")


def show(
    topic: Annotated[
        str, typer.Argument(metavar="KIND", help="A kind of part, or: bundle, experiment, grid.")
    ],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A part's name, or a bundle's file.", show_default=False
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Of a degradation, NAME or NAME:key=value,...: draw speech before and after into "
            "this PNG.",
            show_default=False,
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures",
            metavar="FOLDER",
            help="Draw all degradations (or NAME alone) into NAME.png, with a page, README.md.",
            show_default=False,
        ),
    ] = None,
    speech: Annotated[
        Path | None,
        typer.Option(
            "--speech",
            metavar="FILE",
            help="For pictures: this sound instead of the toolkit's own, its first 10 seconds.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            help="For pictures: of what is drawn by chance (0).",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    without: Without = None,
    as_json: Json = False,
) -> None:
    """Show a part, a bundle, an experiment or a grid.

    KIND NAME shows the settings of a part, bundle FILE what a bundle holds, experiment and grid the
    JSON schemas of `train` and `benchmark`. Degradations can be shown as pictures, too.
    """
    from selfremaster.core.components import KINDS, hint
    from selfremaster.core.errors import ComponentError
    from selfremaster.registry.building import current

    if picture or pictures or speech or seed is not None:
        _check_pictured(topic, name, picture, pictures, speech)
    if pictures:
        table = current().table
        names = [table.find(PICTURED, name).name] if name else table.names(PICTURED)
        show_pictures(names, pictures, speech, seed or 0, overwrite, as_json)
        return
    if picture and name:
        show_picture(name, picture, speech, seed or 0, overwrite, as_json)
        return

    if topic in (EXPERIMENT, GRID):
        if name is not None:
            raise ComponentError(f"show {topic} takes no {name!r}; it prints the schema of any")
        _show_schema(topic)
        return
    if topic not in (*KINDS, BUNDLE):
        topics = [*KINDS, BUNDLE, EXPERIMENT, GRID]
        raise ComponentError(f"nothing named {topic!r}{hint(topic, topics)}")
    if name is None:
        known = (
            "a file" if topic == BUNDLE else ", ".join(current().table.names(topic)) or "none yet"
        )
        raise ComponentError(f"show {topic} needs a name: {known}")
    if topic == BUNDLE:
        described = describe_bundle_file(name)
        say_json(described) if as_json else _show_bundle(described)
    else:
        if ":" in name:
            bare = name.partition(":")[0]
            pictured = (
                f", or add --picture FILE.png to see what {name} does" if topic == PICTURED else ""
            )
            raise ComponentError(f"show {topic} takes a name without settings: {bare}{pictured}")
        told = describe_part(topic, name)
        say_json(told) if as_json else _show_part(told)


def _check_pictured(
    topic: str, name: str | None, picture: Path | None, pictures: Path | None, speech: Path | None
) -> None:
    """Raise `ComponentError` for options that ask for pictures and do not fit together."""
    from selfremaster.core.errors import ComponentError

    if topic != PICTURED:
        raise ComponentError(
            f"pictures show what a {PICTURED} does; write: show {PICTURED} NAME --picture FILE.png"
        )
    if picture and pictures:
        raise ComponentError("--picture is one file, --pictures a folder; give one of them")
    if not picture and not pictures:
        option = "--speech" if speech else "--seed"
        raise ComponentError(f"{option} is for pictures; give --picture or --pictures, too")
    if picture and name is None:
        raise ComponentError(
            "--picture needs a name, such as clip; --pictures FOLDER draws all of them"
        )


def describe_part(kind: str, name: str) -> dict[str, Any]:
    """Everything that there is to say of a part, as plain values."""
    from selfremaster.commands.settings import settings_of
    from selfremaster.core.components import nested_parts
    from selfremaster.registry.building import component_class, current

    entry = current().table.find(kind, name)
    found = component_class(kind, name)
    text = inspect.getdoc(found) or ""
    settings = settings_of(found.Config, nested_parts(found.Config))
    return {
        "kind": kind,
        "name": name,
        "summary": text.partition("\n")[0],
        "target": entry.target,
        "owner": entry.owner.name,
        "version": entry.owner.version,
        "text": text,
        "settings": [setting._asdict() for setting in settings],
        "presets": {preset: dict(given) for preset, given in found.Config.presets.items()},
    }


def _show_part(told: Mapping[str, Any]) -> None:
    say(f"{told['kind']} {told['name']}")
    say(f"{told['target']} ({told['owner']} {told['version']}".rstrip() + ")")
    say("")
    say(told["text"])
    say("")
    if told["settings"]:
        rows = [
            list({**setting, "default": _short(setting["default"])}.values())
            for setting in told["settings"]
        ]
        say_table(["setting", "type", "default", "allowed", "what it is"], rows)
    else:
        say("It has no settings.")
    if told["presets"]:
        say("")
        rows = [
            [preset, ", ".join(f"{key}={json.dumps(value)}" for key, value in given.items())]
            for preset, given in told["presets"].items()
        ]
        say_table(["preset", "sets"], rows)


def _short(text: str) -> str:
    """A cell of a table; what is longer, as whole parts are, is all there with --json."""
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 3]}..."


def _show_schema(topic: str) -> None:
    from selfremaster.benchmarks.grids import Grid
    from selfremaster.core.experiments import Experiment

    say_json((Grid if topic == GRID else Experiment).model_json_schema())


def describe_bundle_file(reference: str) -> dict[str, Any]:
    """What a bundle says of itself, and how many numbers each module has; weights are not read."""
    from selfremaster.core.bundles import bundle_path, count_weights, describe_bundle
    from selfremaster.core.errors import BundleError
    from selfremaster.registry import hub
    from selfremaster.registry.assembling import builtin_bundles

    named = builtin_bundles()
    path = Path(reference)
    if not path.exists():
        if reference in named:
            path = named[reference]
        elif hub.is_reference(reference):
            path = hub.fetch(reference)
    header = describe_bundle(path)
    if header.get("kind") != BUNDLE:
        raise BundleError(f"{path}: is a {header.get('kind')}, not a bundle")
    return {
        "file": bundle_path(path),
        "bytes": bundle_path(path).stat().st_size,
        **{key: value for key, value in header.items() if key not in {"kind", "format"}},
        "parameters": count_weights(path),
    }


def _show_bundle(described: Mapping[str, Any]) -> None:
    import yaml

    plain = {key: value for key, value in described.items() if key not in {"experiment", "file"}}
    say(f"{described['file']}")
    say("")
    say(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).rstrip())
    say("")
    say(
        yaml.safe_dump(
            {"experiment": described["experiment"]}, sort_keys=False, allow_unicode=True
        ).rstrip()
    )
