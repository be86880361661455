"""Profiles as files: JSON to be read by people, or safetensors with a hash."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from selfremaster.core.errors import BundleError
from selfremaster.core.files import write_atomically
from selfremaster.core.plain import MOST_JSON_BYTES, TooLongError, load_json, read_text, shown
from selfremaster.core.tensorfiles import read_tensors, write_tensors

JSON, TENSORS = ".json", ".safetensors"
FORMAT: Final = 1
TENSOR_KIND = "profile"
EXAMPLE = f"tape{JSON}"
MADE = "; `selfremaster profile` makes one"


def check_suffix(path: Path) -> str:
    """The suffix of a profile; raises `BundleError` for another one."""
    suffix = path.suffix.lower()
    if suffix not in (JSON, TENSORS):
        raise BundleError(f"{path}: a profile is a {JSON} or {TENSORS} file; name one")
    return suffix


def write_fields(path: Path, fields: Mapping[str, Any], arrays: Sequence[str]) -> None:
    """Write the fields of a profile, whole or not at all; ``arrays`` names those that are long."""
    if check_suffix(path) == TENSORS:
        tensors = {name: torch.tensor(fields[name], dtype=torch.float64) for name in arrays}
        others = {name: value for name, value in fields.items() if name not in arrays}
        write_tensors(path, tensors, {"kind": TENSOR_KIND, "profile": others})
        return
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items())
    with write_atomically(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_fields(path: Path) -> dict[str, Any]:
    """The fields in a file, which may be those of a profile or not; raises `BundleError`."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise BundleError(f"{path}: {what}; `selfremaster profile` makes a file")
    fields = _read_json(path) if check_suffix(path) == JSON else _read_tensors(path)
    if not isinstance(fields, dict):
        raise not_a_profile(path)
    return fields


def not_a_profile(path: Path) -> BundleError:
    """What to raise for a file that holds something else."""
    return BundleError(f"{path}: not a profile{MADE}")


def _read_json(path: Path) -> Any:
    try:
        return load_json(read_text(path, MOST_JSON_BYTES))
    except TooLongError as error:
        raise BundleError(f"{path}: not a profile: it {error}{MADE}") from None
    except (OSError, ValueError):
        raise BundleError(f"{path}: not a profile: it cannot be read as JSON{MADE}") from None


def _read_tensors(path: Path) -> Any:
    arrays, header = read_tensors(path)
    if header.get("kind") != TENSOR_KIND or not isinstance(header.get("profile"), dict):
        raise BundleError(f"{path}: is a {shown(header.get('kind'))}, not a profile{MADE}")
    return header["profile"] | {name: array.tolist() for name, array in arrays.items()}
