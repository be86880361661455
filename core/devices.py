"""The one place where a device is chosen."""

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
