"""The one place where a device is chosen."""

from typing import Literal

import torch

from selfremaster.core.errors import SelfRemasterError

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name, or the best one for ``auto``; raises `SelfRemasterError`."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    kind, colon, number = name.partition(":")
    if kind not in available or (colon and not number.isdecimal()):
        raise SelfRemasterError(f"no device named {name!r}; known: {', '.join(DEVICES)}, cuda:1")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not available[kind] or int(number or 0) >= count:
        raise SelfRemasterError(f"device {name!r} is not there; use auto or cpu")
    return torch.device(name)


def choose_precision(device: torch.device) -> Literal["32-true", "bf16-mixed"]:
    """Mixed precision where the device is fast at it, and full precision elsewhere."""
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    if device.type == "cpu":
        known = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not in every torch
        fast = any(getattr(torch.cpu, name, bool)() for name in known)
        return "bf16-mixed" if fast else "32-true"
    return "32-true"
