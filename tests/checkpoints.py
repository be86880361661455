"""Checkpoints like the published ones: their names and shapes, with weights made from the names."""

import gzip
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.published import FOLDER, RULES

Tensors = dict[str, Tensor]
GENERATOR = "Generator {} layout (vocoder file, under 'generator') [v1 and v2]"


@lru_cache(maxsize=1)
def _listed() -> dict[str, Any]:
    text = gzip.decompress((FOLDER / "state_dicts.json.gz").read_bytes())
    listed: dict[str, Any] = json.loads(text)
    return listed


def names() -> list[str]:
    """The published training modules, one for each variant of their checkpoints."""
    return list(_listed()["checkpoints"])


def _lines(name: str) -> Iterator[str]:
    for segment in _listed()["checkpoints"][name]:
        if len(segment) == 2 and segment[1] in _listed()["modules"]:
            prefix, module = segment
            yield from (prefix + line for line in _listed()["modules"][module])
        else:
            yield from segment


def _tensor(line: str, filled: tuple[str, ...]) -> tuple[str, Tensor]:
    name, shape, *dtype = line.split(" ")
    sizes = [int(size) for size in shape.split("x")] if shape else []
    if name.startswith(filled) and filled:
        return name, torch.from_numpy(np.asarray(RULES["fill"](name, sizes)))
    of = torch.int64 if dtype else torch.float32
    return name, torch.ones((), dtype=of).expand(sizes)  # takes no memory, nor room in a file


def remaster(name: str, *filled: str, kernel: int = 3) -> Tensors:
    """The tensors of a checkpoint; those under the prefixes filled as in the reference run."""
    tensors = dict(_tensor(line, filled) for line in _lines(name))
    if kernel != 3:
        for key, tensor in tensors.items():
            if key.startswith("channel.") and tensor.dim() == 3 and tensor.shape[2] == 3:
                tensors[key] = tensor[..., :1].expand(*tensor.shape[:2], kernel)
    return tensors


def generator(kind: str, *, norm: bool = True, filled: bool = False) -> Tensors:
    """HiFi-GAN's generator for ``melspec`` or ``vocfeats``, with weight norm or folded."""
    module = GENERATOR.format(f"{kind}, weight-norm") if norm else _folded(kind)
    lines = [f"generator.{line}" for line in _listed()["modules"][module]]
    tensors = dict(_tensor(line, ("generator.",) if filled else ()) for line in lines)
    return {key.removeprefix("generator."): tensor for key, tensor in tensors.items()}


def _folded(kind: str) -> str:
    return f"Generator {kind}, folded layout [v1 and v2]"


def save(path: Path, tensors: Tensors, **entries: Any) -> Path:
    """A Lightning checkpoint of these tensors."""
    torch.save({"state_dict": tensors, "epoch": 3, **entries}, path)
    return path
