"""What objectives promise."""

from collections.abc import Iterator
from typing import Any

from selfremaster.core.interfaces import Objective
from selfremaster.core.promises.judging import demand

STREAMS = {"degraded", "clean"}
MODULES = {"analyzer", "vocoder", "channel"}


def names_its_streams(part: Objective) -> None:
    """Asks for waves that a batch can hold: degraded, clean, or both."""
    unknown = set(part.streams) - STREAMS
    demand(isinstance(part.streams, tuple) and part.streams, "streams is empty or not a tuple")
    demand(not unknown, f"streams {sorted(unknown)} are none of {sorted(STREAMS)}")


def names_what_it_trains(part: Objective) -> None:
    """Trains modules that a model has."""
    unknown = set(part.trained) - MODULES
    demand(isinstance(part.trained, tuple) and part.trained, "trained is empty or not a tuple")
    demand(not unknown, f"trained {sorted(unknown)} are none of {sorted(MODULES)}")


def cases(part: Objective, context: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """None: what an objective learns needs a model."""
    del part, context
    yield from ()


PROMISES = (names_its_streams, names_what_it_trains)
