"""Signals by which others end a command: they do what Ctrl-C does."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Those of cluster managers, of machines that are shut down, and of terminals that are closed."""


class Stops:
    """Which of these signals came, if one did."""

    heard: signal.Signals | None = None

    @property
    def code(self) -> int:
        """The exit code of a command that was interrupted, as shells count: 143 for SIGTERM."""
        return INTERRUPTED if self.heard is None else 128 + self.heard

    def words(self) -> str:
        """What is said of it."""
        return "interrupted" if self.heard is None else f"ended by {self.heard.name}"


@contextmanager
def heard_as_ctrl_c() -> Iterator[Stops]:
    """Let a signal that ends processes do what Ctrl-C does at that moment, so nothing is torn.

    One that is ignored (nohup), or that somebody else has taken over, is left as it is.
    """
    stops = Stops()

    def hear(number: int, frame: FrameType | None) -> None:
        stops.heard = signal.Signals(number)
        on_ctrl_c = signal.getsignal(signal.SIGINT)
        # in the background of a shell script Ctrl-C is ignored
        act = on_ctrl_c if callable(on_ctrl_c) else signal.default_int_handler
        act(signal.SIGINT, frame)

    if threading.current_thread() is not threading.main_thread():
        yield stops
        return
    mine = [one for one in SIGNALS if signal.getsignal(one) is signal.SIG_DFL]
    for one in mine:
        signal.signal(one, hear)
    try:
        yield stops
    finally:
        for one in mine:
            signal.signal(one, signal.SIG_DFL)
