"""What the published checkpoints hold, by the names and shapes of their tensors."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from selfremaster.core.errors import BundleError

Shapes = Mapping[str, tuple[int, ...]]

MODULES: Mapping[str, str] = {
    "encoder.": "analyzer.encoder.",
    "channelfeats.": "analyzer.channelfeats.",
    "gst.": "analyzer.gst.",
    "channel.": "channel.",
    "vocoder.": "vocoder.",
}
"""How the modules of SelfRemaster are called in its checkpoints, and here."""

GENERATOR: Mapping[str, str] = {"": "vocoder."}
"""The same for a file of HiFi-GAN's generator alone."""

IGNORED: Mapping[str, str] = {
    r"spec_module\.": "window and mel filterbank",
    r"criteria(_\w+)?\.": "windows of the losses",
    r"chpredictor\.": "predictor of channel labels, used in training only",
    r"utmos\.": "predictor of opinion scores",
    r"resampler\.": "resampler of that predictor",
}
"""What is no part of a model, or made anew."""

LABEL_PREDICTOR: Shapes = {
    "chpredictor.batch_norm.weight": (128,),
    "chpredictor.batch_norm.bias": (128,),
    "chpredictor.batch_norm.running_mean": (128,),
    "chpredictor.batch_norm.running_var": (128,),
    "chpredictor.batch_norm.num_batches_tracked": (),
    "chpredictor.in_linear.weight": (256, 128),
    "chpredictor.in_linear.bias": (256,),
    "chpredictor.out_linear.weight": (1, 256),
    "chpredictor.out_linear.bias": (1,),
}
"""The predictor of channel labels: left out, and still checked."""

LAST_LINEAR = "encoder.after_linear.weight"
FIRST_CHANNEL = "channel.down_block1.conv_block1.conv1.weight"
FIRST_VOCODER = ("conv_pre.weight_v", "conv_pre.weight")
SPECTROGRAM = re.compile(r"criteria(?:_\w+)?\.spectrograms\.(\d+)\.")
FEATURES_OF_INPUTS = {80: "mel", 42: "source-filter"}
FEATURES_OF_OUTPUTS = {80: "mel", 41: "source-filter"}
KERNELS = (3, 5, 7, 9)
SIZES = {(512, 4): "v1", (128, 4): "v2", (256, 3): "v3"}
"""The presets of HiFi-GAN by channels before the first stage, and number of stages."""

HALF_A_HOP = 128
"""By how much HiFi-GAN's published weights lag: their frames were not centred (samples)."""


class Description(NamedTuple):
    """What was found out about a checkpoint."""

    what: str  # in words
    version: str | None  # of SelfRemaster
    features: str  # registry name
    model: dict[str, Any]  # the settings of the model
    prefixes: Mapping[str, str]  # from the names of the checkpoint to ours


def describe_remaster(shapes: Shapes, *, keep_lag: bool = False) -> Description:
    """Tell which variant of SelfRemaster a checkpoint holds; raises `BundleError`."""
    absent = [
        f"{module}*"
        for module in ("encoder.", "channel.", "vocoder.")
        if not any(name.startswith(module) for name in shapes)
    ]
    if absent:
        raise BundleError(
            f"is no checkpoint of SelfRemaster or HiFi-GAN: no tensors {', '.join(absent)}, but "
            f"{_some(shapes)}"
        )
    features = _known(shapes, LAST_LINEAR, 0, FEATURES_OF_OUTPUTS)
    kernel = _known(shapes, FIRST_CHANNEL, 2, {size: size for size in KERNELS})
    tokens = any(name.startswith("gst.") for name in shapes)
    version = _version(shapes, kernel)
    vocoder = _vocoder(shapes, "vocoder.", features, keep_lag=keep_lag)
    model = {
        "features": _features(features),
        "analyzer": {"name": "unet2d-gst" if tokens else "unet2d", "preset": "paper"},
        "channel": {"name": "unet1d", "preset": "paper", "kernel": kernel},
        "vocoder": vocoder,
        "peak_db": 0.0 if version == "v2" else -3.0,
    }
    kind = "style tokens" if tokens else "normal"
    what = f"SelfRemaster {version or 'v1 or v2'}, {features}, {kind}, channel kernel {kernel}"
    return Description(what, version, features, model, MODULES)


def describe_generator(shapes: Shapes, *, keep_lag: bool = False) -> Description:
    """Tell which size of HiFi-GAN a file holds; raises `BundleError`."""
    first = next((name for name in FIRST_VOCODER if name in shapes), None)
    if first is None:
        raise BundleError(
            f"is no generator of HiFi-GAN: no tensor {FIRST_VOCODER[0]}, but {_some(shapes)}"
        )
    features = _known(shapes, first, 1, FEATURES_OF_INPUTS)
    vocoder = _vocoder(shapes, "", features, keep_lag=keep_lag)
    model = {
        "features": _features(features),
        "analyzer": None,
        "channel": None,
        "vocoder": vocoder,
    }
    what = f"HiFi-GAN {vocoder['preset']}, {features}"
    return Description(what, None, features, model, GENERATOR)


