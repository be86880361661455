"""How a promise is written and judged: plain functions that raise when a part breaks its word."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from selfremaster.core.errors import ComponentError, one_line

Promise = Callable[..., None]
"""Takes the part and named inputs, gives nothing, raises `ComponentError` when it is broken."""

Inputs = Mapping[str, Any]
"""Inputs by the names under which promises ask for them."""


class PromiseResult(NamedTuple):
    """Whether a part keeps a promise; if not, on which input and what happened."""

    promise: str
    summary: str
    kept: bool
    input: str = ""
    reason: str = ""


def demand(kept: Any, reason: str) -> None:
    """Raise `ComponentError` with the reason unless the condition holds."""
    if not kept:
        raise ComponentError(reason)


def judge(part: Any, promise: Promise, cases: Iterable[tuple[str, Inputs]]) -> PromiseResult:
    """Try a promise on named inputs until it breaks; one that takes no inputs is tried once."""
    name = promise.__name__
    summary = (promise.__doc__ or "").partition("\n")[0].rstrip(".")
    asked = list(inspect.signature(promise).parameters)[1:]
    for label, inputs in cases if asked else [("any", {})]:
        if any(argument not in inputs for argument in asked):
            continue
        try:
            promise(part, **{argument: _fresh(inputs[argument]) for argument in asked})
        except ComponentError as error:
            return PromiseResult(name, summary, False, label, str(error))
        except (Exception, SystemExit) as error:
            return PromiseResult(name, summary, False, label, f"raises {one_line(error)}")
    return PromiseResult(name, summary, True)


def _fresh(given: Any) -> Any:
    """A copy, so that a part that changes its input does not spoil the next promise's."""
    if isinstance(given, Mapping):
        return {name: _fresh(value) for name, value in given.items()}
    return given.clone() if isinstance(given, Tensor) else given


@contextmanager
def evaluating(part: Any) -> Iterator[None]:
    """Put a module into evaluation mode for a while; parts that are no modules are left alone."""
    was_training = isinstance(part, nn.Module) and part.training
    if was_training:
        part.eval()
    try:
        yield
    finally:
        if was_training:
            part.train()


def seeded(seed: int) -> Generator:
    """A generator of its own, so that no promise touches the global one."""
    return Generator().manual_seed(seed)


def demand_shape(found: Any, shape: tuple[int, ...], what: str) -> None:
    """Raise unless this is a tensor of exactly that shape."""
    demand(isinstance(found, Tensor), f"{what} is a {type(found).__name__}, not a tensor")
    demand(tuple(found.shape) == shape, f"{what} has shape {tuple(found.shape)}, not {shape}")


def demand_finite(found: Tensor, what: str) -> None:
    """Raise unless every number is finite."""
    bad = int((~torch.isfinite(found)).sum())
    demand(bad == 0, f"{what} holds {bad} numbers of {found.numel()} that are not finite")


def demand_close(found: Tensor, wanted: Tensor, what: str, tolerance: float = 1e-4) -> None:
    """Raise unless two tensors agree to a part of the larger of 1 and the largest wanted value."""
    demand_shape(found, tuple(wanted.shape), what)
    if wanted.numel() == 0:
        return
    scale = max(1.0, wanted.double().abs().max().item())
    distance = (found.double() / scale - wanted.double() / scale).abs().max().item() * scale
    demand(
        distance <= tolerance * scale,
        f"{what} differs by {distance:.2g} where {tolerance * scale:.2g} is allowed",
    )


@contextmanager
def untouched(*tensors: Tensor) -> Iterator[None]:
    """Raise afterwards if a tensor was changed in between."""
    before = [tensor.detach().clone() for tensor in tensors]
    yield
    for tensor, old in zip(tensors, before, strict=True):
        demand(torch.equal(tensor.detach(), old), "the input is changed in place; work on a copy")


def demand_gradient(output: Tensor, source: Tensor, what: str, *, allow_zero: bool = False) -> None:
    """Raise unless a finite gradient reaches the source; not all zero, unless that is allowed."""
    demand(output.requires_grad, f"no gradient reaches {what}")
    # an even sum of outputs can have no gradient where each of them has; uneven weights do not
    weights = torch.randn(output.shape, generator=seeded(7), dtype=output.dtype)
    (gradient,) = torch.autograd.grad(
        (output * weights.to(output.device)).sum(), source, allow_unused=True
    )
    demand(gradient is not None, f"no gradient reaches {what}")
    demand_finite(gradient, f"the gradient to {what}")
    demand(allow_zero or bool(gradient.any()), f"the gradient to {what} is zero")
