"""Pictures of degradations for `selfremaster show`: of one, or of all in a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from selfremaster.commands.terminal import note, one_line, progress, say, say_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from selfremaster.core.gallery import Example
    from selfremaster.core.interfaces import Degradation

KIND = "degradation"
PAGE = "README.md"
MAIN_SETTINGS = 4
LONGEST_DEFAULT = 40  # characters
INTRODUCTION = """# Degradations

Written by `selfremaster show degradation --pictures FOLDER`. Each picture shows the same sentence
before and after: a spectrogram, its frequencies in mel and its colours from the loudest point of
both (bright) to 80 dB below (black), and the waveform beneath. Settings that are ranges are drawn
for each recording; `selfremaster show degradation NAME` tells all of them.
"""
HEADING = ("| name | what it does | before and after | main settings |", "|---|---|---|---|")


def show_picture(
    text: str, path: Path, speech: Path | None, seed: int, overwrite: bool, as_json: bool
) -> None:
    """Draw one degradation, given as NAME or NAME:key=value,...."""
    from selfremaster.core import gallery
    from selfremaster.core.errors import SelfRemasterError
    from selfremaster.core.files import check_place
    from selfremaster.core.jobs import check_writable
    from selfremaster.registry.building import build

    if path.suffix.lower() != gallery.SUFFIX and not path.is_dir():
        raise SelfRemasterError(
            f"{path}: pictures are PNG; name it {path.with_suffix(gallery.SUFFIX)}"
        )
    part = build(KIND, text)
    check_place(path, overwrite, f"picture{gallery.SUFFIX}", [speech] if speech else [])
    check_writable(path.parent)
    wave, rate = gallery.example_speech(speech)
    drawn = _drawn(path, text, part, wave, rate, seed)
    if as_json:
        say_json({KIND: text, "picture": path, "seed": seed, "parameters": drawn})
    else:
        say(f"{KIND} {text} -> {path}")


def show_pictures(
    names: Sequence[str],
    folder: Path,
    speech: Path | None,
    seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Draw degradations into a folder, with a page that shows them all."""
    from selfremaster.core import gallery
    from selfremaster.core.errors import SelfRemasterError
    from selfremaster.core.files import check_place, write_atomically
    from selfremaster.core.jobs import check_writable
    from selfremaster.registry.building import component_class

    if folder.exists() and not folder.is_dir():
        raise SelfRemasterError(f"{folder}: is a file; name a folder for the pictures")
    check_writable(folder)
    wave, rate = gallery.example_speech(speech)
    shown: dict[str, list[Example]] = {}
    failed: dict[str, SelfRemasterError] = {}
    for name in names:
        try:
            shown[name] = gallery.examples_of(name, component_class(KIND, name))
        except SelfRemasterError as error:
            failed[name] = error
    page = folder / PAGE
    for path in (page, *(folder / one.file for examples in shown.values() for one in examples)):
        check_place(path, overwrite, PAGE)
    rows: dict[str, str] = {}
    with progress(False, "drawing", len(shown)) as bar:
        for number, (name, examples) in enumerate(shown.items()):
            bar.at(number, name)
            try:
                _draw(examples, folder, wave, rate, seed)
                rows[name] = row_of(name, examples)
            except SelfRemasterError as error:
                failed[name] = error
    if failed and len(names) == 1:
        raise failed[names[0]]
    if len(names) == 1:
        rows = {**_rows_of(page), **rows}  # a page of all stays one
    with write_atomically(page) as temporary:
        lines = [INTRODUCTION, *HEADING, *(rows[name] for name in sorted(rows))]
        text = "\n".join(lines) + "\n"
        temporary.write_text(text, encoding="utf-8", newline="\n")
    drawn = {name: examples for name, examples in shown.items() if name not in failed}
    _tell(page, drawn, failed, as_json)


def _rows_of(page: Path) -> dict[str, str]:
    """The rows that a page has, by the names of degradations; none where there is no page."""
    if not page.exists():
        return {}
    lines = page.read_text(encoding="utf-8", errors="replace").splitlines()
    return {line.split("`")[1]: line for line in lines if line.startswith("| `")}


def _draw(examples: Sequence[Example], folder: Path, wave: Tensor, rate: int, seed: int) -> None:
    from selfremaster.registry.building import build

    for example in examples:
        part = build(KIND, example.spec)
        _drawn(folder / example.file, example.spec, part, wave, rate, seed)


def _drawn(
    path: Path, spec: str, part: Degradation, wave: Tensor, rate: int, seed: int
) -> dict[str, Any]:
    """Draw one picture; what a stranger's part raises is told in one line."""
    from selfremaster.core import gallery
    from selfremaster.core.errors import ComponentError, SelfRemasterError
    from selfremaster.core.errors import one_line as said

    try:
        return gallery.picture(path, spec, part, wave, rate, seed)
    except SelfRemasterError:
        raise
    except Exception as error:  # a stranger's, which is to cost nobody else their picture
        raise ComponentError(f"{KIND} {spec}: {said(error)}") from error


def row_of(name: str, examples: Sequence[Example]) -> str:
    """A degradation as a row of the page."""
    from selfremaster.commands.parts import describe_part

    told = describe_part(KIND, name)
    pictures = [
        (f"{one.caption}: `{one.spec}`<br>" if one.caption else "")
        + f"![{one.spec}, before and after]({one.file})"
        for one in examples
    ]
    cells = [f"`{name}`", told["summary"], "<br>".join(pictures), _main_settings(told)]
    return f"| {' | '.join(one_line(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _main_settings(told: Mapping[str, Any]) -> str:
    """The first of those settings that have a value; of parts the names alone."""
    given = [one for one in told["settings"] if one["default"] not in ("none", "required")]
    words = []
    for setting in given[:MAIN_SETTINGS]:
        default = setting["default"]
        if setting["type"] == KIND:
            default = _names(json.loads(default)) if default[:1] in ("[", "{") else default
        if len(default) > LONGEST_DEFAULT:
            default = default[: LONGEST_DEFAULT - 1] + "…"
        words.append(f"`{setting['name']}={default}`")
    return "<br>".join(words)


def _names(parts: Any) -> str:
    if isinstance(parts, list):
        return ", ".join(map(_names, parts))
    return str(parts["name"]) if isinstance(parts, dict) else str(parts)


def _tell(
    page: Path,
    drawn: Mapping[str, Sequence[Example]],
    failed: Mapping[str, Exception],
    as_json: bool,
) -> None:
    if as_json:
        files = {name: [page.with_name(one.file) for one in each] for name, each in drawn.items()}
        reasons = {name: str(error) for name, error in failed.items()}
        say_json({"page": page, "pictures": files, "failed": reasons})
    else:
        say(f"{sum(map(len, drawn.values()))} pictures of {len(drawn)} degradations -> {page}")
    for error in failed.values():
        note(f"failed: {error}")
    if failed:
        note(f"error: {len(failed)} of {len(failed) + len(drawn)} degradations have no picture")
        raise typer.Exit(1)
