"""Published checkpoints made into bundles, without executing anything that they hold."""

import pickle
import re
import textwrap
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from selfremaster.core.bundles import load_weights, write_bundle
from selfremaster.core.components import ComponentSpec
from selfremaster.core.errors import BundleError, ComponentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.files import sha256_of
from selfremaster.core.interfaces import Features
from selfremaster.core.models import Model
from selfremaster.core.plain import shown
from selfremaster.core.tensorfiles import check_framing
from selfremaster.registry import published
from selfremaster.registry.assembling import assemble, resolve
from selfremaster.registry.building import build
from selfremaster.registry.published import Description

SAFE_TORCH = (2, 10)  # before it, files that are read as weights alone could execute code
LARGEST_BYTES = 4 * 2**30  # with optimizer and MOS predictor, published files have about one
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
LONGEST_MESSAGE = 2000  # characters
CONTAINERS = ("generator", "state_dict")
AGAIN = "; fetch it again, or have its tensors saved alone, such as by safetensors"


@dataclass(frozen=True)
class Converted:
    """What came of a checkpoint."""

    bundle: Path
    what: str  # which of the published models, in words
    experiment: Experiment
    tensors: dict[str, int]  # of each module
    weights: dict[str, int]  # numbers of each module
    ignored: dict[str, int]  # tensors that are no part of the model, by what they are
    other: tuple[str, ...] = ()  # what the file holds beside tensors


class Prepared(NamedTuple):
    """A model with published weights."""

    model: Model
    experiment: Experiment
    told: Description
    tensors: dict[str, Tensor]  # by our names
    ignored: dict[str, int]  # tensors that are no part of the model, by what they are


def convert(
    checkpoint: str | Path,
    output: str | Path,
    *,
    features: str | ComponentSpec | None = None,
    keep_lag: bool = False,
) -> Converted:
    """Write the bundle of a published checkpoint of SelfRemaster or HiFi-GAN.

    ``features`` names the speech features where there is a choice (such as another finder of F0);
    ``keep_lag`` leaves HiFi-GAN's sound half a hop late, as published training heard it.
    Raises `BundleError` for a file that is none of these, holds more than plain data, or whose
    tensors are not exactly those of the published model.
    """
    path = Path(checkpoint)
    with _about(path):
        tensors, other = read_tensors(path)
        made = prepare(tensors, path.stem, features=features, keep_lag=keep_lag)
    notes = {"from": made.told.what, "sha256": sha256_of(path)}
    write_bundle(Path(output), made.model, made.experiment, converted=notes)
    return Converted(
        Path(output),
        made.told.what,
        made.experiment,
        _counts(made.tensors),
        _weights(made.tensors),
        made.ignored,
        other,
    )


def prepare(
    tensors: Mapping[str, Tensor],
    name: str,
    *,
    features: str | ComponentSpec | None = None,
    keep_lag: bool = False,
) -> Prepared:
    """The model that published weights are for, with these weights; raises `BundleError`."""
    shapes = _shapes_of(tensors)
    if any(key in shapes for key in published.FIRST_VOCODER):
        told = published.describe_generator(shapes, keep_lag=keep_lag)
    else:
        told = published.describe_remaster(shapes, keep_lag=keep_lag)
        published.check_label_predictor(shapes)
    model_settings = dict(told.model)
    if features is not None:
        model_settings["features"] = _checked_features(features, told.model["features"])
    given = {"name": name or "converted", "model": model_settings}
    experiment = resolve(Experiment.from_mapping(given))
    ours, ignored = published.renamed(tensors, told)
    model = assemble(experiment)
    published.check(ours, model.state_dict(), told)
    published.check_numbers(ours, told)
    load_weights(model, ours, told.what)
    return Prepared(model, experiment, told, ours, ignored)


