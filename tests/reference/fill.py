"""Weights and inputs made from names, as the stored reference numbers were made (numpy only).

The value of a tensor depends on nothing but its full key in a published checkpoint and its shape.
For the vocoder that key is "generator." and its own key in the weight-norm layout.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

LEFT_ALONE = ("window", "fb", "kernel")  # made by libraries


def rng_for(name: str) -> np.random.Generator:
    """The generator that belongs to a name."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode("utf-8"))))


def fill(name: str, shape: Sequence[int]) -> Array | None:
    """The tensor of this name, or None where the library's own value stays."""
    shape = tuple(int(size) for size in shape)
    parts = name.split(".")
    if parts[-1] in LEFT_ALONE:
        return None
    if parts[-1] == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    return _draw(parts, shape, rng_for(name)).astype(np.float32)


def _draw(parts: list[str], shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    last = parts[-1]
    if last == "running_mean":
        return 0.1 * rng.standard_normal(shape)
    if last == "running_var":
        return 0.5 + rng.random(shape)
    if last.startswith("bias"):
        return 0.05 * rng.standard_normal(shape)
    if last == "weight" and len(shape) == 1:  # the gain of a normalisation
        return 0.8 + 0.4 * rng.random(shape)
    if last == "weight_g":
        return _vocoder_gain(parts) * (0.9 + 0.2 * rng.random(shape))
    if last == "weight_v":
        return rng.standard_normal(shape)
    if last == "embed":
        return 0.5 * rng.standard_normal(shape)
    return _draw_weight(parts, shape, rng)


def _vocoder_gain(parts: list[str]) -> float:
    if "ups" in parts:  # strides 8, 8, 2, 2: the level is kept
        return (2.0, 2.0, 1.0, 1.0)[int(parts[-2])]
    if "resblocks" in parts:  # the residual stays small
        return 0.5
    return 0.3 if "conv_post" in parts else 1.0  # the tanh is not saturated


def _draw_weight(parts: list[str], shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    parent = parts[-2]
    if parent == "conv1" and parts[-3].startswith("up_block"):
        fan_in = shape[0] * np.prod([kernel / 2.0 for kernel in shape[2:]])
    else:
        fan_in = np.prod(shape[1:])
    weight = rng.standard_normal(shape) / np.sqrt(fan_in)
    if parent == "conv2" and any(part.startswith("conv_block") for part in parts):
        weight = 0.5 * weight  # the residual stays small
    return weight


def normal(name: str, shape: Sequence[int]) -> Array:
    """Noise that belongs to a name."""
    return rng_for("input." + name).standard_normal(shape)


def mel_input(name: str, shape: Sequence[int]) -> Array:
    """Something like a log-mel spectrogram."""
    return np.clip(-5.0 + 2.0 * normal(name, shape), np.log(1e-5), 2.0).astype(np.float32)


def wave_input(name: str, shape: Sequence[int], level: float = 0.1) -> Array:
    """Noise and two tones at 22,050 Hz."""
    seconds = np.arange(shape[-1]) / 22050.0
    wave = normal(name, shape) * 0.3
    wave = wave + np.sin(2 * np.pi * 220.0 * seconds)
    wave = wave + 0.5 * np.sin(2 * np.pi * 1730.0 * seconds + 1.0)
    return (level * wave).astype(np.float32)


def vec_input(name: str, shape: Sequence[int]) -> Array:
    """Something like channel features."""
    return (0.5 * normal(name, shape)).astype(np.float32)


def vocfeats_input(name: str, batch: int, order: int, frames: int) -> Array:
    """F0 in Hz (0 where unvoiced), then the mel-cepstrum: (batch, order + 2, frames)."""
    f0 = 120.0 + 20.0 * normal(name + ".f0", (batch, 1, frames))
    f0[:, :, frames // 3 : frames // 2] = 0.0
    cepstrum = 0.2 * normal(name + ".mc", (batch, order + 1, frames))
    cepstrum[:, 0] -= 4.0
    return np.concatenate([f0, cepstrum], axis=1).astype(np.float32)
