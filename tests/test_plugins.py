"""Strangers' plugins, really installed: good ones work, a broken one is named and harms nobody."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "plugin"
STRANGERS = sorted(folder.parent for folder in ROOT.glob("tests/third_party/*/pyproject.toml"))

LOOK = """
import json, sys
import selfremaster as sr
from selfremaster.registry.building import current, leaving_out

without = json.loads(sys.argv[1])
try:
    with leaving_out(*without):
        parts = [list(part) for part in sr.list_components()]
        loaded = current()
except sr.SelfRemasterError as error:
    print(json.dumps({"error": str(error)}))
    sys.exit()
problems = {}
for plugin, reason in loaded.problems:
    problems.setdefault(plugin, []).append(reason)
owners = [str(owner) for owner in loaded.owners]
found = {"parts": parts, "owners": owners, "problems": problems, "torch": "torch" in sys.modules}
print(json.dumps(found))
"""

BUILD = """
import json, sys
import selfremaster as sr
from selfremaster.registry.building import leaving_out

told = {}
for text in json.loads(sys.argv[1]):
    try:
        told[text] = type(sr.build("degradation", text)).__name__
    except sr.SelfRemasterError as error:
        told[text] = f"{type(error).__name__}: {error}"
with leaving_out("vintage-fx"):
    told["without vintage-fx"] = type(sr.build("degradation", "clip")).__module__
