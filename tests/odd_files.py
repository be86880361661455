"""Bad and odd sound files, and what becomes of each: python -m tests.odd_files FOLDER makes them.

With --table it prints examples/odd-files.md instead.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from selfremaster.core import audio
from selfremaster.core.errors import AudioError
from tests.odd import OUTCOMES, REFUSED, RESTORED, WARNED, Odd
from tests.odd_containers import CONTAINERS
from tests.odd_contents import CONTENTS, ODD_NAMES
from tests.odd_headers import DAMAGES, HEADERS

HANG_SECONDS = 600  # nothing here should take a tenth of it
ODD_FILES = (*CONTENTS, *HEADERS, *DAMAGES, *CONTAINERS, *ODD_NAMES)


def odd_files(with_av: bool | None = None) -> list[Odd]:
    """All of them, those that take PyAV to make or read where it is installed."""
    wanted = find_spec("av") is not None if with_av is None else with_av
    return [odd for odd in ODD_FILES if wanted or not odd.needs_av]


def make(folder: Path, found: Iterable[Odd]) -> None:
    """Make the files; those of other kinds than files, too."""
    folder.mkdir(parents=True, exist_ok=True)
    for odd in found:
        odd.make(folder / odd.name)


def outcome_of(path: Path) -> tuple[str, str, audio.AudioInfo | None]:
    """What becomes of a file when it is read for restoring, the words said, and its info."""
    try:
        info = audio.inspect(path, strict=False)
        wave, _ = audio.read(path, strict=False)
    except AudioError as error:
        return REFUSED, str(error).replace(f"{path}: ", ""), None
    assert wave.shape == (info.channels, info.samples)
    return (WARNED if info.remarks else RESTORED), "; ".join(info.remarks), info


def run_commands(folder: Path, work: Path) -> Mapping[str, Any]:
    """What all commands make of the folder, in one process of their own."""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "tests.odd_commands", folder, work],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads((work / "told.json").read_text())
    return told


def elsewhere(odd: Odd, outcome: str, refused: Mapping[str, Mapping[str, str]]) -> str:
    """Which commands do otherwise than `restore` with a file that they find in a folder."""
    if not odd.is_found or odd.name == "folder.wav":
        return ""
    others = [name for name in refused if (odd.name in refused[name]) != (outcome == REFUSED)]
    if not others:
        return ""
    words = "taken by" if outcome == REFUSED else "refused by"
    return f"{words} {', '.join(f'`{name}`' for name in others)}"


def table(
    folder: Path, found: Iterable[Odd], refused: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """The lines of the documentation, from what really becomes of the files."""
    rows = [(odd, *outcome_of(folder / odd.name)) for odd in found]
    counts = {one: sum(outcome == one for _, outcome, _, _ in rows) for one in OUTCOMES}
    yield "# Bad and odd files"
    yield ""
    yield f"What becomes of {len(rows)} files that archives hold: " + ", ".join(
        f"{count} {one}" for one, count in counts.items()
    )
    yield ""
    yield "`python -m tests.odd_files FOLDER` makes them, and this page with `--table`; a test"
    yield "keeps it as it is. Results have the length, rate and channels that are told here. With"
    yield "`--strict` files that are truncated or damaged are refused, too; with `--repair-samples`"
    yield "samples that are no numbers are made up from their neighbours."
    yield ""
    yield "All commands go by one rule. Recordings are taken as far as they go, and what is missing"
    yield "is said: by `restore`, `survey`, `adapt`, `profile` and `transfer`. A corpus that is"
    yield "learned from or measured by holds whole files only: `manifest`, `train`, `degrade`,"
    yield "`benchmark`, `--clean` and `--reference` refuse what is truncated or damaged. A file"
    yield "that is refused is named with the reason, and the others are done. The last column says"
    yield "which commands therefore do otherwise than `restore`, for files found in a folder."
    yield ""
    yield "| file | what it is | outcome | what is said | samples | Hz | channels | elsewhere |"
    yield "| --- | --- | --- | --- | ---: | ---: | ---: | --- |"
    for odd, outcome, words, info in rows:
        numbers = ("", "", "")
        if info is not None:
            numbers = (str(info.samples), str(info.sample_rate), str(info.channels))
        said = re.sub(r"(not audio, or damaged) \(.*", r"\1", words)  # libraries say why
        others = elsewhere(odd, outcome, refused)
        cells = (in_ascii(odd.name), odd.about, outcome, said, *numbers, others)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def in_ascii(name: str) -> str:
    """A name as it can be printed, and not too long."""
    shown = f"{name[:20]}...{name[-8:]}" if len(name) > 60 else name
    return f"`{shown.encode('unicode_escape').decode().replace('`', '')}`"


def main() -> int:
    """Make the files or the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        with tempfile.TemporaryDirectory() as folder:
            found = odd_files(with_av=True)
            make(Path(folder, "odd"), found)
            Path(folder, "work").mkdir()
            told = run_commands(Path(folder, "odd"), Path(folder, "work"))
            print("\n".join(table(Path(folder, "odd"), found, told["refused"])))
    elif given.folder:
        make(given.folder, odd_files())
    else:
        parser.error("name a folder, or --table")
    return 0


if __name__ == "__main__":
    sys.exit(main())
