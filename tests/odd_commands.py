"""Run commands on a folder of odd files in this process, and tell what came of it as JSON.

Usage: python -m tests.odd_commands FOLDER WORK, which is a folder to write into.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from selfremaster.benchmarks.machines import peak_memory_bytes
from selfremaster.benchmarks.records import read_outcome
from selfremaster.core import audio
from tests import tiny
from tests.adaptations import adapt, make_quick
from tests.cli import Outcome, run, write_tiny_bundle, write_tone
from tests.odd_files import odd_files
from tests.odd_parts import quick_benchmarks

GOOD = 5
GOOD_SECONDS = 16.0  # together more than the minute of speech that is asked for
Told = dict[str, dict[str, str]]
"""Why a command refused a file, or nothing, by command and name."""


def told(outcome: Outcome) -> dict[str, Any]:
    """What a command says, where it is not only numbers."""
    return {"code": outcome.code, "out": outcome.out, "err": outcome.err}


def main(folder: Path, work: Path) -> None:
    """Do everything that is done with recordings."""
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
        "manifest": run("manifest", folder, "--output", work / "list.csv", "--json"),
    }
    profiling = write_learner(work)
    found["profile"] = run(
        "profile", folder, "--output", work / "tape.json", "--model", profiling, "--json"
    )
    restoring = peak_memory_bytes() - base
    mixed = write_mixed(folder, work / "mixed")
    with pytest.MonkeyPatch.context() as patch, quick_benchmarks():
        make_quick(patch)
        words = ("--json", "--quiet")
        found["adapt"] = adapt(mixed, work / "adapted", profiling, *words)
        found["benchmark"] = run("benchmark", write_grid(work, mixed), "--output", work / "bench")
    outcomes = {name: told(outcome) for name, outcome in found.items()}
    written = {
        "commands": outcomes,
        "more_bytes": restoring,
        "more_bytes_learning": peak_memory_bytes() - base,
        "refused": refused(outcomes, mixed / "odd", work / "bench"),
    }
    (work / "told.json").write_text(json.dumps(written))


def write_learner(work: Path) -> Path:
    """A model that can learn."""
    return tiny.write_model(work / "learner" / "model.safetensors", 3)


def write_mixed(folder: Path, mixed: Path) -> Path:
    """A folder of the odd files and of good ones."""
    for number in range(GOOD):
        wave = tiny.speech_like(GOOD_SECONDS, number)
        audio.write(mixed / "good" / f"good-{number}.wav", wave, tiny.RATE)
    (mixed / "odd").symlink_to(folder, target_is_directory=True)
    return mixed


def write_grid(work: Path, mixed: Path) -> Path:
    """A benchmark of all of them."""
    grid = {
        "corpora": {"mixed": {"folder": str(mixed)}},
        "conditions": {"clipped": "clip:ratio=0.3"},
        "restorers": {"input": "input"},
        "metrics": ["mr-stft"],
    }
    path = work / "grid.yaml"
    path.write_text(yaml.safe_dump(grid))
    return path


def refused(outcomes: Mapping[str, Mapping[str, Any]], odd: Path, bench: Path) -> Told:
    """Why commands refused files that were found in a folder."""
    found: Told = {}
    for command in ("survey", "profile", "degrade", "manifest"):
        failed = json.loads(outcomes[command]["out"])["failed"]
        found[command] = {Path(one["input"]).name: one["reason"] for one in failed}
    found["adapt"], found["benchmark"] = {}, {}
    notes = json.loads(outcomes["adapt"]["out"])["notes"]
    outcome = read_outcome(bench)
    failures = {Path(one.file).name: one.reason for one in outcome.results if one.reason}
    for name in (one.name for one in odd_files() if one.is_found):
        for note in notes:
            if note.startswith("left out: ") and _names(odd / name, note):
                found["adapt"][name] = note
        for line in outcome.provenance.exclusions:
            if _names(odd / name, line):
                found["benchmark"][name] = line
    found["benchmark"] |= failures
    return found


def _names(path: Path, line: str) -> bool:
    return str(path) in line or repr(f"{path.parent.name}/{path.name}") in line


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
