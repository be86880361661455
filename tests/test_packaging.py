"""What is shipped: a wheel with every file once, built straight or through the sdist."""

import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pluggy
import pytest

ROOT = Path(__file__).parents[1]
LINKED = ("core", "registry", "plugins", "benchmarks")
NOT_SHIPPED = ("examples", "tests")
GENERATED = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist", "runs", ".*")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
PARTS = "import selfremaster as sr; print([part[:3] for part in sr.list_components()])"


def run(*arguments: str | Path, path: Path, folder: Path) -> str:
    """What a fresh Python prints that sees one more folder of packages."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={
            **os.environ,
            "PYTHONPATH": str(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SELFREMASTER_DISABLE_PLUGINS": "1",
        },
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(hook: str, source: Path, target: Path) -> Path:
    """Run a hook of the build backend, as build and pip do, without a network."""
    target.mkdir(parents=True)
    command = f"from setuptools import build_meta; build_meta.{hook}({str(target)!r})"
    run("-c", command, path=target, folder=source)
    (built,) = target.iterdir()
    return built


def pip_wheel(source: Path, target: Path) -> Path:
    command = ["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--wheel-dir", str(target), str(source)]
    run(*command, path=target, folder=target.parent)
    (built,) = target.iterdir()
    return built


def copy_of_the_repository(folder: Path) -> Path:
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy2(path, folder)
    for name in ("selfremaster", *LINKED, *NOT_SHIPPED):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=GENERATED)
    return folder


def sources(clone: Path) -> dict[str, Path]:
    """The file in the repository of every name that the wheel must hold."""
    found = {
        "selfremaster/py.typed": clone / "selfremaster" / "py.typed",
        "selfremaster/core/speech.flac": clone / "core" / "speech.flac",
    }
    for place, name in [("selfremaster", "selfremaster")] + [
        (linked, f"selfremaster/{linked}") for linked in LINKED
    ]:
        for path in (clone / place).rglob("*.py"):  # goes through no links
            found[f"{name}/{path.relative_to(clone / place).as_posix()}"] = path
    for path in (clone / "plugins" / "weights").iterdir():
        if path.suffix in {".safetensors", ".md"}:
            found[f"selfremaster/plugins/weights/{path.name}"] = path
    for path in (clone / "registry" / "voices").iterdir():
        found[f"selfremaster/registry/voices/{path.name}"] = path
    for data in ("suites", "listening/templates", "reporting/templates"):
        for path in (clone / "benchmarks" / data).iterdir():
            if data != "suites" or path.suffix == ".yaml":
                found[f"selfremaster/benchmarks/{data}/{path.name}"] = path
    return found


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, its links as links, with example weights and with strays."""
    clone = copy_of_the_repository(tmp_path_factory.mktemp("packaging") / "clone")
    (clone / "plugins" / "weights" / "some.safetensors").write_bytes(b"weights")
    (clone / "plugins" / "weights" / "some.md").write_text("Where they are from.")
    (clone / "plugins" / "weights" / "some.ckpt").write_bytes(b"not to be shipped")
    (clone / "core" / "notes.txt").write_text("not to be shipped")
    (clone / "benchmarks" / "suites" / "notes.txt").write_text("not to be shipped")
    return clone


@pytest.fixture(scope="module")
def sdist(clone: Path) -> Path:
    return build("build_sdist", clone, clone.parent / "sdist")


@pytest.fixture(scope="module", params=["straight", "through the sdist"])
def wheel(request: pytest.FixtureRequest, clone: Path, sdist: Path) -> Path:
    source = clone if request.param == "straight" else sdist
    return pip_wheel(source, clone.parent / request.param.replace(" ", "-"))


def test_the_wheel_holds_every_file_once_and_nothing_else(wheel: Path, clone: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        shipped = [entry for entry in opened.infolist() if ".dist-info/" not in entry.filename]
        expected = sources(clone)
        assert sorted(entry.filename for entry in shipped) == sorted(expected)
        assert not any(stat.S_ISLNK(entry.external_attr >> 16) for entry in shipped)
        other = [n for n, path in expected.items() if opened.read(n) != path.read_bytes()]
        assert other == []


def test_the_wheel_declares_its_command_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        about = f"selfremaster-{VERSION}.dist-info"
        commands = opened.read(f"{about}/entry_points.txt").decode().split()
        assert commands == ["[console_scripts]", "selfremaster", "=", "selfremaster.cli:main"]
        assert opened.read(f"{about}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_works_without_the_repository(wheel: Path, clone: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "site")
    said = run("-m", "selfremaster", "--version", path=tmp_path / "site", folder=tmp_path)
    assert said == f"selfremaster {VERSION}\n"
    parts = run("-c", PARTS, path=tmp_path / "site", folder=tmp_path)
    assert parts == run("-c", PARTS, path=clone, folder=tmp_path)


def test_the_sdist_holds_what_the_wheel_needs_and_no_links(sdist: Path, clone: Path) -> None:
    with tarfile.open(sdist) as opened:
        members = [member for member in opened.getmembers() if not member.isdir()]
    assert all(member.isfile() for member in members)
    names = {member.name.partition("/")[2] for member in members}
    shipped = {path.relative_to(clone).as_posix() for path in sources(clone).values()}
    shipped |= {"pyproject.toml", "LICENSE", "MANIFEST.in", "PKG-INFO", "setup.cfg"}
    readme = {"README.md"} & {path.name for path in clone.iterdir()}
    assert {name for name in names if ".egg-info/" not in name} == shipped | readme
    assert len(names) == len(members)


def test_an_editable_install_finds_every_folder(clone: Path, tmp_path: Path) -> None:
    wheel = build("build_editable", clone, tmp_path / "built")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "site")
    names = ["selfremaster", *(f"selfremaster.{name}" for name in LINKED)]
    look = f"""
import importlib, pathlib, site, sys
# this environment may hold an installation of its own, which must not answer instead
for name in [name for name in sys.modules if name.startswith("__editable__")]:
    del sys.modules[name]
others = list(sys.meta_path)
sys.path.insert(0, {str(tmp_path / "site")!r})
site.addsitedir({str(tmp_path / "site")!r})
sys.meta_path.sort(key=lambda finder: any(finder is other for other in others))
for name in {names}:
    print(pathlib.Path(importlib.import_module(name).__file__).resolve().parent)
print(importlib.import_module("selfremaster").__version__)
"""
    said = run("-c", look, path=tmp_path / "nothing", folder=tmp_path).splitlines()
    folders = [(clone / name).resolve() for name in ("selfremaster", *LINKED)]
    assert said == [*map(str, folders), VERSION]


def test_a_clone_that_nobody_installed_has_a_version(tmp_path: Path) -> None:
    clone = copy_of_the_repository(tmp_path / "clone")
    shutil.copytree(Path(pluggy.__file__).parent, clone / "pluggy")
    ask = "import selfremaster as sr; print(sr.__version__, '__version__' in dir(sr))"
    # -S hides the installed packages, where this package may be one; pluggy is all it needs here
    assert run("-S", "-c", ask, path=clone, folder=tmp_path) == "0.0.0 True\n"
