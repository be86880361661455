"""What README shows works as printed."""

import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

import selfremaster as sr
from selfremaster.cli import main
from selfremaster.commands.pictures import row_of
from selfremaster.core import audio
from selfremaster.core.gallery import examples_of
from selfremaster.registry.building import component_class
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
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    pictures = set(re.findall(r"\(([a-z0-9-]+\.png)\)", page))
    ours = [info.name for info in sr.list_components("degradation") if info.owner == "selfremaster"]
    parts = {name: component_class("degradation", name) for name in ours}
    assert rows == [row_of(name, examples_of(name, part)) for name, part in parts.items()]
    assert pictures == {path.name for path in folder.glob("*.png")}


def test_the_degraded_examples_are_what_the_printed_command_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    (printed,) = re.findall(r"`(selfremaster degrade [^`]+)`", text)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(printed)[1:]) == 0
    made = sorted(Path("examples", "degraded").rglob("*.flac"))
    assert len(made) == 6
    for path in made:
        (committed, _), (sound, _) = audio.read(ROOT / path), audio.read(path)
        assert (sound - committed).abs().max() <= 1.01 * 2**-15  # what another processor may round
        logs = [
            json.loads(each.with_suffix(".json").read_text(encoding="utf-8"))
            for each in (ROOT / path, path)
        ]
        for log in logs:
            del log["version"]
        assert logs[0] == logs[1]


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


def test_measuring_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for _, *arguments in commands(blocks("Measure", "sh")[0]):
        assert main(arguments) == 0
    results = (tmp_path / "runs" / "smoke" / "results.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in results.splitlines()]
    assert {row["status"] for row in rows} == {"ok"}
    assert len(rows) == 6 * len({row["restorer"] for row in rows})
    for page in ("smoke/report.html", "preference/site/index.html"):
        assert (tmp_path / "runs" / page).stat().st_size > 10_000
