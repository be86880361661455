"""How many threads compute, and work on many things by several processes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from selfremaster.core.crews import Care, crew_of_processes, in_order

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    processes: int,
    care: Care | None = None,
) -> Iterator[Result]:
    """Work on every item, each process with one thread; gives the results in the items' order.

    On Ctrl-C, and when nobody wants further results, processes are asked to stop and tidy up, and
    begin nothing new. What was done until then is given before `KeyboardInterrupt` is raised.

    Raises `SelfRemasterError` for work that cannot be handed to another process, and when a process
    ends without a result, unless ``care`` says what to give then.
    """
    with crew_of_processes(work, processes, care) as crew:
        yield from in_order(crew.results(items))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: sums are the same to the bit however many processors there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
