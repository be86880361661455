"""What losses promise."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from selfremaster.core.interfaces import AdversarialLoss, Loss
from selfremaster.core.promises.inputs import log_mels, noise, speech_like
from selfremaster.core.promises.judging import (
    demand,
    demand_close,
    demand_finite,
    demand_gradient,
    demand_shape,
    evaluating,
    untouched,
)


def gives_one_number(part: Loss, estimate: Tensor, target: Tensor) -> None:
    """Gives a finite scalar, at least 0, and leaves what it is given alone."""
    with torch.no_grad(), evaluating(part), untouched(estimate, target):
        loss = part(estimate, target)
    demand_shape(loss, (), "the loss")
    demand_finite(loss, "the loss")
    demand(loss >= 0, f"the loss is {loss:.4g}, below 0")


def keeps_the_precision(part: Loss, estimate: Tensor, target: Tensor) -> None:
    """Counts in float32 for float32; if it has no weights, takes float64 and counts in either."""
    with torch.no_grad(), evaluating(part):
        loss = part(estimate, target)
        demand(loss.dtype == torch.float32, f"the loss of float32 is {loss.dtype}")
        if any(True for _ in part.parameters()):
            return
        exact = part(estimate.double(), target.double())
    allowed = (torch.float32, torch.float64)
    demand(exact.dtype in allowed, f"the loss of float64 is {exact.dtype}")
    demand_close(exact, loss, "the loss in float64", 1e-3)


def repeats_itself(part: Loss, estimate: Tensor, target: Tensor) -> None:
    """Gives the same number for the same pair, and uses no chance."""
    state = torch.random.get_rng_state()
    with torch.no_grad(), evaluating(part):
        first, second = (part(estimate, target) for _ in range(2))
    demand(torch.equal(first, second), f"the loss is {first:.6g}, then {second:.6g}")
    demand(torch.equal(torch.random.get_rng_state(), state), "draws from the global generator")


def is_the_mean_of_its_items(part: Loss, estimate: Tensor, target: Tensor) -> None:
    """Gives for a batch the mean of what it gives for its items, if it says ``is_mean``."""
    if not part.is_mean:
        return
    with torch.no_grad(), evaluating(part):
        alone = [
            part(item[None], wanted[None]) for item, wanted in zip(estimate, target, strict=True)
        ]
        mean = torch.stack(alone).mean()
        demand_close(part(estimate, target), mean, "the loss of a batch", 1e-4)


def has_a_gradient(part: Loss, estimate: Tensor, target: Tensor) -> None:
    """Sends a finite gradient to the estimate."""
    asking = estimate.clone().requires_grad_()
    with torch.enable_grad(), evaluating(part):
        demand_gradient(part(asking, target), asking, "the estimate", allow_zero=True)


def pulls_at_what_differs(part: Loss) -> None:
    """Sends a gradient that is not zero where the estimate and the target differ."""
    estimate, target = _pair(part, 9000 if part.takes == "wave" else 12)
    asking = estimate.clone().requires_grad_()
    with torch.enable_grad(), evaluating(part):
        demand_gradient(part(asking, target), asking, "the estimate")


def is_zero_for_equals(part: Loss, target: Tensor) -> None:
    """Is 0 for an estimate that is its target, if it compares and is not adversarial."""
    if isinstance(part, AdversarialLoss) or not part.needs_target:
        return
    with torch.no_grad(), evaluating(part):
        loss = part(target.clone(), target)
    demand(loss.abs() <= 1e-6, f"the loss of a target with itself is {loss:.4g}")


def hears_a_target_only_if_it_says_so(part: Loss, estimate: Tensor) -> None:
    """Gives the same number whatever the target, if it says ``needs_target = False``."""
    if part.needs_target:
        return
    with torch.no_grad(), evaluating(part):
        loss = part(estimate, estimate)
        demand_close(part(estimate, estimate.flip(-1)), loss, "the loss with another target", 1e-6)


def cuts_to_the_shorter(part: Loss, estimate: Tensor, target: Tensor) -> None:
    """Hears nothing of what is longer than the shorter of the two."""
    with torch.no_grad(), evaluating(part):
        loss = part(estimate, target)
        longer = torch.cat([target, 0.3 * torch.ones_like(target)], dim=-1)
        demand_close(part(estimate, longer), loss, "the loss with a longer target")
        longer = torch.cat([estimate, 0.3 * torch.ones_like(estimate)], dim=-1)
        demand_close(part(longer, target), loss, "the loss with a longer estimate")


def teaches_its_discriminators(part: Loss, estimate: Tensor, target: Tensor) -> None:
    """If adversarial, gives the discriminators a finite loss that they can learn from."""
    if not isinstance(part, AdversarialLoss):
        return
    parameters = [parameter for parameter in part.parameters() if parameter.requires_grad]
    demand(parameters, "an adversarial loss has no parameters to be trained")
    with torch.enable_grad(), evaluating(part):
        loss = part.discriminator_loss(estimate, target)
        demand_shape(loss, (), "the discriminators' loss")
        demand_finite(loss, "the discriminators' loss")
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    found = [gradient for gradient in gradients if gradient is not None]
    demand(found, "no gradient reaches the discriminators")
    for gradient in found:
        demand_finite(gradient, "a gradient to the discriminators")


def _pair(part: Loss, length: int) -> tuple[Tensor, Tensor]:
    if part.takes == "features":
        maps = log_mels(80, -11.5, 2, length)
        return maps[:1], maps[1:]
    return noise(1, length), speech_like(length)


def cases(part: Loss, context: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pairs of sounds or feature maps: alike, unlike, silent, of one sample, in a batch."""
    del context
    length, one = (4000, "one sample") if part.takes == "wave" else (12, "one frame")
    estimate, target = _pair(part, length)
    silence = torch.zeros_like(target) if part.takes == "wave" else torch.full_like(target, -11.5)
    yield "two sounds", {"estimate": estimate, "target": target}
    yield "silence for a sound", {"estimate": silence, "target": target}
    yield one, {"estimate": estimate[..., :1], "target": target[..., :1]}
    batch = torch.cat([estimate, silence, target])
    if not part.needs_target:  # networks, mostly: slow, and the rest would be the same again
        yield "a batch", {"estimate": batch[1:], "target": batch[:2]}
        return
    yield "a sound for silence", {"estimate": estimate, "target": silence}
    yield "silence for silence", {"estimate": silence, "target": silence}
    yield "twice the same", {"estimate": target, "target": target}
    yield "full scale", {"estimate": torch.ones_like(target), "target": -torch.ones_like(target)}
    yield "a batch", {"estimate": batch, "target": batch.flip(0)}


PROMISES = (
    gives_one_number,
    keeps_the_precision,
    repeats_itself,
    is_the_mean_of_its_items,
    has_a_gradient,
    pulls_at_what_differs,
    is_zero_for_equals,
    hears_a_target_only_if_it_says_so,
    cuts_to_the_shorter,
    teaches_its_discriminators,
)
