"""A bound on what building a model may take, for those whose settings come from elsewhere."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from selfremaster.core.errors import BundleError

LEAST_CHARGED_BYTES = 1 << 12  # a module around a tensor takes about as much
ELEMENT_BYTES = 4
SIZED = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.normal}
)
"""What is given the size of a new tensor."""

COUNTED = frozenset({torch.eye, torch.hann_window, torch.hamming_window})
"""What is given the length of a new tensor; a matrix for `eye`."""


@contextmanager
def building_at_most(most_bytes: int) -> Iterator[None]:
    """Refuse, before it is made, the tensor that all new ones would be too large with.

    Raises `BundleError`, which does not name what is built.

    >>> with building_at_most(1 << 20):
    ...     torch.empty(10**6, 10**6)
    Traceback (most recent call last):
    selfremaster.core.errors.BundleError: its settings ask for more weights than it holds; it was...
    """
    meter = _Meter(most_bytes)
    try:
        with meter:
            yield
    except Exception:
        if meter.charged <= most_bytes:
            raise
        raise BundleError(
            "its settings ask for more weights than it holds; it was damaged or made to take up "
            "memory, fetch it again or ask whoever made it"
        ) from None


class _TooMuchError(Exception):
    """A tensor that is not made."""


class _Meter(TorchFunctionMode):
    """Adds up the tensors that are made, before they are."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self.most_bytes = most_bytes
        self.charged = 0

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, unless it makes a tensor that is too much."""
        del types
        given = kwargs or {}
        if function in SIZED or function in COUNTED:
            numbers = _numbers_of(function, args, given)
            self.charged += max(ELEMENT_BYTES * numbers, LEAST_CHARGED_BYTES)
        if self.charged > self.most_bytes:
            raise _TooMuchError
        return function(*args, **given)


def _numbers_of(function: Callable[..., Any], args: Sequence[Any], given: Mapping[str, Any]) -> int:
    """How many numbers a new tensor will have."""
    size = given.get("size", args[:1] if args and not isinstance(args[0], int) else args)
    flat = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    sizes = [length for length in flat if isinstance(length, int)]
    if function in COUNTED:
        length = sizes[0] if sizes else 0
        return length**2 if function is torch.eye else length
    return math.prod(sizes) if sizes else 0
