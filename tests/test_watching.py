"""Parts that hang where no other process watches: the command ends, and names them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfremaster.core import watching
from selfremaster.core.diaries import at_work
from tests.cli import ROOT, left_behind, write_tone

SOURCE = '''
import os
import time

from selfremaster import hookimpl
from selfremaster.core.interfaces import Degradation

if os.environ.get("HANGS_AT") == "import":
    time.sleep(3600)


@hookimpl
def register_components(add):
    add("degradation", "sleeper", "sleepers_plugin:Sleeper")


class Sleeper(Degradation):
    """Does nothing, for an hour."""

    def draw(self, generator, sample_rate):
        return {}

    def apply_one(self, wave, parameters, sample_rate):
        time.sleep(3600)
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugin")
    about = folder / "sleepers-1.0.dist-info"
    about.mkdir()
    (folder / "sleepers_plugin.py").write_text(SOURCE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sleepers\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[selfremaster]\nsleepers = sleepers_plugin\n")
    return folder


@pytest.mark.parametrize(
    ("hangs_at", "words", "named"),
    [
        ("work", ("degrade", "a.wav", "--output", "new/", "--degradation", "sleeper"), "sleeper"),
        ("work", ("check", "degradation/sleeper"), "degradation Sleeper"),
        ("import", ("list",), "plugin 'sleepers'"),
    ],
)
def test_a_part_that_hangs_is_named_and_nothing_is_left(
    plugin: Path, tmp_path: Path, hangs_at: str, words: tuple[str, ...], named: str
) -> None:
    write_tone(tmp_path / "a.wav")
    own = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(plugin)]), "HANGS_AT": hangs_at}
    done = subprocess.run(
        [sys.executable, "-m", "selfremaster", *words],
        cwd=tmp_path,
        env={**os.environ, **own, watching.VARIABLE: "0.02"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert named in last
    assert last.endswith(
        "did not come back within 0.02 minutes, so all was ended; leave it out, or give it more by "
        "the variable SELFREMASTER_PART_MINUTES (0: no limit)"
    )
    assert "Traceback" not in done.stderr
    assert left_behind(tmp_path) == ["a.wav"]


def test_who_comes_back_in_time_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[str] = []
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.001)
    with watching.watched(lambda part, minutes: given_up.append(part)), at_work("quick"):
        pass
    assert given_up == []


@pytest.mark.parametrize(
    ("text", "minutes"), [("", 30), ("2.5", 2.5), ("0", float("inf")), ("-1", 30), ("nan", 30)]
)
def test_the_variable_says_how_long(
    text: str, minutes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(watching.VARIABLE, text)
    assert watching.limit_minutes() == minutes
