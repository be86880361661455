"""The repository's own rules: where imports point, what the wheel holds, what the texts say."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfremaster.core.components import KINDS
from selfremaster.core.interfaces import BASES
from selfremaster.core.promises import promises_of
from selfremaster.registry.building import list_components
from tests.cli import run

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "core": {"core"},
    "registry": {"core", "registry"},
    "plugins": {"core", "plugins"},
    "benchmarks": {"core", "registry", "benchmarks"},
}
"""What the modules of each folder may import of ours; the front door imports all."""


def modules(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_imports_point_one_way(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(folder)
        for name in imported(path)
        if name.split(".")[0] == "selfremaster" and [*name.split("."), ""][1] not in ALLOWED[folder]
    ]
    assert wrong == []


def test_every_folder_with_modules_is_a_listed_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(settings["tool"]["setuptools"]["packages"])
    found = {
        ".".join(["selfremaster", *path.parent.relative_to(ROOT).parts])
        for folder in ALLOWED
        for path in modules(folder)
    }
    front = ROOT / "selfremaster"
    found |= {
        ".".join(["selfremaster", *path.parent.relative_to(front).parts])
        for path in [
            *front.glob("*.py"),
            *(front / "commands").rglob("*.py"),
            *(front / "pages").rglob("*.py"),
        ]
    }
    assert found == listed


def test_the_four_links_lead_to_the_folders() -> None:
    for name in ALLOWED:
        link = ROOT / "selfremaster" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / name


def test_every_kind_has_its_heading_in_contributing() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^#{2,4} `([a-z]+)`", text, re.MULTILINE))
    assert headings == set(KINDS) == set(BASES)


def test_readme_holds_the_table_of_built_in_parts_as_it_is_printed() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    kept_out = {owner for info in list_components() if (owner := info.owner) != "selfremaster"}
    without = [argument for owner in sorted(kept_out) for argument in ("--without", owner)]
    printed = run("list", "--markdown", *without)
    assert printed.code == 0
    table = text[text.index("| kind | name |") :].partition("\n\n")[0]
    assert table.strip() == printed.out.strip()


@pytest.mark.parametrize("path", modules("plugins"), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_of_parts_open_with_one_sentence(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert docstring.partition("\n")[0].endswith((".", ".'"))


def test_lint_exceptions_carry_their_reason() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in [*ALLOWED, "selfremaster", "tests", "examples"]
        for path in (ROOT / folder).rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"#\s*(noqa|type: ignore)\b(?![^#]*#\s*\w)", line) and "re.search" not in line
    ]
    assert bare == []


def test_contributing_lists_every_promise() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = [
        f"{kind}: {line}"
        for kind in KINDS
        for promise in promises_of(kind)
        for line in [f"- `{promise.__name__}`: {(promise.__doc__ or '').splitlines()[0]}"]
        if line not in text
    ]
    assert missing == []