print(json.dumps(told))
"""


def pip_install(target: Path, *packages: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    done = subprocess.run([*command, *map(str, packages)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def python(*arguments: str, folder: Path, **variables: str) -> str:
    """What a fresh Python prints that sees this repository and a folder of installed plugins."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("SELFREMASTER")
    }
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**kept, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which every plugin is installed from a copy of its package."""
    folder = tmp_path_factory.mktemp("plugins")
    copies = []
    for package in [*STRANGERS, EXAMPLE]:
        copies.append(folder / "sources" / package.name)
        shutil.copytree(package, copies[-1])
    pip_install(folder / "site", *copies)
    return folder / "site"


@pytest.fixture(scope="module")
def look(site: Path) -> Callable[..., dict[str, Any]]:
    def look(*without: str, **variables: str) -> dict[str, Any]:
        told = python("-c", LOOK, json.dumps(without), folder=site, **variables)
        return dict(json.loads(told))

    return look


@pytest.fixture(scope="module")
def seen(look: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return look()


@pytest.fixture(scope="module")
def told(site: Path) -> Mapping[str, str]:
    """What building says, by the text that was built."""
    texts = ["turned-down:gain=0.25", "telephone", "clip", "breaks-when-built", "is-a-loss"]
    texts += ["is-nowhere", "does-not-import", "turned-down:gian=0.25", "turned-down:gain=2"]
    texts += ["quits-when-imported", "quits-when-built"]
    return dict(json.loads(python("-c", BUILD, json.dumps(texts), folder=site)))


def names_of(seen: Mapping[str, Any], owner: str) -> list[str]:
    return [part[1] for part in seen["parts"] if part[3] == owner]


def test_a_good_plugin_is_listed_with_its_summary_owner_and_version(seen: dict[str, Any]) -> None:
    listed = ["degradation", "turned-down", "Make the sound quieter", "good", "1.2"]
    assert listed in seen["parts"]
    assert "good 1.2" in seen["owners"]


def test_listing_strangers_imports_no_torch(seen: dict[str, Any]) -> None:
    assert not seen["torch"]


def test_the_built_in_parts_stand_beside_the_broken_plugins(
    seen: dict[str, Any], look: Callable[..., dict[str, Any]]
) -> None:
    alone = look(SELFREMASTER_DISABLE_PLUGINS="1")
    assert alone["owners"] == ["selfremaster"]
    assert alone["problems"] == {}
    assert [part for part in seen["parts"] if part[3] == "selfremaster"] == alone["parts"]


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (
            "broken-import",
            "does not import: ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
        ),
        ("quits-at-import", "does not import: SystemExit: no licence found for this plugin"),
        (
            "quits-later",
            "fails in register_components: SystemExit: no licence for the rest",
        ),
        (
            "old-api",
            "is written for interface version 0, this toolkit has 1; update the older one",
        ),
        ("declares-nothing", "declares nothing: no @hookimpl register_components(add)"),
        ("good", "has the name of good 1.2, which is used; uninstall one of the two"),
        (
            "vintage-fx",
            "degradation 'clip' is declared by selfremaster and by vintage-fx 0.3; "
            "leave one out with --without vintage-fx",
        ),
    ],
)
def test_a_broken_plugin_is_reported_by_name_and_reason(
    seen: dict[str, Any], plugin: str, reason: str
) -> None:
    assert seen["problems"][plugin] == [reason]


def test_a_hook_with_a_foreign_argument_is_reported(seen: dict[str, Any]) -> None:
    (reason,) = seen["problems"]["wrong-argument"]
    assert reason.startswith("cannot be registered: PluginValidationError: ")
    assert "registry" in reason


def test_bad_declarations_are_reported_and_the_good_one_stands(seen: dict[str, Any]) -> None:
    kind, name, target, twice, raised = seen["problems"]["bad-declarations"]
    assert kind.startswith("no kind of part named 'degradaton'; did you mean 'degradation'? known:")
    assert name == "'Rustle Pop' is not a name for a degradation; use lower-case-with-dashes"
    assert target.endswith("'sr_bad_declarations.Rustle' is not package.module:Class")
    assert twice == (
        "degradation 'rustle' is declared twice by bad-declarations 0.1; declare it once"
    )
    assert raised == "fails in register_components: KeyError: 'snap'"
    assert names_of(seen, "bad-declarations") == ["rustle"]


def test_what_a_plugin_declared_before_it_quit_stands(seen: dict[str, Any]) -> None:
    assert names_of(seen, "quits-later") == ["quits-when-built", "quits-when-imported"]


def test_plugins_without_a_fault_have_no_problem(seen: dict[str, Any]) -> None:
    assert not {"vintage", "brittle"} & set(seen["problems"])


def test_every_reason_is_one_line(seen: dict[str, Any]) -> None:
    reasons = [reason for listed in seen["problems"].values() for reason in listed]
    assert len(reasons) >= 12
    assert all(len(reason.splitlines()) == 1 for reason in reasons)


def test_a_plugin_left_out_is_not_imported_and_its_duplicate_is_gone(
    look: Callable[..., dict[str, Any]],
) -> None:
    seen = look("vintage-fx", "quits-at-import")
    assert not {"vintage-fx", "quits-at-import"} & {*seen["problems"], *seen["owners"]}
    assert [part[3] for part in seen["parts"] if part[1] == "clip"] == ["selfremaster"]
    assert "turned-down" in names_of(seen, "good")


def test_leaving_out_a_plugin_that_is_not_there_suggests_the_near_one(
    look: Callable[..., dict[str, Any]],
) -> None:
    error = look("vintagefx")["error"]
    assert error.startswith("no plugin named 'vintagefx' to leave out; did you mean 'vintage-fx'?")


def test_a_strangers_part_is_built_like_ours(told: Mapping[str, str]) -> None:
    assert told["turned-down:gain=0.25"] == "TurnedDown"
    assert told["telephone"] == "Telephone"


def test_a_name_declared_twice_is_refused_until_one_is_left_out(told: Mapping[str, str]) -> None:
    assert told["clip"] == (
        "ComponentError: degradation 'clip' is declared by selfremaster and by vintage-fx 0.3; "
        "leave one out with --without vintage-fx"
    )
    assert told["without vintage-fx"] == "selfremaster.plugins.degradations.clip"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "breaks-when-built",
            "degradation 'breaks-when-built' of brittle 0.4 cannot be built: "
            "RuntimeError: the impulse responses are missing",
        ),
        (
            "is-a-loss",
            "degradation 'is-a-loss' of brittle 0.4: sr_brittle_parts:IsALoss is not a "
            "Degradation; derive it from selfremaster.core.interfaces.Degradation",
        ),
        (
            "is-nowhere",
            "degradation 'is-nowhere' of brittle 0.4 cannot be imported: "
            "AttributeError: module 'sr_brittle_parts' has no attribute 'IsNowhere'",
        ),
        (
            "does-not-import",
            "degradation 'does-not-import' of brittle 0.4 cannot be imported: "
            "ModuleNotFoundError: No module named 'sr_brittle_nowhere'",
        ),
        (
            "quits-when-imported",
            "degradation 'quits-when-imported' of quits-later 0.2 cannot be imported: "
            "SystemExit: no licence for this part",
        ),
        (
            "quits-when-built",
            "degradation 'quits-when-built' of quits-later 0.2 cannot be built: SystemExit: 3",
        ),
        (
            "turned-down:gian=0.25",
            "degradation turned-down: no setting 'gian'; did you mean 'gain'? known: gain",
        ),
        (
            "turned-down:gain=2",
            "degradation turned-down: gain=2: Input should be less than or equal to 1",
        ),
    ],
)
def test_a_part_that_cannot_be_had_names_its_plugin_or_setting(
    told: Mapping[str, str], text: str, message: str
) -> None:
    assert told[text] == f"ComponentError: {message}"


def test_the_example_plugin_passes_its_own_tests(site: Path) -> None:
    report = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", str(site.parent / "sources" / "plugin"),
        folder=site,
    )  # fmt: skip
    assert " passed" in report
    assert "failed" not in report


def test_the_readme_of_the_example_shows_its_files_as_they_are() -> None:
    readme = " ".join((EXAMPLE / "README.md").read_text(encoding="utf-8").split())
    hook = (EXAMPLE / "selfremaster_vintage" / "__init__.py").read_text(encoding="utf-8")
    for line in ("[project.entry-points.selfremaster]", 'vintage = "selfremaster_vintage"'):
        assert line in readme
        assert line in (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    declared = [line.strip() for line in hook.splitlines() if line.strip().startswith("add(")]
    assert declared[0] in readme
    assert all(line.split('"')[3] in readme for line in declared)
