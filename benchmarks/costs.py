"""What a restorer costs, whatever machine it runs on: weights and multiplications."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from selfremaster.core.interfaces import Restorer
from selfremaster.core.promises.inputs import speech_like

SHORT_SECONDS, LONG_SECONDS = 1, 3
LEAVES = (str, bytes, int, float, complex, type, Tensor, ModuleType, FunctionType, MethodType)


class Counts(NamedTuple):
    """Weights, and multiply-adds for a second of sound; none where there was nothing to count.

    Restorers that work outside of torch have none, nor have those without a network.
    """

    parameters: int | None
    multiply_adds: float | None


def count(restorer: Restorer, sample_rate: int) -> Counts:
    """Count what a restorer is made of, and what it does for a second of sound at a rate (Hz).

    A restorer that refuses the sound it is tried on has no multiply-adds.

    >>> from selfremaster.registry.building import build
    >>> count(build("restorer", "input"), 8000)
    Counts(parameters=None, multiply_adds=None)
    """
    # a stranger's restorer may raise anything; its other numbers are kept
    parameters = multiply_adds = None
    with suppress(Exception):
        parameters = count_parameters(restorer)
    with suppress(Exception):
        multiply_adds = count_multiply_adds(restorer, sample_rate)
    return Counts(parameters, multiply_adds)


def count_parameters(part: Any) -> int | None:
    """The weights of all networks that a part holds, each once; none where it holds no network.

    >>> layer = nn.Linear(2, 3)
    >>> count_parameters({"first": layer, "again": [layer]})
    9
    """
    modules = list(_modules(part))
    if not modules:
        return None
    parameters = chain.from_iterable(module.parameters() for module in modules)
    return sum({id(parameter): parameter.numel() for parameter in parameters}.values())


def _modules(part: Any) -> Iterator[nn.Module]:
    """The networks that can be reached from an object by its attributes, however deep."""
    seen: dict[int, Any] = {}  # what is kept has an id of its own
    waiting = [part]
    while waiting:
        found = waiting.pop()
        if found is None or isinstance(found, LEAVES) or id(found) in seen:
            continue
        seen[id(found)] = found
        if isinstance(found, nn.Module):
            yield found
        if isinstance(found, Mapping):
            waiting += found.values()
        elif isinstance(found, list | tuple | set | frozenset):
            waiting += found
        else:
            waiting += getattr(found, "__dict__", {}).values()


def count_multiply_adds(restorer: Restorer, sample_rate: int) -> float | None:
    """The multiply-adds of matrix products and convolutions for a second of sound at a rate (Hz).

    They are counted by torch while a restorer works on 1 and on 3 seconds of one channel; the
    difference leaves out what is done once for a file. Transforms and pointwise steps do not count.
    """
    short, long = (
        _multiply_adds(restorer, seconds, sample_rate) for seconds in (SHORT_SECONDS, LONG_SECONDS)
    )
    return (long - short) / (LONG_SECONDS - SHORT_SECONDS) if long else None


def _multiply_adds(restorer: Restorer, seconds: int, sample_rate: int) -> float:
    wave = speech_like(seconds * sample_rate, sample_rate=sample_rate)
    reference = wave.clone() if restorer.needs_reference else None
    known = {torch.ops.aten.mkldnn_rnn_layer: _recurrent_flops}
    with (
        torch.no_grad(),
        _step_by_step(),
        FlopCounterMode(display=False, custom_mapping=known) as counter,
    ):
        restorer.restore(wave, sample_rate, reference)
    return float(counter.get_total_flops()) / 2


def _recurrent_flops(
    heard: Sequence[int], first: Sequence[int], second: Sequence[int], *others: Any, **told: Any
) -> int:
    """Of an LSTM layer on the processor, from the shapes of its input and both its weights."""
    del others, told
    return 2 * math.prod(heard[:-1]) * (math.prod(first) + math.prod(second))


@contextmanager
def _step_by_step() -> Iterator[None]:
    """Make torch work without layers that are one step to the counter, which misses them."""
    attention = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.backends.cudnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(attention)
