"""What an adaptation is asked for, and the experiment that it becomes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from selfremaster.core.bundles import Bundle
from selfremaster.core.devices import choose_device, choose_precision
from selfremaster.core.experiments import MODULES, Experiment
from selfremaster.core.pieces import HELD_OUT, MANIFEST_NAME, TRAIN
from selfremaster.registry.assembling import builtin_bundles
from selfremaster.registry.materials import CLEAN_NAME, SPEECH

MINUTES = 15.0
SEGMENT_SECONDS, BATCH_SIZE, HELD_OUT_SEGMENTS = 1.5, 4, 16
VALIDATE_EVERY = 25
PATIENCE = 10
MOST_STEPS = 20_000


class Wanted(NamedTuple):
    """What is asked for."""

    recordings: Sequence[Path]
    output: Path
    model: str = "default"
    clean: Path | None = None
    minutes: float = MINUTES
    steps: int | None = None
    device: str = "auto"
    seed: int = 0
    by_losses: bool = False  # where no metric of quality is installed

    @property
    def model_name(self) -> str:
        """The model by its built-in name, if it has one."""
        named = {str(path): name for name, path in builtin_bundles().items()}
        return named.get(self.model, self.model)


def plan(wanted: Wanted, bundle: Bundle) -> Experiment:
    """Dual learning on the recordings, from every module that the bundle has."""
    own = bundle.experiment.model
    model = own.model_dump(mode="json")
    speech = {"manifest": str(wanted.output / SPEECH / MANIFEST_NAME)}
    clean = {"manifest": str(wanted.output / CLEAN_NAME)}
    steps = MOST_STEPS if wanted.steps is None else wanted.steps
    every = min(VALIDATE_EVERY, steps)
    return Experiment.from_mapping(
        {
            "name": "adapted",
            "seed": wanted.seed,
            "model": model,
            "start": {
                module: wanted.model for module in MODULES if getattr(own, module) is not None
            },
            "objective": {
                "name": "ssl-dual",
                "reconstruction": "multiscale-spectral:linear=false",
                "forward": "channel",
                "match_peaks": True,
            },
            "data": {
                "degraded": {**speech, "split": TRAIN},
                "clean": {**clean, "split": TRAIN},
                "held_out_degraded": {**speech, "split": HELD_OUT},
                "held_out_clean": {**clean, "split": HELD_OUT},
                "segment_seconds": SEGMENT_SECONDS,
                "batch_size": BATCH_SIZE,
                "held_out_segments": HELD_OUT_SEGMENTS,
            },
            "train": {
                "steps": steps,
                "minutes": None if wanted.steps is not None else wanted.minutes,
                "learning_rate": 1e-4,
                "weight_decay": 0.01,
                "schedule": {"name": "constant", "warmup_steps": 20},
                "average": 0.99,
                "precision": choose_precision(choose_device(wanted.device)),
                "device": wanted.device,
                "keep": "best",
                "patience": PATIENCE,
                "validate_every": every,
                "save_every": every,
            },
        },
        "adapt",
    )
