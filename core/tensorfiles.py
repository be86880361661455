"""Nested tensors and plain values in one safetensors file, without pickles; whole or not at all."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from selfremaster.core.errors import BundleError
from selfremaster.core.files import write_atomically

STATE_KEY = "selfremaster"
FORMAT = 1


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write named tensors with a JSON header that holds their hash; atomic."""
    contiguous = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()
    }
    described = {"format": FORMAT, **header}
    described["sha256"] = content_hash(contiguous, described)
    with write_atomically(path) as temporary:
        temporary.write_bytes(save(contiguous, {STATE_KEY: json.dumps(described)}))


def read_header(path: Path) -> dict[str, Any]:
    """The JSON header of a file of ours; raises `BundleError` for any other file."""
    if not path.is_file():
        raise BundleError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as opened:
            text = (opened.metadata() or {}).get(STATE_KEY)
    except (SafetensorError, OSError):
        raise BundleError(f"{path}: is not a safetensors file, or a damaged one") from None
    if text is None:
        raise BundleError(f"{path}: a safetensors file, but not written by selfremaster")
    try:
        header = json.loads(text)
    except ValueError:
        raise BundleError(f"{path}: its header is damaged") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else None
        raise BundleError(f"{path}: written in format {found}; this version reads format {FORMAT}")
    return header


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors, without reading them; raises `BundleError`."""
    read_header(path)
    with safe_open(path, framework="pt") as opened:
        return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header, checked against the hash; raises `BundleError`."""
    header = read_header(path)
    try:
        with safe_open(path, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # no mapping
    except (SafetensorError, OSError):
        raise BundleError(f"{path}: is cut off or damaged") from None
    if content_hash(tensors, header) != header.get("sha256"):
        raise BundleError(f"{path}: does not fit its own hash; the file was damaged or changed")
    return tensors, header


def content_hash(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """SHA-256 over the header, but for the hash itself, and over every tensor by name."""
    described = {name: value for name, value in header.items() if name != "sha256"}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def flatten(state: Any, prefix: str = "") -> tuple[dict[str, Tensor], Any]:
    """Take the tensors out of nested containers; what is left is plain JSON that names them.

    >>> tensors, plain = flatten({"step": 3, "state": {0: torch.ones(1)}})
    >>> sorted(tensors), plain["keys"]
    (['/1/0'], ['step', 'state'])
    """
    if isinstance(state, Tensor):
        return {prefix: state}, {"kind": "tensor", "name": prefix}
    if isinstance(state, (Mapping, list, tuple)):
        items = list(state.values()) if isinstance(state, Mapping) else state
        tensors: dict[str, Tensor] = {}
        values = []
        for position, value in enumerate(items):
            inner, plain = flatten(value, f"{prefix}/{position}")
            tensors |= inner
            values.append(plain)
        if isinstance(state, Mapping):
            return tensors, {"kind": "mapping", "keys": list(state), "values": values}
        return tensors, {"kind": type(state).__name__, "values": values}
    if state is None or isinstance(state, (bool, int, float, str)):
        return {}, {"kind": "value", "value": state}
    raise TypeError(
        f"{type(state).__name__} at {prefix or 'the top'} cannot be kept in a checkpoint"
    )


def unflatten(tensors: Mapping[str, Tensor], plain: Any) -> Any:
    """Undo `flatten`; raises `BundleError` when the two do not belong together."""
    try:
        return _unflatten(tensors, plain)
    except (KeyError, TypeError) as error:
        raise BundleError(f"a checkpoint whose parts do not fit together ({error})") from None


def _unflatten(tensors: Mapping[str, Tensor], plain: Any) -> Any:
    kind = plain["kind"]
    if kind == "tensor":
        return tensors[plain["name"]]
    if kind == "value":
        return plain["value"]
    values = [_unflatten(tensors, value) for value in plain["values"]]
    if kind == "mapping":
        return dict(zip(plain["keys"], values, strict=True))
    return tuple(values) if kind == "tuple" else cast("Any", values)
