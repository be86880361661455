"""Alignment of two utterances of the same, one of them faster here and slower there."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

ROWS_AT_ONCE = 256
DIAGONAL, UP, LEFT = 0, 1, 2  # where the best path came from

Array = NDArray[np.float64]


def warping_path(
    first: Array, second: Array, reach: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair the frames of two equally long sequences so that the sum of distances is least.

    Dynamic time warping with Euclidean distances and the steps (1, 1), (1, 0) and (0, 1), all of
    weight 1, both ends fixed. No frame is paired with one more than ``reach`` frames away; memory
    grows with frames * reach.

    Shape: (frames, coefficients) both -> the paired frames of each, (pairs,).
    Source: Sakoe and Chiba, "Dynamic programming algorithm optimization for spoken word
    recognition" (IEEE TASSP, 1978).

    >>> first, second = np.array([[0.0], [0], [1], [2]]), np.array([[0.0], [1], [1], [2]])
    >>> warping_path(first, second, reach=2)
    (array([0, 1, 2, 2, 3]), array([0, 0, 1, 2, 3]))
    """
    steps = _steps(first, second, min(reach, len(first) - 1))
    reach = steps.shape[1] // 2
    row, column = len(first) - 1, len(first) - 1
    path = [(row, column)]
    while row or column:
        step = steps[row, column - row + reach]
        row, column = row - (step != LEFT), column - (step != UP)
        path.append((row, column))
    rows, columns = np.array(path[::-1]).T
    return rows, columns


def _steps(first: Array, second: Array, reach: int) -> NDArray[np.int8]:
    """Where the best path to each pair came from, (frames, 2 * reach + 1).

    Column c of row r is frame r + c - reach of the second sequence. What comes from the left in a
    row is a running minimum: the cost of getting to a pair is the sum of distances up to it, and
    the least of what it took to enter the row, less the sum up to there.
    """
    width = 2 * reach + 1
    steps = np.empty((len(first), width), np.int8)
    costs = np.full(width, np.inf)
    for row, distances in enumerate(_bands(first, second, reach)):
        diagonal = costs
        up = np.append(costs[1:], np.inf)
        if row == 0:
            diagonal = np.full(width, np.inf)
            diagonal[reach] = 0.0
        entered = np.minimum(diagonal, up)
        inside = np.isfinite(distances)
        sums = np.cumsum(np.where(inside, distances, 0.0))
        before = np.concatenate([[0.0], sums[:-1]])
        offers = np.where(inside, entered - before, np.inf)
        best = np.minimum.accumulate(offers)
        # rounding must not turn a way straight on into a detour
        detour = best < offers - 1e-9 * (1 + sums[-1])
        steps[row] = np.where(detour, LEFT, np.where(diagonal <= up, DIAGONAL, UP))
        costs = np.where(inside, np.where(detour, best, offers) + sums, np.inf)
    return steps


def _bands(first: Array, second: Array, reach: int) -> Iterator[Array]:
    """The distances of each frame from those within reach, (2 * reach + 1,), infinite outside."""
    around = ((reach, reach), (0, 0))
    padded = np.pad(second, around, constant_values=np.inf)
    columns = np.arange(2 * reach + 1)
    for start in range(0, len(first), ROWS_AT_ONCE):
        rows = first[start : start + ROWS_AT_ONCE]
        distances = cdist(rows, padded[start : start + len(rows) + 2 * reach])
        for number, row in enumerate(distances):
            yield row[number + columns]
