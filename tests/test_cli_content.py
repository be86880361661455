"""`selfremaster restore --content`: a row for each second, a table at the end, a strip."""

import csv
import json
from pathlib import Path

import pytest

from selfremaster.core.errors import ComponentError
from selfremaster.registry import building
from tests.cli import SPEECH, left_behind, run, write_tiny_bundle

SPOKEN = SPEECH / "heart" / "heart-1.flac"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    return write_tiny_bundle(folder / "tiny.safetensors", "input-phase")


def restore(bundle: Path, folder: Path, *options: str) -> list[str | Path]:
    model = ["--model", bundle, "--content", "--content-metric", "estoi"]
    return ["restore", SPOKEN, "--output", f"{folder}/", *model, *options]


def test_a_table_lies_beside_the_result_and_the_end_tells_of_it(
    bundle: Path, tmp_path: Path
) -> None:
    told = run(*restore(bundle, tmp_path, "--pictures"))
    assert (told.code, told.err) == (0, "")
    assert left_behind(tmp_path) == ["heart-1.content.csv", "heart-1.flac", "heart-1.png"]
    with (tmp_path / "heart-1.content.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert "estoi" in rows[0]
    count = sum(row["suspicious"] == "1" for row in rows)
    assert f"{count} of 4" in told.out
    assert "suspicious seconds" in told.out
    again = run(*restore(bundle, tmp_path))
    assert "exist already; add --overwrite" in again.error


def test_json_names_the_file_and_the_seconds(bundle: Path, tmp_path: Path) -> None:
    told = run(*restore(bundle, tmp_path, "--json"))
    (one,) = json.loads(told.out)["restored"]
    assert one["content"] == f"{tmp_path}/heart-1.content.csv"
    assert set(one["suspicious_seconds"]) <= {0, 1, 2, 3}


def test_what_is_not_installed_is_a_named_gap(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = building.build

    def without(kind: str, spec: str, **parts: object) -> object:
        if spec == "speaker-similarity":
            raise ComponentError("needs the package resemblyzer; install it")
        return whole(kind, spec, **parts)

    monkeypatch.setattr(building, "build", without)
    told = run("restore", SPOKEN, "--output", f"{tmp_path}/", "--model", bundle, "--content")
    assert told.code == 0
    assert "content without speaker-similarity: needs the package resemblyzer" in told.err
    assert "speaker" not in (tmp_path / "heart-1.content.csv").read_text(encoding="utf-8")


def test_a_metric_of_content_needs_the_meter(bundle: Path, tmp_path: Path) -> None:
    told = run(
        *("restore", SPOKEN, "--output", f"{tmp_path}/", "--model", bundle),
        *("--content-metric", "wer"),
    )
    assert "--content-metric is what --content compares by; give --content" in told.error
