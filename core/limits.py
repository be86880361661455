"""How long work on a sound may take before it is taken to hang."""

import math
from typing import NamedTuple

SLOWEST = 30  # times as long as its sound work may take, where nobody says otherwise


class TimeLimit(NamedTuple):
    """A limit in minutes, or none: then by the length of the sound, but never too short.

    >>> TimeLimit(None, 1800, "--file-minutes").seconds(3600.0) / 3600
    30.0
    """

    minutes: float | None  # 0: as long as it takes
    least_seconds: float  # that all work has, however short its sound
    option: str  # by which to give it more

    def seconds(self, sound_seconds: float) -> float:
        """The longest time of work on so much sound."""
        if self.minutes is not None:
            return self.minutes * 60 or math.inf
        return max(self.least_seconds, SLOWEST * sound_seconds)

    def words(self, seconds: float, part: str = "") -> str:
        """Why work that took longer than these seconds has failed, and what was at work then."""
        during = f" while {part} was at work" if part else ""
        return (
            f"took longer than {seconds / 60:.4g} minutes and was ended{during}; give it more by "
            f"{self.option}, or 0 for no limit"
        )
