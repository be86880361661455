"""Which of two kinds of sound a module is given: recordings, or what was damaged on purpose."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Domain = Literal["recordings", "simulated"]
_current: ContextVar[Domain] = ContextVar("domain", default="recordings")


def current_domain() -> Domain:
    """Where the waves come from that modules are given now; outside of training, recordings."""
    return _current.get()


@contextmanager
def in_domain(domain: Domain) -> Iterator[None]:
    """Say where the waves of a block come from, for layers that keep statistics of each apart."""
    token = _current.set(domain)
    try:
        yield
    finally:
        _current.reset(token)
