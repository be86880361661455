"""A small experiment on generated speech-like sound, for tests that train."""

from pathlib import Path
from typing import Any

import torch

from selfremaster.core import audio
from selfremaster.core.bundles import write_bundle
from selfremaster.core.experiments import Experiment
from selfremaster.registry.assembling import assemble, resolve

RATE = 22050
BUNDLE = "vocoder.safetensors"
VOCODER: dict[str, Any] = {
    "name": "hifigan",
    "preset": "v3",
    "initial_channels": 16,
    "block_kernels": [3],
    "block_dilations": [[1, 3]],
}
ANALYZER = {"name": "unet2d", "widths": [4, 8], "branch_widths": [8], "channel_dim": 4}
CHANNEL = {"name": "unet1d", "widths": [4, 8], "bottleneck_width": 8}


def speech_like(seconds: float, seed: int) -> torch.Tensor:
    """Harmonics of a gliding pitch that come and go, and some breath; (1, samples)."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(round(seconds * RATE)) / RATE
    pitch = 110 + 60 * torch.rand(1, generator=generator) + 20 * torch.sin(2 * torch.pi * 2 * time)
    phase = torch.cumsum(2 * torch.pi * pitch / RATE, 0)
    wave = sum(torch.sin(phase * k) / k for k in range(1, 20))
    envelope = torch.sin(2 * torch.pi * 3 * time).clamp(min=0)
    breath = torch.randn(len(time), generator=generator) * 0.01
    return (0.2 * wave * envelope + breath)[None]


def write_speech(folder: Path, files: int = 3, seconds: float = 1.0) -> Path:
    """A folder of speech-like sounds, and a bundle of a vocoder for them that knows nothing."""
    for number in range(files):
        audio.write(folder / f"{number}.wav", speech_like(seconds, number), RATE)
    write_vocoder(folder / BUNDLE)
    return folder


def write_vocoder(path: Path, vocoder: str | dict[str, Any] = VOCODER) -> Path:
    """A bundle of a vocoder alone that was never trained."""
    alone = {"vocoder": vocoder, "analyzer": None, "channel": None}
    resolved = resolve(Experiment.from_mapping({"model": alone}))
    write_bundle(path, assemble(resolved), resolved)
    return path


def experiment(folder: Path, **changes: Any) -> Experiment:
    """Dual learning of a tiny model on a folder of sounds; changes replace keys of sections."""
    given: dict[str, Any] = {
        "name": "tiny",
        "model": {"vocoder": VOCODER, "analyzer": ANALYZER, "channel": CHANNEL},
        "start": {"vocoder": str(folder / BUNDLE)},
        "objective": {"name": "ssl-dual", "beta": 0.1},
        "data": {
            "degraded": {"folder": str(folder)},
            "clean": {"folder": str(folder)},
            "paired_degraded": {"folder": str(folder)},
            "paired_clean": {"folder": str(folder)},
            "segment_seconds": 0.2,
            "batch_size": 2,
        },
        "train": {
            "steps": 4,
            "device": "cpu",
            "validate_every": 2,
            "save_every": 2,
            "log_every": 1,
        },
    }
    for section, values in changes.items():
        merged = isinstance(values, dict) and section not in ("objective", "start")
        given[section] = {**given[section], **values} if merged else values
    return Experiment.from_mapping(given)


def write_model(path: Path, seed: int) -> Path:
    """A bundle of a tiny model whose channel features have a say, as after training."""
    resolved = resolve(experiment(Path("nowhere"), seed=seed))
    model = assemble(resolved)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in (model.channel or model).parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    write_bundle(path, model, resolved)
    return path
