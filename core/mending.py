"""Samples that are no finite numbers, made up from those beside them."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

LONGEST_WAIT = 4  # blocks without a single good sample at their end

Block = npt.NDArray[np.float32]


def mended(blocks: Iterable[Block]) -> Iterator[tuple[Block, int]]:
    """Replace NaN and infinity by a straight line between the nearest finite samples.

    Each block comes with the number of samples replaced in it. A block whose last samples are bad
    waits for the next good ones, but for no more than four blocks. Before the first sample, behind
    the last, and where nothing good comes, silence takes the place of the neighbour.

    Shape: (samples, channels), full scale = 1; the blocks that come out may be longer.

    >>> block = np.array([[1.0], [float("nan")], [3.0]], np.float32)
    >>> [(done[:, 0].tolist(), count) for done, count in mended([block])]
    [([1.0, 2.0, 3.0], 1)]
    """
    waiting: list[Block] = []
    before: Block | None = None
    for block in blocks:
        waiting.append(block)
        if np.isfinite(block[-1]).all() or len(waiting) > LONGEST_WAIT:
            done, count = _mend(waiting, before)
            yield done, count
            before = done[-1]
            waiting = []
    if waiting:
        yield _mend(waiting, before)


def _mend(waiting: list[Block], before: Block | None) -> tuple[Block, int]:
    joined = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
    bad = ~np.isfinite(joined)
    count = int(bad.sum())
    if count == 0:
        return joined, 0
    joined = joined.copy()
    places = np.arange(len(joined))
    for channel in np.flatnonzero(bad.any(axis=0)):
        wrong = bad[:, channel]
        known = np.concatenate([[-1], places[~wrong], [len(joined)]])
        start = 0.0 if before is None else before[channel]
        values = np.concatenate([[start], joined[~wrong, channel], [0.0]])
        joined[wrong, channel] = np.interp(places[wrong], known, values)
    return joined, count
