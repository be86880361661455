"""Memory that is no longer needed goes back to the system."""

import ctypes
import sys
from collections.abc import Callable
from functools import lru_cache


@lru_cache(maxsize=1)
def _trimmer() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library than GNU's
        return None
    return trim


def give_back() -> None:
    """Give back what was freed; GNU's C library keeps it otherwise, in ever more pieces.

    Of a recording of three hours in stereo, a gigabyte.
    """
    trim = _trimmer()
    if trim is not None:
        trim(0)