def _shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The size of every tensor; raises `BundleError` for what is no plain tensor of numbers."""
    odd = [f"{name} is {kind}" for name, tensor in tensors.items() if (kind := _oddity(tensor))]
    if odd:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
        raise BundleError(
            f"{published.shortened(odd)}; convert reads dense tensors of {known}, have the weights "
            "saved as such"
        )
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _oddity(tensor: Tensor) -> str | None:
    """What a tensor is that is none of plain numbers."""
    if tensor.is_nested:
        return "nested"
    if tensor.layout != torch.strided:
        return str(tensor.layout).removeprefix("torch.").removeprefix("_")
    if tensor.dtype not in DTYPES:
        return str(tensor.dtype).removeprefix("torch.")
    return None if tensor.device.type == "cpu" else f"on the device {tensor.device.type}"


def read_tensors(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The weights in a file by name, and the names of what else it holds.

    Reads what `torch.save` writes, as plain data alone, and safetensors. Raises `BundleError`.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise BundleError(f"{what}; name a checkpoint")
    if path.stat().st_size > LARGEST_BYTES:
        raise BundleError(f"is larger than {LARGEST_BYTES >> 30} GiB, unlike published checkpoints")
    if path.suffix == ".safetensors":
        check_framing(path)
        try:
            return load_file(path), ()
        except (SafetensorError, OSError):
            raise BundleError("is not a safetensors file, or a damaged one") from None
    _check_archive(path)
    content = _read_plain(path)
    if not isinstance(content, Mapping):
        raise BundleError(f"holds a {type(content).__name__}, not named tensors")
    container = next((name for name in CONTAINERS if isinstance(content.get(name), Mapping)), None)
    held = content if container is None else content[container]
    tensors = {
        name if isinstance(name, str) else shown(name): value
        for name, value in held.items()
        if isinstance(value, Tensor)
    }
    if not tensors or len(tensors) < len(held):
        names = [shown(name) for name, value in held.items() if not isinstance(value, Tensor)]
        raise BundleError(
            "is no checkpoint of SelfRemaster or of HiFi-GAN's generator: it holds "
            f"{', '.join(names[:8]) or 'nothing'}, which are no tensors"
        )
    return tensors, tuple(shown(name) for name in content if name != container and container)


def _check_archive(path: Path) -> None:
    """Refuse an archive that torch has not written, before anything of it is unpacked."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as opened:
            members = opened.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RecursionError):
        raise BundleError(
            f"is not a checkpoint that torch has written, or a damaged one{AGAIN}"
        ) from None
    packed = next((one for one in members if one.compress_type != zipfile.ZIP_STORED), None)
    if packed is not None:
        raise BundleError(
            f"{shown(packed.filename)} is packed in it, and torch packs nothing, so that it is not "
            f"read{AGAIN}"
        )
    if sum(one.file_size for one in members) > path.stat().st_size:
        raise BundleError(
            f"its parts are larger together than the file, so that it is not read{AGAIN}"
        )
    names = Counter(one.filename for one in members)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise BundleError(f"{shown(twice)} is in it twice, so that it is not read{AGAIN}")


def _read_plain(path: Path) -> Any:
    """What `torch.save` wrote, if that is plain data; raises `BundleError`."""
    version = tuple(int(part) for part in re.findall(r"\d+", str(torch.__version__))[:2])
    if version < SAFE_TORCH:
        raise BundleError(
            f"is not read with torch {torch.__version__}, which such files can make execute code; "
            f"install torch {'.'.join(map(str, SAFE_TORCH))} or later"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BundleError(_refused(path, str(error))) from None
    except Exception as error:  # a damaged file breaks torch's reader in many ways
        if re.search(r"weights_only|TorchScript|legacy \.tar", str(error)):
            raise BundleError(_refused(path, str(error))) from None
        raise BundleError(
            f"is not a checkpoint that torch has written, or a damaged one ({type(error).__name__})"
            f"{AGAIN}"
        ) from None


def _refused(path: Path, reason: str) -> str:
    """Why a file is not read, with the names of what could execute code in it."""
    names: set[str] = set(re.findall(r"GLOBAL ([\w.]+)", reason))
    if zipfile.is_zipfile(path):
        try:
            names |= set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        except Exception:  # the list is a courtesy: without it the file is refused all the same
            names |= set()
    if not names:
        return (
            "is not a checkpoint of plain data that torch has written, so that it is not read; "
            "have its tensors saved alone, such as by safetensors"
        )
    some = published.shortened([shown(name) for name in sorted(names)], between=", ")
    return (
        f"holds {some} beside its tensors, which could execute code, so that "
        "nothing of it was loaded; have its tensors saved alone where it comes from, such as by "
        "safetensors, and convert that file"
    )


def _checked_features(wanted: str | ComponentSpec, found: str) -> ComponentSpec:
    """The features that the user wants, if the weights are made for as many of them."""
    spec = ComponentSpec.parse(wanted)
    if spec.name == ComponentSpec.parse(found).name and not spec.settings:
        return ComponentSpec.parse(found)
    mine: Features = build("features", spec)
    theirs: Features = build("features", found)
    for what in ("mel_bands", "predicted_channels", "channels", "hop_samples", "sample_rate"):
        if getattr(mine, what) != getattr(theirs, what):
            raise ComponentError(
                f"--features {spec} has {what} {getattr(mine, what)}, the weights are made for "
                f"{getattr(theirs, what)}; leave it out, or set {found}"
            )
    return spec


def _counts(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """How many tensors there are of each module."""
    return dict(Counter(name.partition(".")[0] for name in tensors))


def _weights(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """How many numbers there are of each module."""
    counts: Counter[str] = Counter()
    for name, tensor in tensors.items():
        counts[name.partition(".")[0]] += tensor.numel()
    return dict(counts)


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Name the file in every message, in which its own words are short and harmless."""
    try:
        yield
    except BundleError as error:
        plain = "".join(mark if mark.isprintable() else " " for mark in str(error))
        raise BundleError(f"{path}: {textwrap.shorten(plain, LONGEST_MESSAGE)}") from None
