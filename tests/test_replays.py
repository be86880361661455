"""What each degradation did to a voice once, it still does: same seed, same numbers.

A new version of torch that draws otherwise, or draws in another order, is noticed here: recordings
that were made with logged parameters would sound different. Where a change is meant, `write` the
numbers anew and say in the changelog what replays differently.
"""

import json
from pathlib import Path

import pytest
import torch
from torch import Generator

import selfremaster as sr
from selfremaster.core.promises.inputs import speech_like

REFERENCE = Path(__file__).parent / "reference" / "replays.json"
RATE_HZ = 22050
SAMPLES = 4000
PLACES = slice(125, None, 250)  # 16 samples
SEED = 5
OF_LIBRARIES = {"codec"}  # which sound as the libraries that are installed make them
SPECS = {"random-recording": "random-recording:era=[shellac-1930, cassette-1980]"}  # no codecs


def replay(name: str) -> list[float]:
    """16 samples of a voice that was damaged, and its RMS."""
    part = sr.build("degradation", SPECS.get(name, name))
    heard, _ = part(speech_like(SAMPLES), Generator().manual_seed(SEED), RATE_HZ)
    rms = heard.double().square().mean().sqrt()
    return [round(float(value), 6) for value in [*heard[0, PLACES], rms]]


def names() -> list[str]:
    """All degradations of the toolkit itself, but for those of libraries."""
    own = {info.name for info in sr.list_components("degradation") if info.owner == "selfremaster"}
    return sorted(own - OF_LIBRARIES)


def write() -> None:
    """Put down what is heard now.

    Run from the root: ``PYTHONPATH=. python -c "from tests.test_replays import write; write()"``.
    """
    lines = [f"{json.dumps(name)}: {json.dumps(replay(name))}" for name in names()]
    REFERENCE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def test_every_degradation_has_its_numbers() -> None:
    assert sorted(json.loads(REFERENCE.read_text())) == names()


@pytest.mark.parametrize("name", names())
def test_what_was_heard_once_is_heard_again(name: str) -> None:
    wanted = torch.tensor(json.loads(REFERENCE.read_text())[name], dtype=torch.float64)
    found = torch.tensor(replay(name), dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
