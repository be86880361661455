"""How a number went over the steps of a run, as inline SVG that needs no program."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup

from selfremaster.benchmarks.reporting.charts import MARGIN, ticks
from selfremaster.benchmarks.reporting.words import decimals_for, number

WIDTH, HEIGHT = 640, 200  # pixels
LEFT, RIGHT, TOP, BOTTOM = 52, 624, 8, 172  # of the course within them
LEAST_SPREAD = 0.05


class Scale(NamedTuple):
    """Where steps and values lie."""

    last: int
    low: float
    high: float

    def along(self, step: int) -> float:
        """Pixels from the left."""
        return LEFT + (RIGHT - LEFT) * step / self.last

    def down(self, value: float) -> float:
        """Pixels from the top."""
        return TOP + (BOTTOM - TOP) * (self.high - value) / (self.high - self.low)


def draw(course: Sequence[tuple[int, float]], chosen: int) -> Markup:
    """A line through the values that are finite, with a dot at the step that was chosen."""
    known = [(step, value) for step, value in course if math.isfinite(value)] or [(0, 0.0)]
    values = [value for _, value in known]
    spread = max((max(values) - min(values)) * MARGIN, LEAST_SPREAD * MARGIN)
    scale = Scale(max(1, *(step for step, _ in course)), min(values) - spread, max(values) + spread)
    points = " ".join(f"{scale.along(step):.1f},{scale.down(value):.1f}" for step, value in known)
    return Markup(
        '<svg class="forest course" role="img" viewBox="0 0 {} {}" aria-label="{}">{}</svg>'
    ).format(
        WIDTH,
        HEIGHT,
        f"The criterion over {scale.last} steps; step {chosen} is kept",
        Markup("").join(
            [
                *_axes(scale),
                Markup('<polyline points="{}"/>').format(points),
                *_dot(known, chosen, scale),
            ]
        ),
    )


def _axes(scale: Scale) -> Iterator[Markup]:
    marks = ticks(scale.low, scale.high)
    steps = [marks[0], marks[-1]] if marks else []
    decimals = max(decimals_for([abs(steps[-1] - steps[0]) or 1.0]), 2) if steps else 2
    for mark in marks:
        down = f"{scale.down(mark):.1f}"
        yield Markup('<line class="tick" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            LEFT, RIGHT, down, down
        )
        yield Markup('<text x="{}" y="{:.1f}">{}</text>').format(
            LEFT // 2, scale.down(mark) + 4, number(mark, decimals)
        )
    for step in (0, scale.last):
        yield Markup('<text x="{:.1f}" y="{}">{}</text>').format(
            scale.along(step), HEIGHT - 8, "0 steps" if step == 0 else step
        )


def _dot(known: Sequence[tuple[int, float]], chosen: int, scale: Scale) -> Iterator[Markup]:
    for step, value in known:
        if step == chosen:
            yield Markup('<circle class="mean" cx="{:.1f}" cy="{:.1f}" r="5"/>').format(
                scale.along(step), scale.down(value)
            )
