"""Some of many, spread evenly over all of them."""

from collections.abc import Sequence
from typing import TypeVar

Thing = TypeVar("Thing")


def evenly(things: Sequence[Thing], count: int) -> list[Thing]:
    """So many of the things, spread over all of them.

    >>> evenly("abcdef", 3), evenly("ab", 5), evenly("a", 1)
    (['b', 'd', 'f'], ['a', 'b'], ['a'])
    """
    if count >= len(things):
        return list(things)
    return [things[(2 * index + 1) * len(things) // (2 * count)] for index in range(count)]
