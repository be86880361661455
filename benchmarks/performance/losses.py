"""How fast losses are, with their gradient."""

from torch import Tensor, nn

from selfremaster.benchmarks.performance import references
from selfremaster.benchmarks.performance.comparing import (
    Comparison,
    Options,
    Section,
    Timed,
    in_turns,
    table,
)
from selfremaster.benchmarks.timing import apart
from selfremaster.core.promises.inputs import noise
from selfremaster.registry.building import build

BATCH, SAMPLES = 4, 33075  # 1.5 s


class ReferenceMel(nn.Module):
    """The distance of log-mel spectrograms, both made anew."""

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Their mean absolute difference."""
        full = references.RATE_HZ / 2
        difference = references.log_mel(estimate, full) - references.log_mel(target, full)
        return difference.abs().mean()


REFERENCES = {
    "multiscale-spectral:preset=v2": references.MultiscaleSpectral,
    "mel-l1": ReferenceMel,
}
"""Losses of waves that the papers use, and the same as published."""


def measure(options: Options) -> Section:
    """The table of losses."""
    about = (
        f"Milliseconds, forward and backward, on {BATCH} waves of {SAMPLES / references.RATE_HZ:g} "
        "s. The reference is the loss as published: windows and filters made anew, the complex "
        "magnitude taken and squared."
    )
    return Section("Losses", about, table(apart(times, options), "ms", 1000))


def times(options: Options) -> list[Timed]:
    """Seconds of one loss with its gradient."""
    target = noise(BATCH, SAMPLES, seed=1)
    estimate = noise(BATCH, SAMPLES, seed=2).requires_grad_(True)

    def learn(loss: nn.Module) -> None:
        estimate.grad = None
        loss(estimate, target).backward()

    comparisons = []
    for spec, reference in REFERENCES.items():
        ours, other = build("loss", spec), reference()
        comparisons.append(
            Comparison(
                spec,
                lambda ours=ours: learn(ours),  # type: ignore[misc]  # bound now
                lambda other=other: learn(other),  # type: ignore[misc]  # bound now
            )
        )
    return in_turns(comparisons, options)
