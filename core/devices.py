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
    kind = name.partition(":")[0]
    if kind not in available:
        raise SelfRemasterError(f"no device named {name!r}; known: {', '.join(DEVICES)}")
    if not available[kind]:
        raise SelfRemasterError(f"device {name!r} is not there; use auto or cpu")
    return torch.device(name)
