"""In which numbers a model computes: of 32 bits, or bfloat16 where the device is fast at it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple

import torch

from selfremaster.core.devices import choose_precision
from selfremaster.core.errors import ComponentError

Precision = Literal["fp32", "bf16"]
PRECISIONS = ("auto", "fp32", "bf16")

PROCESSOR_UNITS = {  # as torch asks for them, where it knows them
    "AMX": "_is_amx_tile_supported",
    "AVX512-BF16": "_is_avx512_bf16_supported",
}
MIXING = ("cpu", "cuda")  # devices whose operations are known to choose their numbers well


class Arithmetic(NamedTuple):
    """In which numbers to compute, and why, in one line."""

    precision: Precision
    reason: str


def choose_arithmetic(wanted: str, device: torch.device) -> Arithmetic:
    """What ``auto``, ``fp32`` or ``bf16`` is on a device; ``auto`` is bf16 where that is fast.

    Raises `ComponentError` for another word, and for bf16 on a device that it is not known on.

    >>> choose_arithmetic("fp32", torch.device("cpu")).precision
    'fp32'
    """
    if wanted not in PRECISIONS:
        raise ComponentError(f"precision {wanted!r}; give one of {', '.join(PRECISIONS)}")
    if wanted == "bf16" and device.type not in MIXING:
        raise ComponentError(
            f"precision bf16 on the device {device.type}; it is for {' and '.join(MIXING)}, "
            "give fp32"
        )
    fast = choose_precision(device) == "bf16-mixed"
    precision: Precision = "bf16" if wanted == "bf16" or (wanted == "auto" and fast) else "fp32"
    return Arithmetic(precision, f"{precision}: {what_device_has(device)}")


def what_device_has(device: torch.device) -> str:
    """What a device computes bfloat16 with, in words."""
    if device.type != "cpu":
        fast = choose_precision(device) == "bf16-mixed"
        return f"{device.type} {'computes' if fast else 'is not known to compute'} bfloat16 fast"
    units = [name for name, asked in PROCESSOR_UNITS.items() if getattr(torch.cpu, asked, bool)()]
    if not units:
        return "the processor has no bfloat16 arithmetic (AMX or AVX512-BF16)"
    return f"the processor computes bfloat16 by {' and '.join(units)}"


def computing(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Let networks compute so inside the block; what must be exact (spectra, levels) stays so."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def exactly(device: torch.device) -> AbstractContextManager[object]:
    """Let a part of a network compute in the numbers that it is given, whatever is chosen around.

    >>> layer = torch.nn.Linear(2, 2)
    >>> with computing("bf16", torch.device("cpu")), exactly(torch.device("cpu")):
    ...     layer(torch.ones(1, 2)).dtype
    torch.float32
    """
    if device.type not in MIXING:
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
