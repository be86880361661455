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

from selfremaster.core.errors import BundleError, one_line
from selfremaster.core.files import write_atomically
from selfremaster.core.plain import MOST_JSON_BYTES, load_json, shown, size_in_words

STATE_KEY = "selfremaster"
FORMAT = 1
MOST_BYTES = 16 << 30
"""Of a file; a larger one has holes, or is none of ours."""

DTYPES = frozenset({"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"})
NOTES_KEY = "__metadata__"
MENDING = "; fetch the file again, or ask whoever made it"
LENGTH_BYTES = 8  # of the number that a file begins with, the length of its header


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
    try:
        text = check_framing(path).get(STATE_KEY)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    if text is None:
        raise BundleError(f"{path}: a safetensors file, but not written by selfremaster")
    try:
        header = load_json(text)
    except ValueError:
        raise BundleError(f"{path}: its header is damaged{MENDING}") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = shown(header.get("format") if isinstance(header, dict) else None)
        raise BundleError(
            f"{path}: written in format {found}; this version reads format {FORMAT}{MENDING}"
        )
    return header


def check_framing(path: Path) -> Mapping[str, str]:
    """The notes in any safetensors file, whose frame is checked before a tensor is read.

    That is its size, the length of its header, that no name comes twice, and that all tensors are
    of common types and lie in the file, one behind the other. Raises `BundleError`, which does not
    name the file.
    """
    if not path.is_file():
        raise BundleError("is a folder; name a file" if path.is_dir() else "no such file; check it")
    damaged = f"is not a safetensors file, or a damaged one{MENDING}"
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise BundleError(
            f"is larger than {size_in_words(MOST_BYTES)}, which no model is; name another file"
        )
    try:
        with path.open("rb") as opened:
            length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
            if size < LENGTH_BYTES or length > size - LENGTH_BYTES:
                raise BundleError(damaged)
            if length > MOST_JSON_BYTES:
                raise BundleError(
                    f"its header is longer than {size_in_words(MOST_JSON_BYTES)}{MENDING}"
                )
            listed = load_json(opened.read(length).decode())
        with safe_open(path, framework="pt") as checked:
            notes: Mapping[str, str] = checked.metadata() or {}
    except (SafetensorError, OSError, UnicodeDecodeError):
        raise BundleError(damaged) from None
    except ValueError as error:
        twice = "second time" in str(error)
        raise BundleError(
            f"its header is damaged: {error}{MENDING}" if twice else damaged
        ) from None
    for name, told in listed.items():
        if name != NOTES_KEY and told["dtype"] not in DTYPES:
            raise BundleError(
                f"{shown(name)} holds {told['dtype']}, which nothing of ours is made of{MENDING}"
            )
    return notes


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
        raise BundleError(f"{path}: is cut off or damaged{MENDING}") from None
    if content_hash(tensors, header) != header.get("sha256"):
        raise BundleError(
            f"{path}: does not fit its own hash; the file was damaged or changed{MENDING}"
        )
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
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BundleError(
            f"a checkpoint whose parts do not fit together ({shown(one_line(error))}){MENDING}"
        ) from None


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
