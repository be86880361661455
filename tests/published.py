"""The published modules' outputs, and their weights, which are made from their names."""

import runpy
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "reference"
RULES = runpy.run_path(str(FOLDER / "fill.py"))
Module = TypeVar("Module", bound=nn.Module)


def output(name: str) -> Tensor:
    """What a published module gave."""
    with np.load(FOLDER / "unets.npz") as stored:
        return torch.from_numpy(stored[name])


def keys(module: str) -> list[str]:
    """The tensors of a published module, in order, as ``name 16x1x3``."""
    with np.load(FOLDER / "unets.npz") as stored:
        return str(stored[f"keys/{module}"]).split("\n")


def own_keys(module: nn.Module) -> list[str]:
    """The tensors of a module of ours, written likewise."""
    return [
        f"{name} {'x'.join(map(str, tensor.shape))}".strip()
        for name, tensor in module.state_dict().items()
    ]


def fill(module: Module, prefix: str = "") -> Module:
    """Give a module the weights of the reference run, made from their names, for evaluation."""
    filled = {
        key: torch.from_numpy(np.asarray(RULES["fill"](prefix + key, tensor.shape)))
        for key, tensor in module.state_dict().items()
    }
    module.load_state_dict(filled)
    return module.eval()


def given(rule: str, *arguments: Any) -> Tensor:
    """An input of the reference run."""
    return torch.from_numpy(RULES[f"{rule}_input"](*arguments))


def parameters(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())
