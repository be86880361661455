"""What a whole process shares, so that tests can see whether a part changed it."""

import logging
import os
import random
import warnings
from typing import Any

import numpy as np
import torch


def state_of_the_process() -> dict[str, Any]:
    """What a part must leave as it was: variables, warnings, logging, chance, torch's settings."""
    _, keys, *place = np.random.get_state()
    return {
        "environment": dict(os.environ),
        "filters": [*warnings.filters],
        "handlers": [*logging.getLogger().handlers],
        "level": logging.getLogger().level,
        "numpy": (np.asarray(keys).tolist(), place, np.geterr()),
        "random": random.getstate(),
        "torch": torch.get_rng_state().tolist(),
        "torch settings": (torch.get_default_dtype(), torch.get_num_threads()),
    }
