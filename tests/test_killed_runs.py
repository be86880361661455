"""Learning that is killed at any moment: gone on with, it ends with the same bytes as without.

Three moments of each command are tried; the variable SELFREMASTER_EXAMPLES asks for another number,
such as 25.
"""

import csv
import os
from pathlib import Path

import pytest

from tests import tiny
from tests.adaptations import write_tape
from tests.cli import left_behind
from tests.killed import WHOLE, killed

KILLS = int(os.environ.get("SELFREMASTER_EXAMPLES", "3"))

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")


def rows(folder: Path) -> list[list[str]]:
    """What the log says."""
    with (folder / "log.csv").open(newline="") as opened:
        return list(csv.reader(opened))


def files(folder: Path) -> list[str]:
    """What is left, but for TensorBoard's files, of which every beginning makes one."""
    return [name for name in left_behind(folder) if not name.startswith("tensorboard/")]


def check(folder: Path) -> None:
    """What was killed and gone on with equals what was not."""
    others = sorted(place for place in folder.iterdir() if place.name != WHOLE)
    assert 1 <= len(others) <= KILLS
    for other in others:
        assert files(other) == files(folder / WHOLE)  # and no part of a file
        for name in files(other):
            if name.endswith((".safetensors", ".flac", ".csv")) and "checkpoint" not in name:
                same = (other / name).read_bytes() == (folder / WHOLE / name).read_bytes()
                assert (name, same) == (name, True)
        assert rows(other) == rows(folder / WHOLE)


def test_learning_that_is_killed_ends_with_the_same_bytes(tmp_path: Path) -> None:
    steps = {"steps": 6, "validate_every": 3, "save_every": 2}
    experiment = tiny.experiment(tiny.write_speech(tmp_path / "speech"), train=steps)
    (tmp_path / "plan.yaml").write_text(experiment.to_yaml())
    tape = write_tape(tmp_path / "tape")
    tiny.write_model(tape / "model.safetensors", 3)
    moments = killed(tmp_path / "out", 11, KILLS, train=tmp_path / "plan.yaml", adapt=tape)
    assert min(moments) > 10
    check(tmp_path / "out" / "train")
    check(tmp_path / "out" / "adapt")