def renamed(
    tensors: Mapping[str, Tensor], told: Description
) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The tensors of the model by our names, and how many are ignored, by what they are."""
    ours: dict[str, Tensor] = {}
    left_out: dict[str, int] = {}
    for name, tensor in tensors.items():
        what = _ignored(name) if told.prefixes is MODULES else None
        if what is not None:
            left_out[what] = left_out.get(what, 0) + 1
            continue
        prefix = next((prefix for prefix in told.prefixes if name.startswith(prefix)), None)
        # what belongs nowhere keeps its name, and is told as extra
        ours[name if prefix is None else told.prefixes[prefix] + name.removeprefix(prefix)] = tensor
    return ours, left_out


def check(given: Mapping[str, Tensor], expected: Mapping[str, Tensor], told: Description) -> None:
    """Raise `BundleError` listing the tensors that are missing, foreign, misshapen or no weights.

    ``given`` and ``expected`` are by our names; the message has those of the checkpoint.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    if not any(name.endswith(".weight_g") for name in given):
        shapes = _folded(shapes)
    problems = [f"missing {_named(name, told)}" for name in shapes if name not in given]
    problems += [f"extra {_named(name, told)}" for name in given if name not in shapes]
    for name, tensor in given.items():
        fault = _fault(name, tensor, shapes[name]) if name in shapes else None
        if fault is not None:
            problems.append(f"{_named(name, told)} {fault}")
    if problems:
        raise BundleError(f"its tensors do not fit: {shortened(problems)}")


def check_label_predictor(shapes: Shapes) -> None:
    """Raise `BundleError` where there is a predictor of channel labels unlike the published one."""
    given = {name: shape for name, shape in shapes.items() if name.startswith("chpredictor.")}
    if not given:
        return
    problems = [f"missing {name}" for name in LABEL_PREDICTOR if name not in given]
    for name, shape in given.items():
        wanted = LABEL_PREDICTOR.get(name)
        if wanted is None:
            problems.append(f"extra {name}")
        elif shape != wanted:
            problems.append(f"{name} is {_size(shape)}, not {_size(wanted)}")
    if problems:
        raise BundleError(f"its tensors do not fit: {shortened(problems)}")


def check_numbers(given: Mapping[str, Tensor], told: Description) -> None:
    """Raise `BundleError` listing the tensors that hold NaN or infinity as a bundle has them.

    That is as float32, and with the norm of weights folded into them. Shapes are to be checked.
    """
    odd: list[str] = []
    for name, tensor in given.items():
        numbers = tensor.float()
        if name.endswith(".weight_v"):
            length = given[name.removesuffix("v") + "g"].float()
            numbers = numbers * (
                length / torch.linalg.vector_norm(numbers, dim=(1, 2), keepdim=True)
            )
        if not numbers.isfinite().all():
            odd.append(_named(name, told))
    if odd:
        raise BundleError(f"holds numbers that are not finite in float32: {shortened(odd)}")


def _fault(name: str, tensor: Tensor, shape: tuple[int, ...]) -> str | None:
    """What is wrong with a tensor, if anything."""
    if tuple(tensor.shape) != shape:
        return f"is {_size(tensor.shape)}, not {_size(shape)}"
    if name.endswith("num_batches_tracked") == tensor.is_floating_point():
        return f"holds {str(tensor.dtype).removeprefix('torch.')}"
    return None


def _named(name: str, told: Description) -> str:
    """What a tensor of ours is called in the checkpoint."""
    for theirs, ours in told.prefixes.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def _ignored(name: str) -> str | None:
    return next((what for pattern, what in IGNORED.items() if re.match(pattern, name)), None)


def _folded(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The tensors of layers with weight norm as they are when it is folded into the weights."""
    return {
        name.replace(".weight_v", ".weight"): shape
        for name, shape in shapes.items()
        if not name.endswith(".weight_g")
    }


def _features(name: str) -> str:
    return f"{name}:preset=published" if name == "source-filter" else name


def _vocoder(shapes: Shapes, prefix: str, features: str, *, keep_lag: bool) -> dict[str, Any]:
    first = next((prefix + name for name in FIRST_VOCODER if prefix + name in shapes), None)
    if first is None:
        raise BundleError(f"its tensors do not fit: missing {prefix}{FIRST_VOCODER[0]}")
    found = _known(shapes, first, 1, FEATURES_OF_INPUTS)
    if found != features:
        raise BundleError(f"predicts {features}, but its vocoder takes {found}")
    width = shapes[first][0]
    found_stages = (re.match(rf"{re.escape(prefix)}ups\.(\d+)\.", name) for name in shapes)
    stages = len({match[1] for match in found_stages if match})
    if (width, stages) not in SIZES:
        known = ", ".join(f"{size[0]} and {size[1]}" for size in SIZES)
        raise BundleError(
            f"its HiFi-GAN begins with {width} channels and has {stages} stages; known: {known}"
        )
    preset = SIZES[width, stages]
    if features == "source-filter":
        # WORLD's frames are centred, so these weights do not lag
        return {"name": "hifigan", "preset": "v1-source-filter" if preset == "v1" else preset}
    lag = 0 if keep_lag else HALF_A_HOP
    return {"name": "hifigan", "preset": preset, "lag_samples": lag}


def _version(shapes: Shapes, kernel: int) -> str | None:
    """SelfRemaster's version by the scales of its loss: the second has one more."""
    scales = {match[1] for name in shapes if (match := SPECTROGRAM.match(name))}
    later = kernel > min(KERNELS) or any(name.startswith("chpredictor.") for name in shapes)
    if later or len(scales) == 6:
        return "v2"
    return "v1" if len(scales) == 5 else None


def _known(shapes: Shapes, name: str, axis: int, meanings: Mapping[int, Any]) -> Any:
    """What the size of an axis of a tensor means; raises `BundleError`."""
    shape = shapes.get(name)
    if shape is None:
        raise BundleError(f"its tensors do not fit: missing {name}")
    size = shape[axis] if axis < len(shape) else -1
    if size not in meanings:
        allowed = " or ".join(str(size) for size in meanings)
        raise BundleError(f"{name} is {_size(shape)}; axis {axis} should be {allowed}")
    return meanings[size]


def _size(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return shortened(listed, 3, ", ") if listed else "none at all"


def shortened(items: list[str], most: int = 8, between: str = "; ") -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return between.join(items[:most]) + more
