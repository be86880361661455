"""How a bad or odd file is told: its name, what it is, what makes it, what becomes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from selfremaster.core.formats import READABLE
from tests.odd_bytes import SAMPLES

RESTORED = "restored"
WARNED = "restored with a warning"
REFUSED = "refused"
OUTCOMES = (RESTORED, WARNED, REFUSED)
NOT_AUDIO = "not audio, or damaged"


class Odd(NamedTuple):
    """A file, what it is, what becomes of it, and words of what is said then."""

    name: str
    about: str
    make: Callable[[Path], object]
    outcome: str = RESTORED
    says: str = ""
    samples: int = 0  # of the result, where they follow from what was made
    needs_av: bool = False

    @property
    def is_found(self) -> bool:
        """Whether a search through its folder finds it, as a sound file by its name."""
        path = Path(self.name)
        return not self.name.startswith(".") and path.suffix.lower() in READABLE


def holding(content: Callable[[], bytes]) -> Callable[[Path], object]:
    """What makes a file of such bytes."""
    return lambda path: path.write_bytes(content())


def refused(name: str, about: str, content: Callable[[], bytes], says: str = NOT_AUDIO) -> Odd:
    """A file of bytes that is refused."""
    return Odd(name, about, holding(content), REFUSED, says)


def restored(name: str, about: str, content: Callable[[], bytes], samples: int = SAMPLES) -> Odd:
    """A file of bytes that is restored without a word."""
    return Odd(name, about, holding(content), RESTORED, "", samples)


def warned(
    name: str, about: str, content: Callable[[], bytes], says: str = "missing", samples: int = 0
) -> Odd:
    """A file of bytes that is restored as far as it goes."""
    return Odd(name, about, holding(content), WARNED, says, samples)
