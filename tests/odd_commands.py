"""Run commands on a folder of odd files in this process, and tell what came of it as JSON.

Usage: python -m tests.odd_commands FOLDER WORK, which is a folder to write into.
"""

import json
import sys
from pathlib import Path
from typing import Any

from selfremaster.benchmarks.machines import peak_memory_bytes
from tests.cli import Outcome, run, write_tiny_bundle, write_tone
from tests.odd_files import odd_files


def told(outcome: Outcome) -> dict[str, Any]:
    """What a command says, where it is not only numbers."""
    return {"code": outcome.code, "out": outcome.out, "err": outcome.err}


def main(folder: Path, work: Path) -> None:
    """Restore, survey, damage and list the files."""
    model = write_tiny_bundle(work / "model.safetensors")
    one = write_tone(work / "one.wav")  # what the libraries take is taken by now
    run("restore", one, "--output", work / "done.wav", "--model", model)
    base = peak_memory_bytes()
    by_name = [folder / odd.name for odd in odd_files() if not odd.is_found]
    damage = ["--degradation", "clip:ratio=0.5", "--seed", "1"]
    found = {
        "restore": run("restore", folder, "--output", work / "all", "--model", model, "--json"),
        "restore by name": run(
            "restore", *by_name, "--output", work / "named", "--model", model, "--json"
        ),
        "strict": run(
            *("restore", folder, "--output", work / "strict", "--model", model, "--json"),
            *("--strict", "--strength", "0"),
        ),
        "repair": run(
            *("restore", folder, "--output", work / "repaired", "--model", model, "--json"),
            *("--repair-samples", "--strength", "0"),
        ),
        "survey": run("survey", folder, "--json"),
        "degrade": run("degrade", folder, "--output", work / "damaged", *damage, "--json"),
        "manifest": run("manifest", folder, "--output", work / "list.csv"),
    }
    outcomes = {name: told(outcome) for name, outcome in found.items()}
    written = {"commands": outcomes, "more_bytes": peak_memory_bytes() - base}
    (work / "told.json").write_text(json.dumps(written))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
