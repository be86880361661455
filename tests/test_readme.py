"""What README shows works as printed."""

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import selfremaster as sr
from selfremaster.cli import main
from tests.cli import tone, write_tiny_bundle

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(heading: str, language: str) -> list[str]:
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def commands(block: str) -> list[list[str]]:
    joined = block.replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in joined.splitlines() if line.strip()]


def test_set_up_has_two_commands_that_stand_alone() -> None:
    found = blocks("Set up", "sh")
    assert len(found) == 2
    assert all(block.startswith("python3 -m venv .venv &&\n") for block in found)


@pytest.mark.parametrize("command", commands(blocks("Use it", "sh")[0]), ids=" ".join)
def test_commands_run_as_printed(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    program, *arguments = command
    assert program == "selfremaster"
    assert main(arguments) == 0


def test_effect_transfer_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    write_tiny_bundle(Path("runs") / "first" / "model.safetensors")
    for _, *arguments in commands(blocks("Use it", "sh")[1]):
        assert main(arguments) == 0
    assert len(list(Path("runs/muffled").iterdir())) == 3


def test_damage_is_done_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for _, *arguments in commands(blocks("Damage", "sh")[0]):
        assert main(arguments) == 0
    first, *others = (
        json.loads(path.read_text(encoding="utf-8"))["degradations"]
        for path in (
            tmp_path / "runs" / "disc" / "heart-1.json",
            *sorted((tmp_path / "runs" / "same-disc").glob("*.json")),
        )
    )
    assert len(others) == 3
    assert all(other == first for other in others)
    (source,) = blocks("Damage", "python")
    names: dict[str, Any] = {}
    exec(source, names)
    assert names["torch"].equal(names["again"], names["damaged"])


def test_every_degradation_has_its_picture() -> None:
    folder = ROOT / "examples" / "degradations"
    page = (folder / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z-]+)` ", page, re.MULTILINE)
    pictures = set(re.findall(r"\(([a-z0-9-]+\.png)\)", page))
    assert listed == [
        info.name for info in sr.list_components("degradation") if info.owner == "selfremaster"
    ]
    assert pictures == {path.name for path in folder.glob("*.png")}


def test_the_part_in_twenty_lines_keeps_its_promises(tmp_path: Path) -> None:
    (source,) = blocks("Make your own part in 20 lines", "python")
    path = tmp_path / "my_package.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("my_package", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    part = module.Fade(module.FadeConfig())
    sr.promises.check("degradation", part)
    added: list[tuple[str, str, str]] = []
    module.register_components(lambda *declared: added.append(declared))
    assert added == [("degradation", "fade", "my_package:Fade")]


def test_the_python_block_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = blocks("Use it", "python")
    monkeypatch.chdir(tmp_path)
    write_tiny_bundle(Path("runs") / "first" / "model.safetensors")
    Path("x.yaml").write_text("name: mine", encoding="utf-8")
    wanted: list[sr.Experiment] = []
    monkeypatch.setattr(sr, "train", wanted.append)  # a hundred steps take too long
    wave = tone(3000, channels=2, level=0.2).numpy()
    names: dict[str, Any] = {"wave": wave, "sample_rate": 16000}
    exec(source, names)
    assert (names["clean"].shape, names["clean"].dtype) == (wave.shape, wave.dtype)
    assert names["clip"].config.ratio == 0.25
    assert [(mine.name, mine.train.steps) for mine in wanted] == [("mine", 100)]


def test_files_that_readme_names_are_there() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(linked) >= 5
    assert [name for name in linked if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples" / "experiments").glob("*.yaml")), ids=str
)
def test_experiments_of_the_examples_can_be_resolved(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selfremaster.registry.assembling import find_bundle, resolve

    monkeypatch.chdir(ROOT)
    experiment = resolve(sr.Experiment.from_file(path))
    for source in experiment.data.streams().values():
        assert source.folder is None or source.folder.is_dir()
    for reference in experiment.start.values():
        if reference.endswith(".safetensors"):  # made by a command that the file names
            assert f"--output {reference}\n" in path.read_text(encoding="utf-8")
        else:
            assert find_bundle(reference).tensors


def test_pictures_are_pictures_and_no_place_is_left_open() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")
    assert re.findall(r"<!--(?! parts: )", README) == []
